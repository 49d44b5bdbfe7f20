"""GraphQL over HTTP, to the letter of its specification."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from graphql import OperationType
from starlette.types import ASGIApp, Receive, Scope, Send

from app.graphql.engine import Call, GraphQLEngine, SourceFailed, encode_errors
from app.graphql.errors import (
    EdgeCode,
    ErrorBody,
    RequestRejected,
    gob_error_body,
    status_of,
    unexpected_body,
)
from app.graphql.gate import Operation, over_limit
from app.graphql.negotiation import ResponseMedia, is_json_utf8, negotiate
from app.graphql.params import GraphQLParams, bad_request, params_of, params_of_query, read_json
from app.graphql.sse import stream_events
from app.middleware.responses import header, send_body
from app.middleware.tracing import trace_of
from domain.kernel.errors import GobError, QuotaExceeded, Unauthenticated

ContextFactory = Callable[[Scope], Awaitable[Any]]
"""Authenticates a request and makes the context of its resolvers; raises GobError."""

_BOTH = b"GET, POST"
_NOT_ACCEPTABLE = (
    "Accept application/graphql-response+json or application/json; text/event-stream for streams."
)
_NEEDS_STREAM = "A subscription needs a WebSocket, or a request that accepts text/event-stream."
_TRANSPORT_CODES = frozenset({EdgeCode.BAD_REQUEST.value, EdgeCode.LIMIT_EXCEEDED.value})
"""Refusals of what is no GraphQL request; they are a 4xx in every media type."""


class _ClientGone(Exception):
    """The client closed the connection before its request was complete."""


class _Refused(Exception):
    """A request that the protocol itself does not allow."""

    def __init__(self, status: int, message: str, *, allow: bytes | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.allow = allow


@dataclass(frozen=True, slots=True)
class _Exchange:
    """One request and its way back."""

    scope: Scope
    receive: Receive
    send: Send
    media: ResponseMedia
    trace_id: str

    async def answer(
        self, status: int, body: bytes, extra: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        """Send a response of the negotiated JSON type."""
        named = self.media is ResponseMedia.GRAPHQL
        media = ResponseMedia.GRAPHQL if named else ResponseMedia.JSON
        await send_body(self.send, status, body, media=f"{media}; charset=utf-8", extra=extra)

    async def fail(
        self, status: int, error: ErrorBody, extra: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        """Send a single error instead of a result."""
        await self.answer(status, encode_errors([error]), extra)


class GraphQLView:
    """An ASGI app that executes the operations sent to it; `page` answers browsers."""

    def __init__(
        self, engine: GraphQLEngine, context_factory: ContextFactory, *, page: ASGIApp | None = None
    ) -> None:
        self._engine = engine
        self._context_factory = context_factory
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        asks_page = self._page is not None and scope["method"] == "GET" and not _has_query(scope)
        media = negotiate(header(scope, b"accept"), page=asks_page)
        if media is ResponseMedia.HTML and self._page is not None:
            await self._page(scope, receive, send)
            return
        exchange = _Exchange(
            scope, receive, send, media or ResponseMedia.JSON, trace_of(scope).trace_id
        )
        try:
            await self._answer(exchange, acceptable=media is not None)
        except _ClientGone:
            return
        except _Refused as refusal:
            extra = ((b"allow", refusal.allow),) if refusal.allow else ()
            rejection = bad_request(refusal.message)
            await exchange.answer(refusal.status, encode_errors(rejection.bodies), extra)
        except RequestRejected as rejection:
            await exchange.answer(
                _status(rejection, exchange.media), encode_errors(rejection.bodies)
            )
        except GobError as error:
            await exchange.fail(status_of(error), gob_error_body(error), _extra_headers(error))
        except Exception as error:  # noqa: BLE001  # the outermost edge of a request
            await exchange.fail(500, unexpected_body(error, exchange.trace_id))

    async def _answer(self, exchange: _Exchange, *, acceptable: bool) -> None:
        method = exchange.scope["method"]
        if not acceptable:
            raise _Refused(406, _NOT_ACCEPTABLE)
        if method not in {"GET", "POST"}:
            raise _Refused(405, f"GraphQL is served by GET and POST, not {method}.", allow=_BOTH)
        if method == "POST" and not is_json_utf8(header(exchange.scope, b"content-type")):
            raise _Refused(415, "A POST must have the content type application/json, in UTF-8.")
        context = await self._context_factory(exchange.scope)
        call = Call(
            params=await self._params(exchange),
            context=context,
            trace_id=exchange.trace_id,
            still_allowed=lambda: self._context_factory(exchange.scope),
        )
        if exchange.media is ResponseMedia.EVENT_STREAM:
            await self._stream(exchange, call)
            return
        operation = self._engine.admit(call.params)
        _check_method(operation, method)
        if operation.kind is OperationType.SUBSCRIPTION:
            raise bad_request(_NEEDS_STREAM)
        await exchange.answer(200, await self._engine.execute(operation, call))

    async def _stream(self, exchange: _Exchange, call: Call) -> None:
        if exchange.scope["method"] == "GET":
            with suppress(RequestRejected):
                _check_method(self._engine.admit(call.params), "GET")
        await stream_events(self._payloads(call), exchange.receive, exchange.send)

    async def _payloads(self, call: Call) -> AsyncGenerator[str, None]:
        """Yield the results of any operation; what goes wrong is the last of them."""
        try:
            operation = self._engine.admit(call.params)
            if operation.kind is OperationType.SUBSCRIPTION:
                stream = await self._engine.subscribe(operation, call)
                async with aclosing(stream.payloads()) as payloads:
                    async for text in payloads:
                        yield text
            else:
                yield (await self._engine.execute(operation, call)).decode()
        except RequestRejected as rejection:
            yield encode_errors(rejection.bodies).decode()
        except SourceFailed as failure:
            yield encode_errors([failure.body]).decode()
        except Exception as error:  # noqa: BLE001  # the outermost edge of a stream
            yield encode_errors([unexpected_body(error, call.trace_id)]).decode()

    async def _params(self, exchange: _Exchange) -> GraphQLParams:
        limits = self._engine.gate.limits
        if exchange.scope["method"] == "GET":
            return params_of_query(_query_fields(exchange.scope), limits.json_depth)
        body = await _read_body(exchange, limits.body_bytes)
        return params_of(read_json(body, limits.json_depth))


def _check_method(operation: Operation, method: str) -> None:
    if method == "GET" and operation.kind is OperationType.MUTATION:
        raise _Refused(405, "A mutation must be sent by POST.", allow=b"POST")


def _status(rejection: RequestRejected, media: ResponseMedia) -> int:
    """Section 6.4: application/json answers 200 where a GraphQL request was understood."""
    codes = {body["extensions"]["code"] for body in rejection.bodies}
    if media is ResponseMedia.JSON and not codes & _TRANSPORT_CODES:
        return 200
    return rejection.status


def _extra_headers(error: GobError) -> tuple[tuple[bytes, bytes], ...]:
    if isinstance(error, Unauthenticated):
        return ((b"www-authenticate", b"Bearer"),)
    if isinstance(error, QuotaExceeded) and error.retry_after_s is not None:
        return ((b"retry-after", str(error.retry_after_s).encode()),)
    return ()


def _has_query(scope: Scope) -> bool:
    return "query" in _query_fields(scope)


def _query_fields(scope: Scope) -> dict[str, str]:
    """Read the address's fields; bytes that are no UTF-8 are refused later, as text."""
    text = scope["query_string"].decode("latin-1")
    return dict(parse_qsl(text, keep_blank_values=True, errors="surrogateescape"))


async def _read_body(exchange: _Exchange, limit: int) -> bytes:
    declared = header(exchange.scope, b"content-length")
    if declared is not None and declared.isdigit() and int(declared) > limit:
        raise _too_large(int(declared), limit)
    body = bytearray()
    while True:
        message = await exchange.receive()
        if message["type"] == "http.disconnect":
            raise _ClientGone
        body += message.get("body", b"")
        if len(body) > limit:
            raise _too_large(len(body), limit)
        if not message.get("more_body", False):
            return bytes(body)


def _too_large(size: int, limit: int) -> RequestRejected:
    return RequestRejected(over_limit("bodyBytes", size, limit).bodies, status=413)
