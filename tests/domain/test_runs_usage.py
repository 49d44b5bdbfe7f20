"""What a run used is what its steps used, however its model calls ended."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from app.adapters.clock import SystemClock
from domain.kernel.database import Database, Statement
from domain.models.limits import GatedModelClient, ProviderGate, ProviderLimits
from domain.models.ports import ModelError, ModelErrorKind, ModelNotice, TextDelta, TokenUsage
from domain.models.prices import Price, Prices, Rates
from tests.fakes import Gate, ScriptedModel, call, say
from tests.run_world import RunWorld, run_world

TOLD = TokenUsage(input_tokens=120, output_tokens=3, cached_tokens=20)
AWAY = ModelError(ModelErrorKind.UNAVAILABLE, "scripted is away.")


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[RunWorld, None]:
    """A world with a scripted model and a spare one, both with a price, on each database."""
    async with run_world(database) as built:
        priced = Price(rates=Rates.per_million(2, 10))
        built.prices = Prices({"scripted:m1": priced, "spare:s1": priced})
        built.others.append(ScriptedModel("spare"))
        spare = {"provider": "spare", "name": "s1"}
        await built.agents.create(
            built.principal, {"name": "Careful", "slug": "careful", "fallbackModels": [spare]}
        )
        yield built


async def of_steps(world: RunWorld, run_id: str) -> tuple[int, int, int]:
    used = [step.usage or {} for step in await world.steps(run_id)]
    names = ("inputTokens", "outputTokens", "cachedTokens")
    first, second, third = (sum(each.get(name, 0) for each in used) for name in names)
    return first, second, third


async def of_run(world: RunWorld, run_id: str) -> tuple[int, int, int]:
    row = await world.row(run_id)
    return row.input_tokens, row.output_tokens, row.cached_tokens


async def in_line(desk: ProviderGate) -> None:
    """Give every task its turns until a call waits."""
    async with asyncio.timeout(20):
        for _ in iter(lambda: desk.waiting, 1):
            await asyncio.sleep(0)


async def test_a_cancelled_call_keeps_on_its_step_what_came_of_it(world: RunWorld) -> None:
    gate = Gate()
    world.model.script([ModelNotice("Cut."), TOLD, TextDelta("half"), gate])
    async with world.process() as runner:
        run_id = await world.accept()
        await runner.execute(run_id)
        await gate.reached.wait()

        row = await world.service(runner).cancel(world.principal, run_id, None)

    step = (await world.steps(run_id))[0]
    assert (row.status, row.output, step.status, step.text) == (
        "CANCELLED",
        "half",
        "CANCELLED",
        "half",
    )
    assert (step.notices, step.error_code) == (["Cut."], None)
    assert await of_steps(world, run_id) == await of_run(world, run_id) == (120, 3, 20)


async def test_a_cancel_while_a_tool_runs_leaves_the_answer_before_it_as_it_is(
    world: RunWorld,
) -> None:
    world.effects.gate = Gate()
    world.model.script(call("note", '{"text": "x"}'))
    async with world.process() as runner:
        run_id = await world.accept()
        await runner.execute(run_id)
        await world.effects.gate.reached.wait()

        await world.service(runner).cancel(world.principal, run_id, None)

    statuses = [(step.kind, step.status) for step in await world.steps(run_id)]
    assert statuses == [("MODEL_CALL", "SUCCEEDED"), ("TOOL_CALL", "CANCELLED")]
    assert await of_steps(world, run_id) == await of_run(world, run_id)


async def test_a_call_that_never_got_its_turn_is_no_call(world: RunWorld) -> None:
    desk = ProviderGate("scripted", ProviderLimits(concurrency=1), SystemClock())
    world.client = GatedModelClient(world.model, desk)
    gate = Gate()
    world.model.script([gate], say("never"))
    async with world.process() as runner:
        first, second = await world.accept(), await world.accept()
        await runner.execute(first)
        await gate.reached.wait()
        await runner.execute(second)
        await in_line(desk)

        row = await world.service(runner).cancel(world.principal, second, None)

        assert (desk.waiting, desk.active) == (0, 1)
    assert (row.status, row.model_calls, row.cost_pico_usd) == ("CANCELLED", 0, 0)
    assert (bool(row.cost_known), bool(row.offline)) == (True, False)
    assert len(world.model.requests) == 1


async def test_a_handed_over_call_uses_up_no_step_of_the_run(world: RunWorld) -> None:
    gate = Gate()
    world.model.script([TextDelta("lost"), gate], call("note", '{"text": "x"}'), say("done"))
    async with world.process() as first:
        run_id = await world.accept(limits={"maxSteps": 3})
        await first.execute(run_id)
        await gate.reached.wait()

    async with world.process() as second:
        row = await world.work_off(second, run_id)

    assert (row.status, row.output) == ("SUCCEEDED", "done")


async def test_tries_are_numbered_through_over_workers(world: RunWorld) -> None:
    spare = world.others[0]
    assert isinstance(spare, ScriptedModel)
    gate = Gate()
    world.model.script([AWAY])
    spare.script([TextDelta("lost"), gate], say("kept"))
    async with world.process() as first:
        run_id = await world.accept(agent={"slug": "careful"})
        await first.execute(run_id)
        async with asyncio.timeout(20):
            await gate.reached.wait()

    async with world.process() as second:
        await world.work_off(second, run_id)

    retries = [each.data for each in await world.events(run_id) if each.type == "Retrying"]
    assert [told["attempt"] for told in retries] == [2, 3]


async def test_a_worker_that_knows_fewer_models_leaves_none_out(world: RunWorld) -> None:
    spare, gate = world.others[0], Gate()
    third = ScriptedModel("third")
    assert isinstance(spare, ScriptedModel)
    world.others.append(third)
    world.model.script([AWAY])
    spare.script([AWAY])
    third.script([gate], say("here"))
    models: list[Any] = [{"provider": "spare", "name": "s1"}, {"provider": "third", "name": "t1"}]
    models.append({"provider": "fourth", "name": "f1"})
    world.others.append(ScriptedModel("fourth"))
    await world.agents.create(
        world.principal, {"name": "Long", "slug": "long", "fallbackModels": models}
    )
    async with world.process() as first:
        run_id = await world.accept(agent={"slug": "long"})
        await first.execute(run_id)
        async with asyncio.timeout(20):
            await gate.reached.wait()
    # Before the third model was begun, its step is not there.
    await world.database.write(
        [Statement("DELETE FROM run_step WHERE run_id = $1 AND position = 3", (run_id,))]
    )
    world.others.remove(spare)

    async with world.process() as second:
        row = await world.work_off(second, run_id)

    assert (row.status, row.output) == ("SUCCEEDED", "here")


async def lose_worker(world: RunWorld, gate: Gate, *, of: str | None = None) -> str:
    """Let a worker begin a run, or take one over, and be gone in the middle of a call."""
    async with world.process(stalled=True) as lost:
        run_id = of or await world.accept()
        await lost.execute(run_id)
        async with asyncio.timeout(20):
            await gate.reached.wait()
        world.clock.move(60)
        # What the next worker does, so that this one's farewell changes nothing.
        sql = "UPDATE run SET lease_until = 1, lease_owner = 'gone' WHERE id = $1"
        await world.database.write([Statement(sql, (run_id,))])
    return run_id


async def test_a_call_that_was_lost_counts_when_a_cancel_is_all_that_is_left(
    world: RunWorld,
) -> None:
    gate = Gate()
    world.model.script([TextDelta("lost"), gate])
    run_id = await lose_worker(world, gate)
    await world.order_cancel(run_id)

    async with world.process() as runner:
        row = await world.work_off(runner, run_id)

    assert (row.status, row.model_calls, bool(row.cost_known)) == ("CANCELLED", 1, False)
    assert [step.status for step in await world.steps(run_id)] == ["CANCELLED"]


async def test_a_call_that_was_lost_with_the_last_worker_counts(world: RunWorld) -> None:
    gates = [Gate(), Gate(), Gate()]
    world.model.script(*[[TextDelta("lost"), gate] for gate in gates])
    run_id = await lose_worker(world, gates[0])
    for gate in gates[1:]:
        await lose_worker(world, gate, of=run_id)

    async with world.process() as runner:
        row = await world.work_off(runner, run_id)

    steps = [(step.status, step.error_code) for step in await world.steps(run_id)]
    assert (row.status, row.error_code, row.model_calls) == ("FAILED", "WORKER_LOST", 3)
    assert steps == [("CANCELLED", None), ("CANCELLED", None), ("FAILED", "WORKER_LOST")]


async def test_a_limit_in_money_ends_a_run_whose_model_tells_no_use(world: RunWorld) -> None:
    silent = [each for each in call("note", '{"text": "x"}') if not isinstance(each, TokenUsage)]
    world.model.script(silent, say("never"))

    async with world.process() as runner:
        row = await world.work_off(runner, await world.accept(limits={"maxCostUsd": 1}))

    assert (row.status, row.error_code, world.effects.done) == ("FAILED", "LIMIT_REACHED", [])
    assert row.error_message == (
        "scripted:m1 did not say what it used, so a limit in money (maxCostUsd) cannot be kept."
    )
