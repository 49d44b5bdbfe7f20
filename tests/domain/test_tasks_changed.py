"""A task whose times are changed: what had come by its times before is not lost."""

from collections.abc import AsyncGenerator

import pytest

from domain.kernel.database import Database
from domain.kernel.errors import ValidationFailed
from domain.tasks.plan import MOST_ROWS, MOST_WAITING
from tests.domain.task_world import FIRST_US, MINUTE_US, TaskWorld, task_world
from tests.fakes import say

HOUR_US = 60 * MINUTE_US
HOURLY = {"scheduled": {"cron": {"expression": "0 * * * *"}}}
DAILY = {"scheduled": {"cron": {"expression": "0 0 * * *"}}}


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[TaskWorld, None]:
    """A world on each database."""
    async with task_world(database) as built:
        yield built


async def change(world: TaskWorld, task_id: str, **values: object) -> None:
    """Change a task as a client does."""
    await world.service.update(world.runs.principal, {"taskId": task_id, **values})


async def hold(world: TaskWorld, task_id: str) -> None:
    """Pause a task for good."""
    await world.service.pause(world.runs.principal, {"taskId": task_id})
    await world.tick()


async def test_what_fell_into_a_pause_is_kept_when_the_schedule_changes_before_it_goes_on(
    world: TaskWorld,
) -> None:
    task = await world.create(schedule=HOURLY, missedRunPolicy="RUN_ONCE")
    first = task.next_run_at or 0
    await hold(world, task.id)
    await world.move_to(first + 2 * HOUR_US + 30 * MINUTE_US)

    await change(world, task.id, schedule=DAILY)

    rows = await world.occurrences(task.id)
    assert [(row.scheduled_for, row.status, row.trigger) for row in rows] == [
        (first, "MISSED", "SCHEDULE"),
        (first + HOUR_US, "MISSED", "SCHEDULE"),
        (first + 2 * HOUR_US, "QUEUED", "CATCH_UP"),
    ]
    assert await world.attempts(task.id) == []

    await world.service.resume(world.runs.principal, task.id)
    await world.tick()
    world.runs.model.script(say("caught up"))
    await world.work_off()

    assert await world.statuses(task.id) == ["MISSED", "MISSED", "SUCCEEDED"]
    assert (await world.task(task.id)).next_run_at == first + 25 * HOUR_US


async def test_what_is_due_and_not_looked_at_starts_though_the_schedule_changes_first(
    world: TaskWorld,
) -> None:
    task = await world.create()
    world.runs.clock.move(40)

    await change(world, task.id, schedule=HOURLY)
    await world.tick()

    (row,) = await world.occurrences(task.id)
    assert (row.scheduled_for, row.status, row.trigger) == (FIRST_US, "RUNNING", "SCHEDULE")
    changes = [event.data["change"] for event in await world.updates()]
    assert changes == ["CREATED", "OCCURRENCE", "UPDATED", "OCCURRENCE"]


async def test_times_of_a_backfill_take_no_place_from_those_that_fell_into_a_pause(
    world: TaskWorld,
) -> None:
    task = await world.create(graceSeconds=3600)
    await hold(world, task.id)
    await world.move_to(FIRST_US + 2 * MINUTE_US)
    span = {"since": "2023-11-14T22:14:00Z", "until": "2023-11-14T22:14:30Z"}
    await world.service.backfill(
        world.runs.principal, {"taskId": task.id, "span": span, "dryRun": False}
    )

    await change(world, task.id, schedule=HOURLY)

    assert [(row.status, row.trigger) for row in await world.occurrences(task.id)] == [
        ("QUEUED", "BACKFILL"),
        ("QUEUED", "SCHEDULE"),
        ("SKIPPED", "SCHEDULE"),
    ]


