"""Models behind pydantic-ai against a scripted provider, over a real socket."""

import dataclasses
import json
from collections.abc import Sequence

import pytest

from app.adapters.model_providers import ProvidersModelClient
from domain.models.ports import (
    ChatMessage,
    Finished,
    FinishReason,
    ModelNotice,
    ModelRequest,
    ProviderState,
    ReasoningDelta,
    RetryScheduled,
    TextDelta,
    TokenUsage,
    ToolCall,
    ToolCallReady,
    ToolSpec,
)
from tests.ports.acts import (
    Act,
    Call,
    Delta,
    Done,
    Finish,
    Say,
    Usage,
)
from tests.ports.model_rig import KEY, PROVIDERS, ClientUnderTest, collect
from tests.ports.scripted_openai import ScriptedOpenAI

HELLO = ChatMessage(role="user", content="Hello")
ASK = ModelRequest(model=PROVIDERS.model, messages=[HELLO])
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def wire() -> ClientUnderTest:
    """Only the client of further providers."""
    return PROVIDERS


async def test_text_streams_in_deltas_and_ends_with_usage_and_a_finish(
    provider: ScriptedOpenAI, client: ProvidersModelClient
) -> None:
    usage = Usage(input_tokens=11, output_tokens=5, cached_tokens=8, reasoning_tokens=2)
    provider.script(Say("Hel", "lo"), Finish("stop"), usage, Done())

    events, error = await collect(client, ASK)

    assert error is None
    assert events == [
        TextDelta("Hel"),
        TextDelta("lo"),
        TokenUsage(input_tokens=11, output_tokens=5, cached_tokens=8, reasoning_tokens=2),
        Finished(FinishReason.STOP),
    ]


async def test_a_request_carries_messages_tools_parameters_key_and_trace(
    provider: ScriptedOpenAI, client: ProvidersModelClient
) -> None:
    provider.answer("ok")
    call = ToolCall(id="c1", name="add", arguments='{"a": 1}')
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    request = ModelRequest(
        model=PROVIDERS.model,
        messages=[
            ChatMessage(role="system", content="Be brief."),
            ChatMessage(role="user", content="Add."),
            ChatMessage(role="assistant", content="Well.", tool_calls=(call,)),
            ChatMessage(role="tool", content="2", tool_call_id="c1", tool_name="add"),
        ],
        tools=[ToolSpec(name="add", description="Adds.", input_schema=schema)],
        parameters={"temperature": 0.2, "stop": ["."], "stream": False, "max_retries": 9},
        traceparent=TRACE,
    )

    await collect(client, request)

    [received] = provider.requests
    assert received.path == "/v1/chat/completions"
    assert received.headers["authorization"] == f"Bearer {KEY}"
    assert received.headers["traceparent"] == TRACE
    body = received.body
    assert (body["model"], body["stream"], body["temperature"]) == ("m-1", True, 0.2)
    assert body["stop"] == ["."]
    assert [message["role"] for message in body["messages"]] == [
        "system",
        "user",
        "assistant",
        "tool",
    ]
    [asked] = body["messages"][2]["tool_calls"]
    assert asked["function"]["name"] == "add"
    assert json.loads(asked["function"]["arguments"]) == {"a": 1}
    assert body["messages"][3]["content"] == "2"
    [tool] = body["tools"]
    assert tool["function"]["parameters"]["properties"] == schema["properties"]


async def test_calls_come_whole_at_the_end_each_with_an_id(
    provider: ScriptedOpenAI, client: ProvidersModelClient
) -> None:
    provider.script(
        Say("So."),
        Call("add", '{"a": 1}', id="c1", index=0),
        Call("sub", '{"b": 2}', id=None, index=1),
        Finish("tool_calls"),
        Done(),
    )

    events, error = await collect(client, ASK)

    assert error is None
    said, one, other, finish = events
    assert said == TextDelta("So.")
    assert one == ToolCallReady(ToolCall(id="c1", name="add", arguments='{"a": 1}'))
    assert isinstance(other, ToolCallReady)
    assert (other.call.name, other.call.arguments) == ("sub", '{"b": 2}')
    assert other.call.id not in ("", "c1")
    assert finish == Finished(FinishReason.TOOL_CALLS)


