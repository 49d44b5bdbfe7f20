"""The chat-completions wire: what is sent of a context, and what servers that differ mean."""

from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from app.adapters.model_http import ErrorWords
from app.adapters.model_openai import OpenAIModelClient, OpenAIWire
from app.adapters.model_openai_wire import ChatCompletionReader
from domain.models.ports import (
    ChatMessage,
    Finished,
    FinishReason,
    ModelErrorKind,
    ModelEvent,
    ModelRequest,
    ProviderState,
    TextDelta,
    TokenUsage,
    ToolCall,
    ToolCallReady,
    ToolSpec,
)
from tests.ports.acts import Raw, Say
from tests.ports.model_rig import collect, failure_of
from tests.ports.scripted_openai import ScriptedOpenAI

ADD = ToolSpec(name="add", description="Adds.", input_schema={"type": "object"})
USER = ChatMessage(role="user", content="Add.")
ADDRESS_CURE = "Is OPENAI_BASE_URL right? It usually ends in /v1."


def body(request: ModelRequest) -> dict[str, Any]:
    return orjson.loads(OpenAIWire().body(request))


def asked(name: str, arguments: str) -> ModelRequest:
    call = ToolCall(id="c1", name=name, arguments=arguments)
    result = ChatMessage(role="tool", content="No.", tool_call_id="c1", tool_name=name, failed=True)
    messages = [USER, ChatMessage(role="assistant", tool_calls=(call,)), result]
    return ModelRequest(model="m", messages=messages, tools=[ADD])


def fragment(name: str | None, arguments: str, **place: Any) -> dict[str, Any]:
    named = {} if name is None else {"name": name}
    return {**place, "function": {**named, "arguments": arguments}}


def read(fragments: Sequence[dict[str, Any]], usage: object = None) -> list[ModelEvent]:
    reader = ChatCompletionReader(
        ModelRequest(model="m", messages=[USER]), ErrorWords("openai", api_key=None)
    )
    deltas = [{"index": 0, "delta": {"tool_calls": [each]}} for each in fragments]
    end = {"index": 0, "finish_reason": "tool_calls" if fragments else "stop"}
    for choice in (*deltas, end):
        reader.read(orjson.dumps({"choices": [choice]}))
    if usage is not None:
        reader.read(orjson.dumps({"choices": [], "usage": usage}))
    return list(reader.conclude())


def calls_of(fragments: Sequence[dict[str, Any]]) -> list[tuple[str, str, str]]:
    calls = [event.call for event in read(fragments) if isinstance(event, ToolCallReady)]
    return [(call.id, call.name, call.arguments) for call in calls]


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ('{"a": 1}', '{"a": 1}'),
        ("", "{}"),
        ('{"a": ', '{"invalid_arguments":"{\\"a\\": "}'),
        ('"Berlin"', '{"invalid_arguments":"\\"Berlin\\""}'),
    ],
    ids=["an object", "none", "cut", "no object"],
)
def test_arguments_that_a_model_wrote_wrongly_are_sent_back_as_json_that_servers_can_read(
    arguments: str, sent: str
) -> None:
    [_, answer, _] = body(asked("add", arguments))["messages"]

    assert answer["tool_calls"][0]["function"]["arguments"] == sent


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("add", "add"),
        ("multi_tool_use.parallel", "multi_tool_use_parallel"),
        ("assistant<|channel|>ä", "assistant__channel___"),
        ("a" * 70, "a" * 64),
    ],
    ids=["known", "with a dot", "with marks", "long"],
)
def test_a_name_that_a_model_made_up_is_sent_back_in_letters_that_are_taken(
    name: str, sent: str
) -> None:
    [_, answer, _] = body(asked(name, "{}"))["messages"]

    assert answer["tool_calls"][0]["function"]["name"] == sent


