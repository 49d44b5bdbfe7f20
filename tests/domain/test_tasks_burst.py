"""Many tasks due at once: claimed before the first is started, each once, by priority."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

import pytest

from domain.kernel.database import Database, Statement
from domain.tasks.burst import PAGE, Burst
from domain.tasks.firing import BATCH
from domain.tasks.settling import AT_ONCE
from tests.domain.task_world import FIRST_US, MINUTE_US, TaskWorld, task_world
from tests.fakes import say

MANY = BATCH + 20


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[TaskWorld, None]:
    """A world on each database."""
    async with task_world(database) as built:
        yield built


def burst_of(world: TaskWorld) -> Burst:
    return Burst(world.commits, world.runs.ids)


async def claim(world: TaskWorld) -> int:
    """Claim what is due, and start nothing."""
    return await burst_of(world).claim(world.runs.principal.workspace_id)


async def copies(world: TaskWorld, count: int, **values: Any) -> list[str]:
    """Make a task and copies of it, due like it."""
    task = await world.create(**values)
    await world.copy(task.id, count - 1)
    rows = await world.runs.database.fetch("SELECT id FROM task ORDER BY id")
    return [row[0] for row in rows]


async def by_task(world: TaskWorld) -> Counter[str]:
    rows = await world.runs.database.fetch("SELECT task_id FROM occurrence")
    return Counter(row[0] for row in rows)


async def test_all_due_times_are_claimed_before_a_run_is_made(world: TaskWorld) -> None:
    ids = await copies(world, PAGE + 3)
    world.runs.clock.move(40)

    claimed = await claim(world)

    assert claimed == PAGE + 3
    assert await by_task(world) == Counter(ids)
    (occurrence,) = await world.occurrences(ids[0])
    assert (occurrence.scheduled_for, occurrence.status, occurrence.trigger) == (
        FIRST_US,
        "QUEUED",
        "SCHEDULE",
    )
    assert (occurrence.run_id, occurrence.attempts) == (None, 0)
    task = await world.task(ids[0])
    assert (task.next_run_at, task.wake_at) == (FIRST_US + MINUTE_US, AT_ONCE)
    assert await world.attempts(ids[0]) == []

    before = len(await world.updates())
    await world.tick()
    told = [event.data["occurrenceId"] for event in (await world.updates())[before:]]
    written = [row.id for ident in ids for row in await world.occurrences(ident)]
    assert Counter(told) == Counter(written)


async def test_what_was_claimed_is_started_also_by_another_process(world: TaskWorld) -> None:
    ids = await copies(world, MANY)
    world.runs.clock.move(40)
    await claim(world)
    world.runs.model.script(*[say("done")] * MANY)

    await world.move_to(FIRST_US + 1_000_000)
    await world.work_off()

    assert await by_task(world) == Counter(ids)
    rows = await world.runs.database.fetch(
        "SELECT status, attempts, count(*) FROM occurrence GROUP BY status, attempts"
    )
    assert rows == [("SUCCEEDED", 1, MANY)]


async def test_a_second_claim_finds_nothing(world: TaskWorld) -> None:
    await copies(world, 3)
    world.runs.clock.move(40)
    await claim(world)

    assert await claim(world) == 0
    assert sum((await by_task(world)).values()) == 3


async def test_several_processes_claim_each_due_time_once(world: TaskWorld) -> None:
    ids = await copies(world, 2 * PAGE + 7)
    world.runs.clock.move(40)

    counts = await asyncio.gather(*(claim(world) for _ in range(3)))
    counts.append(await claim(world))

    assert sum(counts) == 2 * PAGE + 7
    assert await by_task(world) == Counter(ids)


@pytest.mark.parametrize("turns", [2, 9, 20, 40])
async def test_a_claim_that_is_killed_anywhere_is_whole_or_not_there(
    world: TaskWorld, turns: int
) -> None:
    ids = await copies(world, PAGE + 7)
    world.runs.clock.move(40)
    claiming = asyncio.create_task(claim(world))
    for _ in range(turns):
        await asyncio.sleep(0)
    claiming.cancel()
    with suppress(asyncio.CancelledError):
        await claiming

    rows = await world.runs.database.fetch(
        "SELECT count(*) FROM task WHERE next_run_at > $1", FIRST_US
    )
    assert rows[0][0] == sum((await by_task(world)).values())
    await claim(world)
    assert await by_task(world) == Counter(ids)


async def test_runs_of_higher_priority_are_made_first(world: TaskWorld) -> None:
    await copies(world, MANY, priority=2)
    urgent = await world.create(name="Urgent", priority=9)
    world.runs.clock.move(40)

    await world.tick()

    (run,) = await world.attempts(urgent.id)
    assert world.hinted()[0] == run.id
    assert len(world.hinted()) == MANY + 1


async def test_a_delay_that_is_drawn_holds_for_what_a_burst_claims(world: TaskWorld) -> None:
    (task_id,) = await copies(world, 1, jitterSeconds=30)
    world.runs.clock.move(40)

    await claim(world)

    (occurrence,) = await world.occurrences(task_id)
    assert occurrence.due_at is not None
    assert FIRST_US < occurrence.due_at <= FIRST_US + 30_000_000
    assert (await world.updates())[-1].data["occurrenceId"] == occurrence.id
    assert await world.move_to(occurrence.due_at - 1_000) == 0.001
    assert await world.attempts(task_id) == []
    await world.move_to(occurrence.due_at)
    (run,) = await world.attempts(task_id)
    assert run.due_at == occurrence.due_at


@pytest.mark.parametrize(
    ("case", "sql"),
    [
        ("it is paused", "UPDATE task SET status = 'PAUSED'"),
        ("it was deleted", "UPDATE task SET deleted_at = 1"),
        ("it is due later", "UPDATE task SET next_run_at = next_run_at + 1"),
        ("it is late", "UPDATE task SET next_run_at = next_run_at - 61000000"),
        (
            "its failures pause it",
            "UPDATE task SET pause_after_failures = 2, consecutive_failures = 2",
        ),
        ("its schedule cannot be read", "UPDATE task SET schedule = '[1'"),
        ("its schedule is none", "UPDATE task SET schedule = '{}'"),
        ("its zone is unknown", "UPDATE task SET schedule = replace(schedule, 'UTC', 'Mars/Base')"),
    ],
    ids=lambda value: value.replace(" ", "_") if value.startswith("it") else "",
)
async def test_a_task_that_needs_a_closer_look_is_left_to_it(
    world: TaskWorld, case: str, sql: str
) -> None:
    del case
    (task_id,) = await copies(world, 1)
    await world.runs.database.write([Statement(sql)])
    before = await world.runs.database.fetch("SELECT next_run_at, wake_at FROM task")
    world.runs.clock.move(40)

    assert await claim(world) == 0

    assert await world.occurrences(task_id) == []
    assert await world.runs.database.fetch("SELECT next_run_at, wake_at FROM task") == before


async def test_a_task_with_a_run_at_work_is_left_to_a_look(world: TaskWorld) -> None:
    task = await world.create()
    await world.move_to(FIRST_US)
    world.runs.clock.move(60)

    assert await claim(world) == 0

    await world.tick()
    assert await world.statuses(task.id) == ["RUNNING", "SKIPPED"]


async def test_a_time_that_has_a_row_already_is_claimed_without_a_second(world: TaskWorld) -> None:
    task = await world.create(jitterSeconds=30)
    world.runs.clock.move(40)
    await claim(world)
    await world.runs.database.write(
        [
            Statement("UPDATE occurrence SET status = 'SKIPPED', finished_at = 1"),
            Statement("UPDATE task SET next_run_at = $1", (FIRST_US,)),
        ]
    )
    told = len(await world.updates())

    assert await claim(world) == 1

    assert await world.statuses(task.id) == ["SKIPPED"]
    assert (await world.task(task.id)).next_run_at == FIRST_US + MINUTE_US
    assert len(await world.updates()) == told


async def test_one_that_cannot_be_read_amid_many_is_held_alone(world: TaskWorld) -> None:
    ids = await copies(world, MANY)
    await world.runs.database.write(
        [Statement("UPDATE task SET schedule = '{}' WHERE id = $1", (ids[3],))]
    )
    world.runs.clock.move(40)

    await world.tick()

    assert await by_task(world) == Counter(set(ids) - {ids[3]})
    broken = await world.task(ids[3])
    assert broken.status == "PAUSED"
    assert broken.pause_reason is not None
    assert len(world.hinted()) == MANY - 1


async def test_planned_times_end_with_the_last(world: TaskWorld) -> None:
    times = {"planned": {"times": ["2023-11-14T22:14:00Z"]}}
    (task_id,) = await copies(world, 1, schedule=times)
    world.runs.clock.move(40)
    world.runs.model.script(say("done"))

    assert await claim(world) == 1
    await world.tick()
    await world.work_off()
    await world.tick()

    task = await world.task(task_id)
    assert (task.status, task.next_run_at) == ("COMPLETED", None)
    assert await world.statuses(task_id) == ["SUCCEEDED"]
