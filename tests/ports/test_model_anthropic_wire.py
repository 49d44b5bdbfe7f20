"""Anthropic's wire: what is sent of a context, and what of an answer must come back."""

import json
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from app.adapters.model_anthropic import AnthropicModelClient, AnthropicWire
from app.adapters.model_anthropic_request import MAX_TOKENS
from app.adapters.model_anthropic_wire import MessagesReader
from app.adapters.model_http import ErrorWords, RetryPolicy
from domain.models.ports import (
    ChatMessage,
    Finished,
    FinishReason,
    ModelError,
    ModelErrorKind,
    ModelEvent,
    ModelNotice,
    ModelRequest,
    ProviderState,
    ReasoningDelta,
    TextDelta,
    TokenUsage,
    ToolCall,
    ToolCallReady,
    ToolSpec,
)
from tests.ports.scripted_openai import ScriptedOpenAI

KEY = "sk-ant-1234567890"
MARK = {"type": "ephemeral"}
ADD = ToolSpec(name="add", description="Adds.", input_schema={"type": "object"})
SYSTEM = ChatMessage(role="system", content="Be brief.")
USER = ChatMessage(role="user", content="Add.")
THINKING = {"type": "thinking", "thinking": "Hm. Well.", "signature": "EqQBsig=="}
REDACTED = {"type": "redacted_thinking", "data": "gAAAAB"}


def called(*idents: str, content: str = "", state: ProviderState | None = None) -> ChatMessage:
    calls = tuple(ToolCall(id=ident, name="add", arguments='{"a": 1}') for ident in idents)
    return ChatMessage(role="assistant", content=content, tool_calls=calls, provider_state=state)


def result(ident: str, content: str = "2", *, failed: bool = False) -> ChatMessage:
    return ChatMessage(
        role="tool", content=content, tool_call_id=ident, tool_name="add", failed=failed
    )


def ask(*messages: ChatMessage, **parameters: Any) -> ModelRequest:
    return ModelRequest(model="claude-x", messages=messages, tools=[ADD], parameters=parameters)


def body(request: ModelRequest) -> dict[str, Any]:
    return orjson.loads(AnthropicWire().body(request))


def tool_use(ident: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": ident, "name": "add", "input": {"a": 1}}


def answer(
    *blocks: Sequence[dict[str, Any]], stop: str = "end_turn", **delta: Any
) -> list[dict[str, Any]]:
    """The events of an answer; each block is its start and its deltas."""
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"usage": {"input_tokens": 5, "output_tokens": 1}}}
    ]
    for index, (start, *deltas) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": start})
        events += [
            {"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas
        ]
        events.append({"type": "content_block_stop", "index": index})
    end = {"stop_reason": stop, "stop_sequence": None, **delta}
    return [
        *events,
        {"type": "message_delta", "delta": end, "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
    ]


def read(events: Sequence[dict[str, Any]], request: ModelRequest | None = None) -> list[ModelEvent]:
    reader = MessagesReader(request or ask(USER), ErrorWords("anthropic", api_key=None))
    found = [event for each in events for event in reader.read(orjson.dumps(each))]
    return [*found, *reader.conclude()]


def thinking_deltas() -> Sequence[dict[str, Any]]:
    return (
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "Hm. "},
        {"type": "thinking_delta", "thinking": "Well."},
        {"type": "signature_delta", "signature": "EqQB"},
        {"type": "signature_delta", "signature": "sig=="},
    )


def call_deltas(ident: str = "toolu_1") -> Sequence[dict[str, Any]]:
    return (
        {"type": "tool_use", "id": ident, "name": "add", "input": {}},
        {"type": "input_json_delta", "partial_json": '{"a"'},
        {"type": "input_json_delta", "partial_json": ": 1}"},
    )


def test_a_request_has_system_text_apart_and_results_of_one_answer_together() -> None:
    messages = [
        SYSTEM,
        USER,
        called("t1", "t2", content="Two sums."),
        result("t1"),
        result("t2", "NOT_FOUND: no", failed=True),
        ChatMessage(role="user", content="Go on."),
    ]

    sent = body(ask(*messages, temperature=0.2, stream=False))

    assert sent == {
        "model": "claude-x",
        "max_tokens": MAX_TOKENS,
        "temperature": 0.2,
        "stream": True,
        "system": [{"type": "text", "text": "Be brief.", "cache_control": MARK}],
        "tools": [{"name": "add", "description": "Adds.", "input_schema": {"type": "object"}}],
        "messages": [
            {
                "role": "user",
                "content": [{"type": "text", "text": "Add.", "cache_control": MARK}],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "Two sums."},
                    tool_use("t1"),
                    tool_use("t2"),
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t1", "content": "2"},
                    {
                        "type": "tool_result",
                        "tool_use_id": "t2",
                        "content": "NOT_FOUND: no",
                        "is_error": True,
                    },
                    {"type": "text", "text": "Go on.", "cache_control": MARK},
                ],
            },
        ],
    }


