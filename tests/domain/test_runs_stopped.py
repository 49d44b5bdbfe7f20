"""Runs that are stopped with all runs below them, and what is shown until they have stopped."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from domain.kernel.database import Database, Statement
from domain.kernel.paging import PageRequest
from domain.models.ports import TextDelta
from domain.runs.parking import wake_statements
from domain.runs.queries import RunFilter, RunOrder
from domain.runs.state import WaitsFor
from tests.domain.test_runs_parking import AskingGate
from tests.fakes import Gate, call, say
from tests.run_world import RunWorld, run_world


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[RunWorld, None]:
    """A world on each database."""
    async with run_world(database) as built:
        yield built


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is there who would stop a run while its caller waits."""
    monkeypatch.setattr("domain.runs.control.CANCEL_WAIT_S", 0.01)


async def below(world: RunWorld, parent_id: str) -> str:
    """A run in the queue that belongs to another."""
    run_id = await world.accept()
    sql = (
        "UPDATE run SET parent_run_id = $2, root_run_id = $2, parent_call_id = $1, depth = 1"
        " WHERE id = $1"
    )
    await world.database.write([Statement(sql, (run_id, parent_id))])
    return run_id


async def shown(world: RunWorld, *statuses: str) -> list[str]:
    """The runs that a list of these states holds, oldest first, as they are shown."""
    page = PageRequest.of(first=20)
    narrowing = RunFilter(statuses=statuses)
    found = await world.service(None).runs(
        world.principal, narrowing, RunOrder.CREATED_AT_ASC, page
    )
    return [f"{row.id} {row.status}" for row in found.items]


async def test_one_of_three_is_stopped_with_all_below_it_and_the_others_go_on(
    world: RunWorld,
) -> None:
    gates = [Gate(), Gate(), Gate()]
    world.model.script(*[[TextDelta(f"so far {n}"), gate] for n, gate in enumerate(gates)])
    world.model.scripts[0] = [*world.model.scripts[0], *say("!")]
    world.model.scripts[2] = [*world.model.scripts[2], *say("!")]
    async with world.process() as worker, world.process() as door:
        ids = [await world.accept() for _ in range(3)]
        for run_id, gate in zip(ids, gates, strict=True):
            await worker.execute(run_id)
            await gate.reached.wait()
        child = await below(world, ids[1])
        grandchild, other = await below(world, child), await below(world, ids[0])
        world.queue.hints.clear()

        row = await world.service(door).cancel(world.principal, ids[1], "enough")
        for run_id in (child, grandchild):
            assert ("runs.execute", run_id) in world.queue.hints
            await world.work_off(door, run_id)
        for gate in (gates[0], gates[2]):
            gate.opened.set()
        for run_id in (ids[0], ids[2]):
            held = worker.held(run_id)
            if held is not None:
                await held.done.wait()

    assert (row.status, row.status_reason, row.output) == ("CANCELLED", "enough", "so far 1")
    for run_id in (child, grandchild):
        ended = await world.row(run_id)
        assert (ended.status, ended.status_reason) == ("CANCELLED", "enough")
    for run_id, words in ((ids[0], "so far 0!"), (ids[2], "so far 2!")):
        ended = await world.row(run_id)
        assert (ended.status, ended.output) == ("SUCCEEDED", words)
    assert (await world.row(other)).status == "QUEUED"


async def test_a_run_that_waits_for_a_person_stops_at_once(world: RunWorld) -> None:
    world.gate = AskingGate()
    world.model.script(call("pay", '{"amount": 5}'))
    async with world.process() as worker, world.process() as door:
        parked = await world.work_off(worker, await world.accept())
        assert parked.status == "WAITING_APPROVAL"

        row = await world.service(door).cancel(world.principal, parked.id, None)

    assert (row.status, row.waits_for, row.due_at) == ("CANCELLED", None, None)
    assert [step.status for step in await world.steps(row.id)] == ["SUCCEEDED", "CANCELLED"]
    assert world.effects.done == []


async def test_a_stop_and_an_answer_that_meet_end_the_run_or_do_the_call_once(
    world: RunWorld,
) -> None:
    world.gate = AskingGate()
    count = 8
    world.model.script(*[call("pay", '{"amount": 5}') for _ in range(count)])
    world.model.script(*[say("paid") for _ in range(count)])
    async with world.process(runs=count) as worker, world.process(runs=count) as door:
        ids = [await world.accept() for _ in range(count)]
        for run_id in ids:
            await world.work_off(worker, run_id)
        world.gate.is_open = True

        async def answer(run_id: str) -> None:
            now_us = world.clock.now_us()
            woken = wake_statements(world.database, run_id, now_us=now_us, waits_for=WaitsFor.CALLS)
            await world.database.write(woken)
            await world.work_off(worker, run_id)

        async def stop(run_id: str) -> None:
            await world.service(door).cancel(world.principal, run_id, None)

        async with asyncio.timeout(60):
            done = await asyncio.gather(
                *(answer(run_id) for run_id in ids),
                *(stop(run_id) for run_id in ids),
                return_exceptions=True,
            )

    rows = [await world.row(run_id) for run_id in ids]
    assert {row.status for row in rows} <= {"CANCELLED", "SUCCEEDED"}
    assert len(world.effects.done) <= count
    assert len([row for row in rows if row.status == "SUCCEEDED"]) <= len(world.effects.done)
    assert all(found is None or "has ended as SUCCEEDED" in str(found) for found in done)


@pytest.mark.usefixtures("unhurried")
async def test_a_second_order_to_stop_is_answered_as_done(world: RunWorld) -> None:
    run_id = await world.accept()
    waiting = await world.service(None).stop(world.principal, run_id, "enough")
    again = await world.service(None).stop(world.principal, run_id, "really")
    async with world.process() as runner:
        await world.work_off(runner, run_id)
        ended = await world.service(runner).stop(world.principal, run_id, "at last")

    assert [done.replayed for done in (waiting, again, ended)] == [False, True, True]
    assert [done.row.status for done in (waiting, again)] == ["CANCELLING", "CANCELLING"]
    assert (ended.row.status, ended.row.status_reason) == ("CANCELLED", "enough")
    sql = "SELECT count(*) FROM audit WHERE action = 'run.cancelled'"
    assert await world.database.fetch(sql) == [(1,)]


@pytest.mark.usefixtures("unhurried")
async def test_lists_tell_who_is_being_stopped(world: RunWorld) -> None:
    first, second = await world.accept(), await world.accept()
    await world.service(None).stop(world.principal, first, None)

    assert await shown(world, "QUEUED") == [f"{second} QUEUED"]
    assert await shown(world, "CANCELLING") == [f"{first} CANCELLING"]
    assert await shown(world, "QUEUED", "CANCELLING") == [
        f"{first} CANCELLING",
        f"{second} QUEUED",
    ]
    assert await shown(world, "SUCCEEDED") == []


@pytest.mark.usefixtures("unhurried")
async def test_a_worker_whose_hint_was_lost_finds_the_run_that_is_to_stop(world: RunWorld) -> None:
    world.gate = AskingGate()
    world.model.script(call("pay", '{"amount": 5}'))
    async with world.process() as worker:
        parked = await world.work_off(worker, await world.accept())
        assert await world.office().due(10) == []

        await world.service(None).stop(world.principal, parked.id, None)

        assert await world.office().due(10) == [parked.id]
