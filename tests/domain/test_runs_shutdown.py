"""A process that stops: what it was taking up at that moment is handed back as well."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from domain.kernel.database import Database
from tests.database_faults import held_back
from tests.fakes import Gate, call, say
from tests.run_world import RunWorld, run_world

ASKED = {"agent": {"slug": "default"}, "instruction": "do it", "waitSeconds": 60}


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[RunWorld, None]:
    """A world on each database."""
    async with run_world(database) as built:
        yield built


async def turns(count: int = 20) -> None:
    """Let everything that could go on go on."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_stop_waits_for_a_claim_in_flight_and_hands_the_run_back(world: RunWorld) -> None:
    run_id = await world.accept()
    gate = held_back(world.database, "fence = fence + 1")
    async with world.process() as runner:
        hint = asyncio.create_task(runner.execute(run_id))
        await gate.reached.wait()

        draining = asyncio.create_task(runner.drain())
        await turns()
        was_done_early = draining.done()
        gate.opened.set()
        await asyncio.wait_for(asyncio.gather(draining, hint), 20)
        row = await world.row(run_id)

    assert not was_done_early
    assert (row.status, row.lease_owner, row.losses) == ("RUNNING", None, 0)
    assert row.due_at is not None
    assert world.model.requests == []


async def test_a_stop_waits_for_a_run_that_begins_for_a_caller_and_hands_it_back(
    world: RunWorld,
) -> None:
    gate = held_back(world.database, "INSERT INTO run ")
    async with world.process() as runner:
        service = world.service(runner)
        caller = asyncio.create_task(service.execute(world.principal, ASKED))
        await gate.reached.wait()

        draining = asyncio.create_task(runner.drain())
        await turns()
        was_done_early = draining.done()
        gate.opened.set()
        await asyncio.wait_for(draining, 20)
        caller.cancel()
        await asyncio.wait([caller])
    rows = await world.database.fetch("SELECT status, lease_owner, due_at IS NULL FROM run")

    assert not was_done_early
    assert [(status, owner, bool(gone)) for status, owner, gone in rows] == [
        ("RUNNING", None, False)
    ]
    assert world.model.requests == []


async def test_a_caller_that_goes_away_while_its_run_begins_leaves_it_at_work(
    world: RunWorld,
) -> None:
    gate = held_back(world.database, "INSERT INTO run ")
    asked = Gate()
    world.model.script([asked])
    async with world.process() as runner:
        service = world.service(runner)
        caller = asyncio.create_task(service.execute(world.principal, ASKED))
        await gate.reached.wait()
        caller.cancel()
        await asyncio.wait([caller])
        gate.opened.set()
        await asyncio.wait_for(asked.reached.wait(), 20)
    rows = await world.database.fetch("SELECT status, lease_owner FROM run")

    assert caller.cancelled()
    assert rows == [("RUNNING", None)]


async def test_a_process_that_stopped_takes_nothing_new(world: RunWorld) -> None:
    async with world.process() as runner:
        await runner.drain()
        service = world.service(runner)
        run_id = await world.accept()

        await runner.execute(run_id)
        caller = await service.execute(world.principal, {**ASKED, "waitSeconds": 1})
    rows = await world.database.fetch("SELECT id, status, lease_owner FROM run ORDER BY id")

    assert rows == [(run_id, "QUEUED", None), (caller.row.id, "QUEUED", None)]
    assert [ident for _, ident in world.queue.hints] == [run_id, caller.row.id]


async def test_a_stop_lets_tools_at_work_end_and_another_process_goes_on(world: RunWorld) -> None:
    inside = Gate()
    world.effects.gate = inside
    world.model.script(call("pay", '{"amount": 5}'), say("done"))
    async with world.process() as first, world.process() as second:
        run_id = await world.accept()
        await first.execute(run_id)
        await inside.reached.wait()

        draining = asyncio.create_task(first.drain())
        await turns()
        inside.opened.set()
        await asyncio.wait_for(draining, 20)
        handed_back = await world.row(run_id)
        row = await world.work_off(second, run_id)

    assert (handed_back.status, handed_back.lease_owner) == ("RUNNING", None)
    assert (row.status, row.output, row.attempt) == ("SUCCEEDED", "done", 1)
    assert world.effects.done == ["pay 5"]
    assert [(step.name, step.status) for step in await world.steps(run_id)] == [
        ("m1", "SUCCEEDED"),
        ("pay", "SUCCEEDED"),
        ("m1", "SUCCEEDED"),
    ]


async def test_a_stop_gives_a_tool_up_that_takes_too_long(world: RunWorld) -> None:
    inside = Gate()
    world.effects.gate = inside
    world.model.script(call("pay", '{"amount": 5}'), say("so"))
    async with world.process() as first, world.process() as second:
        run_id = await world.accept()
        await first.execute(run_id)
        await inside.reached.wait()

        await asyncio.wait_for(first.drain(), 20)
        row = await world.work_off(second, run_id)

    assert (row.status, world.effects.done) == ("SUCCEEDED", ["pay 5"])
    assert "unknown" in world.model.requests[1].messages[-1].content
