"""The engine: what a run does, what it journals, and how it fails."""

from collections.abc import AsyncGenerator

import pytest

from domain.kernel.database import Database
from domain.models.ports import (
    Finished,
    FinishReason,
    ModelError,
    ModelErrorKind,
    ReasoningDelta,
    RetryScheduled,
    TextDelta,
    TokenUsage,
)
from tests.fakes import Gate, call, say
from tests.run_world import RunWorld, run_world


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[RunWorld, None]:
    """A world on each database."""
    async with run_world(database) as built:
        yield built


async def test_a_plain_run_answers_and_tells_its_whole_story(world: RunWorld) -> None:
    world.model.script(say("Hello", " ", "world", tokens=2))
    run_id = await world.accept("greet")

    async with world.process() as runner:
        row = await world.work_off(runner, run_id)

    assert (row.status, row.output, row.error_code) == ("SUCCEEDED", "Hello world", None)
    assert (row.input_tokens, row.output_tokens, row.model_calls) == (10, 2, 1)
    assert (row.lease_owner, row.due_at, row.holds_conversation) == (None, None, False)
    events = await world.events(run_id)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    kinds = [event.type for event in events if event.type != "TokenDelta"]
    assert kinds == ["RunStarted", "UsageUpdated", "RunFinished"]
    text = "".join(event.data["text"] for event in events if event.type == "TokenDelta")
    assert text == "Hello world"
    steps = await world.steps(run_id)
    assert [(step.kind, step.status, step.text) for step in steps] == [
        ("MODEL_CALL", "SUCCEEDED", "Hello world")
    ]


async def test_the_model_sees_instruction_inputs_and_the_allowed_tools(world: RunWorld) -> None:
    world.model.script(say("ok"))
    run_id = await world.accept("use it", inputs={"sku": 7}, allowedTools=["no*"])

    async with world.process() as runner:
        await world.work_off(runner, run_id)

    request = world.model.requests[0]
    assert request.model == "m1"
    assert [tool.name for tool in request.tools] == ["note"]
    assert request.messages[-1].role == "user"
    assert request.messages[-1].content == 'use it\n\nInputs:\n{\n  "sku": 7\n}'
    row = await world.row(run_id)
    assert request.traceparent == f"00-{row.trace_id}-{row.span_id}-01"


async def test_tool_calls_run_and_their_results_reach_the_model(world: RunWorld) -> None:
    world.model.script(
        [*call("note", '{"text": "a"}', ident="c1")[:1], *call("pay", '{"amount": 5}', ident="c2")],
        say("done"),
    )
    run_id = await world.accept()

    async with world.process() as runner:
        row = await world.work_off(runner, run_id)

    assert (row.status, row.tool_calls, row.model_calls) == ("SUCCEEDED", 2, 2)
    assert world.effects.done == ["note a", "pay 5"]
    seen = world.model.requests[1].messages[-3:]
    assert [(m.role, m.tool_call_id, m.content) for m in seen[1:]] == [
        ("tool", "c1", "noted a"),
        ("tool", "c2", "paid 5"),
    ]
    steps = await world.steps(run_id)
    assert [(step.position, step.kind, step.name, step.status) for step in steps] == [
        (1, "MODEL_CALL", "m1", "SUCCEEDED"),
        (2, "TOOL_CALL", "note", "SUCCEEDED"),
        (3, "TOOL_CALL", "pay", "SUCCEEDED"),
        (4, "MODEL_CALL", "m1", "SUCCEEDED"),
    ]
    assert (steps[1].arguments, steps[1].result) == ({"text": "a"}, "noted a")
    kinds = [event.type for event in await world.events(run_id) if event.type != "TokenDelta"]
    assert kinds == [
        "RunStarted",
        "UsageUpdated",
        "ToolCallStarted",
        "ToolCallStarted",
        "ToolCallFinished",
        "ToolCallFinished",
        "UsageUpdated",
        "RunFinished",
    ]


async def test_a_failed_call_is_told_to_the_model_and_does_not_end_the_run(
    world: RunWorld,
) -> None:
    world.model.script(call("pay", '{"amount": "much"}'), say("sorry"))
    run_id = await world.accept()

    async with world.process() as runner:
        row = await world.work_off(runner, run_id)

    assert (row.status, row.output) == ("SUCCEEDED", "sorry")
    assert world.effects.done == []
    told = world.model.requests[1].messages[-1]
    assert (told.role, told.failed) == ("tool", True)
    assert told.content.startswith("INVALID_ARGUMENTS: ")
    step = (await world.steps(run_id))[1]
    assert (step.status, step.error_code, step.result) == ("FAILED", "TOOL_FAILED", None)


