"""The `graphql-transport-ws` protocol: one connection, its operations, and how it closes.

Frames are sent by the operations themselves. An operation asks its source for the next event only
after its last frame was taken, so a slow client holds at most one frame per operation in memory,
and nothing is queued for it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, cast

import orjson
from graphql import OperationType
from starlette.types import Receive, Scope, Send

from app.graphql.engine import Call, GraphQLEngine, SourceFailed
from app.graphql.errors import ErrorBody, RequestRejected, gob_error_body, unexpected_body
from app.graphql.gate import over_limit
from app.graphql.params import GraphQLParams, json_depth, params_of
from app.graphql.tokens import cookie_token, explicit_token, init_token
from app.middleware.tracing import trace_of
from domain.kernel.errors import GobError, Unauthenticated

SUBPROTOCOL = "graphql-transport-ws"

Authenticate = Callable[[str | None, Scope], Awaitable[Any]]
"""Turns a key, or none, into a principal; raises Unauthenticated."""

ContextFor = Callable[[Any, Scope], Awaitable[Any]]
"""Makes the context of one operation of an authenticated caller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketLimits:
    """How long and how much a socket may take."""

    init_timeout_s: float = 10.0
    send_timeout_s: float = 30.0
    operations: int = 20
    frame_chars: int = 1 << 20


class _Closed(Exception):
    """The socket must close with a code and a short reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class _Gone(Exception):
    """The client closed the socket."""


@dataclass(slots=True)
class _Wire:
    """Writes frames and knows since when the client has not taken one."""

    send: Send
    waiting: int = 0
    moved_at: float = 0.0

    async def text(self, text: str) -> None:
        """Send a text frame; returns when the transport has room for the next one."""
        loop = asyncio.get_running_loop()
        if not self.waiting:
            self.moved_at = loop.time()
        self.waiting += 1
        try:
            await self.send({"type": "websocket.send", "text": text})
        finally:
            self.waiting -= 1
            self.moved_at = loop.time()

    def stalled_for_s(self) -> float:
        """Tell how long a frame has been waiting while none was taken."""
        return asyncio.get_running_loop().time() - self.moved_at if self.waiting else 0.0


class GraphQLSockets:
    """An ASGI app that speaks graphql-transport-ws on every socket it is given."""

    def __init__(
        self,
        engine: GraphQLEngine,
        *,
        authenticate: Authenticate,
        context_for: ContextFor,
        limits: SocketLimits | None = None,
    ) -> None:
        self.engine = engine
        self.authenticate = authenticate
        self.context_for = context_for
        self.limits = limits or SocketLimits()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection until either side closes it."""
        if (await receive())["type"] != "websocket.connect":
            return
        offered = SUBPROTOCOL in scope["subprotocols"]
        await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL if offered else None})
        if not offered:
            await _close(send, _Closed(4406, "Subprotocol not acceptable"))
            return
        try:
            await _Connection(self, scope, receive, send).serve()
        except _Closed as closed:
            await _close(send, closed)
        except (_Gone, OSError):
            return


