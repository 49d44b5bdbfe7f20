"""Keeping leases: given up in time when the database is away, kept again when it is back."""

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest

from domain.kernel.database import Database
from domain.models.ports import TextDelta
from domain.runs.runner import Runner
from tests.database_faults import Outage, held_back
from tests.fakes import Gate, say
from tests.run_world import RunWorld, run_world

RENEWAL = "UPDATE run SET lease_until = "


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[RunWorld, None]:
    """A world on each database."""
    async with run_world(database) as built:
        yield built


async def begin(world: RunWorld, runner: Runner) -> tuple[str, Gate]:
    """Let the process take a run, up to a gate in its model call."""
    gate = Gate()
    world.model.script([gate, *say("done")])
    run_id = await world.accept()
    await runner.execute(run_id)
    await asyncio.wait_for(gate.reached.wait(), 20)
    return run_id, gate


async def turns() -> AsyncGenerator[None, None]:
    """The turns of the loop, one by one."""
    while True:
        yield
        await asyncio.sleep(0)


async def until(look: Callable[[], bool]) -> None:
    """Let the loop turn until something is true."""
    async with asyncio.timeout(20):
        async for _ in turns():
            if look():
                return


async def pass_time(world: RunWorld, seconds: float) -> None:
    """Move the clock in small steps; the keeper of leases gets its turn at each."""
    for _ in range(round(seconds / 0.5)):
        await until(lambda: world.clock.sleepers >= 2)
        world.clock.move(0.5)
        for _ in range(5):
            await asyncio.sleep(0)


async def test_a_process_that_cannot_renew_gives_its_runs_up_before_the_lease_is_over(
    world: RunWorld,
) -> None:
    outage = Outage(world.database)
    async with world.process() as runner:
        run_id, _ = await begin(world, runner)
        held = runner.held(run_id)
        assert held is not None
        outage.is_away = True

        await pass_time(world, 4.5)
        stop_before = held.stop
        await pass_time(world, 0.5)
        await asyncio.wait_for(held.done.wait(), 20)
        after = runner.held(run_id)
        outage.is_away = False

    assert (stop_before, held.stop, after) == (None, "lost", None)
    assert world.model.closed == 1


async def test_a_process_keeps_its_leases_again_after_an_outage(world: RunWorld) -> None:
    outage = Outage(world.database)
    async with world.process() as runner:
        lost, _ = await begin(world, runner)
        outage.is_away = True
        await pass_time(world, 5)
        await until(lambda: runner.held(lost) is None)
        outage.is_away = False

        kept, gate = await begin(world, runner)
        held = runner.held(kept)
        assert held is not None
        await pass_time(world, 12)
        gate.opened.set()
        await asyncio.wait_for(held.done.wait(), 20)
        row = await world.row(kept)

    assert held.stop is None
    assert (row.status, row.output, row.losses) == ("SUCCEEDED", "done", 0)


async def test_a_lease_counts_from_when_its_renewal_was_sent(world: RunWorld) -> None:
    async with world.process() as runner:
        run_id, _ = await begin(world, runner)
        held = runner.held(run_id)
        assert held is not None
        answer = held_back(world.database, RENEWAL)
        world.clock.move(2)
        await asyncio.wait_for(answer.reached.wait(), 20)

        # The answer to what was sent at second 2 comes at second 5; then the database is away.
        world.clock.move(3)
        answer.opened.set()
        await until(lambda: world.clock.sleepers >= 2)
        outage = Outage(world.database)
        outage.is_away = True
        await pass_time(world, 2)
        await asyncio.wait_for(held.done.wait(), 20)
        outage.is_away = False

    assert held.stop == "lost"


async def test_a_short_outage_costs_no_lease(world: RunWorld) -> None:
    outage = Outage(world.database)
    async with world.process() as runner:
        run_id, gate = await begin(world, runner)
        held = runner.held(run_id)
        assert held is not None
        outage.is_away = True
        await pass_time(world, 3)
        refused = outage.refused
        outage.is_away = False
        await pass_time(world, 6)
        gate.opened.set()
        await asyncio.wait_for(held.done.wait(), 20)
        row = await world.row(run_id)

    # Asked at second 2, then each half second.
    assert refused == 3
    assert (row.status, row.losses, row.attempt) == ("SUCCEEDED", 0, 1)


async def test_words_said_in_a_short_outage_are_told_when_it_is_over(world: RunWorld) -> None:
    outage, said, gate = Outage(world.database), Gate(), Gate()
    world.model.script([TextDelta("a "), said, TextDelta("b "), gate, *say("c")])
    async with world.process() as runner:
        run_id = await world.accept()
        await runner.execute(run_id)
        held = runner.held(run_id)
        assert held is not None
        await asyncio.wait_for(said.reached.wait(), 20)
        outage.is_away = True
        said.opened.set()
        await until(lambda: outage.refused == 1)
        await pass_time(world, 0.5)
        outage.is_away = False
        gate.opened.set()
        async with asyncio.timeout(20):
            while not held.done.is_set():
                world.clock.move(0.5)
                await asyncio.sleep(0)
        row = await world.row(run_id)

    events = await world.events(run_id)
    assert (row.status, row.output, row.losses, row.attempt) == ("SUCCEEDED", "a b c", 0, 1)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert len(world.model.requests) == 1


async def test_words_of_a_lost_lease_do_not_stop_the_run_that_was_taken_again(
    world: RunWorld,
) -> None:
    said, gate = Gate(), Gate()
    world.model.script([said, TextDelta("late "), Gate()], [gate, *say("done")])
    async with world.process() as runner:
        run_id = await world.accept()
        await runner.execute(run_id)
        await asyncio.wait_for(said.reached.wait(), 20)
        answer = held_back(world.database, "event_head")
        said.opened.set()
        await asyncio.wait_for(answer.reached.wait(), 20)
        first = runner.held(run_id)
        assert first is not None
        runner.lose(first.work)
        await asyncio.wait_for(first.done.wait(), 20)
        await runner.execute(run_id)
        await asyncio.wait_for(gate.reached.wait(), 20)
        runner.lose(first.work)
        second = runner.held(run_id)
        answer.opened.set()
        gate.opened.set()
        assert second is not None
        await asyncio.wait_for(second.done.wait(), 20)
        row = await world.row(run_id)

    assert (first.stop, second.stop) == ("lost", None)
    assert (row.status, row.output, row.losses) == ("SUCCEEDED", "done", 0)