@pytest.mark.parametrize(
    ("kind", "code", "retryable"),
    [
        (ModelErrorKind.RATE_LIMITED, "MODEL_RATE_LIMITED", True),
        (ModelErrorKind.UNAVAILABLE, "MODEL_UNAVAILABLE", True),
        (ModelErrorKind.TIMEOUT, "MODEL_UNAVAILABLE", True),
        (ModelErrorKind.BAD_RESPONSE, "MODEL_BAD_RESPONSE", False),
        (ModelErrorKind.CONTEXT_TOO_LONG, "CONTEXT_TOO_LONG", False),
    ],
)
async def test_a_model_that_fails_makes_a_failed_run_and_keeps_the_partial_text(
    world: RunWorld, kind: ModelErrorKind, code: str, *, retryable: bool
) -> None:
    world.model.script([TextDelta("Half an "), ModelError(kind, "The provider says no.")])
    run_id = await world.accept()

    async with world.process() as runner:
        row = await world.work_off(runner, run_id)

    assert (row.status, row.output) == ("FAILED", "Half an ")
    assert (row.error_code, row.error_message) == (code, "The provider says no.")
    assert bool(row.error_retryable) is retryable
    last = (await world.events(run_id))[-1]
    assert last.type == "RunFailed"
    assert last.data["error"] == {
        "code": code,
        "message": "The provider says no.",
        "retryable": retryable,
    }
    assert [(step.status, step.error_code) for step in await world.steps(run_id)] == [
        ("FAILED", code)
    ]


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ([TextDelta("cut")], "MODEL_BAD_RESPONSE"),
        ([TextDelta("long"), Finished(FinishReason.LENGTH)], "MODEL_BAD_RESPONSE"),
        ([TextDelta("I will not."), Finished(FinishReason.REFUSAL)], "MODEL_REFUSED"),
        ([TextDelta("It failed."), Finished(FinishReason.STUCK)], "TOOL_FAILED"),
    ],
)
async def test_a_stream_without_a_proper_end_is_never_a_success(
    world: RunWorld, script: list, code: str
) -> None:
    world.model.script(script)
    run_id = await world.accept()

    async with world.process() as runner:
        row = await world.work_off(runner, run_id)

    assert (row.status, row.error_code) == ("FAILED", code)


async def test_a_crash_of_ours_ends_the_run_with_the_trace_to_quote(world: RunWorld) -> None:
    world.model.script([ZeroDivisionError("boom")])  # type: ignore[list-item]
    world.model.scripts[0] = _Exploding()
    run_id = await world.accept()

    async with world.process() as runner:
        row = await world.work_off(runner, run_id)

    assert (row.status, row.error_code) == ("FAILED", "INTERNAL")
    assert row.error_message == f"A fault of the server; quote the trace {row.trace_id}."


class _Exploding(list):
    def __iter__(self):
        raise ZeroDivisionError


async def test_retries_of_the_provider_are_told(world: RunWorld) -> None:
    error = ModelError(ModelErrorKind.RATE_LIMITED, "Slow down.")
    world.model.script([RetryScheduled(attempt=2, delay_s=0.5, error=error), *say("fine")])
    run_id = await world.accept()

    async with world.process() as runner:
        row = await world.work_off(runner, run_id)

    assert row.status == "SUCCEEDED"
    told = next(event for event in await world.events(run_id) if event.type == "Retrying")
    assert told.data == {
        "attempt": 2,
        "delayMs": 500,
        "error": {"code": "MODEL_RATE_LIMITED", "message": "Slow down.", "retryable": True},
        "voidedStepId": None,
    }


async def test_reasoning_is_streamed_and_kept_apart_from_the_answer(world: RunWorld) -> None:
    world.model.script([ReasoningDelta("hm"), *say("yes")])
    run_id = await world.accept()

    async with world.process() as runner:
        row = await world.work_off(runner, run_id)

    step = (await world.steps(run_id))[0]
    assert (row.output, step.text, step.reasoning) == ("yes", "yes", "hm")
    assert "ReasoningDelta" in [event.type for event in await world.events(run_id)]


