"""The chat-completions client against a scripted provider, over a real socket."""

from collections.abc import Sequence

import pytest

from app.adapters.model_openai import OpenAIModelClient
from domain.models.ports import (
    ChatMessage,
    Finished,
    FinishReason,
    ModelEvent,
    ModelRequest,
    ReasoningDelta,
    TextDelta,
    TokenUsage,
    ToolCall,
    ToolCallReady,
    ToolSpec,
)
from tests.ports.acts import Act, Call, Delta, Done, Finish, Raw, Say, Usage
from tests.ports.model_rig import KEY, WIRES, WireUnderTest, collect
from tests.ports.scripted_openai import ScriptedOpenAI


@pytest.fixture
def wire() -> WireUnderTest:
    return WIRES["openai"]


async def test_text_streams_in_deltas_and_ends_with_usage_and_a_finish(
    provider: ScriptedOpenAI, client: OpenAIModelClient
) -> None:
    usage = Usage(input_tokens=11, output_tokens=5, cached_tokens=8, reasoning_tokens=2)
    provider.script(Say("Hel", "lo"), Finish("stop"), usage, Done())

    events, error = await collect(client)

    assert error is None
    assert events == [
        TextDelta("Hel"),
        TextDelta("lo"),
        TokenUsage(input_tokens=11, output_tokens=5, cached_tokens=8, reasoning_tokens=2),
        Finished(FinishReason.STOP),
    ]


async def test_a_request_carries_messages_tools_parameters_key_and_trace(
    provider: ScriptedOpenAI, client: OpenAIModelClient
) -> None:
    provider.answer("ok")
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    call = ToolCall(id="c1", name="add", arguments='{"a": 1}')
    request = ModelRequest(
        model="m-1",
        messages=[
            ChatMessage(role="system", content="Be brief."),
            ChatMessage(role="user", content="Add."),
            ChatMessage(role="assistant", tool_calls=(call,)),
            ChatMessage(role="tool", content="2", tool_call_id="c1", tool_name="add"),
        ],
        tools=[ToolSpec(name="add", description="Adds.", input_schema={"type": "object"})],
        parameters={"temperature": 0.2, "stream": False},
        traceparent=trace,
    )

    await collect(client, request)

    [received] = provider.requests
    assert (received.method, received.path) == ("POST", "/v1/chat/completions")
    assert received.headers["authorization"] == f"Bearer {KEY}"
    assert received.headers["traceparent"] == trace
    assert received.body == {
        "model": "m-1",
        "temperature": 0.2,
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Add."},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "add", "arguments": '{"a": 1}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "2"},
        ],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "add",
                    "description": "Adds.",
                    "parameters": {"type": "object"},
                },
            }
        ],
    }


async def test_parallel_calls_are_put_together_from_interleaved_fragments(
    provider: ScriptedOpenAI, client: OpenAIModelClient
) -> None:
    provider.script(
        Call("csv_read", '{"path": "a.csv"}', id="call_1", index=0, pieces=4),
        Call("json_merge", '{"a": {"x": 1}}', id="call_2", index=1, pieces=7),
        Finish("tool_calls"),
        Done(),
    )

    events, _ = await collect(client)

    assert events == [
        ToolCallReady(ToolCall(id="call_1", name="csv_read", arguments='{"path": "a.csv"}')),
        ToolCallReady(ToolCall(id="call_2", name="json_merge", arguments='{"a": {"x": 1}}')),
        Finished(FinishReason.TOOL_CALLS),
    ]


async def test_a_call_without_id_or_index_gets_an_id_and_its_finish_counts_as_tool_calls(
    provider: ScriptedOpenAI, client: OpenAIModelClient
) -> None:
    provider.script(Call("uuid", "", id=None, index=None), Finish("stop"), Done())

    events, _ = await collect(client)

    assert events == [
        ToolCallReady(ToolCall(id="call_0", name="uuid", arguments="{}")),
        Finished(FinishReason.TOOL_CALLS),
    ]


async def test_a_call_that_the_length_limit_cut_is_not_asked_for(
    provider: ScriptedOpenAI, client: OpenAIModelClient
) -> None:
    provider.script(Call("csv_read", '{"path": "a'), Finish("length"), Done())

    events, _ = await collect(client)

    assert events == [Finished(FinishReason.LENGTH)]


@pytest.mark.parametrize(
    ("acts", "expected"),
    [
        ([Delta({"reasoning_content": "Hm."}), Finish()], [ReasoningDelta("Hm.")]),
        ([Delta({"reasoning": "Hm."}), Finish()], [ReasoningDelta("Hm.")]),
        ([Delta({"refusal": "I cannot."}), Finish()], [TextDelta("I cannot.")]),
        ([Say("a"), Finish("length")], [TextDelta("a")]),
        ([Say("a"), Finish("content_filter")], [TextDelta("a")]),
    ],
    ids=["reasoning_content", "reasoning", "refusal", "length", "content_filter"],
)
async def test_other_deltas_and_finish_reasons_are_told_apart(
    *,
    provider: ScriptedOpenAI,
    client: OpenAIModelClient,
    acts: Sequence[Act],
    expected: Sequence[ModelEvent],
    request: pytest.FixtureRequest,
) -> None:
    reasons = {
        "refusal": FinishReason.REFUSAL,
        "length": FinishReason.LENGTH,
        "content_filter": FinishReason.REFUSAL,
    }
    reason = reasons.get(request.node.callspec.id, FinishReason.STOP)
    provider.script(*acts, Done())

    events, error = await collect(client)

    assert error is None
    assert events == [*expected, Finished(reason)]


async def test_chunks_cut_anywhere_and_comments_and_crlf_make_no_difference(
    provider: ScriptedOpenAI, client: OpenAIModelClient
) -> None:
    stream = (
        b": keep alive\r\n\r\n"
        b'data: {"choices": [{"index": 0, "delta": {"content": "gr\xc3\xbc\xc3\x9fe"}}]}\r\n\r\n'
        b'data:{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'
        b"data: [DONE]"
    )
    provider.script(*(Raw(stream[at : at + 7]) for at in range(0, len(stream), 7)))

    events, error = await collect(client)

    assert error is None
    assert events == [TextDelta("grüße"), Finished(FinishReason.STOP)]


@pytest.mark.parametrize("suffix", ["", "/"])
async def test_a_base_url_works_with_and_without_a_slash_at_its_end(
    provider: ScriptedOpenAI, suffix: str
) -> None:
    provider.answer("ok")
    client = OpenAIModelClient(base_url=f"{provider.base_url}{suffix}")

    _, error = await collect(client)
    await client.aclose()

    assert error is None
    assert provider.requests[0].path == "/v1/chat/completions"
    assert "authorization" not in provider.requests[0].headers
