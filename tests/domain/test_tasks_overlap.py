"""A task that is due while it still runs, and times found late: each policy, as rows."""

from collections.abc import AsyncGenerator

import pytest

from domain.kernel.database import Database
from tests.domain.task_world import FIRST_US, MINUTE_US, TaskWorld, task_world
from tests.fakes import say

HOUR_US = 60 * MINUTE_US


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[TaskWorld, None]:
    """A world on each database."""
    async with task_world(database) as built:
        yield built


async def pass_minutes(world: TaskWorld, count: int) -> None:
    """Let so many due times come while nothing is worked on."""
    for minute in range(count):
        await world.move_to(FIRST_US + minute * MINUTE_US)


async def test_skip_leaves_out_what_is_due_while_a_run_is_at_work(world: TaskWorld) -> None:
    task = await world.create(overlapPolicy="SKIP")

    await pass_minutes(world, 3)

    assert await world.statuses(task.id) == ["RUNNING", "SKIPPED", "SKIPPED"]
    assert (await world.occurrences(task.id))[1].reason == "The run before it is still at work."
    assert len(await world.attempts(task.id)) == 1

    world.runs.model.script(say("late"))
    await world.work_off()
    await pass_minutes(world, 4)

    assert await world.statuses(task.id) == ["SUCCEEDED", "SKIPPED", "SKIPPED", "RUNNING"]


async def test_queue_starts_the_next_when_the_one_before_has_ended(world: TaskWorld) -> None:
    task = await world.create(overlapPolicy="QUEUE")
    await pass_minutes(world, 3)
    assert await world.statuses(task.id) == ["RUNNING", "QUEUED", "QUEUED"]

    for left in (["RUNNING", "QUEUED"], ["RUNNING"]):
        world.runs.model.script(say("done"))
        await world.work_off()
        await world.tick()
        done = ["SUCCEEDED"] * (3 - len(left))
        assert await world.statuses(task.id) == [*done, *left]

    assert len(await world.attempts(task.id)) == 3


async def test_parallel_starts_beside_up_to_max_concurrency(world: TaskWorld) -> None:
    task = await world.create(overlapPolicy="PARALLEL", maxConcurrency=2)

    await pass_minutes(world, 3)

    assert await world.statuses(task.id) == ["RUNNING", "RUNNING", "SKIPPED"]
    reason = (await world.occurrences(task.id))[2].reason
    assert reason == "2 of its runs are at work already (maxConcurrency)."
    assert len(world.hinted()) == 2


async def test_replace_cancels_the_running_one_and_then_starts(world: TaskWorld) -> None:
    task = await world.create(overlapPolicy="REPLACE")
    await pass_minutes(world, 3)
    first = (await world.attempts(task.id))[0].id
    assert await world.statuses(task.id) == ["RUNNING", "SKIPPED", "QUEUED"]
    assert set(world.hinted()) == {first}

    await world.work_off()
    await world.tick()

    assert await world.statuses(task.id) == ["CANCELLED", "SKIPPED", "RUNNING"]
    assert (await world.occurrences(task.id))[0].reason == (
        "Replaced by the one due at 2023-11-14T22:15:00.000Z."
    )
    assert [run.status for run in await world.attempts(task.id)] == ["CANCELLED", "QUEUED"]


async def hold_first(world: TaskWorld, task_id: str) -> str:
    """Let somebody hold the task's first run; return its id."""
    run_id = (await world.attempts(task_id))[0].id
    await world.runs.service(None).pause(world.runs.principal, run_id, None)
    await world.work_off()
    assert (await world.runs.row(run_id)).status == "PAUSED"
    return run_id


async def test_a_run_that_is_held_counts_as_at_work_until_it_ends(world: TaskWorld) -> None:
    task = await world.create(overlapPolicy="QUEUE")
    await pass_minutes(world, 1)
    run_id = await hold_first(world, task.id)
    await pass_minutes(world, 2)
    assert await world.statuses(task.id) == ["RUNNING", "QUEUED"]

    await world.runs.service(None).resume(world.runs.principal, run_id)
    world.runs.model.script(say("done"))
    await world.work_off()
    await world.tick()

    assert await world.statuses(task.id) == ["SUCCEEDED", "RUNNING"]


async def test_replace_stops_a_run_that_is_held(world: TaskWorld) -> None:
    task = await world.create(overlapPolicy="REPLACE")
    await pass_minutes(world, 1)
    run_id = await hold_first(world, task.id)

    await pass_minutes(world, 2)
    await world.work_off()
    await world.tick()

    assert (await world.runs.row(run_id)).status == "CANCELLED"
    assert await world.statuses(task.id) == ["CANCELLED", "RUNNING"]


async def test_missed_times_that_are_skipped_are_rows(world: TaskWorld) -> None:
    task = await world.create(missedRunPolicy="SKIP")

    await world.move_to(FIRST_US + 5 * MINUTE_US)

    assert await world.statuses(task.id) == ["MISSED"] * 4 + ["RUNNING", "SKIPPED"]
    first = (await world.occurrences(task.id))[0]
    assert first.reason == "Found 300 s late, with 60 s of grace."
    assert first.finished_at == FIRST_US + 5 * MINUTE_US
    assert (await world.task(task.id)).next_run_at == FIRST_US + 6 * MINUTE_US


