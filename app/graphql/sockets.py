"""The `graphql-transport-ws` protocol: one connection, its operations, and how it closes.

Frames are sent by the operations themselves. An operation asks its source for the next event only
after its last frame was taken, so a slow client holds at most one frame per operation in memory,
and nothing is queued for it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
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
from app.wire import ClientGone, SocketClosed, Wire, close_socket, next_message, serve_socket
from domain.kernel.errors import GobError, Unauthenticated, Unavailable

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
            await close_socket(send, SocketClosed(4406, "Subprotocol not acceptable"))
            return
        try:
            await _Connection(self, scope, receive, send).serve()
        except SocketClosed as closed:
            await close_socket(send, closed)
        except (ClientGone, OSError):
            return


@dataclass(slots=True)
class _Connection:
    """One socket: who is on it and what runs on it."""

    app: GraphQLSockets
    scope: Scope
    receive: Receive
    send: Send
    wire: Wire = field(init=False)
    operations: dict[str, asyncio.Task[None]] = field(default_factory=dict[str, asyncio.Task[None]])
    token: str | None = None
    initiated: bool = False
    acknowledged: bool = False

    def __post_init__(self) -> None:
        self.wire = Wire(self.send)

    async def serve(self) -> None:
        """Read messages until the end; whatever ends it, every source is closed at once."""
        await serve_socket(self._read(), self._watch(), self.operations)

    async def _watch(self) -> None:
        """Close a socket whose client takes no frame, and one that never begins."""
        limits = self.app.limits
        await asyncio.sleep(limits.init_timeout_s)
        if not self.acknowledged:
            raise SocketClosed(4408, "Connection initialisation timeout")
        await self.wire.watch(limits.send_timeout_s)

    async def _read(self) -> None:
        while True:
            message = await next_message(self.receive, longest=self.app.limits.frame_chars)
            await self._message(message)

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
                raise SocketClosed(4400, "Unknown message type")

    async def _init(self, payload: Any) -> None:
        if self.initiated:
            raise SocketClosed(4429, "Too many initialisation requests")
        if payload is not None and not isinstance(payload, dict):
            raise SocketClosed(4400, "The payload of connection_init must be an object")
        self.initiated = True
        self.token = _first_key(self.scope, cast("dict[str, Any]", payload or {}))
        try:
            await self._authenticated()
        except Unauthenticated as error:
            raise SocketClosed(4401, error.message) from None
        except Unavailable as error:
            # Clients try again after this one, and give up after 4403.
            raise SocketClosed(1013, error.message) from None
        except GobError as error:
            raise SocketClosed(4403, error.message) from None
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
            raise SocketClosed(4401, "Unauthorized")
        ident = message.get("id")
        if not isinstance(ident, str) or not ident:
            raise SocketClosed(4400, "A subscribe message needs an id, a string that is not empty")
        params = _params(message, self.app.engine.gate.limits.json_depth)
        if ident in self.operations:
            raise SocketClosed(4409, f"Subscriber for {ident} already exists")
        maximum = self.app.limits.operations
        if len(self.operations) >= maximum:
            refusal = over_limit("subscriptions", len(self.operations) + 1, maximum)
            await self._error(ident, refusal.bodies)
            return
        task = asyncio.create_task(self._run(ident, params))
        self.operations[ident] = task

    def _complete(self, ident: Any) -> None:
        if not isinstance(ident, str):
            raise SocketClosed(4400, "A complete message needs the id of an operation")
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
        raise SocketClosed(4400, f"subscribe: {rejection}") from None
    if json_depth(payload) > max_depth:
        raise SocketClosed(4400, "subscribe: the payload is nested too deeply")
    return params


def _quoted(ident: str) -> str:
    return orjson.dumps(ident).decode()
