"""What the tests of model wires share: each wire with its scripted server and its client."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from app.adapters.model_anthropic import AnthropicModelClient, AnthropicWire
from app.adapters.model_http import ModelTimeouts, RetryPolicy
from app.adapters.model_http_client import HttpModelClient, Wire
from app.adapters.model_ollama import OllamaModelClient, OllamaWire
from app.adapters.model_openai import OpenAIModelClient, OpenAIWire
from app.adapters.model_providers import ProviderAccess, ProvidersModelClient
from domain.models.ports import ChatMessage, ModelClient, ModelError, ModelEvent, ModelRequest
from tests.ports.scripted_anthropic import ScriptedAnthropic
from tests.ports.scripted_ollama import ScriptedOllama
from tests.ports.scripted_openai import ScriptedOpenAI
from tests.ports.scripted_server import ScriptedServer

KEY = "sk-test-1234567890"
ASK = ModelRequest(model="m-1", messages=[ChatMessage(role="user", content="Hello")])


class Waits(list[float]):
    """A sleep that takes no time and remembers what it was asked for."""

    async def __call__(self, delay_s: float) -> None:
        self.append(delay_s)


class ClientUnderTest(Protocol):
    """A client and who plays its provider."""

    @property
    def server(self) -> type[ScriptedServer]:
        """Who is asked."""
        ...

    @property
    def model(self) -> str:
        """The name of a model that it takes."""
        ...

    def client_of(
        self, provider: ScriptedServer, waits: Waits, *, timeouts: ModelTimeouts | None = None
    ) -> ModelClient:
        """A client that tries three times; its waits take no time and lose nothing by chance."""
        ...


@dataclass(frozen=True)
class WireUnderTest:
    """A wire of our own: who plays the provider, who asks it, and how its stream is read."""

    server: type[ScriptedServer]
    client: type[HttpModelClient]
    wire: type[Wire]
    takes_key: bool = True
    model: str = "m-1"

    def client_of(
        self,
        provider: ScriptedServer,
        waits: Waits,
        *,
        timeouts: ModelTimeouts | None = None,
        max_attempts: int = 3,
    ) -> HttpModelClient:
        """A client whose waits between attempts take no time and lose nothing by chance."""
        retries = RetryPolicy(max_attempts=max_attempts, sleep=waits, random=lambda: 0.0)
        key = {"api_key": KEY} if self.takes_key else {}
        return self.client(base_url=provider.base_url, timeouts=timeouts, retries=retries, **key)


WIRES: Mapping[str, WireUnderTest] = {
    "openai": WireUnderTest(ScriptedOpenAI, OpenAIModelClient, OpenAIWire),
    "anthropic": WireUnderTest(ScriptedAnthropic, AnthropicModelClient, AnthropicWire),
    "ollama": WireUnderTest(ScriptedOllama, OllamaModelClient, OllamaWire, takes_key=False),
}


@dataclass(frozen=True)
class ProvidersUnderTest:
    """pydantic-ai with the openai package beneath it, on the wire that both speak."""

    server: type[ScriptedServer] = ScriptedOpenAI
    prefix: str = "openai-chat"
    model: str = "openai-chat:m-1"

    def client_of(
        self, provider: ScriptedServer, waits: Waits, *, timeouts: ModelTimeouts | None = None
    ) -> ProvidersModelClient:
        """A client whose waits between attempts take no time and lose nothing by chance."""
        retries = RetryPolicy(max_attempts=3, sleep=waits, random=lambda: 0.0)
        access = ProviderAccess(api_key=KEY, base_url=provider.base_url)
        return ProvidersModelClient({self.prefix: access}, timeouts=timeouts, retries=retries)


PROVIDERS = ProvidersUnderTest()

CLIENTS: Mapping[str, ClientUnderTest] = {**WIRES, "providers": PROVIDERS}
"""All that ask a provider over a socket, by the name of the client."""


async def collect(
    client: ModelClient, request: ModelRequest = ASK
) -> tuple[list[ModelEvent], ModelError | None]:
    """All events, and the error that ended them if one did."""
    events: list[ModelEvent] = []
    try:
        async with asyncio.timeout(20), aclosing(client.stream(request)) as stream:
            async for event in stream:
                events.append(event)  # noqa: PERF401 - what came before an error counts
    except ModelError as error:
        return events, error
    return events, None


async def failure_of(client: ModelClient, request: ModelRequest = ASK) -> ModelError:
    """The error that the client raises."""
    _, error = await collect(client, request)
    assert error is not None
    return error
