"""Ollama's wire: what is sent of a context, what its lines mean, and when a prompt was cut."""

from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from app.adapters.model_http import ErrorWords, RetryPolicy
from app.adapters.model_ollama import OllamaModelClient, OllamaWire
from app.adapters.model_ollama_wire import OllamaReader, was_cut
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

ADD = ToolSpec(
    name="add",
    description="Adds two numbers.",
    input_schema={
        "type": "object",
        "properties": {"a": {"type": "integer", "description": "One."}, "b": {"type": "integer"}},
    },
)
USER = ChatMessage(role="user", content="Add.")


def called(*idents: str, state: ProviderState | None = None) -> ChatMessage:
    calls = tuple(ToolCall(id=ident, name="add", arguments='{"a": 1}') for ident in idents)
    return ChatMessage(role="assistant", tool_calls=calls, provider_state=state)


def ask(*messages: ChatMessage, **parameters: Any) -> ModelRequest:
    return ModelRequest(model="qwen3", messages=messages, tools=[ADD], parameters=parameters)


def body(request: ModelRequest, num_ctx: int = 8192) -> dict[str, Any]:
    return orjson.loads(OllamaWire(num_ctx=num_ctx).body(request))


def line(**message: Any) -> dict[str, Any]:
    return {"model": "qwen3", "message": {"role": "assistant", **message}, "done": False}


def last(reason: str = "stop", **more: Any) -> dict[str, Any]:
    return {**line(content=""), "done": True, "done_reason": reason, **more}


def read(
    lines: Sequence[dict[str, Any]], request: ModelRequest | None = None, num_ctx: int = 8192
) -> list[ModelEvent]:
    words = ErrorWords("ollama", api_key=None)
    reader = OllamaReader(request or ask(USER), words, num_ctx)
    found = [event for each in lines for event in reader.read(orjson.dumps(each))]
    return [*found, *reader.conclude()]


def words(count: int) -> ChatMessage:
    return ChatMessage(role="user", content="word " * count)


def test_a_request_has_options_apart_and_arguments_as_objects() -> None:
    result = ChatMessage(role="tool", content="3", tool_call_id="call_0", tool_name="add")
    state = ProviderState(provider="ollama", data={"thinking": "Hm."})
    foreign = ProviderState(provider="anthropic", data={"content": []})
    messages = [USER, called("call_0", state=state), result, called("call_1", state=foreign)]

    sent = body(ask(*messages, temperature=0.2, think="high", keep_alive="5m"))

    assert sent == {
        "model": "qwen3",
        "stream": True,
        "think": "high",
        "keep_alive": "5m",
        "options": {"num_ctx": 8192, "temperature": 0.2},
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "add",
                    "description": "Adds two numbers.",
                    "parameters": ADD.input_schema,
                },
            }
        ],
        "messages": [
            {"role": "user", "content": "Add."},
            {
                "role": "assistant",
                "content": "",
                "thinking": "Hm.",
                "tool_calls": [
                    {"id": "call_0", "function": {"name": "add", "arguments": {"a": 1}}}
                ],
            },
            {"role": "tool", "content": "3", "tool_name": "add", "tool_call_id": "call_0"},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [
                    {"id": "call_1", "function": {"name": "add", "arguments": {"a": 1}}}
                ],
            },
        ],
    }


@pytest.mark.parametrize(
    ("setting", "parameters", "options"),
    [
        (8192, {}, {"num_ctx": 8192}),
        (0, {}, {}),
        (8192, {"num_ctx": 32768}, {"num_ctx": 32768}),
        (8192, {"options": {"num_ctx": 512, "seed": 1}}, {"num_ctx": 512, "seed": 1}),
    ],
    ids=str,
)
def test_the_window_is_the_callers_else_the_settings(
    setting: int, parameters: dict[str, Any], options: dict[str, Any]
) -> None:
    assert body(ask(USER, **parameters), setting)["options"] == options


def test_thinking_text_and_calls_are_told_apart_and_calls_get_ids() -> None:
    request = ask(USER, called("call_0", "call_1"), USER)
    calls = [
        {"function": {"name": "add", "arguments": {"a": 1}}},
        {"id": "call_1", "function": {"name": "add", "arguments": {}}},
        {"id": "own", "function": {"name": "add"}},
    ]
    lines = [
        line(content="", thinking="Hm."),
        line(content="Adding."),
        line(content="", tool_calls=calls),
        last(prompt_eval_count=26, eval_count=9),
    ]

    events = read(lines, request)

    assert events == [
        ReasoningDelta("Hm."),
        TextDelta("Adding."),
        ToolCallReady(ToolCall(id="call_2", name="add", arguments='{"a":1}')),
        ToolCallReady(ToolCall(id="call_3", name="add", arguments="{}")),
        ToolCallReady(ToolCall(id="own", name="add", arguments="{}")),
        ProviderState(provider="ollama", data={"thinking": "Hm."}),
        TokenUsage(input_tokens=26, output_tokens=9),
        Finished(FinishReason.TOOL_CALLS),
    ]


