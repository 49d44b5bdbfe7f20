"""Runs that wait: parked without lease and slot, woken by what they wait for, never twice."""

from collections.abc import AsyncGenerator, Sequence

import pytest

from domain.kernel.database import Database, Statement
from domain.runs.context import Turn
from domain.runs.parking import wake_statements
from domain.runs.rows import RunRow
from domain.runs.rulings import Next, Ruling
from domain.runs.state import WaitsFor
from domain.runs.steps import StepStart
from domain.runs.work import Work
from tests.database_faults import held_back
from tests.fakes import Gate, call, say
from tests.run_world import LEASE_S, RunWorld, run_world


class AskingGate:
    """Asks about calls of `pay` until the test lets them go ahead."""

    def __init__(self) -> None:
        self.is_open = False

    async def rule(self, work: Work, turn: Turn, starts: Sequence[StepStart]) -> list[Ruling]:
        """Let `pay` wait."""
        del work, turn
        return [
            Ruling(next=Next.WAIT, start=start, is_asked=True, statements=[_waiting(start.id)])
            if start.name == "pay" and not self.is_open
            else Ruling(next=Next.RUN, start=start)
            for start in starts
        ]


def _waiting(step_id: str) -> Statement:
    return Statement("UPDATE run_step SET status = 'WAITING_APPROVAL' WHERE id = $1", (step_id,))


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[RunWorld, None]:
    """A world on each database."""
    async with run_world(database) as built:
        yield built


async def order(world: RunWorld, run_id: str, kind: str) -> None:
    """Leave an order and tell nobody."""
    sql = (
        "INSERT INTO run_order (id, workspace_id, run_id, kind, reason, created_by, created_at)"
        " VALUES ($1, $2, $3, $4, 'lunch', 'tester', $5)"
    )
    values = (world.ids(), world.principal.workspace_id, run_id, kind, world.clock.now_us())
    await world.database.write([Statement(sql, values)])


async def wake(world: RunWorld, run_id: str, waits_for: WaitsFor) -> None:
    """End the wait of a run."""
    now_us = world.clock.now_us()
    woken = wake_statements(world.database, run_id, now_us=now_us, waits_for=waits_for)
    await world.database.write(woken)


def place(row: RunRow) -> tuple[object, ...]:
    """Where a run stands: its state, what it waits for, who holds it, when it is due."""
    return (row.status, row.waits_for, row.lease_owner, row.due_at)


async def changes(world: RunWorld, run_id: str) -> list[tuple[str, str]]:
    """The changes of state that were told."""
    return [
        (event.data["previousStatus"], event.data["status"])
        for event in await world.events(run_id)
        if event.type == "RunStateChanged"
    ]


async def test_a_run_parks_while_a_call_waits_and_goes_on_in_another_process(
    world: RunWorld,
) -> None:
    world.gate = AskingGate()
    world.model.script(call("pay", '{"amount": 5}'), say("done"))
    async with world.process() as first:
        parked = await world.work_off(first, run_id := await world.accept())
    assert place(parked) == ("WAITING_APPROVAL", "calls", None, None)
    assert world.effects.done == []

    world.gate.is_open = True
    await wake(world, run_id, WaitsFor.CALLS)
    async with world.process() as second:
        row = await world.work_off(second, run_id)

    assert (row.status, row.output, row.attempt, row.losses) == ("SUCCEEDED", "done", 1, 0)
    assert place(row) == ("SUCCEEDED", None, None, None)
    assert world.effects.done == ["pay 5"]
    assert await changes(world, run_id) == [
        ("RUNNING", "WAITING_APPROVAL"),
        ("WAITING_APPROVAL", "RUNNING"),
    ]


async def test_calls_beside_a_waiting_one_run_at_once_and_only_once(world: RunWorld) -> None:
    world.gate = AskingGate()
    both = [*call("note", '{"text": "a"}')[:1], *call("pay", '{"amount": 5}', ident="call_2")]
    world.model.script(both, say("done"))
    async with world.process() as runner:
        parked = await world.work_off(runner, run_id := await world.accept())
        assert parked.status == "WAITING_APPROVAL"
        assert world.effects.done == ["note a"]

        world.gate.is_open = True
        await wake(world, run_id, WaitsFor.CALLS)
        row = await world.work_off(runner, run_id)

    assert row.status == "SUCCEEDED"
    assert world.effects.done == ["note a", "pay 5"]
    results = [message.content for message in world.model.requests[1].messages[-2:]]
    assert results == ["noted a", "paid 5"]


async def test_hints_to_a_parked_run_do_nothing(world: RunWorld) -> None:
    world.gate = AskingGate()
    world.model.script(call("pay", '{"amount": 5}'))
    async with world.process() as runner:
        parked = await world.work_off(runner, run_id := await world.accept())

        for _ in range(5):
            await runner.execute(run_id)

        assert runner.held(run_id) is None
        assert (await world.row(run_id)).fence == parked.fence


