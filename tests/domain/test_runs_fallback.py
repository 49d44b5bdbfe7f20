"""Fallback models: who is asked after whom, what is told of it, and what of it is kept."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from domain.kernel.database import Database, Statement
from domain.kernel.errors import ProviderUnavailable
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
from tests.fakes import Act, Gate, ScriptedModel, call, say
from tests.run_world import LEASE_S, RunWorld, run_world

AWAY = ModelError(ModelErrorKind.UNAVAILABLE, "scripted is away.")
BUSY = ModelError(ModelErrorKind.RATE_LIMITED, "spare is busy.")


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[RunWorld, None]:
    """A world with a scripted model and a spare one, on each database."""
    async with run_world(database) as built:
        built.others.append(ScriptedModel("spare"))
        yield built


def spare_of(world: RunWorld) -> ScriptedModel:
    spare = world.others[0]
    assert isinstance(spare, ScriptedModel)
    return spare


async def accept(world: RunWorld, *fallbacks: str, **more: Any) -> str:
    """Accept a run of an agent whose first model is the scripted one."""
    models = [name.split(":") for name in fallbacks or ("spare:s1",)]
    named = [{"provider": provider, "name": name} for provider, name in models]
    values: dict[str, Any] = {"name": "Careful", "slug": "careful", "fallbackModels": named}
    if "model" in more:
        values["model"] = {"provider": "scripted", "name": "m1"}
    await world.agents.create(world.principal, values)
    return await world.accept(agent={"slug": "careful"}, **more)


async def run_off(world: RunWorld, run_id: str) -> Any:
    async with world.process() as runner:
        return await world.work_off(runner, run_id)


async def steps_of(world: RunWorld, run_id: str) -> list[tuple[Any, ...]]:
    steps = await world.steps(run_id)
    return [(each.position, each.provider, each.name, each.status) for each in steps]


async def retries_of(world: RunWorld, run_id: str) -> list[dict[str, Any]]:
    return [dict(each.data) for each in await world.events(run_id) if each.type == "Retrying"]


async def test_the_next_model_answers_when_the_first_fails_before_its_first_token(
    world: RunWorld,
) -> None:
    world.model.script([AWAY])
    spare_of(world).script(say("here"))
    run_id = await accept(world)

    row = await run_off(world, run_id)

    assert (row.status, row.output, row.error_code) == ("SUCCEEDED", "here", None)
    assert (row.model_calls, row.output_tokens) == (2, 3)
    assert await steps_of(world, run_id) == [
        (1, "scripted", "m1", "FAILED"),
        (2, "spare", "s1", "SUCCEEDED"),
    ]
    failed = (await world.steps(run_id))[0]
    assert (failed.error_code, failed.error_message) == ("MODEL_UNAVAILABLE", "scripted is away.")
    assert await retries_of(world, run_id) == [
        {
            "attempt": 2,
            "delayMs": 0,
            "error": {
                "code": "MODEL_UNAVAILABLE",
                "message": "scripted is away; goes on with spare:s1.",
                "retryable": True,
            },
            "voidedStepId": None,
        }
    ]
    events = await world.events(run_id)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))


@pytest.mark.parametrize("first", [TextDelta("Half an "), ReasoningDelta("Hm.")])
async def test_text_that_somebody_may_have_seen_is_voided_before_the_next_model_speaks(
    world: RunWorld, first: Act
) -> None:
    world.model.script([first, AWAY])
    spare_of(world).script(say("A whole answer"))
    run_id = await accept(world)

    row = await run_off(world, run_id)

    steps = await world.steps(run_id)
    assert [told["voidedStepId"] for told in await retries_of(world, run_id)] == [steps[0].id]
    assert (row.output, steps[1].text) == ("A whole answer", "A whole answer")
    pieces = [each async for each in world.service(None).tokens(world.principal, run_id)]
    last_reset = max(place for place, piece in enumerate(pieces) if piece.reset)
    assert "".join(piece.text for piece in pieces[last_reset:]) == "A whole answer"
    kept = [each.type for each in await world.events(run_id)]
    assert kept.index("Retrying") < kept.index("TokenDelta", kept.index("Retrying"))


async def test_every_failure_but_a_refusal_leads_to_the_next_model(world: RunWorld) -> None:
    kinds = [kind for kind in ModelErrorKind if kind is not ModelErrorKind.REFUSED]
    run_ids = [await accept(world)]
    run_ids += [await world.accept(agent={"slug": "careful"}) for _ in kinds[1:]]
    world.model.script(*[[ModelError(kind, "No.")] for kind in kinds])
    spare_of(world).script(*[say(kind) for kind in kinds])

    async with world.process() as runner:
        rows = [await world.work_off(runner, run_id) for run_id in run_ids]

    assert [(row.status, row.output) for row in rows] == [("SUCCEEDED", kind) for kind in kinds]


@pytest.mark.parametrize(
    "script",
    [
        [TextDelta("cut")],
        [TextDelta("long"), TokenUsage(), Finished(FinishReason.LENGTH)],
    ],
    ids=["no end", "too long"],
)
async def test_an_answer_that_is_not_whole_leads_to_the_next_model(
    world: RunWorld, script: list[Act]
) -> None:
    world.model.script(script)
    spare_of(world).script(say("whole"))

    row = await run_off(world, await accept(world))

    assert (row.status, row.output) == ("SUCCEEDED", "whole")


@pytest.mark.parametrize(
    "script",
    [
        [TextDelta("I will not."), Finished(FinishReason.REFUSAL)],
        [ModelError(ModelErrorKind.REFUSED, "I will not.")],
    ],
)
async def test_a_model_that_refuses_is_not_replaced(world: RunWorld, script: list[Act]) -> None:
    world.model.script(script)
    run_id = await accept(world)

    row = await run_off(world, run_id)

    assert (row.status, row.error_code) == ("FAILED", "MODEL_REFUSED")
    assert spare_of(world).requests == []
    assert await retries_of(world, run_id) == []


async def test_a_run_that_no_model_answers_names_each_with_its_reason(world: RunWorld) -> None:
    world.model.script([AWAY], [ModelError(ModelErrorKind.UNAUTHORIZED, "The key is wrong.")])
    spare_of(world).script([TextDelta("half"), BUSY])
    run_id = await accept(world, "scripted:m2", "spare:s1")

    row = await run_off(world, run_id)

    assert (row.status, row.output) == ("FAILED", "half")
    assert (row.error_code, bool(row.error_retryable)) == ("MODEL_RATE_LIMITED", True)
    assert row.error_message == (
        "All 3 models failed. scripted:m1: scripted is away. | scripted:m2: The key is wrong."
        " | spare:s1: spare is busy."
    )
    last = (await world.steps(run_id))[-1]
    assert (last.status, last.error_message, last.text) == ("FAILED", "spare is busy.", "half")
    assert [told["attempt"] for told in await retries_of(world, run_id)] == [2, 3]


async def test_tries_of_all_models_are_numbered_through(world: RunWorld) -> None:
    retry = RetryScheduled(attempt=2, delay_s=0.5, error=AWAY)
    other = RetryScheduled(attempt=2, delay_s=0.5, error=BUSY)
    world.model.script([retry, AWAY])
    spare_of(world).script([other, *say("fine")])
    run_id = await accept(world)

    await run_off(world, run_id)

    assert [told["attempt"] for told in await retries_of(world, run_id)] == [2, 3, 4]


async def test_a_run_stays_with_the_model_that_answered(world: RunWorld) -> None:
    world.model.script([AWAY])
    spare_of(world).script(call("note", '{"text": "x"}'), say("done"))
    run_id = await accept(world)

    row = await run_off(world, run_id)

    assert (row.status, world.effects.done) == ("SUCCEEDED", ["note x"])
    assert len(world.model.requests) == 1
    assert await steps_of(world, run_id) == [
        (1, "scripted", "m1", "FAILED"),
        (2, "spare", "s1", "SUCCEEDED"),
        (3, None, "note", "SUCCEEDED"),
        (4, "spare", "s1", "SUCCEEDED"),
    ]


async def test_a_model_that_failed_does_not_use_up_the_runs_steps(world: RunWorld) -> None:
    world.model.script([AWAY])
    spare_of(world).script(call("note", '{"text": "x"}'), say("done"))

    row = await run_off(world, await accept(world, limits={"maxSteps": 3}))

    assert (row.status, row.output) == ("SUCCEEDED", "done")


async def test_a_run_whose_tokens_are_used_up_asks_no_other_model(world: RunWorld) -> None:
    cut = [TokenUsage(input_tokens=50), Finished(FinishReason.LENGTH)]
    world.model.script([TextDelta("much"), *cut])
    run_id = await accept(world, limits={"maxTokens": 50})

    row = await run_off(world, run_id)

    assert (row.status, row.error_code) == ("FAILED", "LIMIT_REACHED")
    assert spare_of(world).requests == []
    assert (await world.steps(run_id))[0].error_code == "MODEL_BAD_RESPONSE"


async def test_a_runs_own_model_goes_first_and_the_agents_fallbacks_stay(world: RunWorld) -> None:
    world.model.script([AWAY])
    spare_of(world).script(say("here"))
    own = {"provider": "scripted", "name": "mine", "parameters": {"temperature": 1}}
    run_id = await accept(world, model=own)

    row = await run_off(world, run_id)

    assert row.output == "here"
    assert [step[2] for step in await steps_of(world, run_id)] == ["mine", "s1"]
    assert world.model.requests[0].parameters == {"temperature": 1}
    assert spare_of(world).requests[0].parameters == {}


async def test_a_model_named_twice_is_asked_once(world: RunWorld) -> None:
    world.model.script([AWAY])
    run_id = await accept(world, "scripted:m1")

    row = await run_off(world, run_id)

    assert (row.status, row.error_message) == ("FAILED", "scripted is away.")
    assert len(world.model.requests) == 1


async def test_a_fallback_whose_provider_is_gone_is_left_out(world: RunWorld) -> None:
    world.model.script([AWAY])
    spare_of(world).script(say("here"))

    row = await run_off(world, await accept(world, "gone:g1", "spare:s1"))

    assert (row.status, row.output) == ("SUCCEEDED", "here")


async def test_a_first_model_whose_provider_is_gone_since_counts_as_a_failed_call(
    world: RunWorld,
) -> None:
    world.others.append(ScriptedModel("brief"))
    spare_of(world).script(say("here"))
    run_id = await accept(world, model={"provider": "brief", "name": "b1"})
    world.others.pop()

    row = await run_off(world, run_id)

    assert (row.status, row.output) == ("SUCCEEDED", "here")
    failed = (await world.steps(run_id))[0]
    assert (failed.provider, failed.status, failed.error_code) == (
        "brief",
        "FAILED",
        "MODEL_UNAVAILABLE",
    )
    assert failed.error_message == (
        "No model provider is called 'brief' here; known are: scripted, spare."
    )


async def test_a_cancel_asks_no_other_model(world: RunWorld) -> None:
    gate = Gate()
    world.model.script([TextDelta("half"), gate])
    async with world.process() as runner:
        run_id = await accept(world)
        await runner.execute(run_id)
        await gate.reached.wait()

        row = await world.service(runner).cancel(world.principal, run_id, None)

    assert (row.status, row.output) == ("CANCELLED", "half")
    assert spare_of(world).requests == []


async def test_who_takes_a_run_over_goes_on_with_the_model_that_was_at_work(
    world: RunWorld,
) -> None:
    gate = Gate()
    world.model.script([AWAY])
    spare_of(world).script([TextDelta("lost "), gate], say("kept"))
    async with world.process(stalled=True) as first, world.process() as second:
        run_id = await accept(world)
        await first.execute(run_id)
        async with asyncio.timeout(20):
            await gate.reached.wait()
        world.clock.move(LEASE_S + 1)
        await world.database.write(
            [Statement("UPDATE run SET lease_until = 1 WHERE id = $1", (run_id,))]
        )

        row = await world.work_off(second, run_id)

    assert (row.status, row.output) == ("SUCCEEDED", "kept")
    assert len(world.model.requests) == 1
    assert await steps_of(world, run_id) == [
        (1, "scripted", "m1", "FAILED"),
        (2, "spare", "s1", "CANCELLED"),
        (3, "spare", "s1", "SUCCEEDED"),
    ]
    assert row.model_calls == 3


async def test_who_takes_over_fails_with_the_names_of_all_models(world: RunWorld) -> None:
    gate = Gate()
    world.model.script([AWAY])
    spare_of(world).script([gate], [BUSY])
    async with world.process(stalled=True) as first, world.process() as second:
        run_id = await accept(world)
        await first.execute(run_id)
        async with asyncio.timeout(20):
            await gate.reached.wait()
        world.clock.move(LEASE_S + 1)
        await world.database.write(
            [Statement("UPDATE run SET lease_until = 1 WHERE id = $1", (run_id,))]
        )

        row = await world.work_off(second, run_id)

    assert row.error_message == (
        "All 2 models failed. scripted:m1: scripted is away. | spare:s1: spare is busy."
    )


async def test_a_model_that_nobody_provides_is_refused_when_the_run_is_accepted(
    world: RunWorld,
) -> None:
    values = {"name": "Lost", "slug": "lost", "model": {"provider": "gone", "name": "g1"}}
    await world.agents.create(world.principal, values)

    with pytest.raises(ProviderUnavailable) as refused:
        await world.accept(agent={"slug": "lost"})
    with pytest.raises(ProviderUnavailable) as own:
        await world.accept(model={"provider": "away", "name": "g1"})

    assert refused.value.path == ("agent",)
    assert refused.value.message == (
        "The agent 'lost' cannot run. No model provider is called 'gone' here;"
        " known are: scripted, spare."
    )
    assert own.value.path == ("model", "provider")
    assert await world.database.fetch("SELECT count(*) FROM run") == [(0,)]


async def test_models_that_were_not_asked_did_not_fail(world: RunWorld) -> None:
    world.model.script([AWAY])
    spare_of(world).script([ModelError(ModelErrorKind.REFUSED, "No.")])

    row = await run_off(world, await accept(world, "spare:s1", "spare:s2"))

    assert row.error_message == ("2 models failed. scripted:m1: scripted is away. | spare:s1: No.")
