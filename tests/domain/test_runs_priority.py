"""Who goes next: the most urgent of all that are due, wherever their hints went."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from functools import partial

import pytest

from domain.kernel.database import Database, Row, Statement
from domain.runs.endings import EndWrites, RunEnd
from domain.runs.work import Work
from tests.domain.task_world import obey_clock
from tests.fakes import Gate, say
from tests.run_world import RunWorld, run_world


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[RunWorld, None]:
    """A world on each database."""
    obey_clock(database)
    async with run_world(database) as built:
        yield built


@dataclass(frozen=True, slots=True)
class Ends:
    """Part of the end of every run that says so to the test."""

    ended: asyncio.Queue[str] = field(default_factory=asyncio.Queue[str])

    def at_end(self, work: Work, end: RunEnd, now_us: int) -> EndWrites:
        del end, now_us
        committed = partial(self.ended.put_nowait, work.run_id)
        return EndWrites(statements=[], drafts=[], committed=committed)

    async def next(self, count: int = 1) -> list[str]:
        """Wait for the ends of so many runs."""
        async with asyncio.timeout(20):
            return [await self.ended.get() for _ in range(count)]


@pytest.fixture
def ends(world: RunWorld) -> Ends:
    """What tells of the ends of runs."""
    ends = Ends()
    world.endings.append(ends)
    return ends


async def order_of(world: RunWorld) -> list[str]:
    """Instructions of the runs in the order in which they were started."""
    sql = """
        SELECT run.instruction FROM event JOIN run ON run.id = event.run_id
        WHERE event.type = 'RunStarted' ORDER BY event.cursor
    """
    return [row[0] for row in await world.database.fetch(sql)]


async def test_in_a_full_process_the_most_urgent_goes_next_though_it_came_last(
    world: RunWorld,
    ends: Ends,
) -> None:
    gate = Gate()
    world.model.script([gate, *say("done")], *(say("done") for _ in range(21)))
    async with world.process(runs=1) as runner:
        world.queue.deliver = lambda run_id: asyncio.ensure_future(runner.execute(run_id))
        for number in range(21):
            await world.accept(f"normal {number}")
            world.clock.move(0.001)
        await gate.reached.wait()
        await world.accept("urgent", priority=9)
        gate.opened.set()
        await ends.next(22)

    normal = [f"normal {number}" for number in range(21)]
    assert await order_of(world) == [normal[0], "urgent", *normal[1:]]


async def test_hints_that_come_while_a_place_gets_free_do_not_push_in(
    world: RunWorld, ends: Ends
) -> None:
    gate = Gate()
    world.model.script([gate, *say("done")], *(say("done") for _ in range(6)))
    async with world.process(runs=1) as runner:
        first = await world.accept("first")
        await runner.execute(first)
        await gate.reached.wait()
        normal = [await world.accept("normal") for _ in range(5)]
        await asyncio.gather(*map(runner.execute, normal))
        await world.accept("urgent", priority=9)
        held = runner.held(first)
        assert held is not None
        gate.opened.set()
        await held.done.wait()
        await asyncio.gather(*map(runner.execute, normal))
        await ends.next(7)

    assert await order_of(world) == ["first", "urgent", *["normal"] * 5]


async def test_the_last_free_place_goes_to_the_most_urgent_and_others_to_who_is_hinted(
    world: RunWorld,
    ends: Ends,
) -> None:
    gates = [Gate() for _ in range(3)]
    world.model.script(*([gate, *say("done")] for gate in gates))
    async with world.process(runs=2) as runner:
        normal = [await world.accept(f"normal {number}") for number in range(2)]
        await world.accept("urgent", priority=9)
        for run_id in normal:
            await runner.execute(run_id)
        await asyncio.gather(*(gate.reached.wait() for gate in gates[:2]))
        begun = await order_of(world)
        for gate in gates:
            gate.opened.set()
        await ends.next(3)

    assert sorted(begun) == ["normal 0", "urgent"]
    assert await order_of(world) == [*begun, "normal 1"]


async def test_a_hint_for_a_moment_just_ahead_of_this_clock_is_not_lost(world: RunWorld) -> None:
    world.clock.move(0.9)
    run_id = await world.accept()
    world.clock.move(-0.9)
    world.model.script(say("done"))

    async with world.process(runs=1) as runner:
        row = await world.work_off(runner, run_id)

    assert row.status == "SUCCEEDED"


async def test_a_process_that_was_full_looks_for_what_another_full_one_was_told(
    world: RunWorld,
    ends: Ends,
) -> None:
    gates = [Gate(), Gate()]
    world.model.script(*([gate, *say("done")] for gate in gates), say("third"))
    async with world.process(runs=1) as one, world.process(runs=1) as two:
        first = await world.accept("first")
        await one.execute(first)
        await gates[0].reached.wait()
        await two.execute(await world.accept("second"))
        await gates[1].reached.wait()
        third = await world.accept("third")
        await two.execute(third)
        gates[0].opened.set()
        assert await ends.next(2) == [first, third]
        gates[1].opened.set()
        await ends.next()

    assert await order_of(world) == ["first", "second", "third"]


async def test_the_sweeper_names_the_most_urgent_first(world: RunWorld) -> None:
    normal = [await world.accept("normal") for _ in range(20)]
    urgent = await world.accept("urgent", priority=9)
    later = await world.accept("low", priority=1)
    world.clock.move(1.5)

    found = await world.office().forgotten(21)

    assert found == [urgent, *normal]
    assert await world.office().forgotten(21) == [later]


async def test_a_place_in_the_queue_is_that_in_the_order_of_the_workers(world: RunWorld) -> None:
    second, waiting, low, first = (
        await world.accept("second"),
        await world.accept("in an hour", priority=9),
        await world.accept("low", priority=4),
        await world.accept("first"),
    )
    moments = {second: 2, waiting: 3_600_000_000, low: -9, first: 1}
    for run_id, after_us in moments.items():
        sql = f"UPDATE run SET due_at = due_at + {after_us} WHERE id = '{run_id}'"
        await world.database.write([Statement(sql, ())])
    world.clock.move(1)

    places = await world.service(None).queue_positions(world.principal, list(moments))

    assert places == {first: 0, second: 1, low: 2, waiting: 0}
    assert await world.office().due(9) == [first, second, low]


# How PostgreSQL reads a small table says nothing of a large one.
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_next_in_line_are_read_in_order_and_not_sorted(world: RunWorld) -> None:
    asked, original = list[tuple[str, tuple[object, ...]]](), world.database.fetch

    async def fetch(sql: str, *args: object) -> list[Row]:
        asked.append((sql, args))
        return await original(sql, *args)

    world.database.fetch = fetch
    await world.office().due(32)
    ((sql, args),) = asked
    plan = await original(f"EXPLAIN QUERY PLAN {sql}", *args)

    assert [row[3] for row in plan] == ["SCAN run USING INDEX run_due"]
