"""One connection of `/ws/stream`: its subscriptions, and how it closes.

A subscription asks its source for the next event only after its last frame was taken, so a slow
client holds at most one frame of each subscription in memory.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import orjson
import structlog
from starlette.types import Receive, Scope, Send

from app.documents.base import Document
from app.graphql.tokens import SUBPROTOCOL_PREFIX, read_token
from app.middleware.tracing import trace_of
from app.stream.frames import (
    Complete,
    ErrorFrame,
    FieldAtFault,
    Ping,
    Pong,
    Resync,
    Subscribe,
    Subscribed,
    Unsubscribe,
)
from app.stream.payloads import KINDS, RUN_EVENTS, Payloads
from app.wire import ClientGone, SocketClosed, Wire, close_socket, next_message, serve_socket
from domain.access.scopes import Principal
from domain.access.scopes import Scope as Permission
from domain.events.cursors import encode_cursor
from domain.events.feed import StreamItem, StreamResync
from domain.events.records import EventRecord
from domain.kernel.errors import (
    Conflict,
    ErrorCode,
    Forbidden,
    GobError,
    NotFound,
    QuotaExceeded,
    Unauthenticated,
    Unavailable,
    ValidationFailed,
)
from domain.kernel.validation import ClientModel, validated
from resolvers.outcomes import in_public
from resolvers.services import Services
from schema.ids import Kind, decode_id

SUBPROTOCOL = "gob.stream"
INTERNAL = "INTERNAL"
MOST_RUNS_KNOWN = 1000
NEVER_OF_A_TASK = frozenset({"MemoryUpdate", "BehaviorUpdate"})

Authenticate = Callable[[str | None, Scope], Awaitable[Principal]]
"""Turns a key, or none, into a principal; raises Unauthenticated."""

log = structlog.get_logger("app.stream")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLimits:
    """How long and how much a socket may take."""

    send_timeout_s: float = 30.0
    subscriptions: int = 50
    frame_chars: int = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamParts:
    """What the sockets are made of."""

    authenticate: Authenticate
    services: Services
    limits: StreamLimits = field(default_factory=StreamLimits)


class StreamSockets:
    """The ASGI app of `/ws/stream`."""

    def __init__(self, parts: StreamParts) -> None:
        self.parts = parts
        self.payloads = Payloads(parts.services)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection until either side closes it."""
        if (await receive())["type"] != "websocket.connect":
            return
        await send({"type": "websocket.accept", "subprotocol": _chosen(scope["subprotocols"])})
        connection = _Connection(self, scope, receive, send)
        try:
            await connection.serve()
        except SocketClosed as closed:
            await close_socket(send, closed)
        except (ClientGone, OSError):
            return


def _chosen(offered: list[str]) -> str | None:
    """Pick a subprotocol: browsers drop a socket where none of theirs comes back."""
    if SUBPROTOCOL in offered:
        return SUBPROTOCOL
    keys = (name for name in offered if name.startswith(SUBPROTOCOL_PREFIX))
    return next(keys, None)