def test_an_answer_that_thought_without_calls_leaves_nothing_to_give_back() -> None:
    events = read([line(content="Four.", thinking="Hm."), last()])

    assert events == [ReasoningDelta("Hm."), TextDelta("Four."), Finished(FinishReason.STOP)]


def test_a_model_that_writes_a_long_call_is_at_work_although_it_shows_nothing() -> None:
    reader = OllamaReader(ask(USER), ErrorWords("ollama", api_key=None), 8192)

    events = reader.read(orjson.dumps(line(content="")))

    assert (list(events), reader.has_begun) == ([], True)


def test_a_model_that_was_only_loaded_gave_no_answer() -> None:
    with pytest.raises(ModelError, match="only loaded its model") as raised:
        read([last("load")])

    assert raised.value.kind is ModelErrorKind.BAD_RESPONSE


@pytest.mark.parametrize(
    ("count", "num_ctx", "evaluated", "cut"),
    [
        (10, 8192, 12, False),
        (10, 8192, 0, False),
        (10, 512, 1, False),
        (3000, 4096, 3100, False),
        (3000, 4096, 40, False),
        (3000, 4096, 0, False),
        (5000, 4096, 2050, True),
        (5000, 4096, 4096, True),
        (5000, 4096, 0, True),
        (3900, 4096, 2050, True),
        (3000, 8192, 8192, True),
    ],
    ids=[
        "small",
        "small and not counted",
        "small and cached",
        "fits",
        "fits and cached",
        "fits and not counted",
        "half of the window read",
        "the window filled",
        "more words than the window",
        "fewer tokens than words",
        "as many tokens as the window",
    ],
)
def test_a_cut_prompt_is_noticed_and_a_whole_one_is_not(
    *, count: int, num_ctx: int, evaluated: int, cut: bool
) -> None:
    assert was_cut(ask(words(count)), num_ctx, evaluated) is cut


def test_a_cut_prompt_gives_a_notice_and_the_answer_goes_on() -> None:
    lines = [line(content="Four."), last(prompt_eval_count=2050, eval_count=2)]

    _, notice, usage, finished = read(lines, ask(words(5000)), 4096)

    assert isinstance(notice, ModelNotice)
    assert notice.message.startswith(
        "Ollama cut the prompt: it read 2,050 tokens of a prompt that did not fit into"
        " num_ctx = 4,096"
    )
    assert usage == TokenUsage(input_tokens=2050, output_tokens=2)
    assert finished == Finished(FinishReason.STOP)


@pytest.mark.parametrize(("num_ctx", "parameters"), [(0, {}), (4096, {"num_ctx": 65_536})])
def test_a_window_that_is_not_known_or_is_the_callers_gives_no_notice(
    num_ctx: int, parameters: dict[str, Any]
) -> None:
    lines = [last(prompt_eval_count=2050, eval_count=2)]

    events = read(lines, ask(words(5000), **parameters), num_ctx)

    assert not [event for event in events if isinstance(event, ModelNotice)]


@pytest.mark.parametrize(
    ("status", "said", "kind", "cure"),
    [
        (404, "model 'qwen3' not found", ModelErrorKind.REJECTED, "ollama pull qwen3"),
        (400, '"qwen3" does not support thinking', ModelErrorKind.REJECTED, "parameter think out."),
        (400, "qwen3 does not support tools", ModelErrorKind.REJECTED, "allowedTools: []."),
        (
            400,
            "request (7900 tokens) exceeds the available context size (4096 tokens)",
            ModelErrorKind.CONTEXT_TOO_LONG,
            "Raise OLLAMA_NUM_CTX or the parameter num_ctx, or offer fewer tools.",
        ),
        (
            500,
            "model requires more system memory (9 GiB) than is available (4 GiB)",
            ModelErrorKind.UNAVAILABLE,
            "Choose a smaller model, or lower OLLAMA_NUM_CTX.",
        ),
    ],
)
async def test_a_failure_names_its_cure(
    status: int, said: str, kind: ModelErrorKind, cure: str
) -> None:
    async with ScriptedOpenAI() as provider:
        provider.reply(status, orjson.dumps({"error": said}))
        once = RetryPolicy(max_attempts=1)
        client = OllamaModelClient(base_url=provider.base_url, retries=once)

        with pytest.raises(ModelError) as raised:
            await anext(client.stream(ask(USER)))
        await client.aclose()

    error = raised.value
    assert (error.kind, error.status) == (kind, status)
    assert error.message.startswith(f"ollama answered HTTP {status}: {said}")
    assert error.message.endswith(cure)
    assert [received.path for received in provider.requests] == ["/api/chat"]
    assert "authorization" not in provider.requests[0].headers


async def test_an_ollama_that_does_not_run_is_named_with_its_cure() -> None:
    async with ScriptedOpenAI() as gone:
        base_url = f"http://127.0.0.1:{gone.port}"
    client = OllamaModelClient(base_url=base_url, retries=RetryPolicy(max_attempts=1))

    with pytest.raises(ModelError, match="Start it with: ollama serve") as raised:
        await anext(client.stream(ask(USER)))
    await client.aclose()

    assert raised.value.kind is ModelErrorKind.UNAVAILABLE
