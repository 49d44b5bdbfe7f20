"""Delegations whose worker is lost at any moment: no child comes twice, and none is lost."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from domain.kernel.database import Database, Statement
from domain.models.ports import TextDelta
from domain.runs.runner import Runner
from tests.domain.delegation_world import Family, ask, delegate
from tests.fakes import Gate, call, say
from tests.run_world import LEASE_S, run_world


@pytest.fixture
async def family(database: Database) -> AsyncGenerator[Family, None]:
    """A family on each database, of a boss who asks a writer."""
    async with run_world(database) as world:
        built = Family(world=world)
        await built.agent("writer")
        await built.agent("boss", asks=["writer"])
        yield built


async def lose(family: Family, run_id: str) -> None:
    """Let the lease of a run run out, by whichever clock the database goes."""
    family.world.clock.move(LEASE_S + 1)
    sql = "UPDATE run SET lease_until = 1 WHERE id = $1"
    await family.world.database.write([Statement(sql, (run_id,))])


async def begin(family: Family, runner: Runner, gate: Gate) -> str:
    """Have a process work on a run of the boss until the gate."""
    run_id = await family.accept("boss")
    await runner.execute(run_id)
    async with asyncio.timeout(20):
        await gate.reached.wait()
    return run_id


async def finish(family: Family, runner: Runner, run_id: str) -> None:
    """Work off a run and its one child, in the order in which they are due."""
    await family.world.work_off(runner, run_id)
    for child in await family.children(run_id):
        await family.world.work_off(runner, child.id)
    await family.world.work_off(runner, run_id)


async def test_a_worker_lost_before_the_commit_begins_nothing(family: Family) -> None:
    gate, world = Gate(), family.world
    boss, writer = family.models["boss"], family.models["writer"]
    boss.script([TextDelta("I will"), gate], delegate(ask("writer")), say("done"))
    writer.script(say("poem"))
    async with world.process(stalled=True) as lost, world.process() as second:
        run_id = await begin(family, lost, gate)
        await lose(family, run_id)

        await finish(family, second, run_id)

    assert (await world.row(run_id)).output == "done"
    assert len(await family.children(run_id)) == 1
    assert len(writer.requests) == 1


async def test_a_worker_lost_beside_a_running_child_finds_it_again(family: Family) -> None:
    gate, world = Gate(), family.world
    boss, writer = family.models["boss"], family.models["writer"]
    both = [*call("note", '{"text": "a"}', ident="call_0")[:1], *delegate(ask("writer"))]
    boss.script(both, say("done"))
    writer.script(say("poem"))
    world.effects.gate = gate
    async with world.process(stalled=True) as lost, world.process() as second:
        run_id = await begin(family, lost, gate)
        [child] = await family.children(run_id)
        await world.work_off(second, child.id)
        world.effects.gate = None
        await lose(family, run_id)

        await world.work_off(second, run_id)

    assert (await world.row(run_id)).output == "done"
    assert [row.id for row in await family.children(run_id)] == [child.id]
    assert len(writer.requests) == 1


async def test_a_worker_lost_after_the_result_reads_it_and_asks_nobody_again(
    family: Family,
) -> None:
    gate, world = Gate(), family.world
    boss, writer = family.models["boss"], family.models["writer"]
    boss.script(delegate(ask("writer")), [TextDelta("So"), gate], say("done"))
    writer.script(say("poem", tokens=4))
    async with world.process(stalled=True) as lost, world.process() as second:
        run_id = await family.accept("boss")
        await world.work_off(lost, run_id)
        [child] = await family.children(run_id)
        await world.work_off(second, child.id)
        await lost.execute(run_id)
        async with asyncio.timeout(20):
            await gate.reached.wait()
        await lose(family, run_id)

        row = await world.work_off(second, run_id)

    ended = (await world.events(run_id))[-1]
    told = [message.content for message in boss.requests[2].messages if message.role == "tool"]
    assert (row.output, len(writer.requests), len(told)) == ("done", 1, 1)
    assert '"output":"poem"' in told[0]
    assert ended.data["usage"]["outputTokens"] == row.output_tokens + 4
    finished = [e for e in await world.events(run_id) if e.type == "DelegationFinished"]
    assert len(finished) == 1


async def test_a_late_write_of_a_lost_worker_begins_no_child(family: Family) -> None:
    gate, world = Gate(), family.world
    boss, writer = family.models["boss"], family.models["writer"]
    boss.script([gate, *delegate(ask("writer"))], delegate(ask("writer")), say("done"))
    writer.script(say("poem"))
    async with world.process(stalled=True) as stale, world.process() as second:
        run_id = await begin(family, stale, gate)
        held = stale.held(run_id)
        assert held is not None
        await lose(family, run_id)
        await world.work_off(second, run_id)
        before = [row.id for row in await family.children(run_id)]

        gate.opened.set()
        async with asyncio.timeout(20):
            await held.done.wait()

        assert [row.id for row in await family.children(run_id)] == before
        await finish(family, second, run_id)
    assert (await world.row(run_id)).output == "done"


async def test_a_parent_is_due_though_every_hint_is_lost(family: Family) -> None:
    world, writer = family.world, family.models["writer"]
    family.models["boss"].script(delegate(ask("writer")), say("done"))
    writer.script(say("poem"))
    async with world.process() as runner:
        run_id = await family.accept("boss")
        await world.work_off(runner, run_id)
        [child] = await family.children(run_id)
        assert await world.office().due(10) == [child.id]
        await world.work_off(runner, child.id)
        world.queue.hints.clear()

        assert await world.office().due(10) == [run_id]
        assert (await world.work_off(runner, run_id)).output == "done"
        assert await world.office().due(10) == []


async def test_hints_that_come_often_take_up_a_waiting_parent_never(family: Family) -> None:
    world = family.world
    family.models["boss"].script(delegate(ask("writer")), say("done"))
    family.models["writer"].script(say("poem"))
    async with world.process() as runner, world.process() as other:
        run_id = await family.accept("boss")
        await world.work_off(runner, run_id)
        fence = (await world.row(run_id)).fence

        for each in (runner, other) * 3:
            await each.execute(run_id)

        assert (await world.row(run_id)).fence == fence
        await finish(family, other, run_id)
    assert len(await family.children(run_id)) == 1


async def test_a_child_that_ends_while_its_parent_parks_is_not_missed(family: Family) -> None:
    gate, world = Gate(), family.world
    both = [*call("note", '{"text": "a"}', ident="call_0")[:1], *delegate(ask("writer"))]
    family.models["boss"].script(both, say("done"))
    family.models["writer"].script(say("poem"))
    world.effects.gate = gate
    async with world.process() as runner:
        run_id = await begin(family, runner, gate)
        [child] = await family.children(run_id)
        held = runner.held(run_id)
        assert held is not None
        # Its parent still holds its lease, so the child's end finds nobody to wake.
        await world.work_off(runner, child.id)

        gate.opened.set()
        async with asyncio.timeout(20):
            await held.done.wait()
        row = await family.end_of(run_id)

    assert (row.status, row.output) == ("SUCCEEDED", "done")