async def test_what_is_due_replaces_what_was_before_though_the_schedule_changes_first(
    world: TaskWorld,
) -> None:
    task = await world.create(overlapPolicy="REPLACE", maxRuns=9)
    await world.move_to(FIRST_US)
    await world.move_to(FIRST_US + MINUTE_US)
    world.runs.clock.move(60)

    await change(world, task.id, schedule=HOURLY)

    assert await world.statuses(task.id) == ["RUNNING", "SKIPPED", "QUEUED"]
    assert (await world.task(task.id)).started_runs == 2
    told = [event.data for event in await world.updates()][-3:]
    assert [(data["change"], data["occurrenceId"]) for data in told] == [
        *(("OCCURRENCE", row.id) for row in (await world.occurrences(task.id))[1:]),
        ("UPDATED", None),
    ]
    world.runs.model.script(say("newest"))
    await world.tick()
    await world.work_off()
    await world.tick()
    await world.work_off()
    assert await world.statuses(task.id) == ["CANCELLED", "SKIPPED", "SUCCEEDED"]


async def test_what_fell_into_a_pause_stops_no_run_when_the_schedule_changes(
    world: TaskWorld,
) -> None:
    task = await world.create(overlapPolicy="REPLACE")
    await world.move_to(FIRST_US)
    await hold(world, task.id)
    await world.move_to(FIRST_US + 2 * MINUTE_US)

    await change(world, task.id, schedule=HOURLY)
    world.runs.model.script(say("first"), say("newest"))
    await world.work_off()
    await world.service.resume(world.runs.principal, task.id)
    await world.tick()
    await world.work_off()

    assert await world.statuses(task.id) == ["SUCCEEDED", "SKIPPED", "SUCCEEDED"]


async def test_an_end_that_comes_earlier_keeps_what_was_due_before(world: TaskWorld) -> None:
    task = await world.create(missedRunPolicy="SKIP")
    await hold(world, task.id)
    await world.move_to(FIRST_US + 3 * MINUTE_US)

    await change(world, task.id, endsAt="2023-11-14T22:18:30Z")

    assert await world.statuses(task.id) == ["MISSED", "MISSED", "QUEUED", "SKIPPED"]
    assert (await world.task(task.id)).next_run_at == FIRST_US + 4 * MINUTE_US


async def test_more_than_a_commit_holds_is_kept_too_and_what_finds_no_place_in_line_is_skipped(
    world: TaskWorld,
) -> None:
    task = await world.create(missedRunPolicy="RUN_ALL")
    await hold(world, task.id)
    count = MOST_ROWS + 100
    await world.move_to(FIRST_US + (count - 1) * MINUTE_US)

    await change(world, task.id, schedule=HOURLY)

    waiting = 1 + MOST_WAITING
    assert await world.statuses(task.id) == (["QUEUED"] * waiting + ["SKIPPED"] * (count - waiting))
    told = "SELECT count(*) FROM event WHERE type = 'TaskUpdate'"
    assert await world.runs.database.fetch(told) == [(3 + count,)]


async def test_a_change_that_is_refused_claims_nothing(world: TaskWorld) -> None:
    task = await world.create()
    await hold(world, task.id)
    await world.move_to(FIRST_US + 3 * MINUTE_US)
    before = await world.task(task.id)

    with pytest.raises(ValidationFailed):
        await change(world, task.id, endsAt="2023-11-14T22:00:00Z")

    assert await world.occurrences(task.id) == []
    assert (await world.task(task.id)).next_run_at == before.next_run_at == FIRST_US


async def test_other_changes_leave_what_is_due_to_the_scheduler(world: TaskWorld) -> None:
    task = await world.create()
    world.runs.clock.move(40)

    await change(world, task.id, name="Renamed")

    assert await world.occurrences(task.id) == []
    assert (await world.task(task.id)).next_run_at == FIRST_US


async def test_times_that_had_their_turn_take_no_place_when_the_clock_was_set_back(
    world: TaskWorld,
) -> None:
    task = await world.create()
    for minute in range(3):
        await world.move_to(FIRST_US + minute * MINUTE_US)
    world.runs.model.script(say("done"))
    await world.work_off()
    world.runs.clock.move(-70)
    await change(world, task.id, schedule=HOURLY)
    await change(world, task.id, schedule={"scheduled": {"cron": {"expression": "* * * * *"}}})
    assert (await world.task(task.id)).next_run_at == FIRST_US + MINUTE_US

    await world.move_to(FIRST_US + 3 * MINUTE_US)

    assert await world.statuses(task.id) == ["SUCCEEDED", "SKIPPED", "SKIPPED", "RUNNING"]