def test_what_this_api_refuses_is_not_sent() -> None:
    bad = ToolCall(id="call:1.a", name="add", arguments='{"a": ')
    messages = [
        ChatMessage(role="assistant", content="Earlier."),
        ChatMessage(role="user", content=" "),
        ChatMessage(role="assistant", tool_calls=(bad,)),
        result("call:1.a", ""),
    ]

    sent = body(ask(*messages))["messages"]

    assert sent == [
        {
            "role": "user",
            "content": [
                {
                    "type": "text",
                    "text": "(The conversation began earlier.)",
                    "cache_control": MARK,
                }
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Earlier."},
                {
                    "type": "tool_use",
                    "id": "call_1_a",
                    "name": "add",
                    "input": {"invalid_arguments": '{"a": '},
                },
            ],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "call_1_a", "cache_control": MARK}],
        },
    ]


def test_the_prompt_is_cached_up_to_the_tools_and_the_last_two_turns() -> None:
    turns = [USER, called("t1"), result("t1"), called("t2"), result("t2")]

    plain = body(ask(*turns))
    long = body(ask(*turns, cache_control={"type": "ephemeral", "ttl": "1h"}))
    without = orjson.dumps(body(ask(*turns, cache_control=None)))

    assert plain["tools"][-1]["cache_control"] == MARK
    assert [turn["content"][-1].get("cache_control") for turn in plain["messages"]] == [
        None,
        None,
        MARK,
        None,
        MARK,
    ]
    assert long["tools"][-1]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert "cache_control" not in long
    assert b"cache_control" not in without


@pytest.mark.parametrize(
    ("parameters", "max_tokens"),
    [
        ({}, MAX_TOKENS),
        ({"max_tokens": 100}, 100),
        ({"thinking": {"type": "enabled", "budget_tokens": 4000}}, MAX_TOKENS + 4000),
        ({"thinking": {"type": "adaptive"}}, MAX_TOKENS),
    ],
    ids=str,
)
def test_an_answer_has_a_longest_length(parameters: dict[str, Any], max_tokens: int) -> None:
    assert body(ask(USER, **parameters))["max_tokens"] == max_tokens


def test_features_to_be_tried_go_into_a_header() -> None:
    request = ask(USER, betas=["context-1m-2025-08-07", "other"])

    assert AnthropicWire().headers_of(request) == {"anthropic-beta": "context-1m-2025-08-07,other"}
    assert AnthropicWire().headers_of(ask(USER)) == {}
    assert "betas" not in body(request)
    for bad in ("other", ["a\nb"], 7):
        with pytest.raises(TypeError, match="a list of names"):
            AnthropicWire().headers_of(ask(USER, betas=bad))


def test_an_answer_that_thought_comes_back_block_by_block() -> None:
    text = ({"type": "text", "text": ""}, {"type": "text_delta", "text": "Adding."})
    request = ask(SYSTEM, USER)

    *deltas, ready, state, usage, finished = read(
        answer(thinking_deltas(), [REDACTED], text, call_deltas(), stop="tool_use"), request
    )

    assert deltas == [ReasoningDelta("Hm. "), ReasoningDelta("Well."), TextDelta("Adding.")]
    assert ready == ToolCallReady(ToolCall(id="toolu_1", name="add", arguments='{"a": 1}'))
    assert usage == TokenUsage(input_tokens=5, output_tokens=9)
    assert finished == Finished(FinishReason.TOOL_CALLS)
    assert isinstance(state, ProviderState)
    stored = ProviderState(**json.loads(json.dumps({"provider": "anthropic", "data": state.data})))
    asked = called("toolu_1", content="Adding.", state=stored)
    sent = body(ask(SYSTEM, USER, asked, result("toolu_1")))["messages"]
    assert sent[1]["content"] == [
        THINKING,
        REDACTED,
        {"type": "text", "text": "Adding."},
        tool_use("toolu_1"),
    ]


def thought(request: ModelRequest) -> ChatMessage:
    """An answer to the request that thought before it called a tool."""
    events = read(answer(thinking_deltas(), call_deltas(), stop="tool_use"), request)
    state = next(event for event in events if isinstance(event, ProviderState))
    return called("toolu_1", state=state)