def test_what_only_goes_with_tools_is_left_out_without_them() -> None:
    parameters = {"tool_choice": "auto", "parallel_tool_calls": False, "temperature": 0}
    request = ModelRequest(model="m", messages=[USER], parameters=parameters)
    offered = ModelRequest(model="m", messages=[USER], tools=[ADD], parameters=parameters)

    without, with_tools = body(request), body(offered)

    assert without.keys() == {"model", "messages", "stream", "stream_options", "temperature"}
    assert (with_tools["tool_choice"], with_tools["parallel_tool_calls"]) == ("auto", False)


@pytest.mark.parametrize(
    ("parameters", "sent"),
    [
        ({}, {"include_usage": True}),
        ({"stream_options": {"include_usage": False}}, {"include_usage": True}),
        ({"stream_options": None}, "absent"),
    ],
    ids=["usual", "changed", "left out"],
)
def test_usage_is_asked_for_unless_a_server_cannot_be_asked(
    parameters: dict[str, Any], sent: object
) -> None:
    request = ModelRequest(model="m", messages=[USER], parameters=parameters)

    assert body(request).get("stream_options", "absent") == sent


def test_calls_that_share_an_index_are_calls_of_their_own() -> None:
    first = fragment("add", '{"a": 1}', index=0, id="call_1")
    second = fragment("mul", "", index=0, id="call_2")
    rest = fragment(None, '{"a": 2}', index=0)

    assert calls_of([first, second, rest]) == [
        ("call_1", "add", '{"a": 1}'),
        ("call_2", "mul", '{"a": 2}'),
    ]


def test_fragments_of_one_call_stay_together_whatever_ids_and_names_they_repeat() -> None:
    fresh_ids = [
        fragment("add", '{"a"', index=0, id="call_1"),
        fragment(None, ": 1}", index=0, id="call_9"),
    ]
    repeated = [
        fragment("add", '{"a"', index=0, id="call_1"),
        fragment("add", ": 1}", index=0, id="call_1"),
    ]
    no_index = [
        fragment("add", '{"a"', id="call_1"),
        fragment("add", ": 1}", id="call_1"),
    ]

    found = [calls_of(each) for each in (fresh_ids, repeated, no_index)]

    assert found == [[("call_1", "add", '{"a": 1}')]] * 3


def test_what_gemini_signs_a_call_with_comes_back_with_the_call() -> None:
    signed = {"google": {"thought_signature": "c2ln"}}
    first = {**fragment("add", '{"a": 1}', index=0, id="c1"), "extra_content": signed}
    second = fragment("add", '{"a": 2}', index=0, id="c2")

    one, two, state, _ = read([first, second])

    assert isinstance(one, ToolCallReady)
    assert isinstance(two, ToolCallReady)
    assert isinstance(state, ProviderState)
    stored = ProviderState(**orjson.loads(orjson.dumps(state)))
    answer = ChatMessage(role="assistant", tool_calls=(one.call, two.call), provider_state=stored)
    [sent] = body(ModelRequest(model="m", messages=[answer]))["messages"]
    assert [call.get("extra_content") for call in sent["tool_calls"]] == [signed, None]
    assert sent.keys() == {"role", "content", "tool_calls"}


def test_whole_calls_without_index_and_id_are_told_apart_by_their_names() -> None:
    calls = [fragment("add", '{"a": 1}'), fragment("add", '{"a": 2}', id="")]

    assert calls_of(calls) == [("call_0", "add", '{"a": 1}'), ("call_1", "add", '{"a": 2}')]


@pytest.mark.parametrize("arguments", ["", " ", "null"])
def test_a_call_without_arguments_has_an_empty_object(arguments: str) -> None:
    assert calls_of([fragment("uuid", arguments, index=0, id="c")]) == [("c", "uuid", "{}")]


