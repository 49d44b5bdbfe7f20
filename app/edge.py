"""The outermost layer: what every request and every socket passes before any door.

It checks Host and Origin, answers CORS, begins the trace, bounds bodies in size and time, adds
the security headers, and turns a crash into one log line and an answer without its details.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, reset_contextvars

from app.middleware.origins import SECURITY_HEADERS, OriginPolicy
from app.middleware.responses import HeaderList, Refusal, header, headers, refuse
from app.middleware.tracing import begin_trace
from domain.kernel.tracing import TraceContext

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_PROBES = frozenset({"/healthz", "/readyz"})
"""Asked by machines, by any name or address, again and again; neither tells a secret."""
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_ALLOW_METHODS = b"GET, POST, PUT, PATCH, DELETE, OPTIONS"
_ALLOW_HEADERS = b"authorization, content-type, idempotency-key, traceparent, last-event-id"
_EXPOSE_HEADERS = b"location, link, traceparent, retry-after, idempotent-replayed"


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyLimits:
    """How large a request body may be, and how long each part of it may take."""

    size_bytes: int = 1 << 20
    part_timeout_s: float = 10.0


class Edge:
    """The ASGI app around all others."""

    def __init__(
        self, app: ASGIApp, *, policy: OriginPolicy, body_limits: BodyLimits | None = None
    ) -> None:
        self._app = app
        self._policy = policy
        self._body_limits = body_limits or BodyLimits()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, bound and trace one request or socket."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        trace = begin_trace(scope)
        tokens = bind_contextvars(trace_id=trace.trace_id)
        answer = _Answer(scope, send, self._policy, trace)
        began = asyncio.get_running_loop().time()
        try:
            await self._pass(scope, receive, answer)
        finally:
            _tell(scope, answer.status, asyncio.get_running_loop().time() - began)
            reset_contextvars(**tokens)

    async def _pass(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        if await self._refused(scope, receive, answer):
            return
        inbound = _Inbound(scope, receive, self._body_limits)

        async def send(message: Message) -> None:
            # What an app says about a body that was refused gives way to the refusal itself.
            if inbound.refusal is None or answer.started:
                await answer.send(message)

        try:
            await self._app(scope, inbound.receive, send)
        except Exception as error:  # noqa: BLE001  # the outermost edge of all
            if inbound.refusal is None:
                await _crashed(scope, answer, error)
                return
        if inbound.refusal is not None and not answer.started:
            await refuse(scope, answer.send, inbound.refusal)

    async def _refused(self, scope: Scope, receive: Receive, answer: "_Answer") -> bool:
        if not (_is_probe(scope) or self._policy.allows_host(scope)):
            named = ", ".join(headers(scope, b"host")) or "none"
            message = (
                f"This server does not answer to the host {named[:200]!r}. "
                "Add its name to ALLOWED_HOSTS if it should."
            )
            refusal = Refusal(status=400, code="HOST_NOT_ALLOWED", message=message)
            await _turn_away(scope, receive, answer, refusal)
            return True
        origin = header(scope, b"origin")
        unsafe = scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS
        preflight = _is_preflight(scope, origin)
        if (unsafe or preflight) and self._policy.refuses_page(scope, origin):
            message = (
                f"Pages of {str(origin)[:200]!r} may not use this server. "
                "Add that origin to ALLOW_ORIGINS if they should."
            )
            refusal = Refusal(status=403, code="ORIGIN_NOT_ALLOWED", message=message)
            await _turn_away(scope, receive, answer, refusal)
            return True
        if preflight:
            await answer.preflight()
        return preflight


def _is_probe(scope: Scope) -> bool:
    return scope["type"] == "http" and scope["path"] in _PROBES


def _tell(scope: Scope, status: int | None, seconds: float) -> None:
    """One line a request or socket, without its query, which may hold what is private."""
    if _is_probe(scope):
        return
    log.info(
        "http.request" if scope["type"] == "http" else "socket.closed",
        method=scope.get("method", "GET"),
        path=scope["path"],
        status=status,
        duration_ms=round(seconds * 1000, 1),
    )


async def _turn_away(scope: Scope, receive: Receive, answer: "_Answer", refusal: Refusal) -> None:
    if scope["type"] == "websocket":
        await receive()
    await refuse(scope, answer.send, refusal)


def _is_preflight(scope: Scope, origin: str | None) -> bool:
    if scope["type"] != "http" or scope["method"] != "OPTIONS" or origin is None:
        return False
    return header(scope, b"access-control-request-method") is not None


async def _crashed(scope: Scope, answer: "_Answer", error: Exception) -> None:
    log.error("request.crashed", path=scope["path"], exc_info=error)
    message = f"Something went wrong on the server. Quote the trace id {answer.trace.trace_id}."
    if scope["type"] == "websocket" and answer.started:
        await answer.send({"type": "websocket.close", "code": 1011, "reason": "Internal error"})
    elif not answer.started:
        extras = {"traceId": answer.trace.trace_id}
        refusal = Refusal(status=500, code="INTERNAL", message=message, extras=extras)
        await refuse(scope, answer.send, refusal)


class _Inbound:
    """Hands on a request's body in bounded size and time."""

    __slots__ = ("_limits", "_receive", "_size", "_streaming", "refusal")

    def __init__(self, scope: Scope, receive: Receive, limits: BodyLimits) -> None:
        self._receive = receive
        self._limits = limits
        self._size = 0
        self._streaming = scope["type"] == "http"
        self.refusal: Refusal | None = None

    async def receive(self) -> Message:
        """Return the next part; a refused body looks like a client that went away."""
        if not self._streaming:
            return await self._receive()
        try:
            async with asyncio.timeout(self._limits.part_timeout_s):
                message = await self._receive()
        except TimeoutError:
            return self._refuse(408, "BODY_TIMEOUT", "The request body came too slowly.")
        self._size += len(message.get("body", b""))
        if self._size > self._limits.size_bytes:
            limit = self._limits.size_bytes
            return self._refuse(413, "BODY_TOO_LARGE", f"A body may have {limit} bytes at most.")
        self._streaming = bool(message.get("more_body", False))
        return message

    def _refuse(self, status: int, code: str, message: str) -> Message:
        self.refusal = Refusal(status=status, code=code, message=message)
        self._streaming = False
        return {"type": "http.disconnect"}


