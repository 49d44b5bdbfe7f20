"""Runs that lose their worker: taken over at the first step that is not recorded."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from domain.kernel.database import Database
from domain.models.ports import TextDelta
from domain.runs.held import Stop
from domain.runs.runner import Runner
from tests.fakes import Gate, call, say
from tests.run_world import LEASE_S, RunWorld, run_world


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[RunWorld, None]:
    """A world on each database."""
    async with run_world(database) as built:
        yield built


async def begin(world: RunWorld, runner: Runner, gate: Gate) -> str:
    """Accept a run and let the process work on it up to the gate."""
    run_id = await world.accept()
    await runner.execute(run_id)
    async with asyncio.timeout(20):
        await gate.reached.wait()
    return run_id


async def expire(world: RunWorld, run_id: str) -> None:
    """Let the lease run out, by whichever clock the database goes."""
    from domain.kernel.database import Statement

    world.clock.move(LEASE_S + 1)
    await world.database.write(
        [Statement("UPDATE run SET lease_until = 1 WHERE id = $1", (run_id,))]
    )


async def test_a_run_is_taken_over_when_its_lease_ran_out_and_not_before(world: RunWorld) -> None:
    gate = Gate()
    world.model.script([TextDelta("lost "), gate], say("kept"))
    async with world.process(stalled=True) as first, world.process() as second:
        run_id = await begin(world, first, gate)

        await second.execute(run_id)
        assert second.held(run_id) is None
        await expire(world, run_id)
        row = await world.work_off(second, run_id)

    assert (row.status, row.output, row.attempt, row.losses) == ("SUCCEEDED", "kept", 2, 1)
    steps = await world.steps(run_id)
    assert [(step.status, step.text) for step in steps] == [
        ("CANCELLED", None),
        ("SUCCEEDED", "kept"),
    ]
    events = await world.events(run_id)
    retrying = next(event for event in events if event.type == "Retrying")
    assert retrying.data["voidedStepId"] == steps[0].id
    assert [event.seq for event in events] == list(range(1, len(events) + 1))


async def test_a_worker_that_lost_its_lease_writes_nothing_more(world: RunWorld) -> None:
    gate = Gate()
    world.model.script([TextDelta("late"), gate, *say(" words")], say("new"))
    async with world.process(stalled=True) as stale, world.process() as second:
        run_id = await begin(world, stale, gate)
        held = stale.held(run_id)
        assert held is not None

        await expire(world, run_id)
        await world.work_off(second, run_id)
        before = await world.events(run_id)
        gate.opened.set()
        async with asyncio.timeout(20):
            await held.done.wait()

        assert await world.events(run_id) == before
        assert (await world.row(run_id)).output == "new"


async def test_recorded_steps_are_never_done_again(world: RunWorld) -> None:
    gate = Gate()
    world.model.script(call("pay", '{"amount": 5}'), [TextDelta("..."), gate], say("done"))
    async with world.process(stalled=True) as first, world.process() as second:
        run_id = await begin(world, first, gate)

        await expire(world, run_id)
        row = await world.work_off(second, run_id)

    assert row.status == "SUCCEEDED"
    assert world.effects.done == ["pay 5"]
    assert [message.content for message in world.model.requests[2].messages[-2:]] == ["", "paid 5"]


async def test_a_call_under_way_is_repeated_only_if_it_may_be(world: RunWorld) -> None:
    world.effects.gate = gate = Gate()
    world.model.script(call("note", '{"text": "a"}'), say("done"))
    async with world.process(stalled=True) as first, world.process() as second:
        run_id = await begin(world, first, gate)

        await expire(world, run_id)
        world.effects.gate = None
        row = await world.work_off(second, run_id)

    assert row.status == "SUCCEEDED"
    assert world.effects.done == ["note a", "note a"]


async def test_a_call_that_must_not_repeat_ends_with_an_unknown_outcome(world: RunWorld) -> None:
    world.effects.gate = gate = Gate()
    world.model.script(call("pay", '{"amount": 5}'), say("I will check."))
    async with world.process(stalled=True) as first, world.process() as second:
        run_id = await begin(world, first, gate)

        await expire(world, run_id)
        world.effects.gate = None
        row = await world.work_off(second, run_id)

    assert row.status == "SUCCEEDED"
    assert world.effects.done == ["pay 5"]
    told = world.model.requests[1].messages[-1]
    assert (told.failed, told.content.split(":")[0]) == (True, "OUTCOME_UNKNOWN")
    step = (await world.steps(run_id))[1]
    assert (step.status, step.error_code) == ("FAILED", "TOOL_FAILED")


async def test_a_run_that_loses_every_worker_ends(world: RunWorld) -> None:
    gates = [Gate() for _ in range(3)]
    world.model.script(*[[TextDelta("x"), gate] for gate in gates])
    run_id = await world.accept()
    for gate in gates:
        async with world.process(stalled=True) as runner:
            await runner.execute(run_id)
            async with asyncio.timeout(20):
                await gate.reached.wait()
            await expire(world, run_id)

    async with world.process() as last:
        await expire_held(world, run_id)
        row = await world.work_off(last, run_id)

    assert (row.status, row.error_code, row.losses) == ("FAILED", "WORKER_LOST", 3)


async def expire_held(world: RunWorld, run_id: str) -> None:
    """Make the run look held by a process that is gone."""
    from domain.kernel.database import Statement

    await world.database.write(
        [
            Statement(
                "UPDATE run SET lease_owner = 'gone', lease_until = 1, losses = 2 WHERE id = $1",
                (run_id,),
            )
        ]
    )


async def test_a_process_that_stops_hands_its_runs_back_uncounted(world: RunWorld) -> None:
    gate = Gate()
    world.model.script([TextDelta("half"), gate], say("whole"))
    async with world.process() as first:
        run_id = await begin(world, first, gate)
    between = await world.row(run_id)

    async with world.process() as second:
        row = await world.work_off(second, run_id)

    assert (between.status, between.lease_owner) == ("RUNNING", None)
    assert between.due_at is not None
    assert (row.status, row.output, row.losses) == ("SUCCEEDED", "whole", 0)


async def test_a_full_process_leaves_runs_due_and_takes_them_when_it_has_room(
    world: RunWorld,
) -> None:
    gate = Gate()
    world.model.script([gate, *say("first")], say("second"))
    async with world.process(runs=1) as runner:
        first, second = await world.accept("1"), await world.accept("2")
        await runner.execute(first)
        await gate.reached.wait()

        await runner.execute(second)
        waiting = await world.row(second)
        gate.opened.set()
        ended = await _until_ended(world, second)

    assert (waiting.status, waiting.lease_owner) == ("QUEUED", None)
    assert (ended.status, ended.output) == ("SUCCEEDED", "second")


async def test_a_process_that_was_full_goes_on_until_nothing_is_due(world: RunWorld) -> None:
    gate = Gate()
    world.model.script([gate, *say("1")], *(say(str(number)) for number in range(2, 6)))
    async with world.process(runs=1) as runner:
        first, *others = [await world.accept(str(number)) for number in range(1, 6)]
        await runner.execute(first)
        await gate.reached.wait()
        await runner.execute(others[0])

        # One hint is all that the process ever hears of what waits.
        gate.opened.set()
        ended = [await _until_ended(world, run_id) for run_id in others]

    assert [(row.status, row.output) for row in ended] == [
        ("SUCCEEDED", str(number)) for number in range(2, 6)
    ]


async def _until_ended(world: RunWorld, run_id: str):
    service = world.service(None)
    async with asyncio.timeout(20):
        async for _ in service.stream(world.principal, run_id):
            pass
    return await world.row(run_id)


# PostgreSQL goes by its own clock, which a test cannot move.
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_forgotten_runs_are_hinted_with_growing_waits(world: RunWorld) -> None:
    office = world.office()
    run_id = await world.accept()

    assert await office.forgotten(10) == []
    found: list[int] = []
    for second in range(1, 16):
        world.clock.move(1)
        if await office.forgotten(10) == [run_id]:
            found.append(second)

    assert found == [1, 2, 4, 8]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_after_a_long_time_down_every_due_run_gets_its_hint_soon_and_none_gets_many(
    world: RunWorld,
) -> None:
    office = world.office()
    due = [await world.accept(str(number)) for number in range(6)]
    world.clock.move(3600)

    sweeps = []
    for _ in range(4):
        world.clock.move(2)
        sweeps.append(await office.forgotten(2))
    world.clock.move(64)
    again = await office.forgotten(10)

    assert sweeps == [due[:2], due[2:4], due[4:], []]
    assert again == due


async def test_what_has_been_due_for_hours_stops_no_sweep(world: RunWorld) -> None:
    office = world.office()
    long_due = await world.accept()
    world.clock.move(4 * 3600)

    first, second = await office.forgotten(10), await office.forgotten(10)

    assert (first, second) == ([long_due], [])


async def test_runs_of_a_lost_worker_are_found(world: RunWorld) -> None:
    gate = Gate()
    world.model.script([TextDelta("x"), gate])
    async with world.process(stalled=True) as runner:
        run_id = await begin(world, runner, gate)

        await expire(world, run_id)
        found = await world.office().forgotten(10)
        runner.stop(run_id, Stop.LOST)

    assert found == [run_id]
