"""Calls of models through pydantic-ai: one attempt at a time, within its time limits."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import cast

import httpx
import httpx2
from pydantic_ai.direct import model_request_stream
from pydantic_ai.exceptions import AgentRunError, ModelConnectionError, UserError
from pydantic_ai.messages import ModelResponseStreamEvent
from pydantic_ai.models import StreamedResponse

from app.adapters.model_http import ModelTimeouts
from app.adapters.model_providers import ProviderAccess
from app.adapters.model_providers_errors import error_of
from app.adapters.model_providers_models import ModelShelf, NamedModel
from app.adapters.model_providers_wire import AnswerReader, Outgoing
from domain.models.ports import ModelError, ModelErrorKind, ModelEvent, ModelRequest

_OF_PYTHON = (ValueError, TypeError, LookupError, AttributeError)
_CUT = (ModelConnectionError, httpx.HTTPError, httpx2.HTTPError, OSError)
_FAILURES = (AgentRunError, UserError, *_CUT, *_OF_PYTHON)
"""What comes out of pydantic-ai and of the packages beneath it: their own errors, and those of
Python where a request or an answer is not what they expect."""


class ProviderCalls:
    """Makes attempts at requests; who asks for them tries again."""

    def __init__(self, access: Mapping[str, ProviderAccess], timeouts: ModelTimeouts) -> None:
        self._shelf = ModelShelf(access)
        self._timeouts = timeouts

    async def prepare(self, name: str) -> None:
        """Load what this model needs. Raises ModelError when it can never be asked."""
        await self._shelf.model(name)

    async def aclose(self) -> None:
        """Give back connections."""
        await self._shelf.aclose()

    async def attempt(
        self, request: ModelRequest, *, total_by: float
    ) -> AsyncGenerator[ModelEvent, None]:
        """Ask once. Raises ModelError; `total_by` is a time of the running loop."""
        named = await self._shelf.model(request.model)
        attempt = _Attempt(request, named, self._timeouts, total_by)
        async with aclosing(attempt.events()) as events:
            async for event in events:
                yield event


class _Attempt:
    """One attempt at one request."""

    def __init__(
        self, request: ModelRequest, named: NamedModel, timeouts: ModelTimeouts, total_by: float
    ) -> None:
        now = asyncio.get_running_loop().time()
        self._named = named
        self._words = named.words
        self._outgoing = Outgoing.of(request, named.model, timeout_s=max(1.0, total_by - now))
        self._timeouts = timeouts
        self._total_by = total_by
        self._first_by = now + timeouts.first_token_s
        self._reader = AnswerReader(named.words)

    async def events(self) -> AsyncGenerator[ModelEvent, None]:
        """Events of the answer as they come. Raises ModelError."""
        has_yielded = False
        try:
            async with aclosing(self._deltas()) as deltas:
                async for delta in deltas:
                    has_yielded = True
                    yield delta
        except TimeoutError as error:
            if not self._reader.is_finished:
                raise self._too_slow() from error
        except _FAILURES as error:
            if not (self._reader.is_finished and isinstance(error, _CUT)):
                raise self._failure(error, has_yielded=has_yielded) from error
        end = self._reader.conclude()
        # Not before: what was yielded would stand in the way of another attempt.
        if self._outgoing.notice is not None:
            yield self._outgoing.notice
        for event in end:
            yield event

    async def _deltas(self) -> AsyncGenerator[ModelEvent, None]:
        now = asyncio.get_running_loop().time
        by = self._first_by
        async with self._opened() as response:
            # It is declared an iterator, and is a generator, which wants to be closed.
            parts = cast("AsyncGenerator[ModelResponseStreamEvent, None]", aiter(response))
            async with aclosing(parts):
                while (part := await _next(parts, min(by, self._total_by))) is not None:
                    delta = self._reader.read(part)
                    if delta is not None:
                        yield delta
                    by = now() + self._timeouts.idle_s

    @asynccontextmanager
    async def _opened(self) -> AsyncGenerator[StreamedResponse, None]:
        """A response that streams; leaving it closes its connection."""
        async with AsyncExitStack() as stack:
            async with asyncio.timeout_at(min(self._first_by, self._total_by)):
                response = await stack.enter_async_context(
                    model_request_stream(
                        self._named.model,
                        self._outgoing.messages,
                        model_settings=self._outgoing.settings,
                        model_request_parameters=self._outgoing.parameters,
                        instrument=False,
                    )
                )
            self._reader.open(response)
            yield response

    def _failure(self, error: Exception, *, has_yielded: bool) -> ModelError:
        if isinstance(error, _OF_PYTHON) and not self._reader.is_open:
            message = f"cannot be sent this request: {error}"
            return self._words.error(ModelErrorKind.REJECTED, message)
        return error_of(error, self._words, address=self._named.address, has_yielded=has_yielded)

    def _too_slow(self) -> ModelError:
        if asyncio.get_running_loop().time() >= self._total_by:
            message = f"took longer than {self._timeouts.total_s:g} s in all."
        elif self._reader.has_begun:
            message = f"sent nothing more for {self._timeouts.idle_s:g} s."
        else:
            message = f"sent no token within {self._timeouts.first_token_s:g} s."
        return self._words.error(ModelErrorKind.TIMEOUT, message)


async def _next(
    parts: AsyncIterator[ModelResponseStreamEvent], by: float
) -> ModelResponseStreamEvent | None:
    """More of the answer, None at its end; raises TimeoutError when it takes too long."""
    try:
        async with asyncio.timeout_at(by):
            return await anext(parts)
    except StopAsyncIteration:
        return None