class _Connection:
    """One socket: who is on it and what it follows."""

    def __init__(self, app: StreamSockets, scope: Scope, receive: Receive, send: Send) -> None:
        self._parts = app.parts
        self._payloads = app.payloads
        self._scope = scope
        self._receive = receive
        self._send = send
        self._wire = Wire(send)
        self._token = read_token(scope)
        self._following: dict[str, asyncio.Task[None]] = {}
        self._caller: Principal | None = None
        self._tasks_of_runs: dict[str, str | None] = {}

    async def serve(self) -> None:
        """Let the client in, then read its frames to the end."""
        try:
            await self._authenticate()
        except Unauthenticated as error:
            await self._refuse(None, error)
            raise SocketClosed(4401, error.message) from None
        except Unavailable as error:
            await self._refuse(None, error)
            raise SocketClosed(1013, error.message) from None
        limits = self._parts.limits
        watching = self._wire.watch(limits.send_timeout_s, self._authenticate)
        await serve_socket(self._read(), watching, self._following)

    async def _authenticate(self) -> None:
        known = await self._parts.authenticate(self._token, self._scope)
        self._caller = known.within(trace_of(self._scope))

    @property
    def _principal(self) -> Principal:
        if self._caller is None:
            raise Unauthenticated("Nobody is on this socket.")
        return self._caller

    async def _read(self) -> None:
        while True:
            longest = self._parts.limits.frame_chars
            message = await next_message(self._receive, longest=longest)
            ident = message.get("id")
            try:
                await self._obey(_frame(message))
            except Unauthenticated as error:
                await self._refuse(None, error)
                raise SocketClosed(4401, error.message) from None
            except GobError as error:
                if isinstance(error, Forbidden):
                    denials = self._parts.services.denials
                    denials.access_denied(self._principal, error, operation="stream.subscribe")
                await self._refuse(ident if isinstance(ident, str) else None, error)

    async def _obey(self, frame: ClientModel) -> None:
        match frame:
            case Subscribe():
                await self._subscribe(frame)
            case Unsubscribe():
                await self._unsubscribe(frame)
            case _:
                await self._answer(Pong())

    async def _subscribe(self, frame: Subscribe) -> None:
        if frame.id in self._following:
            message = f"There is a subscription {frame.id!r} already; end it or take another id."
            raise Conflict(message, path=["id"])
        most = self._parts.limits.subscriptions
        if len(self._following) >= most:
            message = f"A socket has at most {most} subscriptions; end one first."
            quota = "stream.subscriptions"
            raise QuotaExceeded(message, quota=quota, limit=most, retry_after_s=None)
        await self._authenticate()
        for name in frame.events:
            self._principal.needs(KINDS[name].scope)
        source = await self._source(frame)
        await self._answer(Subscribed(id=frame.id))
        task = asyncio.create_task(self._follow(frame, source), name="stream-subscription")
        self._following[frame.id] = task

    async def _source(self, frame: Subscribe) -> AsyncGenerator[StreamItem, None]:
        """Find what is followed, so that no later event is missed. Raises NotFound, BadCursor."""
        services, principal = self._parts.services, self._principal
        place = await services.feed.place(principal.workspace_id, frame.after)
        if frame.run_id is not None:
            if not RUN_EVENTS.issuperset(frame.events):
                names = ", ".join(sorted(RUN_EVENTS))
                message = f"It narrows {names}; subscribe to other events on their own."
                raise ValidationFailed.of("runId", message)
            run_id = decode_id(Kind.RUN, frame.run_id, path="runId")
            if await services.runs.run(principal, run_id) is None:
                raise NotFound("run", run_id, path=["runId"])
            return services.runs.stream(principal, run_id, after=frame.after)
        if frame.task_id is not None:
            await self._check_task(decode_id(Kind.TASK, frame.task_id, path="taskId"))
        types = frozenset[str]().union(*(KINDS[name].types for name in frame.events))
        return services.feed.follow_from(
            place, principal.workspace_id, types, trace_id=principal.trace.trace_id
        )

    async def _check_task(self, task_id: str) -> None:
        """Let a deleted task be watched, too: its deletion may still lie ahead in the stream."""
        self._principal.needs(Permission.TASKS_READ)
        if task_id not in await self._parts.services.tasks.by_ids(self._principal, [task_id]):
            raise NotFound("task", task_id, path=["taskId"])

    async def _concerns(self, task_id: str | None, record: EventRecord) -> bool:
        """True for updates of the task and events of its runs, where a task is named."""
        if task_id is None or record.type in NEVER_OF_A_TASK:
            return True
        if record.run_id is None:
            return record.data["taskId"] == task_id
        known = self._tasks_of_runs.get(record.run_id, "")
        if known == "":
            run = await self._parts.services.runs.run(self._principal, record.run_id)
            known = None if run is None else run.task_id
            if len(self._tasks_of_runs) >= MOST_RUNS_KNOWN:
                self._tasks_of_runs.clear()
            self._tasks_of_runs[record.run_id] = known
        return known == task_id

    async def _follow(self, frame: Subscribe, source: AsyncGenerator[StreamItem, None]) -> None:
        """Send one subscription's events; whatever goes wrong is an error frame."""
        names, task_id = frozenset(frame.events), frame.task_id
        head = f'{{"type":"event","id":{orjson.dumps(frame.id).decode()},'
        try:
            if task_id is not None:
                task_id = decode_id(Kind.TASK, task_id, path="taskId")
            async with aclosing(source):
                async for item in source:
                    if isinstance(item, EventRecord):
                        if not await self._concerns(task_id, item):
                            continue
                        for text in await self._payloads.of(item, names):
                            await self._wire.text(head + text)
                    elif isinstance(item, StreamResync):
                        await self._answer(_resync(frame.id, item))
            await self._end(frame.id, Complete(id=frame.id))
        except GobError as error:
            await self._end(frame.id, _error(frame.id, error))
        except OSError:
            self._following.pop(frame.id, None)
        except Exception:  # the edge of a subscription: its fault ends it, not the socket
            trace_id = self._principal.trace.trace_id
            log.exception("stream.crashed")
            message = f"Something went wrong on the server. Quote the trace id {trace_id}."
            frame_out = ErrorFrame(id=frame.id, code=INTERNAL, message=message)
            await self._end(frame.id, frame_out)

    async def _unsubscribe(self, frame: Unsubscribe) -> None:
        task = self._following.pop(frame.id, None)
        if task is None:
            raise NotFound("subscription", frame.id, path=["id"])
        task.cancel()
        await asyncio.wait([task])
        await self._answer(Complete(id=frame.id))

    async def _end(self, ident: str, last: Document) -> None:
        """Send a subscription's last frame; its id may be used again from then on."""
        self._following.pop(ident, None)
        await self._answer(last)

    async def _refuse(self, ident: str | None, error: GobError) -> None:
        await self._answer(_error(ident, error))

    async def _answer(self, frame: Document) -> None:
        await self._wire.text(frame.json_bytes().decode())


_FRAMES: dict[str, type[ClientModel]] = {
    "subscribe": Subscribe,
    "unsubscribe": Unsubscribe,
    "ping": Ping,
}


def _frame(message: dict[str, Any]) -> ClientModel:
    """Read a client's frame. Raises ValidationFailed."""
    kind = message.get("type")
    model = _FRAMES.get(kind) if isinstance(kind, str) else None
    if model is None:
        raise ValidationFailed.of("type", f"Use one of {', '.join(_FRAMES)}.")
    return validated(model, message)


def _error(ident: str | None, error: GobError) -> ErrorFrame:
    shown = in_public(error)
    code: ErrorCode = shown.reason if isinstance(shown, Conflict) else shown.code
    fields = None
    if isinstance(shown, ValidationFailed):
        fields = [
            FieldAtFault(path=list(problem.path), message=problem.message)
            for problem in shown.problems
        ]
    elif shown.path is not None:
        fields = [FieldAtFault(path=list(shown.path), message=shown.message)]
    return ErrorFrame(id=ident, code=code, message=shown.message, fields=fields)


def _resync(ident: str, gap: StreamResync) -> Resync:
    oldest = gap.oldest
    return Resync(
        id=ident,
        cursor=encode_cursor(gap.workspace_id, gap.cursor),
        oldest_cursor=None if oldest is None else encode_cursor(gap.workspace_id, oldest),
    )