async def test_a_run_ends_when_its_steps_are_used_up(world: RunWorld) -> None:
    world.model.script(*[call("note", '{"text": "again"}') for _ in range(5)])
    run_id = await world.accept(limits={"maxSteps": 4})

    async with world.process() as runner:
        row = await world.work_off(runner, run_id)

    assert (row.status, row.error_code) == ("FAILED", "LIMIT_REACHED")
    assert row.error_message == (
        "The run needs more than its 4 steps (maxSteps) for an answer."
        " Raise the limit, or ask for less at once."
    )
    assert world.effects.done == ["note again"]
    assert len(await world.steps(run_id)) == 3


async def test_a_run_ends_when_its_tokens_are_used_up(world: RunWorld) -> None:
    world.model.script(call("note", '{"text": "x"}'), say("never"))
    run_id = await world.accept(limits={"maxTokens": 6})

    async with world.process() as runner:
        row = await world.work_off(runner, run_id)

    assert (row.status, row.error_code, world.effects.done) == ("FAILED", "LIMIT_REACHED", [])


async def test_a_run_that_was_due_too_long_ago_times_out(world: RunWorld) -> None:
    run_id = await world.accept(limits={"maxSeconds": 30})
    await world.database.fetch("SELECT 1")
    await _started_long_ago(world, run_id)

    async with world.process() as runner:
        row = await world.work_off(runner, run_id)

    assert (row.status, row.error_code) == ("TIMED_OUT", "TIMED_OUT")
    assert row.error_message == (
        "The run took longer than its 30 seconds (maxSeconds)."
        " Raise the limit, or ask for less at once."
    )
    assert (await world.events(run_id))[-1].type == "RunFailed"


async def _started_long_ago(world: RunWorld, run_id: str) -> None:
    from domain.kernel.database import Statement

    await world.database.write(
        [Statement("UPDATE run SET started_at = 1 WHERE id = $1", (run_id,))]
    )


async def test_nul_in_a_models_text_is_replaced(world: RunWorld) -> None:
    world.model.script([TextDelta("a\x00b"), TokenUsage(), Finished(FinishReason.STOP)])
    run_id = await world.accept()

    async with world.process() as runner:
        row = await world.work_off(runner, run_id)

    assert (row.status, row.output) == ("SUCCEEDED", "a\ufffdb")


async def test_an_offline_answer_is_marked_and_costs_nothing(world: RunWorld) -> None:
    world.model.script([TextDelta("x"), TokenUsage(), Finished(FinishReason.STOP, offline=True)])
    run_id = await world.accept()

    async with world.process() as runner:
        row = await world.work_off(runner, run_id)

    assert bool(row.offline) is True
    assert (await world.events(run_id))[-1].data["usage"]["costUsd"] == 0.0


async def test_a_call_that_is_cancelled_counts_and_its_price_is_unknown(world: RunWorld) -> None:
    gate = Gate()
    world.model.script([TextDelta("half"), gate])
    async with world.process() as runner:
        run_id = await world.accept()
        await runner.execute(run_id)
        await gate.reached.wait()

        row = await world.service(runner).cancel(world.principal, run_id, None)

    usage = (await world.events(run_id))[-1].data["usage"]
    assert (usage["modelCalls"], usage["costUsd"]) == (1, None)
    assert (row.status, row.model_calls, bool(row.offline)) == ("CANCELLED", 1, False)


@pytest.mark.parametrize(
    "script",
    [
        [TextDelta("half")],
        [TextDelta("half"), TokenUsage(), Finished(FinishReason.LENGTH)],
        [TextDelta("half"), ModelError(ModelErrorKind.UNAVAILABLE, "away")],
    ],
    ids=["no end", "too long", "away"],
)
async def test_a_call_that_fails_counts_and_is_not_called_free(
    world: RunWorld, script: list
) -> None:
    world.model.script(script)
    run_id = await world.accept()

    async with world.process() as runner:
        row = await world.work_off(runner, run_id)

    assert (row.status, row.model_calls, bool(row.offline)) == ("FAILED", 1, False)


async def test_a_run_that_is_cancelled_before_it_asked_a_model_costs_nothing(
    world: RunWorld,
) -> None:
    run_id = await world.accept()
    async with world.process() as runner:
        row = await world.service(runner).cancel(world.principal, run_id, None)

    usage = (await world.events(run_id))[-1].data["usage"]
    assert (usage["modelCalls"], usage["costUsd"]) == (0, 0.0)
    assert (row.status, row.model_calls) == ("CANCELLED", 0)
