"""Backfills asked for twice, by many at once, and while the schedule does its work."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from domain.kernel.database import Database
from domain.kernel.errors import Conflict, ErrorCode
from domain.kernel.moments import parse_moment
from tests.domain.backfill_world import backfill, kept, minutes
from tests.domain.task_world import FIRST_US, MINUTE_US, TaskWorld, task_world
from tests.fakes import say


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[TaskWorld, None]:
    """A world on each database."""
    async with task_world(database) as built:
        yield built


async def test_a_repeat_of_a_key_gets_the_first_outcome(world: TaskWorld) -> None:
    task = await world.create(overlapPolicy="PARALLEL", maxConcurrency=3)
    first = await backfill(world, task.id, idempotencyKey="k")
    world.runs.model.script(*(say("done") for _ in range(3)))
    await world.tick()
    await world.work_off()
    before = await kept(world)

    again = await backfill(world, task.id, idempotencyKey="k")

    assert (again.replayed, list(again.times)) == (True, list(first.times))
    assert [row.id for row in again.rows] == [row.id for row in first.rows]
    assert {row.status for row in again.rows} == {"SUCCEEDED"}
    with pytest.raises(Conflict) as caught:
        await backfill(world, task.id, idempotencyKey="k", span={"since": 5, "until": 6})
    assert caught.value.reason is ErrorCode.IDEMPOTENCY_MISMATCH
    assert await kept(world) == before


async def test_a_key_stays_with_an_outcome_that_was_empty(world: TaskWorld) -> None:
    task = await world.create()
    given = {"span": {"since": 5, "until": 6}, "idempotencyKey": "k"}

    first, again = [await backfill(world, task.id, **given) for _ in range(2)]

    assert [(list(one.times), one.replayed) for one in (first, again)] == [([], False), ([], True)]
    assert len(await world.updates()) == 1


async def test_twins_with_one_key_put_each_time_in_line_once(world: TaskWorld) -> None:
    task = await world.create()

    found = await asyncio.gather(*(backfill(world, task.id, idempotencyKey="k") for _ in range(5)))

    assert sorted(one.replayed for one in found) == [False, True, True, True, True]
    assert {tuple(row.id for row in one.rows) for one in found} == {
        tuple(row.id for row in await world.occurrences(task.id))
    }


async def test_spans_that_overlap_at_one_moment_make_each_time_once(world: TaskWorld) -> None:
    task = await world.create()
    spans = [{"since": FIRST_US - back * MINUTE_US} for back in (10, 40, 20, 30)]

    done = await asyncio.gather(*(backfill(world, task.id, span=span) for span in spans))

    taken = sorted(time for one in done for time in one.times)
    rows = await world.occurrences(task.id)
    assert taken == [row.scheduled_for for row in rows] == minutes(-40, -1)
    assert len(await world.updates()) == 41


async def test_a_backfill_and_schedulers_at_one_moment_double_nothing(world: TaskWorld) -> None:
    task = await world.create()
    world.runs.clock.move(40)
    schedulers = [world.scheduler() for _ in range(3)]

    await asyncio.gather(
        backfill(world, task.id),
        *(one.fire_due() for one in schedulers),
        backfill(world, task.id),
    )
    await world.tick()

    rows = await world.occurrences(task.id)
    assert [row.scheduled_for for row in rows] == minutes(-3, 0)
    assert [(row.trigger, row.status) for row in rows] == [
        ("BACKFILL", "RUNNING"),
        ("BACKFILL", "QUEUED"),
        ("BACKFILL", "QUEUED"),
        ("SCHEDULE", "RUNNING"),
    ]
    assert len(world.hinted()) == len(set(world.hinted())) == 2


async def test_a_schedule_that_changes_meanwhile_is_asked_again(world: TaskWorld) -> None:
    task = await world.create()
    hourly = {"scheduled": {"cron": {"expression": "0 * * * *"}}}
    change = {"taskId": task.id, "schedule": hourly}
    span = {"since": FIRST_US - 120 * MINUTE_US}

    done, _ = await asyncio.gather(
        backfill(world, task.id, span=span),
        world.service.update(world.runs.principal, change),
    )

    by_hour = [parse_moment(f"2023-11-14T{hour}:00:00Z") for hour in (21, 22)]
    assert list(done.times) in (by_hour, minutes(-120, -1))
    assert list(done.times) == [row.scheduled_for for row in await world.occurrences(task.id)]