@dataclass(slots=True)
class _Connection:
    """One socket: who is on it and what runs on it."""

    app: GraphQLSockets
    scope: Scope
    receive: Receive
    send: Send
    wire: _Wire = field(init=False)
    operations: dict[str, asyncio.Task[None]] = field(default_factory=dict[str, asyncio.Task[None]])
    token: str | None = None
    initiated: bool = False
    acknowledged: bool = False

    def __post_init__(self) -> None:
        self.wire = _Wire(self.send)

    async def serve(self) -> None:
        """Read messages until the end; whatever ends it, every source is closed at once."""
        watch = asyncio.create_task(self._watch())
        reader = asyncio.create_task(self._read())
        try:
            await asyncio.wait({watch, reader}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            tasks = [watch, reader, *self.operations.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in (reader, watch):
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _watch(self) -> None:
        """Close a socket whose client takes no frame, and one that never begins."""
        limits = self.app.limits
        await asyncio.sleep(limits.init_timeout_s)
        if not self.acknowledged:
            raise _Closed(4408, "Connection initialisation timeout")
        while True:
            stalled_s = self.wire.stalled_for_s()
            if stalled_s >= limits.send_timeout_s:
                raise _Closed(1013, "The client takes no frames")
            await asyncio.sleep(max(limits.send_timeout_s - stalled_s, 0.01))

    async def _read(self) -> None:
        while True:
            event = await self.receive()
            if event["type"] == "websocket.disconnect":
                raise _Gone
            await self._message(self._decode(event))

    def _decode(self, event: Any) -> dict[str, Any]:
        text = event.get("text")
        if text is None:
            raise _Closed(4400, "Only text frames are accepted")
        if len(text) > self.app.limits.frame_chars:
            raise _Closed(1009, "Message too big")
        try:
            message = orjson.loads(text)
        except orjson.JSONDecodeError:
            raise _Closed(4400, "The message is not valid JSON") from None
        if not isinstance(message, dict):
            raise _Closed(4400, "The message must be a JSON object")
        return cast("dict[str, Any]", message)

    async def _message(self, message: dict[str, Any]) -> None:
        match message.get("type"):
            case "connection_init":
                await self._init(message.get("payload"))
            case "ping":
                await self._answer("pong", message.get("payload"))
            case "pong":
                pass
            case "subscribe":
                await self._subscribe(message)
            case "complete":
                self._complete(message.get("id"))
            case _:
                raise _Closed(4400, "Unknown message type")

    async def _init(self, payload: Any) -> None:
        if self.initiated:
            raise _Closed(4429, "Too many initialisation requests")
        if payload is not None and not isinstance(payload, dict):
            raise _Closed(4400, "The payload of connection_init must be an object")
        self.initiated = True
        self.token = _first_key(self.scope, cast("dict[str, Any]", payload or {}))
        try:
            await self._authenticated()
        except Unauthenticated as error:
            raise _Closed(4401, error.message) from None
        except GobError as error:
            raise _Closed(4403, error.message) from None
        self.acknowledged = True
        await self.wire.text('{"type":"connection_ack"}')

    async def _authenticated(self) -> Any:
        """Who is on the socket; asked for each operation, since keys end while sockets are open."""
        return await self.app.authenticate(self.token, self.scope)

    async def _answer(self, kind: str, payload: Any) -> None:
        body = {"type": kind} if payload is None else {"type": kind, "payload": payload}
        await self.wire.text(orjson.dumps(body).decode())

    async def _subscribe(self, message: dict[str, Any]) -> None:
        if not self.acknowledged:
            raise _Closed(4401, "Unauthorized")
        ident = message.get("id")
        if not isinstance(ident, str) or not ident:
            raise _Closed(4400, "A subscribe message needs an id, a string that is not empty")
        params = _params(message, self.app.engine.gate.limits.json_depth)
        if ident in self.operations:
            raise _Closed(4409, f"Subscriber for {ident} already exists")
        maximum = self.app.limits.operations
        if len(self.operations) >= maximum:
            refusal = over_limit("subscriptions", len(self.operations) + 1, maximum)
            await self._error(ident, refusal.bodies)
            return
        task = asyncio.create_task(self._run(ident, params))
        self.operations[ident] = task

    def _complete(self, ident: Any) -> None:
        if not isinstance(ident, str):
            raise _Closed(4400, "A complete message needs the id of an operation")
        task = self.operations.pop(ident, None)
        if task is not None:
            task.cancel()

    async def _run(self, ident: str, params: GraphQLParams) -> None:
        """Run one operation to its end; whatever goes wrong is an `error` frame."""
        trace_id = trace_of(self.scope).trace_id
        try:
            await self._results(ident, params, trace_id)
            await self._end(ident, f'{{"id":{_quoted(ident)},"type":"complete"}}')
        except RequestRejected as rejection:
            await self._error(ident, rejection.bodies)
        except SourceFailed as failure:
            await self._error(ident, [failure.body])
        except GobError as error:
            await self._error(ident, [gob_error_body(error)])
        except OSError:
            self._forget(ident)
        except Exception as error:  # noqa: BLE001  # the outermost edge of an operation
            await self._error(ident, [unexpected_body(error, trace_id)])

    async def _results(self, ident: str, params: GraphQLParams, trace_id: str) -> None:
        engine = self.app.engine
        operation = engine.admit(params)
        context = await self.app.context_for(await self._authenticated(), self.scope)
        call = Call(
            params=params,
            context=context,
            trace_id=trace_id,
            still_allowed=self._authenticated,
        )
        head = f'{{"id":{_quoted(ident)},"type":"next","payload":'
        send = self.wire.text
        if operation.kind is not OperationType.SUBSCRIPTION:
            await send(f"{head}{(await engine.execute(operation, call)).decode()}}}")
            return
        stream = await engine.subscribe(operation, call)
        async with aclosing(stream.payloads()) as payloads:
            async for payload in payloads:
                await send(f"{head}{payload}}}")

    async def _error(self, ident: str, bodies: list[ErrorBody]) -> None:
        body = {"id": ident, "type": "error", "payload": bodies}
        await self._end(ident, orjson.dumps(body).decode())

    async def _end(self, ident: str, text: str) -> None:
        """Send an operation's last frame; its id may be used again from then on."""
        self._forget(ident)
        await self.wire.text(text)

    def _forget(self, ident: str) -> None:
        if self.operations.get(ident) is asyncio.current_task():
            del self.operations[ident]


async def _close(send: Send, closed: _Closed) -> None:
    """Say why the socket closes; a client that takes no frames is not waited for."""
    reason = closed.reason.encode()[:120].decode(errors="ignore")
    with suppress(TimeoutError, OSError):
        async with asyncio.timeout(1.0):
            await send({"type": "websocket.close", "code": closed.code, "reason": reason})


def _first_key(scope: Scope, payload: dict[str, Any]) -> str | None:
    """Prefer what the upgrade names, then the greeting, then the explorer's cookie."""
    named = explicit_token(scope)
    if named is None:
        named = init_token(payload)
    return cookie_token(scope) if named is None else named


def _params(message: dict[str, Any], max_depth: int) -> GraphQLParams:
    payload = message.get("payload")
    try:
        params = params_of(payload)
    except RequestRejected as rejection:
        raise _Closed(4400, f"subscribe: {rejection}") from None
    if json_depth(payload) > max_depth:
        raise _Closed(4400, "subscribe: the payload is nested too deeply")
    return params


def _quoted(ident: str) -> str:
    return orjson.dumps(ident).decode()
