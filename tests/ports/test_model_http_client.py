"""What every model client sends with its requests, whatever its wire."""

from base64 import b64encode
from contextlib import aclosing

from app.adapters.model_openai import OpenAIModelClient
from domain.models.ports import ChatMessage, ModelRequest
from tests.ports.scripted_openai import ScriptedOpenAI

ASK = ModelRequest(model="m", messages=[ChatMessage(role="user", content="Hello")])


async def headers_of(provider: ScriptedOpenAI, client: OpenAIModelClient) -> dict[str, str]:
    """Ask once, and see with which headers."""
    provider.answer("Hello")
    async with aclosing(client.stream(ASK)) as events:
        assert [event async for event in events] != []
    await client.aclose()
    return provider.requests[-1].headers


async def test_a_name_and_a_password_in_the_address_are_sent_in_place_of_a_key() -> None:
    async with ScriptedOpenAI() as provider:
        address = provider.base_url.replace("//", "//nora:a%20w%C3%B6rd@")

        headers = await headers_of(provider, OpenAIModelClient(base_url=address, api_key="key"))

    assert headers["authorization"] == f"Basic {b64encode('nora:a wörd'.encode()).decode()}"
    assert "nora" not in headers["host"]


async def test_a_request_says_who_asks_and_takes_its_answer_as_it_is() -> None:
    async with ScriptedOpenAI() as provider:
        headers = await headers_of(provider, OpenAIModelClient(base_url=provider.base_url))

    assert headers["user-agent"] == "gob"
    assert headers["accept-encoding"] == "identity"
    assert headers["content-type"] == "application/json"
    assert "authorization" not in headers
    assert "traceparent" not in headers