@pytest.mark.parametrize(
    ("acts", "said", "reason"),
    [
        ([Say("x"), Finish("length")], "x", FinishReason.LENGTH),
        ([Say("x"), Call("add", '{"a'), Finish("length")], "x", FinishReason.LENGTH),
        ([Say("x"), Finish("content_filter")], "x", FinishReason.REFUSAL),
        ([Delta({"refusal": "I will not."}), Finish()], "I will not.", FinishReason.REFUSAL),
    ],
    ids=["length", "cut call", "filter", "refusal"],
)
async def test_an_answer_that_was_stopped_says_why(
    provider: ScriptedOpenAI,
    client: ProvidersModelClient,
    acts: Sequence[Act],
    said: str,
    reason: FinishReason,
) -> None:
    provider.script(*acts, Done())

    events, error = await collect(client, ASK)

    assert error is None
    assert events == [TextDelta(said), Finished(reason)]


async def test_reasoning_is_told_and_goes_back_with_the_results_of_calls(
    provider: ScriptedOpenAI, client: ProvidersModelClient
) -> None:
    reasoning = Delta({"reasoning_content": "Hm."})
    provider.script(reasoning, Call("add", "{}", id="c1"), Finish("tool_calls"), Done())
    events, _ = await collect(client, ASK)
    thought, ready, state, _ = events
    assert thought == ReasoningDelta("Hm.")
    assert isinstance(ready, ToolCallReady)
    assert isinstance(state, ProviderState)
    provider.answer("ok")

    answer = ChatMessage(role="assistant", tool_calls=(ready.call,), provider_state=state)
    result = ChatMessage(role="tool", content="2", tool_call_id="c1", tool_name="add")
    await collect(client, dataclasses.replace(ASK, messages=[HELLO, answer, result]))

    assert provider.requests[1].body["messages"][1]["reasoning_content"] == "Hm."


async def test_a_state_that_does_not_fit_its_message_is_left_aside(
    provider: ScriptedOpenAI, client: ProvidersModelClient
) -> None:
    provider.answer("ok")
    call = ToolCall(id="c1", name="add", arguments="{}")
    state = ProviderState(provider="providers", data={"kind": "response", "parts": "?"})
    answer = ChatMessage(role="assistant", tool_calls=(call,), provider_state=state)
    result = ChatMessage(role="tool", content="2", tool_call_id="c1", tool_name="add")

    _, error = await collect(client, dataclasses.replace(ASK, messages=[HELLO, answer, result]))

    assert error is None
    assert provider.requests[0].body["messages"][1]["tool_calls"][0]["id"] == "c1"


async def test_a_parameter_that_cannot_be_sent_is_told(
    provider: ScriptedOpenAI, client: ProvidersModelClient
) -> None:
    provider.fail(500)
    provider.answer("ok")

    events, error = await collect(client, dataclasses.replace(ASK, parameters={"top_k": 3}))

    assert error is None
    assert [type(event) for event in events[:2]] == [RetryScheduled, TextDelta]
    assert events[2] == ModelNotice(f"{PROVIDERS.model} was asked without these parameters: top_k.")
    assert "top_k" not in provider.requests[1].body


async def test_requests_one_after_the_other_share_a_connection_even_after_closing_the_client(
    provider: ScriptedOpenAI, client: ProvidersModelClient
) -> None:
    for text in ("one", "two", "three"):
        provider.answer(text)

    await collect(client, ASK)
    await collect(client, ASK)
    await client.aclose()
    await client.aclose()
    events, error = await collect(client, ASK)

    assert error is None
    assert events[0] == TextDelta("three")
    assert [request.connection for request in provider.requests] == [1, 1, 2]
