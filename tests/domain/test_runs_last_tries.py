"""A run that ends its process takes no other along: last tries are made one at a time."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from domain.kernel.database import Database, Statement
from domain.kernel.errors import Unavailable
from domain.runs.lease import LAST_TRY, MOST_LOSSES
from tests.database_faults import Outage
from tests.fakes import Gate, say
from tests.run_world import RunWorld, run_world


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[RunWorld, None]:
    """A world on each database."""
    async with run_world(database) as built:
        yield built


async def lost(world: RunWorld, losses: int) -> str:
    """A run whose worker is gone, after so many others."""
    run_id = await world.accept()
    gone = (
        "UPDATE run SET status = 'RUNNING', losses = $2, lease_owner = 'gone', lease_until = 0,"
        " started_at = $3, due_at = NULL WHERE id = $1"
    )
    values = (run_id, losses - 1, world.clock.now_us())
    await world.database.write([Statement(gone, values)])
    return run_id


async def test_runs_on_their_last_try_are_taken_one_after_the_other(world: RunWorld) -> None:
    gate = Gate()
    world.model.script([gate, *say("first")], say("fresh"), say("second"))
    first, second, fresh = await lost(world, LAST_TRY), await lost(world, LAST_TRY), ""
    async with world.process() as runner:
        await runner.execute(first)
        await asyncio.wait_for(gate.reached.wait(), 20)
        await runner.execute(second)
        waiting = await world.row(second)
        fresh = await world.accept()
        beside = await world.work_off(runner, fresh)
        gate.opened.set()
        held = runner.held(first)
        assert held is not None
        await asyncio.wait_for(held.done.wait(), 20)
        after = await world.work_off(runner, second)

    assert (waiting.losses, waiting.lease_owner) == (LAST_TRY - 1, "gone")
    assert (beside.status, beside.output) == ("SUCCEEDED", "fresh")
    assert (after.status, after.output, after.losses) == ("SUCCEEDED", "second", LAST_TRY)


async def test_of_two_last_tries_that_are_taken_at_once_one_is_handed_back(
    world: RunWorld,
) -> None:
    gates = [Gate(), Gate()]
    world.model.script(*[[gate, *say("done")] for gate in gates])
    runs = [await lost(world, LAST_TRY) for _ in gates]
    async with world.process() as runner:
        await asyncio.gather(*(runner.execute(run_id) for run_id in runs))
        at_work = [run_id for run_id in runs if runner.held(run_id) is not None]
        for gate in gates:
            gate.opened.set()
        async with asyncio.timeout(20):
            for run_id in runs:
                async for _ in world.service(runner).stream(world.principal, run_id):
                    pass
        ends = [await world.row(run_id) for run_id in runs]

    assert len(at_work) == 1
    assert [(row.status, row.losses) for row in ends] == [("SUCCEEDED", LAST_TRY)] * 2


@pytest.mark.parametrize("losses", [LAST_TRY - 1, MOST_LOSSES])
async def test_runs_with_other_losses_need_not_wait(world: RunWorld, losses: int) -> None:
    gate = Gate()
    world.model.script([gate, *say("first")], say("other"))
    first, other = await lost(world, LAST_TRY), await lost(world, losses)
    async with world.process() as runner:
        await runner.execute(first)
        await asyncio.wait_for(gate.reached.wait(), 20)
        row = await world.work_off(runner, other)
        gate.opened.set()

    assert row.status == ("FAILED" if losses == MOST_LOSSES else "SUCCEEDED")
    assert row.error_code == ("WORKER_LOST" if losses == MOST_LOSSES else None)


async def test_a_run_that_waits_for_its_last_try_can_be_cancelled(world: RunWorld) -> None:
    gate = Gate()
    world.model.script([gate, *say("first")])
    first, second = await lost(world, LAST_TRY), await lost(world, LAST_TRY)
    async with world.process() as runner:
        await runner.execute(first)
        await asyncio.wait_for(gate.reached.wait(), 20)
        await world.order_cancel(second)
        row = await world.work_off(runner, second)
        gate.opened.set()

    assert row.status == "CANCELLED"


async def test_a_run_that_cannot_be_taken_in_an_outage_is_taken_after_it(world: RunWorld) -> None:
    world.model.script(say("done"))
    run_id = await world.accept()
    outage = Outage(world.database)
    outage.is_away = True
    async with world.process() as runner:
        await runner.execute(run_id)
        held = runner.held(run_id)
        with pytest.raises(Unavailable):
            await world.accept()
        outage.is_away = False
        row = await world.work_off(runner, run_id)

    assert (held, outage.refused) == (None, 2)
    assert (row.status, row.attempt) == ("SUCCEEDED", 1)
