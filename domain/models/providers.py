"""The model providers that this server can use, by name."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from domain.kernel.errors import ProviderUnavailable
from domain.models.ports import ModelClient
from domain.models.prices import Prices


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRef:
    """Names a model: a provider, and the model's name there."""

    provider: str
    name: str


class ModelProviders:
    """Clients by provider name; `default` is used where an agent names no model."""

    def __init__(
        self,
        clients: Sequence[ModelClient],
        *,
        default: ModelRef,
        prices: Prices | None = None,
        cures: Mapping[str, str] | None = None,
    ) -> None:
        """Raise ProviderUnavailable when the default's provider is not among the clients.

        `cures` says, of providers that are not set up, what it takes to use them.
        """
        self._clients = {client.name: client for client in clients}
        self._cures = cures or {}
        self.prices = prices or Prices()
        self.default = default
        self.resolve(default.provider, default.name)

    @property
    def names(self) -> tuple[str, ...]:
        """Known providers, the default first."""
        first = self.default.provider
        return (first, *sorted(name for name in self._clients if name != first))

    def reference(self, provider: str | None, model: str | None) -> ModelRef:
        """The model meant by what an agent or a call names; absent parts take the default."""
        chosen = provider or self.default.provider
        if model is None and chosen != self.default.provider:
            message = f"The model provider {chosen!r} has no default model; name one."
            raise ProviderUnavailable(message, provider=chosen, path=("model", "name"))
        return ModelRef(provider=chosen, name=model or self.default.name)

    def resolve(self, provider: str | None, model: str | None) -> ModelClient:
        """The client that can be asked for this model; raises ProviderUnavailable."""
        reference = self.reference(provider, model)
        client = self._clients.get(reference.provider)
        if client is None:
            message = self._missing(reference.provider)
            raise ProviderUnavailable(
                message, provider=reference.provider, path=("model", "provider")
            )
        return client

    def _missing(self, provider: str) -> str:
        cure = self._cures.get(provider)
        if cure is not None:
            return f"The model provider {provider!r} is not set up here: {cure}."
        known = ", ".join(sorted(self._clients)) or "none"
        return f"No model provider is called {provider!r} here; known are: {known}."

    async def aclose(self) -> None:
        """Close all clients, each even if another one fails; raises what failed first."""
        closing = (client.aclose() for client in self._clients.values())
        for outcome in await asyncio.gather(*closing, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
