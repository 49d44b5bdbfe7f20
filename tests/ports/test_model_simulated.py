"""The simulated model does what the instruction says."""

import json

import pytest

from app.adapters.model_simulated import SimulatedModelClient
from domain.models.ports import (
    ChatMessage,
    Finished,
    FinishReason,
    ModelError,
    ModelErrorKind,
    ModelEvent,
    ModelRequest,
    TextDelta,
    TokenUsage,
    ToolCall,
    ToolCallReady,
)


class Waits(list[float]):
    """A sleep that takes no time and remembers what it was asked for."""

    async def __call__(self, delay_s: float) -> None:
        self.append(delay_s)


async def collect(
    instruction: str, waits: Waits | None = None
) -> tuple[list[ModelEvent], ModelError | None]:
    client = SimulatedModelClient(sleep=Waits() if waits is None else waits)
    request = ModelRequest(model="m", messages=[ChatMessage(role="user", content=instruction)])
    events: list[ModelEvent] = []
    try:
        async for event in client.stream(request):
            events.append(event)  # noqa: PERF401 - what came before an error counts
    except ModelError as error:
        return events, error
    return events, None


def text_of(events: list[ModelEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@pytest.mark.parametrize(
    "instruction",
    ['{"tokens": 3, "delay_s": 0.1}', 'Please stream {"tokens": 3, "delay_s": 0.1} for me.'],
)
async def test_tokens_come_at_the_pace_that_the_instruction_sets(instruction: str) -> None:
    waits = Waits()

    events, error = await collect(instruction, waits)

    assert error is None
    assert events == [
        TextDelta("token-1 "),
        TextDelta("token-2 "),
        TextDelta("token-3 "),
        TokenUsage(input_tokens=len(instruction.split()), output_tokens=3),
        Finished(FinishReason.STOP, offline=True),
    ]
    assert waits == [0.1, 0.1, 0.1]


async def test_without_an_object_twenty_tokens_come_without_delay() -> None:
    waits = Waits()

    events, _ = await collect("hello", waits)

    assert text_of(events).split() == [f"token-{number}" for number in range(1, 21)]
    assert waits == [0]


async def test_a_text_is_repeated_and_a_seed_draws_the_same_words_each_time() -> None:
    repeated, _ = await collect('{"tokens": 3, "text": "ha "}')
    drawn, _ = await collect('{"tokens": 8, "seed": 7}')
    again, _ = await collect('{"tokens": 8, "seed": 7}')
    other, _ = await collect('{"tokens": 8, "seed": 8}')

    assert text_of(repeated) == "ha ha ha "
    assert text_of(drawn) == text_of(again)
    assert text_of(drawn) != text_of(other)


async def test_a_tool_is_called_once_and_then_the_tokens_come() -> None:
    instruction = json.dumps({"tokens": 1, "tool": {"name": "add", "arguments": {"a": 1}}})
    call = ToolCall(id="call_simulated", name="add", arguments='{"a": 1}')
    context = [
        ChatMessage(role="user", content=instruction),
        ChatMessage(role="assistant", tool_calls=(call,)),
        ChatMessage(role="tool", content="2", tool_call_id=call.id, tool_name="add"),
    ]
    client = SimulatedModelClient()

    first, _ = await collect(instruction)
    second = [event async for event in client.stream(ModelRequest(model="m", messages=context))]

    assert first[0] == ToolCallReady(call)
    assert first[-1] == Finished(FinishReason.TOOL_CALLS, offline=True)
    assert text_of(second) == "token-1 "


@pytest.mark.parametrize("kind", ["rate_limited", "unavailable", "bad_response"])
async def test_a_failure_comes_after_as_many_tokens_as_asked(kind: str) -> None:
    events, error = await collect(json.dumps({"tokens": 5, "fail": kind, "after": 2}))

    assert events == [TextDelta("token-1 "), TextDelta("token-2 ")]
    assert error is not None
    assert error.kind is ModelErrorKind(kind)


async def test_a_stream_can_end_without_a_finish() -> None:
    events, error = await collect('{"tokens": 5, "fail": "no_finish", "after": 1}')

    assert (events, error) == ([TextDelta("token-1 ")], None)


@pytest.mark.parametrize(
    ("instruction", "words"),
    [
        ('{"tokens": 100001}', ["'tokens'", "100000"]),
        ('{"tokens": -1}', ["'tokens'", "0"]),
        ('{"tokens": "many"}', ["'tokens'", "integer"]),
        ('{"tokens": true}', ["'tokens'", "integer"]),
        ('{"delay_s": 61}', ["'delay_s'", "60"]),
        ('{"delay_s": NaN}', ["'delay_s'", "finite"]),
        ('{"fail": "loudly"}', ["'fail'", "'rate_limited'"]),
        ('{"tool": {"arguments": {}}}', ["'tool.name'", "required"]),
        ('{"tokens": 2, "fail": "unavailable", "after": 3}', ["after", "2"]),
        ('{"toks": 2}', ["'toks'", "tokens, delay_s"]),
        ('{"tokens": 2', ["no whole JSON object"]),
        ("{tokens}", ["no whole JSON object"]),
    ],
)
async def test_what_cannot_be_done_is_rejected_by_name(instruction: str, words: list[str]) -> None:
    events, error = await collect(instruction)

    assert events == []
    assert error is not None
    assert error.kind is ModelErrorKind.REJECTED
    assert [word for word in words if word not in error.message] == []
