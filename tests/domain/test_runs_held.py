"""Runs that are held and let go on, from any process, and what meets at the same moment."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

import pytest

from domain.kernel.database import Database
from domain.kernel.errors import Conflict, Forbidden, NotFound
from domain.models.ports import TextDelta
from tests.fakes import Gate, call, say
from tests.run_world import STRANGER, RunWorld, run_world


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[RunWorld, None]:
    """A world on each database."""
    async with run_world(database) as built:
        yield built


async def changes(world: RunWorld, run_id: str) -> list[tuple[str, str, str | None]]:
    """The changes of state that were told, and why."""
    return [
        (event.data["previousStatus"], event.data["status"], event.data["reason"])
        for event in await world.events(run_id)
        if event.type == "RunStateChanged"
    ]


async def open_orders(world: RunWorld) -> int:
    """How many orders nobody has taken."""
    sql = "SELECT count(*) FROM run_order WHERE taken_at IS NULL"
    return (await world.database.fetch(sql))[0][0]


async def test_a_run_is_held_after_its_step_and_goes_on_in_another_process(
    world: RunWorld,
) -> None:
    gate = Gate()
    world.model.script([gate, *call("pay", '{"amount": 5}')], say("done"))
    async with world.process() as first, world.process() as door:
        run_id = await world.accept()
        await first.execute(run_id)
        await gate.reached.wait()
        held = first.held(run_id)
        assert held is not None

        ordered = await world.service(door).pause(world.principal, run_id, "lunch")
        assert (ordered.row.status, ordered.replayed) == ("RUNNING", False)
        gate.opened.set()
        await held.done.wait()
        paused = await world.row(run_id)
        assert (paused.status, paused.status_reason, paused.lease_owner) == (
            "PAUSED",
            "lunch",
            None,
        )
        assert world.effects.done == []

        resumed = await world.service(door).resume(world.principal, run_id)
        row = await world.work_off(door, run_id)

    assert (resumed.replayed, row.status, row.output, row.losses) == (False, "SUCCEEDED", "done", 0)
    assert world.effects.done == ["pay 5"]
    assert await changes(world, run_id) == [
        ("RUNNING", "PAUSED", "lunch"),
        ("PAUSED", "RUNNING", None),
    ]


async def test_a_run_in_the_queue_is_held_at_once(world: RunWorld) -> None:
    run_id = await world.accept()
    async with world.process() as runner:
        done = await world.service(runner).pause(world.principal, run_id, None)

    assert (done.row.status, done.row.due_at, done.replayed) == ("PAUSED", None, False)
    assert await world.steps(run_id) == []
    assert await world.office().forgotten(10) == []


async def test_what_is_held_or_at_work_already_is_answered_as_done(world: RunWorld) -> None:
    run_id = await world.accept()
    world.model.script(say("done"))
    async with world.process() as runner:
        service = world.service(runner)
        assert (await service.resume(world.principal, run_id)).replayed is True
        await service.pause(world.principal, run_id, None)

        again = await service.pause(world.principal, run_id, "again")
        first = await service.resume(world.principal, run_id)
        second = await service.resume(world.principal, run_id)
        row = await world.work_off(runner, run_id)

    assert (again.replayed, again.row.status, again.row.status_reason) == (True, "PAUSED", None)
    assert (first.replayed, second.replayed) == (False, True)
    assert row.status == "SUCCEEDED"
    sql = "SELECT action FROM audit WHERE target_id = $1 ORDER BY seq"
    lines = await world.database.fetch(sql, run_id)
    assert [line[0] for line in lines] == ["run.started", "run.paused", "run.resumed"]


async def test_an_order_that_is_taken_back_before_the_step_ends_holds_nothing(
    world: RunWorld,
) -> None:
    gate = Gate()
    world.model.script([gate, *call("note", '{"text": "a"}')], say("done"))
    async with world.process() as runner, world.process() as door:
        run_id = await world.accept()
        await runner.execute(run_id)
        await gate.reached.wait()
        held = runner.held(run_id)
        assert held is not None
        service = world.service(door)
        await service.pause(world.principal, run_id, None)

        await service.resume(world.principal, run_id)
        gate.opened.set()
        await held.done.wait()

    assert (await world.row(run_id)).status == "SUCCEEDED"
    assert await changes(world, run_id) == []


async def test_an_order_that_is_taken_back_behind_the_workers_back_leaves_no_gap(
    world: RunWorld,
) -> None:
    gate = Gate()
    world.model.script([gate, TextDelta("thinking"), *call("note", '{"text": "a"}')], say("done"))
    async with world.process() as runner:
        run_id = await world.accept()
        await runner.execute(run_id)
        await gate.reached.wait()
        held = runner.held(run_id)
        assert held is not None
        await world.service(None).pause(world.principal, run_id, None)
        await world.database.fetch("SELECT 1")
        sql = "UPDATE run_order SET taken_at = 1 WHERE run_id = $1 RETURNING id"
        async with world.database.transaction() as tx:
            assert len(await tx.fetch(sql, run_id)) == 1

        gate.opened.set()
        await held.done.wait()

    assert (await world.row(run_id)).status == "SUCCEEDED"
    events = await world.events(run_id)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert "RunStateChanged" not in [event.type for event in events]


async def test_time_on_hold_is_no_time_at_work(world: RunWorld) -> None:
    world.model.script(say("done"))
    async with world.process() as runner:
        run_id = await world.accept(limits={"maxSeconds": 60})
        service = world.service(runner)
        await service.pause(world.principal, run_id, None)
        world.clock.move(3600)

        await service.resume(world.principal, run_id)
        row = await world.work_off(runner, run_id)

    assert (row.status, row.waited_us) == ("SUCCEEDED", 3_600_000_000)


async def test_a_held_run_can_be_cancelled(world: RunWorld) -> None:
    run_id = await world.accept()
    async with world.process() as runner:
        service = world.service(runner)
        await service.pause(world.principal, run_id, None)

        row = await service.cancel(world.principal, run_id, "enough")

    assert (row.status, row.status_reason, row.waits_for) == ("CANCELLED", "enough", None)
    assert await open_orders(world) == 0


async def test_a_run_that_ends_before_its_next_step_is_not_held(world: RunWorld) -> None:
    gate = Gate()
    world.model.script([gate, *say("done")])
    async with world.process() as runner:
        run_id = await world.accept()
        await runner.execute(run_id)
        await gate.reached.wait()
        held = runner.held(run_id)
        assert held is not None
        await world.service(runner).pause(world.principal, run_id, None)
        gate.opened.set()
        await held.done.wait()

    assert (await world.row(run_id)).status == "SUCCEEDED"
    assert await open_orders(world) == 0


async def test_pauses_and_ends_that_meet_leave_no_run_between(world: RunWorld) -> None:
    world.model.script(*[say("done") for _ in range(12)])
    async with world.process(runs=12) as runner, world.process() as door:
        ids = [await world.accept() for _ in range(12)]

        async def pause(run_id: str) -> None:
            try:
                await world.service(door).pause(world.principal, run_id, None)
            except Conflict:
                return
            with suppress(Conflict):
                await world.service(door).resume(world.principal, run_id)

        async with asyncio.timeout(60):
            await asyncio.gather(
                *(runner.execute(run_id) for run_id in ids), *(pause(run_id) for run_id in ids)
            )
            for run_id in ids:
                while (await world.row(run_id)).finished_at is None:
                    await world.work_off(runner, run_id)
                    await world.work_off(door, run_id)

    assert {(await world.row(run_id)).status for run_id in ids} == {"SUCCEEDED"}
    assert await open_orders(world) == 0


@pytest.mark.parametrize("deed", ["pause", "resume"])
async def test_an_ended_run_is_neither_held_nor_let_go_on(world: RunWorld, deed: str) -> None:
    world.model.script(say("done"))
    async with world.process() as runner:
        row = await world.work_off(runner, await world.accept())
        service = world.service(runner)
        orders = {
            "pause": lambda: service.pause(world.principal, row.id, None),
            "resume": lambda: service.resume(world.principal, row.id),
        }

        with pytest.raises(Conflict, match="has ended as SUCCEEDED") as caught:
            await orders[deed]()

    assert caught.value.path == ("runId",)
    assert await world.database.fetch("SELECT count(*) FROM run_order") == [(0,)]


async def test_a_run_that_is_being_stopped_is_not_held(world: RunWorld) -> None:
    run_id = await world.accept()
    await world.order_cancel(run_id)

    with pytest.raises(Conflict, match="being stopped"):
        await world.service(None).pause(world.principal, run_id, None)

    assert (await world.service(None).by_ids(world.principal, [run_id]))[run_id].status == (
        "CANCELLING"
    )


async def test_others_runs_are_not_held(world: RunWorld) -> None:
    run_id = await world.accept()
    service = world.service(None)

    with pytest.raises(Forbidden):
        await service.pause(world.reader, run_id, None)
    with pytest.raises(Forbidden):
        await service.resume(world.reader, run_id)
    with pytest.raises(NotFound):
        await service.pause(STRANGER, run_id, None)
    with pytest.raises(NotFound):
        await service.resume(STRANGER, run_id)

    assert await open_orders(world) == 0
