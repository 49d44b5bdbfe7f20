"""A model behind HTTP: sends a request, and reads the stream that comes back.

What providers do alike stands here: retries, time limits, errors, connections. What one of them
does in its own way is its `Wire`.
"""

import asyncio
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol, cast

import httpx

from app.adapters.certificates import trust_for
from app.adapters.model_http import (
    ANSWER_LIMIT_BYTES,
    ERROR_BODY_LIMIT_BYTES,
    ErrorWords,
    ModelTimeouts,
    RetryPolicy,
)
from domain.models.ports import (
    ModelError,
    ModelErrorKind,
    ModelEvent,
    ModelRequest,
)

_TAIL_S = 5.0
_DRAIN_S = 0.1


class LineCutter(Protocol):
    """Cuts a stream of bytes into the payloads that a reader understands."""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Payloads that are whole now, in order."""
        ...

    def flush(self) -> list[bytes]:
        """What is left at the end of the stream."""
        ...


class AnswerReader(Protocol):
    """Reads the payloads of one answer in order; it does no I/O and serves one attempt."""

    has_begun: bool
    """True once a part of the answer has come, if only a fragment of a call."""
    is_over: bool
    """True once the provider said that nothing more comes."""

    @property
    def is_finished(self) -> bool:
        """True once the provider gave its reason to stop."""
        ...

    def read(self, payload: bytes) -> Sequence[ModelEvent]:
        """Events of one payload. Raises ModelError for one that makes no sense."""
        ...

    def conclude(self) -> Sequence[ModelEvent]:
        """Calls, usage and the end. Raises ModelError for an answer that is not whole."""
        ...


class Wire(Protocol):
    """How one provider is spoken to."""

    path: str
    """Path of its endpoint beneath the base URL."""

    def headers(self, api_key: str | None, /) -> Mapping[str, str]:
        """Headers of every request."""
        ...

    def headers_of(self, _request: ModelRequest, /) -> Mapping[str, str]:
        """Headers of this request alone."""
        return {}

    def body(self, request: ModelRequest) -> bytes:
        """JSON of the request; raises TypeError or ValueError for what it cannot carry."""
        ...

    def lines(self) -> LineCutter:
        """A cutter for one stream."""
        ...

    def reader(self, request: ModelRequest, words: ErrorWords, /) -> AnswerReader:
        """A reader for one attempt at this request."""
        ...

    def cure(self, _error: ModelError, _request: ModelRequest, /) -> str:
        """What a person can do about the error, where this provider is known for it; else ""."""
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelServer:
    """Where a provider is, what it is called in model references, and the key it wants."""

    name: str
    base_url: str
    api_key: str | None = field(default=None, repr=False)


class HttpModelClient:
    """Asks a server by POST and streams its answer."""

    def __init__(
        self,
        wire: Wire,
        server: ModelServer,
        *,
        timeouts: ModelTimeouts | None = None,
        retries: RetryPolicy | None = None,
    ) -> None:
        """Raise ValueError for a base URL that is not http or https, or a key no header takes."""
        api_key = (server.api_key or "").strip() or None
        if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
            # What a header refuses would be shown in its error.
            message = f"the key for {server.name} holds letters that no header can carry"
            raise ValueError(message)
        self.name = server.name
        self._wire = wire
        self._url = _endpoint(server.base_url, wire.path)
        self._timeouts = timeouts or ModelTimeouts()
        self._retries = retries or RetryPolicy()
        self._words = ErrorWords(server.name, api_key=api_key)
        self._headers = {
            "User-Agent": "gob",
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            **wire.headers(api_key),
            **_sign_in(self._url),
        }
        # Reading has no limit here: the deadlines of `_events` are the only ones.
        timeout = httpx.Timeout(self._timeouts.connect_s, read=None)
        self._extensions = {"timeout": timeout.as_dict()}
        # The transport alone: a client's cookies, redirects and hooks are a fifth of a call.
        self._http = httpx.AsyncHTTPTransport(
            verify=trust_for(str(self._url)),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
            trust_env=False,
        )

    async def aclose(self) -> None:
        """Give back connections."""
        await self._http.aclose()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """Ask, and yield events as they come; see ModelClient.

        A request that failed goes out again as long as nothing of an answer was yielded.
        """
        outgoing = self._outgoing(request)
        total_by = asyncio.get_running_loop().time() + self._timeouts.total_s
        for attempt in range(1, self._retries.max_attempts + 1):
            begun = False
            reader = self._wire.reader(request, self._words)
            try:
                async with aclosing(self._attempt(outgoing, reader, total_by)) as events:
                    async for event in events:
                        begun = True
                        yield event
                return
            except ModelError as error:
                failure = self._cured(error, request)
                if begun or not failure.is_retryable:
                    raise failure from error.__cause__
                retry = self._retries.next_try(failure, failures=attempt, total_by=total_by)
            yield retry
            await self._retries.sleep(retry.delay_s)

    def _cured(self, error: ModelError, request: ModelRequest) -> ModelError:
        cure = self._wire.cure(error, request)
        return self._words.with_cure(error, cure) if cure else error

    def _outgoing(self, request: ModelRequest) -> httpx.Request:
        headers = dict(self._headers)
        if request.traceparent:
            headers["traceparent"] = request.traceparent
        try:
            body = self._wire.body(request)
            headers |= self._wire.headers_of(request)
        except (TypeError, ValueError) as error:
            message = f"cannot be sent this request: {error}"
            raise self._words.error(ModelErrorKind.REJECTED, message) from error
        return httpx.Request(
            "POST",
            self._url,
            headers=headers,
            content=body,
            extensions=self._extensions,
        )

    async def _attempt(
        self, outgoing: httpx.Request, reader: AnswerReader, total_by: float
    ) -> AsyncGenerator[ModelEvent, None]:
        begun = False
        first_by = asyncio.get_running_loop().time() + self._timeouts.first_token_s
        try:
            async with self._opened(outgoing, min(first_by, total_by)) as response:
                events = self._events(response, reader, first_by=first_by, total_by=total_by)
                async with aclosing(events):
                    async for event in events:
                        begun = True
                        yield event
        except httpx.ConnectTimeout as error:
            raise self._unreachable("no connection in time") from error
        except httpx.ConnectError as error:
            raise self._unreachable(str(error)) from error
        except httpx.HTTPError as error:
            if not reader.is_finished:
                raise self._cut(error, begun=begun) from error
        except TimeoutError as error:
            if not reader.is_finished:
                raise self._too_slow(begun=reader.has_begun, total_by=total_by) from error
        for event in reader.conclude():
            yield event

    @asynccontextmanager
    async def _opened(
        self, outgoing: httpx.Request, by: float
    ) -> AsyncGenerator[httpx.Response, None]:
        """A response that streams; any other answer raises its error."""
        async with asyncio.timeout_at(by):
            response = await self._http.handle_async_request(outgoing)
        async with aclosing(response):
            if response.status_code != 200:
                raise self._words.of_response(response, await _beginning(response, by))
            kind = response.headers.get("content-type", "")
            if kind.startswith(("text/html", "application/json")):
                raise self._words.of_success(kind, await _beginning(response, by))
            yield response

    async def _events(
        self,
        response: httpx.Response,
        reader: AnswerReader,
        *,
        first_by: float,
        total_by: float,
    ) -> AsyncGenerator[ModelEvent, None]:
        """What the reader makes of the stream; TimeoutError when the next part takes too long."""
        now = asyncio.get_running_loop().time
        lines = self._wire.lines()
        chunks = _chunks(response)
        by, rest = first_by, ANSWER_LIMIT_BYTES
        while (chunk := await _next_chunk(chunks, min(by, total_by))) is not None:
            if (rest := rest - len(chunk)) < 0:
                raise self._too_much()
            payloads = lines.feed(chunk)
            for payload in payloads:
                for event in reader.read(payload):
                    yield event
                if reader.is_over:
                    await _drain(chunks)
                    return
            if payloads and reader.has_begun:
                by = now() + (_TAIL_S if reader.is_finished else self._timeouts.idle_s)
        for payload in lines.flush():
            for event in reader.read(payload):
                yield event

    def _too_much(self) -> ModelError:
        message = f"sent more than {ANSWER_LIMIT_BYTES:,} bytes for one answer."
        return self._words.error(ModelErrorKind.BAD_RESPONSE, message)

    def _unreachable(self, why: str) -> ModelError:
        message = f"cannot be reached at {self._url.netloc.decode()}: {why}"
        return self._words.error(ModelErrorKind.UNAVAILABLE, message)

    def _cut(self, error: httpx.HTTPError, *, begun: bool) -> ModelError:
        kind = ModelErrorKind.BAD_RESPONSE if begun else ModelErrorKind.UNAVAILABLE
        why = str(error) or type(error).__name__
        return self._words.error(kind, f"cut the connection before its answer was whole: {why}")

    def _too_slow(self, *, begun: bool, total_by: float) -> ModelError:
        if asyncio.get_running_loop().time() >= total_by:
            message = f"took longer than {self._timeouts.total_s:g} s in all."
        elif begun:
            message = f"sent nothing more for {self._timeouts.idle_s:g} s."
        else:
            message = f"sent no token within {self._timeouts.first_token_s:g} s."
        return self._words.error(ModelErrorKind.TIMEOUT, message)


def _endpoint(base_url: str, path: str) -> httpx.URL:
    try:
        url = httpx.URL(base_url.strip())
    except httpx.InvalidURL as error:
        message = f"{base_url!r} is no URL: {error}"
        raise ValueError(message) from error
    if url.scheme not in ("http", "https") or not url.host:
        message = f"{base_url!r} should start with http:// or https:// and name a host"
        raise ValueError(message)
    return url.copy_with(path=f"{url.path.rstrip('/')}{path}")


def _sign_in(url: httpx.URL) -> Mapping[str, str]:
    """The name and password that an address may hold, as a header (RFC 7617)."""
    if not url.userinfo:
        return {}
    words = b64encode(f"{url.username}:{url.password}".encode()).decode()
    return {"Authorization": f"Basic {words}"}


def _chunks(response: httpx.Response) -> AsyncIterator[bytes]:
    """The body as it comes; past the layers that would count and cut it again."""
    if "content-encoding" in response.headers:
        return response.aiter_bytes()
    return aiter(cast("httpx.AsyncByteStream", response.stream))


async def _beginning(response: httpx.Response, by: float) -> bytes:
    """As much of a body as a message can use; what is cut or late is left out."""
    body = b""
    by = min(by, asyncio.get_running_loop().time() + _TAIL_S)
    try:
        async with asyncio.timeout_at(by):
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) >= ERROR_BODY_LIMIT_BYTES:
                    break
    except (TimeoutError, httpx.HTTPError):
        return body
    return body


async def _next_chunk(chunks: AsyncIterator[bytes], by: float) -> bytes | None:
    """More of the body, None at its end; raises TimeoutError when it takes too long."""
    try:
        async with asyncio.timeout_at(by):
            return await anext(chunks)
    except StopAsyncIteration:
        return None


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    """Read the end of the body, so that the connection can serve the next request."""
    try:
        async with asyncio.timeout(_DRAIN_S):
            async for _ in chunks:
                continue
    except (TimeoutError, httpx.HTTPError):
        return
