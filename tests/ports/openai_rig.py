"""What the tests of the chat-completions client share."""

import asyncio
from contextlib import aclosing

from app.adapters.model_http import ModelTimeouts, RetryPolicy
from app.adapters.model_openai import OpenAIModelClient
from domain.models.ports import ChatMessage, ModelError, ModelEvent, ModelRequest
from tests.ports.scripted_openai import ScriptedOpenAI

KEY = "sk-test-1234567890"
ASK = ModelRequest(model="m-1", messages=[ChatMessage(role="user", content="Hello")])


class Waits(list[float]):
    """A sleep that takes no time and remembers what it was asked for."""

    async def __call__(self, delay_s: float) -> None:
        self.append(delay_s)


def client_of(
    provider: ScriptedOpenAI, waits: Waits, *, timeouts: ModelTimeouts | None = None
) -> OpenAIModelClient:
    retries = RetryPolicy(max_attempts=3, sleep=waits, random=lambda: 0.0)
    return OpenAIModelClient(
        base_url=provider.base_url, api_key=KEY, timeouts=timeouts, retries=retries
    )


async def collect(
    client: OpenAIModelClient, request: ModelRequest = ASK
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


async def failure_of(client: OpenAIModelClient, request: ModelRequest = ASK) -> ModelError:
    _, error = await collect(client, request)
    assert error is not None
    return error