async def test_run_once_runs_once_for_all_missed_times(world: TaskWorld) -> None:
    hourly = {"scheduled": {"cron": {"expression": "0 * * * *"}}}
    task = await world.create(missedRunPolicy="RUN_ONCE", schedule=hourly)
    start = task.next_run_at or 0

    await world.move_to(start + 3 * HOUR_US + 30 * MINUTE_US)

    rows = await world.occurrences(task.id)
    assert [(row.status, row.trigger) for row in rows] == [
        ("MISSED", "SCHEDULE"),
        ("MISSED", "SCHEDULE"),
        ("MISSED", "SCHEDULE"),
        ("RUNNING", "CATCH_UP"),
    ]
    assert len(await world.attempts(task.id)) == 1


async def test_run_all_runs_each_missed_time_oldest_first(world: TaskWorld) -> None:
    hourly = {"scheduled": {"cron": {"expression": "0 * * * *"}}}
    task = await world.create(missedRunPolicy="RUN_ALL", schedule=hourly)
    start = task.next_run_at or 0

    await world.move_to(start + 2 * HOUR_US + 30 * MINUTE_US)
    assert await world.statuses(task.id) == ["RUNNING", "QUEUED", "QUEUED"]
    for _ in range(3):
        world.runs.model.script(say("done"))
        await world.work_off()
        await world.tick()

    rows = await world.occurrences(task.id)
    runs = await world.attempts(task.id)
    assert {(row.status, row.trigger) for row in rows} == {("SUCCEEDED", "CATCH_UP")}
    assert [row.run_id for row in rows] == [run.id for run in runs]


async def test_a_task_days_behind_is_dealt_with_in_pieces(world: TaskWorld) -> None:
    task = await world.create(missedRunPolicy="RUN_ONCE", graceSeconds=0)
    scheduler = world.scheduler()
    world.runs.clock.move(40 + 1200 * 60 + 30)

    counts: list[int] = []
    while not await scheduler.fire_due():
        counts.append(len(await world.occurrences(task.id)))

    assert counts == [500, 1000, 1201]
    rows = await world.occurrences(task.id)
    assert [row.status for row in rows] == ["MISSED"] * 1200 + ["RUNNING"]
    assert len(await world.attempts(task.id)) == 1


async def test_a_backlog_that_runs_every_time_waits_in_a_line_of_bounded_length(
    world: TaskWorld,
) -> None:
    task = await world.create(missedRunPolicy="RUN_ALL")

    await world.move_to(FIRST_US + 300 * MINUTE_US + 30_000_000)
    assert (await world.statuses(task.id)).count("QUEUED") == 100
    assert len(await world.attempts(task.id)) == 1
    world.runs.model.script(say("done"))
    await world.work_off()
    await world.tick()

    statuses = await world.statuses(task.id)
    assert (statuses.count("SUCCEEDED"), statuses.count("RUNNING")) == (1, 1)
    assert statuses.count("QUEUED") == 100


async def test_the_delay_of_a_due_time_is_the_same_whoever_draws_it(world: TaskWorld) -> None:
    task = await world.create(jitterSeconds=30)

    await world.move_to(FIRST_US)

    (occurrence,) = await world.occurrences(task.id)
    (run,) = await world.attempts(task.id)
    assert occurrence.status == "QUEUED"
    assert run.due_at == occurrence.due_at
    delay_us = (run.due_at or 0) - FIRST_US
    assert 0 < delay_us < 30_000_000
    assert world.hinted() == []

    await world.move_to(FIRST_US + delay_us)

    assert await world.statuses(task.id) == ["RUNNING"]
    assert world.hinted() == [run.id]


async def test_bounds_hold_and_a_task_without_due_times_is_completed(world: TaskWorld) -> None:
    begins, ends = FIRST_US + 2 * MINUTE_US, FIRST_US + 3 * MINUTE_US
    task = await world.create(startsAt=begins, endsAt=ends)
    assert task.next_run_at == begins
    world.runs.model.script(say("done"))

    await world.move_to(begins)
    assert (await world.task(task.id)).status == "ACTIVE"
    await world.work_off()
    await world.tick()

    ended = await world.task(task.id)
    assert (ended.status, ended.next_run_at) == ("COMPLETED", None)
    assert await world.statuses(task.id) == ["SUCCEEDED"]
    assert (await world.updates())[-1].data["change"] == "UPDATED"


async def test_planned_times_fire_each_once(world: TaskWorld) -> None:
    times = [FIRST_US, FIRST_US + HOUR_US]
    task = await world.create(schedule={"planned": {"times": times}})

    for moment in (FIRST_US, FIRST_US + HOUR_US, FIRST_US + 2 * HOUR_US):
        world.runs.model.script(say("done"))
        await world.move_to(moment)
        await world.work_off()
        await world.tick()

    rows = await world.occurrences(task.id)
    assert [(row.scheduled_for, row.status) for row in rows] == [
        (time, "SUCCEEDED") for time in times
    ]
    assert (await world.task(task.id)).status == "COMPLETED"
