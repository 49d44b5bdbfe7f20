"""What the tests of further model providers share: pydantic-ai speaking to a scripted server."""

from app.adapters.model_http import ModelTimeouts, RetryPolicy
from app.adapters.model_providers import ProviderAccess, ProvidersModelClient
from tests.ports.openai_rig import KEY, Waits

PREFIX = "openai-chat"
MODEL = f"{PREFIX}:m-1"
"""The openai package on the chat-completions wire, since the scripted server speaks that."""


def providers_client(
    base_url: str, waits: Waits | None = None, *, timeouts: ModelTimeouts | None = None
) -> ProvidersModelClient:
    """A client for `MODEL` at this address; its waits take no time."""
    sleep = Waits() if waits is None else waits
    retries = RetryPolicy(max_attempts=3, sleep=sleep, random=lambda: 0.0)
    access = ProviderAccess(api_key=KEY, base_url=base_url)
    return ProvidersModelClient({PREFIX: access}, timeouts=timeouts, retries=retries)
