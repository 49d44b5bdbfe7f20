"""The model providers that the settings make usable; nothing falls back to offline silently."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from app.adapters.clock import SystemClock
from app.adapters.model_offline import OfflineModelClient
from app.adapters.model_prices_genai import GenaiQuotes
from app.adapters.model_simulated import SimulatedModelClient
from app.failures import StartRefused
from app.model_prices import read_prices
from app.settings import ModelProvider, Settings
from app.settings_model import ANTHROPIC_ADDRESS, OPENAI_ADDRESS
from domain.kernel.ports import Clock
from domain.models.limits import GatedModelClient, ProviderGate, ProviderLimits
from domain.models.ports import ModelClient, ModelError
from domain.models.prices import FREE_PROVIDERS, Prices
from domain.models.providers import ModelProviders, ModelRef

if TYPE_CHECKING:
    from app.adapters.model_http import ModelTimeouts, RetryPolicy
    from app.adapters.model_providers import ProvidersModelClient

USUAL_CONCURRENCY: Mapping[str, int] = {ModelProvider.OLLAMA: 1}
"""Calls at a time where the settings name no bound: Ollama answers one after the other."""
SHORTEST_IDLE_S = 60.0
"""A model may be silent for this long between tokens, or for as long as before the first."""
CURES: Mapping[str, str] = {
    ModelProvider.OPENAI: "set OPENAI_API_KEY, or OPENAI_BASE_URL of a server that takes none",
    ModelProvider.ANTHROPIC: (
        "set ANTHROPIC_API_KEY, or ANTHROPIC_BASE_URL of a server that takes none"
    ),
    ModelProvider.OLLAMA: "set OLLAMA_BASE_URL, such as http://localhost:11434",
    ModelProvider.PROVIDERS: "set the key of one of them, such as GROQ_API_KEY",
}
"""What it takes to use a provider that is not set up."""


def model_clients(settings: Settings, clock: Clock | None = None) -> ModelProviders:
    """Build a client of every provider that can be used; the default is MODEL_PROVIDER."""
    clock = clock or SystemClock()
    clients = [
        _gated(client_of(each, settings, clock), settings, clock)
        for each in settings.configured_providers
    ]
    default = ModelRef(provider=settings.model_provider, name=settings.default_model)
    return ModelProviders(clients, default=default, prices=model_prices(settings), cures=CURES)


def _gated(client: ModelClient, settings: Settings, clock: Clock) -> ModelClient:
    """Put a gate in front of what may be pressed too hard."""
    if client.name in FREE_PROVIDERS:
        return client
    limits = provider_limits(client.name, settings)
    return GatedModelClient(client, ProviderGate(client.name, limits, clock))


def provider_limits(provider: str, settings: Settings) -> ProviderLimits:
    """How hard the settings let this process press a provider."""
    concurrency = dict(settings.model_concurrency)
    per_minute = dict(settings.model_requests_per_minute)
    usual = USUAL_CONCURRENCY.get(provider)
    return ProviderLimits(
        concurrency=concurrency.get(provider, concurrency.get("*", usual)),
        per_minute=per_minute.get(provider, per_minute.get("*")),
    )


def model_prices(settings: Settings) -> Prices:
    """The settings' prices, and list prices of providers that are asked at their own address."""
    own = {
        ModelProvider.OPENAI: settings.openai_base_url == OPENAI_ADDRESS,
        ModelProvider.ANTHROPIC: settings.anthropic_base_url == ANTHROPIC_ADDRESS,
    }
    return Prices(
        read_prices(settings.model_prices),
        listed=frozenset(provider for provider, is_own in own.items() if is_own),
        free=FREE_PROVIDERS | {ModelProvider.OLLAMA},
        quotes=GenaiQuotes(SystemClock()),
    )


def client_of(
    provider: ModelProvider, settings: Settings, clock: Clock | None = None
) -> ModelClient:
    """A client of this provider with the addresses, keys and time limits of the settings."""
    match provider:
        case ModelProvider.OFFLINE:
            return OfflineModelClient(clock or SystemClock())
        case ModelProvider.SIMULATED:
            return SimulatedModelClient()
        case ModelProvider.OPENAI | ModelProvider.ANTHROPIC | ModelProvider.OLLAMA:
            return _http_client(provider, settings)
        case ModelProvider.PROVIDERS:
            return _further_providers(settings)


async def check_default_model(settings: Settings) -> None:
    """Load what the default model needs; raises StartRefused if it can never be asked.

    Only `providers` is looked at: with the others, the settings have told already.
    """
    if settings.model_provider is not ModelProvider.PROVIDERS:
        return
    client = _further_providers(settings)
    try:
        await client.prepare(settings.default_model)
    except ModelError as error:
        # The message begins with the provider's name.
        raise StartRefused(f"MODEL_PROVIDER={error.message}") from error
    finally:
        await client.aclose()


def _further_providers(settings: Settings) -> "ProvidersModelClient":
    from app.adapters.model_providers import ProviderAccess, ProvidersModelClient

    keys = settings.provider_keys.items()
    access = {prefix: ProviderAccess(api_key=key.get_secret_value()) for prefix, key in keys}
    if ModelProvider.OPENAI in settings.configured_providers:
        own = ProviderAccess(
            api_key=settings.openai_api_key.get_secret_value() or None,
            base_url=settings.openai_base_url,
        )
        access |= dict.fromkeys(("openai", "openai-chat", "openai-responses"), own)
    timeouts, retries = _limits(settings)
    return ProvidersModelClient(access, timeouts=timeouts, retries=retries)


def model_timeouts(settings: Settings) -> "ModelTimeouts":
    """How long models may take; some write a whole call before they show any of it."""
    from app.adapters.model_http import ModelTimeouts

    first_token_s = settings.model_first_token_timeout_s
    return ModelTimeouts(
        connect_s=settings.model_connect_timeout_s,
        first_token_s=first_token_s,
        idle_s=max(SHORTEST_IDLE_S, first_token_s),
        total_s=settings.model_total_timeout_s,
    )


def _limits(settings: Settings) -> "tuple[ModelTimeouts, RetryPolicy]":
    from app.adapters.model_http import RetryPolicy

    return model_timeouts(settings), RetryPolicy(max_attempts=settings.model_max_retries + 1)


def _http_client(provider: ModelProvider, settings: Settings) -> ModelClient:
    # httpx is loaded only where it is used.
    from app.adapters.model_anthropic import AnthropicModelClient
    from app.adapters.model_ollama import OllamaModelClient
    from app.adapters.model_openai import OpenAIModelClient

    timeouts, retries = _limits(settings)
    if provider is ModelProvider.OLLAMA:
        return OllamaModelClient(
            base_url=settings.ollama_base_url,
            num_ctx=settings.ollama_num_ctx,
            timeouts=timeouts,
            retries=retries,
        )
    if provider is ModelProvider.ANTHROPIC:
        return AnthropicModelClient(
            base_url=settings.anthropic_base_url,
            api_key=settings.anthropic_api_key.get_secret_value(),
            timeouts=timeouts,
            retries=retries,
        )
    return OpenAIModelClient(
        base_url=settings.openai_base_url,
        api_key=settings.openai_api_key.get_secret_value(),
        timeouts=timeouts,
        retries=retries,
    )
