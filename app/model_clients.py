"""The model providers that the settings make usable; nothing falls back to offline silently."""

from app.adapters.model_offline import OfflineModelClient
from app.adapters.model_simulated import SimulatedModelClient
from app.settings import OPENAI_ADDRESS, ModelProvider, Settings
from domain.models.ports import ModelClient
from domain.models.providers import ModelProviders, ModelRef


def is_openai_configured(settings: Settings) -> bool:
    """True with a key, or with a server of one's own that may need none."""
    has_key = bool(settings.openai_api_key.get_secret_value())
    return has_key or settings.openai_base_url != OPENAI_ADDRESS


def model_clients(settings: Settings) -> ModelProviders:
    """Build a client of every provider that can be used; the default is MODEL_PROVIDER."""
    clients: list[ModelClient] = [OfflineModelClient(), SimulatedModelClient()]
    if settings.model_provider is ModelProvider.OPENAI or is_openai_configured(settings):
        clients.append(_openai(settings))
    default = ModelRef(provider=settings.model_provider, name=settings.default_model)
    return ModelProviders(clients, default=default)


def _openai(settings: Settings) -> ModelClient:
    # httpx is loaded only where it is used.
    from app.adapters.model_http import ModelTimeouts, RetryPolicy
    from app.adapters.model_openai import OpenAIModelClient

    return OpenAIModelClient(
        base_url=settings.openai_base_url,
        api_key=settings.openai_api_key.get_secret_value(),
        timeouts=ModelTimeouts(
            connect_s=settings.model_connect_timeout_s,
            first_token_s=settings.model_first_token_timeout_s,
            total_s=settings.model_total_timeout_s,
        ),
        retries=RetryPolicy(max_attempts=settings.model_max_retries + 1),
    )