@pytest.mark.parametrize(
    ("system", "parameters", "kept"),
    [
        ("Be brief.", {}, True),
        ("Be long.", {}, False),
        ("Be long.", {"thinking": {"type": "adaptive"}}, False),
        ("Be long.", {"thinking": {"type": "enabled", "budget_tokens": 9}}, True),
    ],
    ids=["same", "changed", "changed-adaptive", "changed-enabled"],
)
def test_thinking_is_left_out_once_what_came_before_it_has_changed(
    system: str, parameters: dict[str, Any], *, kept: bool
) -> None:
    asked = thought(ask(SYSTEM, USER))
    now = ChatMessage(role="system", content=system)

    sent = body(ask(now, USER, asked, result("toolu_1"), **parameters))["messages"]

    assert sent[1]["content"] == [*([THINKING] if kept else []), tool_use("toolu_1")]


def test_state_of_another_provider_is_not_sent() -> None:
    state = ProviderState(provider="ollama", data={"thinking": "Hm."})

    sent = body(ask(USER, called("t1", state=state), result("t1")))["messages"]

    assert sent[1]["content"] == [tool_use("t1")]


def test_thinking_is_off_in_a_loop_of_tools_that_began_without_it() -> None:
    thinking = {"type": "enabled", "budget_tokens": 2000}
    own = thought(ask(USER))

    begun = body(ask(USER, called("t1"), result("t1"), thinking=thinking))
    later = body(ask(USER, own, result("toolu_1"), called("t2"), result("t2"), thinking=thinking))
    fresh = body(ask(USER, called("t1"), result("t1"), USER, thinking=thinking))

    assert "thinking" not in begun
    assert later["thinking"] == thinking
    assert fresh["thinking"] == thinking


def test_an_id_that_the_context_knows_is_not_used_again() -> None:
    request = ask(USER, called("toolu_1"), result("toolu_1"))

    events = read(
        answer(thinking_deltas(), call_deltas(), call_deltas(""), stop="tool_use"), request
    )

    idents = [event.call.id for event in events if isinstance(event, ToolCallReady)]
    assert idents == ["call_1", "call_2"]
    state = next(event for event in events if isinstance(event, ProviderState))
    assert [block["id"] for block in state.data["content"][1:]] == idents


def test_input_that_comes_whole_or_not_at_all_is_read() -> None:
    whole = {"type": "tool_use", "id": "t1", "name": "add", "input": {"a": 2}}
    none = {"type": "tool_use", "id": "t2", "name": "add", "input": {}}

    events = read(answer([whole], [none], stop="tool_use"))

    calls = [event.call.arguments for event in events if isinstance(event, ToolCallReady)]
    assert calls == ['{"a":2}', "{}"]


def test_a_refusal_and_a_full_window_say_why() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "Not this."}

    refused = read(answer(stop="refusal", stop_details=details))
    full = read(answer(stop="model_context_window_exceeded"))

    assert refused[0] == ModelNotice("The model declined: Not this.")
    assert refused[-1] == Finished(FinishReason.REFUSAL)
    assert isinstance(full[0], ModelNotice)
    assert full[-1] == Finished(FinishReason.LENGTH)


def test_a_paused_turn_is_an_error_that_says_so() -> None:
    with pytest.raises(ModelError, match="paused its turn") as raised:
        read(answer(stop="pause_turn"))

    assert raised.value.kind is ModelErrorKind.BAD_RESPONSE


async def test_a_model_that_is_not_known_is_said_to_be_so() -> None:
    said = {"type": "error", "error": {"type": "not_found_error", "message": "model: claude-x"}}
    async with ScriptedOpenAI() as provider:
        provider.reply(404, orjson.dumps(said))
        client = AnthropicModelClient(base_url=provider.base_url, api_key=KEY)

        with pytest.raises(ModelError) as raised:
            await anext(client.stream(ask(USER)))
        await client.aclose()

    assert raised.value.kind is ModelErrorKind.REJECTED
    assert raised.value.message == (
        "anthropic answered HTTP 404: model: claude-x."
        " There is no such model, or the key may not use it."
    )


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
async def test_the_endpoint_is_found_with_and_without_a_version(suffix: str) -> None:
    async with ScriptedOpenAI() as provider:
        provider.reply(
            529, b'{"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}}'
        )
        base_url = f"{provider.base_url.removesuffix('/v1')}{suffix}"
        once = RetryPolicy(max_attempts=1)
        client = AnthropicModelClient(base_url=base_url, api_key=KEY, retries=once)

        with pytest.raises(ModelError, match="anthropic answered HTTP 529: Busy") as raised:
            await anext(client.stream(ask(USER)))
        await client.aclose()

    assert (raised.value.kind, raised.value.status) == (ModelErrorKind.UNAVAILABLE, 529)
    [received] = provider.requests
    assert received.path == "/v1/messages"
    assert received.headers["x-api-key"] == KEY
    assert received.headers["anthropic-version"] == "2023-06-01"