async def test_a_pause_holds_a_run_before_its_calls_begin(world: RunWorld) -> None:
    gate = Gate()
    world.model.script([gate, *call("pay", '{"amount": 5}')], say("done"))
    async with world.process() as runner:
        run_id = await world.accept()
        await runner.execute(run_id)
        await gate.reached.wait()
        await order(world, run_id, "pause")
        world.clock.move(1.1)
        held = runner.held(run_id)
        assert held is not None
        while held.work.pause is None:
            await world.database.fetch("SELECT 1")
        gate.opened.set()
        await held.done.wait()
        paused = await world.row(run_id)
        assert place(paused) == ("PAUSED", "pause", None, None)
        assert (paused.status_reason, world.effects.done) == ("lunch", [])

        world.clock.move(10_000)
        await wake(world, run_id, WaitsFor.PAUSE)
        row = await world.work_off(runner, run_id)

    assert (row.status, row.status_reason, row.waited_us) == ("SUCCEEDED", None, 10_000_000_000)
    assert world.effects.done == ["pay 5"]
    assert [step.position for step in await world.steps(run_id)] == [1, 2, 3]


async def test_a_run_that_waits_for_a_call_can_be_held_and_waits_on(world: RunWorld) -> None:
    world.gate = AskingGate()
    world.model.script(call("pay", '{"amount": 5}'), say("done"))
    async with world.process() as runner:
        await world.work_off(runner, run_id := await world.accept())
        await order(world, run_id, "pause")

        paused = await world.work_off(runner, run_id)
        assert place(paused) == ("PAUSED", "pause", None, None)
        await wake(world, run_id, WaitsFor.PAUSE)
        waiting = await world.work_off(runner, run_id)
        assert place(waiting) == ("WAITING_APPROVAL", "calls", None, None)

        world.gate.is_open = True
        await wake(world, run_id, WaitsFor.CALLS)
        row = await world.work_off(runner, run_id)

    assert (row.status, world.effects.done) == ("SUCCEEDED", ["pay 5"])
    assert await changes(world, run_id) == [
        ("RUNNING", "WAITING_APPROVAL"),
        ("WAITING_APPROVAL", "PAUSED"),
        ("PAUSED", "WAITING_APPROVAL"),
        ("WAITING_APPROVAL", "RUNNING"),
    ]


async def test_a_run_in_the_queue_is_held_by_an_order(world: RunWorld) -> None:
    run_id = await world.accept()
    await order(world, run_id, "pause")

    async with world.process() as runner:
        row = await world.work_off(runner, run_id)

    assert place(row) == ("PAUSED", "pause", None, None)
    assert await world.steps(run_id) == []


async def test_what_ends_a_wait_before_the_run_parks_is_seen_by_the_park(world: RunWorld) -> None:
    world.gate = AskingGate()
    gate = Gate()
    world.model.script([gate, *call("pay", '{"amount": 5}')])
    async with world.process() as runner:
        run_id = await world.accept()
        await runner.execute(run_id)
        await gate.reached.wait()
        held = runner.held(run_id)
        assert held is not None

        await order(world, run_id, "cancel")
        gate.opened.set()
        await held.done.wait()
        while (again := runner.held(run_id)) is None and (
            await world.row(run_id)
        ).status == "WAITING_APPROVAL":
            await world.database.fetch("SELECT 1")
        if again is not None:
            await again.done.wait()

    assert (await world.row(run_id)).status == "CANCELLED"
    assert [step.status for step in await world.steps(run_id)] == ["SUCCEEDED", "CANCELLED"]


async def test_a_hint_that_meets_the_run_on_its_way_out_is_not_lost(world: RunWorld) -> None:
    gate = world.gate = AskingGate()
    world.model.script(call("pay", '{"amount": 5}'), say("done"))
    parking = held_back(world.database, "lease_owner = NULL, lease_until = NULL\nWHERE id = $1\n")
    async with world.process() as runner:
        run_id = await world.accept()
        await runner.execute(run_id)
        await parking.reached.wait()
        gate.is_open = True
        await wake(world, run_id, WaitsFor.CALLS)

        await runner.execute(run_id)
        parking.opened.set()
        await world.service(runner).wait_end(world.principal, run_id, 20)

    row = await world.row(run_id)
    assert (row.status, row.output, world.effects.done) == ("SUCCEEDED", "done", ["pay 5"])


async def test_a_parked_run_loses_no_worker(world: RunWorld) -> None:
    world.gate = AskingGate()
    world.model.script(call("pay", '{"amount": 5}'))
    async with world.process() as runner:
        await world.work_off(runner, await world.accept())

    world.clock.move(LEASE_S * 10)

    assert await world.office().forgotten(10) == []