@pytest.mark.parametrize(
    ("usage", "output", "reasoning"),
    [
        ({"completion_tokens": 9, "total_tokens": 19}, 9, 0),
        (
            {
                "completion_tokens": 9,
                "total_tokens": 19,
                "completion_tokens_details": {"reasoning_tokens": 4},
            },
            9,
            4,
        ),
        (
            {
                "completion_tokens": 9,
                "total_tokens": 113,
                "completion_tokens_details": {"reasoning_tokens": 94},
            },
            103,
            94,
        ),
        ({"completion_tokens": 9, "total_tokens": 50}, 40, 31),
        ({"completion_tokens": 9}, 9, 0),
    ],
    ids=[
        "plain",
        "reasoning within",
        "reasoning beside",
        "reasoning only in the total",
        "no total",
    ],
)
def test_reasoning_is_counted_where_a_server_counts_it_beside_the_answer(
    usage: dict[str, Any], output: int, reasoning: int
) -> None:
    counted, _ = read([], {"prompt_tokens": 10, **usage})

    assert counted == TokenUsage(input_tokens=10, output_tokens=output, reasoning_tokens=reasoning)


@pytest.mark.parametrize(
    ("status", "said", "cure"),
    [
        (
            422,
            {"message": {"detail": [{"loc": ["body", "stream_options"], "msg": "Extra inputs"}]}},
            "Give the model the parameter stream_options: null; its tokens are not counted then.",
        ),
        (404, {"detail": "Not Found"}, "Is OPENAI_BASE_URL right? It usually ends in /v1."),
        (
            405,
            {"detail": "Method Not Allowed"},
            "Is OPENAI_BASE_URL right? It usually ends in /v1.",
        ),
    ],
)
async def test_a_refusal_that_is_well_known_names_its_cure(
    status: int, said: dict[str, Any], cure: str
) -> None:
    async with ScriptedOpenAI() as provider:
        provider.reply(status, orjson.dumps(said))
        client = OpenAIModelClient(base_url=provider.base_url)

        error = await failure_of(client)
        await client.aclose()

    assert error.kind is ModelErrorKind.REJECTED
    assert error.message.endswith(cure)


async def test_a_model_that_is_not_known_is_no_wrong_address() -> None:
    async with ScriptedOpenAI() as provider:
        provider.fail(404, message="The model `m-1` does not exist", code="model_not_found")
        client = OpenAIModelClient(base_url=provider.base_url)

        error = await failure_of(client)
        await client.aclose()

    assert error.message == "openai answered HTTP 404: The model `m-1` does not exist"


@pytest.mark.parametrize("code", ["content_filter", "content_policy_violation"])
async def test_a_filter_in_front_of_a_model_is_a_refusal(code: str) -> None:
    async with ScriptedOpenAI() as provider:
        provider.fail(400, message="The prompt was filtered.", code=code)
        client = OpenAIModelClient(base_url=provider.base_url)

        events, error = await collect(client)
        await client.aclose()

    assert events == []
    assert error is not None
    assert error.kind is ModelErrorKind.REFUSED


async def test_an_error_that_a_server_writes_bare_into_its_stream_is_told() -> None:
    async with ScriptedOpenAI() as provider:
        provider.script(Say("Hel"), Raw(b'{"error": {"message": "over capacity", "code": 503}}\n'))
        client = OpenAIModelClient(base_url=provider.base_url)

        events, error = await collect(client)
        await client.aclose()

    assert events == [TextDelta("Hel")]
    assert error is not None
    assert (error.kind, error.status) == (ModelErrorKind.UNAVAILABLE, 503)
    assert error.message == "openai broke off with an error: over capacity"


def test_an_answer_without_calls_ends_as_it_says() -> None:
    assert read([]) == [Finished(FinishReason.STOP)]


@pytest.mark.parametrize("key", ["sk-one\nsk-two", "“sk-quoted”"], ids=ascii)
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ValueError, match="no header can carry") as raised:
        OpenAIModelClient(base_url="http://localhost/v1", api_key=key)

    assert str(raised.value) == "the key for openai holds letters that no header can carry"
