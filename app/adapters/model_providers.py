"""Every provider that pydantic-ai reaches, named by its prefix: `groq:llama-3.3-70b-versatile`.

pydantic-ai and the provider's own package take seconds to load, so nothing here imports them:
the first call loads them, in a thread.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.adapters.model_http import ModelTimeouts, RetryPolicy
from domain.models.ports import ModelError, ModelErrorKind, ModelEvent, ModelRequest

if TYPE_CHECKING:
    from app.adapters.model_providers_calls import ProviderCalls

NAME = "providers"
NOT_INSTALLED = f"{NAME} needs packages that are not installed; run `make providers`."


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderAccess:
    """What a provider is asked with; what is None is left to the provider's own package."""

    api_key: str | None = field(default=None, repr=False)
    base_url: str | None = None


class ProvidersModelClient:
    """Asks a provider through pydantic-ai, which speaks its wire."""

    name = NAME

    def __init__(
        self,
        access: Mapping[str, ProviderAccess] | None = None,
        *,
        timeouts: ModelTimeouts | None = None,
        retries: RetryPolicy | None = None,
    ) -> None:
        """Take keys and addresses by prefix; a prefix without any uses its environment."""
        self._access = access or {}
        self._timeouts = timeouts or ModelTimeouts()
        self._retries = retries or RetryPolicy()
        self._calls: ProviderCalls | None = None
        self._loading = asyncio.Lock()

    async def prepare(self, model: str) -> None:
        """Load what this model needs. Raises ModelError when it can never be asked."""
        calls = await self._loaded()
        await calls.prepare(model)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """Ask, and yield events as they come; see ModelClient.

        A request that failed goes out again as long as nothing of an answer was yielded.
        """
        total_by = asyncio.get_running_loop().time() + self._timeouts.total_s
        calls = await self._loaded()
        for attempt in range(1, self._retries.max_attempts + 1):
            begun = False
            try:
                async with aclosing(calls.attempt(request, total_by=total_by)) as events:
                    async for event in events:
                        begun = True
                        yield event
                return
            except ModelError as error:
                if begun or not error.is_retryable:
                    raise
                retry = self._retries.next_try(error, failures=attempt, total_by=total_by)
            yield retry
            await self._retries.sleep(retry.delay_s)

    async def aclose(self) -> None:
        """Give back connections."""
        if self._calls is not None:
            await self._calls.aclose()

    async def _loaded(self) -> "ProviderCalls":
        async with self._loading:
            if self._calls is None:
                self._calls = await asyncio.to_thread(_load, self._access, self._timeouts)
        return self._calls


def _load(access: Mapping[str, ProviderAccess], timeouts: ModelTimeouts) -> "ProviderCalls":
    try:
        from app.adapters.model_providers_calls import ProviderCalls
    except ModuleNotFoundError as error:
        raise ModelError(ModelErrorKind.REJECTED, NOT_INSTALLED) from error
    return ProviderCalls(access, timeouts)
