"""What each wire sends of a history that another model, or a model gone astray, has left."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from app.adapters.model_anthropic import AnthropicModelClient, AnthropicWire
from app.adapters.model_anthropic_wire import MessagesReader
from app.adapters.model_http import ErrorWords
from app.adapters.model_ollama import OllamaWire
from domain.models.ports import (
    ChatMessage,
    ModelErrorKind,
    ModelRequest,
    ProviderState,
    ToolCall,
    ToolCallReady,
    ToolSpec,
)
from tests.ports.model_rig import PROVIDERS, Waits, collect, failure_of
from tests.ports.scripted_openai import ScriptedOpenAI

ADD = ToolSpec(name="add", description="Adds.", input_schema={"type": "object"})
USER = ChatMessage(role="user", content="Add.")
ASTRAY = "multi_tool_use.parallel"


def asked(call: ToolCall, state: ProviderState | None = None) -> ModelRequest:
    answer = ChatMessage(role="assistant", tool_calls=(call,), provider_state=state)
    result = ChatMessage(
        role="tool", content="No.", tool_call_id=call.id, tool_name=call.name, failed=True
    )
    return ModelRequest(model="m", messages=[USER, answer, result], tools=[ADD])


def anthropic(request: ModelRequest) -> dict[str, Any]:
    return orjson.loads(AnthropicWire().body(request))


def test_claude_is_sent_only_names_that_it_takes() -> None:
    call = ToolCall(id="c1", name=ASTRAY, arguments="{}")

    [_, answer, _] = anthropic(asked(call))["messages"]

    assert answer["content"][0]["name"] == "multi_tool_use_parallel"


def test_an_answer_that_thought_comes_back_with_a_name_and_an_id_that_are_taken() -> None:
    reader = MessagesReader(
        ModelRequest(model="m", messages=[USER], tools=[ADD]), ErrorWords("anthropic", api_key=None)
    )
    thinking: dict[str, Any] = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
    use: dict[str, Any] = {"type": "tool_use", "id": "functions.add:0", "name": ASTRAY, "input": {}}
    for index, block in enumerate((thinking, use)):
        event = {"type": "content_block_start", "index": index, "content_block": block}
        reader.read(orjson.dumps(event))
    reader.read(orjson.dumps({"type": "message_delta", "delta": {"stop_reason": "tool_use"}}))

    ready, state, _ = reader.conclude()

    assert isinstance(ready, ToolCallReady)
    assert isinstance(state, ProviderState)
    [_, answer, result] = anthropic(asked(ready.call, state))["messages"]
    assert answer["content"] == [
        thinking,
        {**use, "id": "functions_add_0", "name": "multi_tool_use_parallel"},
    ]
    assert result["content"][0]["tool_use_id"] == "functions_add_0"


def test_a_choice_of_tools_is_left_out_where_there_are_none() -> None:
    request = ModelRequest(model="m", messages=[USER], parameters={"tool_choice": {"type": "auto"}})

    assert "tool_choice" not in anthropic(request)
    assert "tool_choice" in anthropic(dataclasses.replace(request, tools=[ADD]))


async def test_a_model_that_writes_less_than_is_asked_for_names_the_cure() -> None:
    said = "max_tokens: 16000 > 8192, which is the maximum allowed number of output tokens for m"
    async with ScriptedOpenAI() as provider:
        provider.fail(400, message=said, code="invalid_request_error")
        client = AnthropicModelClient(base_url=provider.base_url)

        error = await failure_of(client)
        await client.aclose()

    assert error.kind is ModelErrorKind.REJECTED
    assert error.message.endswith("Give the model a smaller parameter max_tokens.")


@pytest.mark.parametrize(
    "parameters", [{"stream": False, "model": "x"}, {"options": {"tools": [], "messages": []}}]
)
def test_no_parameter_takes_the_place_of_the_request_with_ollama(
    parameters: Mapping[str, Any],
) -> None:
    request = ModelRequest(model="m", messages=[USER], parameters={**parameters, "seed": 1})

    sent = orjson.loads(OllamaWire(num_ctx=512).body(request))

    assert (sent["model"], sent["stream"]) == ("m", True)
    assert sent["options"] == {"num_ctx": 512, "seed": 1}


@pytest.mark.parametrize(
    ("arguments", "sent"), [('{"a": 1}', {"a": 1}), ('{"a": ', {"INVALID_JSON": '{"a": '})]
)
async def test_further_providers_are_sent_names_and_arguments_that_they_take(
    arguments: str, sent: Mapping[str, Any]
) -> None:
    request = asked(ToolCall(id="c1", name=ASTRAY, arguments=arguments))
    async with ScriptedOpenAI() as provider:
        provider.answer("ok")
        client = PROVIDERS.client_of(provider, Waits())

        _, error = await collect(client, dataclasses.replace(request, model=PROVIDERS.model))
        await client.aclose()

    assert error is None
    function = provider.requests[0].body["messages"][1]["tool_calls"][0]["function"]
    assert function["name"] == "multi_tool_use_parallel"
    assert json.loads(function["arguments"]) == sent
