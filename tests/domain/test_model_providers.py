"""Which client a model's name leads to."""

from collections.abc import AsyncGenerator

import pytest

from domain.kernel.errors import ErrorCode, ProviderUnavailable
from domain.models.ports import Finished, FinishReason, ModelEvent, ModelRequest
from domain.models.providers import ModelProviders, ModelRef

DEFAULT = ModelRef(provider="offline", name="planner")


class Silent:
    """A client that only knows whether it was closed."""

    def __init__(self, name: str, *, breaks: bool = False) -> None:
        self.name = name
        self.is_closed = False
        self._breaks = breaks

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        yield Finished(FinishReason.STOP)

    async def aclose(self) -> None:
        self.is_closed = True
        if self._breaks:
            raise OSError("socket is gone")


def test_a_provider_is_found_by_name_and_absent_parts_take_the_default() -> None:
    offline, openai = Silent("offline"), Silent("openai")
    providers = ModelProviders([offline, openai], default=DEFAULT)

    assert providers.resolve("openai", "gpt") is openai
    assert providers.resolve(None, None) is offline
    assert providers.reference(None, None) == DEFAULT
    assert providers.reference("offline", None) == DEFAULT
    assert providers.reference("openai", "gpt") == ModelRef(provider="openai", name="gpt")
    assert providers.names == ("offline", "openai")


def test_an_unknown_provider_is_refused_with_the_known_ones() -> None:
    providers = ModelProviders([Silent("offline"), Silent("openai")], default=DEFAULT)

    with pytest.raises(ProviderUnavailable) as refusal:
        providers.resolve("openia", "gpt")

    assert refusal.value.message == (
        "No model provider is called 'openia' here; known are: offline, openai."
    )
    assert refusal.value.code is ErrorCode.PROVIDER_UNAVAILABLE
    assert refusal.value.provider == "openia"


def test_a_provider_without_a_model_is_refused_unless_it_is_the_default() -> None:
    providers = ModelProviders([Silent("offline"), Silent("openai")], default=DEFAULT)

    with pytest.raises(ProviderUnavailable, match="'openai' has no default model; name one"):
        providers.resolve("openai", None)


def test_a_default_that_nobody_provides_is_refused_at_once() -> None:
    with pytest.raises(ProviderUnavailable, match="No model provider is called 'offline' here"):
        ModelProviders([Silent("openai")], default=DEFAULT)


async def test_closing_closes_every_client_even_if_one_fails() -> None:
    clients = [Silent("offline", breaks=True), Silent("openai")]
    providers = ModelProviders(clients, default=DEFAULT)

    with pytest.raises(OSError, match="socket is gone"):
        await providers.aclose()

    assert [client.is_closed for client in clients] == [True, True]