class _Answer:
    """Adds to each answer what all answers have."""

    __slots__ = ("_extra", "_send", "started", "status", "trace")

    def __init__(self, scope: Scope, send: Send, policy: OriginPolicy, trace: TraceContext) -> None:
        self._send = send
        self.trace = trace
        self.started = False
        self.status: int | None = None
        self._extra: HeaderList = [(b"traceparent", trace.header().encode())]
        origin = header(scope, b"origin")
        if origin is not None:
            self._extra.append((b"vary", b"Origin"))
            if policy.allows_origin(origin):
                self._extra.append((b"access-control-allow-origin", origin.encode("latin-1")))
                self._extra.append((b"access-control-expose-headers", _EXPOSE_HEADERS))

    async def send(self, message: Message) -> None:
        """Send a message, its head with the common headers."""
        kind = message["type"]
        if kind in {"http.response.start", "websocket.http.response.start"}:
            self.started = True
            self.status = message["status"]
            message["headers"] = self._with_common(message.get("headers", ()))
        elif kind == "websocket.accept":
            self.started = True
            self.status = 101
            message["headers"] = [*message.get("headers", ()), self._extra[0]]
        await self._send(message)

    async def preflight(self) -> None:
        """Answer a CORS preflight of an allowed origin."""
        allowed: HeaderList = [
            (b"access-control-allow-methods", _ALLOW_METHODS),
            (b"access-control-allow-headers", _ALLOW_HEADERS),
            (b"access-control-max-age", b"600"),
            (b"content-length", b"0"),
        ]
        await self.send({"type": "http.response.start", "status": 204, "headers": allowed})
        await self.send({"type": "http.response.body", "body": b""})

    def _with_common(self, own: Sequence[tuple[bytes, bytes]]) -> HeaderList:
        named = {name for name, _ in own}
        common = [(name, value) for name, value in SECURITY_HEADERS.items() if name not in named]
        return [*own, *common, *self._extra]
