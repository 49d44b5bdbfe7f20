"""Everything was down for a day: what became of each due time, policy by policy."""

from collections.abc import AsyncGenerator
from itertools import groupby
from typing import Any

import pytest

from domain.kernel.database import Database
from domain.tasks.plan import MOST_ROWS, MOST_WAITING
from tests.domain.task_world import BEGIN_US, MINUTE_US, TaskWorld, task_world
from tests.fakes import say

HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
BACK_US = BEGIN_US + DAY_US
"""When all is up again: 22:13:20 the next day."""


def cron(expression: str) -> dict[str, Any]:
    """A schedule by cron."""
    return {"scheduled": {"cron": {"expression": expression}}}


FIVE, HOURLY, DAILY = cron("*/5 * * * *"), cron("0 * * * *"), cron("0 9 * * *")
PLANNED = {"planned": {"times": [BEGIN_US + hours * HOUR_US for hours in (1, 5, 23, 30)]}}
RUN, CATCH, MISS = ("RUNNING", "SCHEDULE"), ("RUNNING", "CATCH_UP"), ("MISSED", "SCHEDULE")
SKIP, QUEUE, LINE = ("SKIPPED", "SCHEDULE"), ("QUEUED", "SCHEDULE"), ("QUEUED", "CATCH_UP")
TABLE: dict[str, tuple[dict[str, Any], list[tuple[tuple[str, str], int]]]] = {
    "each hour, skip": (
        {"schedule": HOURLY, "missedRunPolicy": "SKIP"},
        [(MISS, 24)],
    ),
    "each hour, skip, grace of a quarter": (
        {"schedule": HOURLY, "missedRunPolicy": "SKIP", "graceSeconds": 900},
        [(MISS, 23), (RUN, 1)],
    ),
    "each hour, once": ({"schedule": HOURLY}, [(MISS, 23), (CATCH, 1)]),
    "each hour, once, grace of two hours": (
        {"schedule": HOURLY, "graceSeconds": 7200},
        [(MISS, 22), (RUN, 1), (SKIP, 1)],
    ),
    "each hour, all": (
        {"schedule": HOURLY, "missedRunPolicy": "RUN_ALL"},
        [(CATCH, 1), (LINE, 23)],
    ),
    "each hour, all, side by side": (
        {
            "schedule": HOURLY,
            "missedRunPolicy": "RUN_ALL",
            "overlapPolicy": "PARALLEL",
            "maxConcurrency": 3,
        },
        [(CATCH, 3), (LINE, 21)],
    ),
    "each hour, all on time, in line": (
        {"schedule": HOURLY, "overlapPolicy": "QUEUE", "graceSeconds": 2 * 86_400},
        [(RUN, 1), (QUEUE, 23)],
    ),
    "each hour, all on time, replaced": (
        {"schedule": HOURLY, "overlapPolicy": "REPLACE", "graceSeconds": 2 * 86_400},
        [(SKIP, 23), (RUN, 1)],
    ),
    "each hour, all on time, side by side": (
        {
            "schedule": HOURLY,
            "overlapPolicy": "PARALLEL",
            "maxConcurrency": 3,
            "graceSeconds": 2 * 86_400,
        },
        [(RUN, 3), (SKIP, 21)],
    ),
    "each five minutes, skip": (
        {"schedule": FIVE, "missedRunPolicy": "SKIP"},
        [(MISS, 288)],
    ),
    "each five minutes, once": ({"schedule": FIVE}, [(MISS, 287), (CATCH, 1)]),
    "each five minutes, all": (
        {"schedule": FIVE, "missedRunPolicy": "RUN_ALL"},
        [(CATCH, 1), (LINE, MOST_WAITING)],
    ),
    "each five minutes, all on time, in line": (
        {"schedule": FIVE, "overlapPolicy": "QUEUE", "graceSeconds": 2 * 86_400},
        [(RUN, 1), (QUEUE, MOST_WAITING), (SKIP, 287 - MOST_WAITING)],
    ),
    "each minute, once": (
        {"schedule": cron("* * * * *"), "graceSeconds": 0},
        [(MISS, 1439), (CATCH, 1)],
    ),
    "each day, skip": ({"schedule": DAILY, "missedRunPolicy": "SKIP"}, [(MISS, 1)]),
    "each day, once": ({"schedule": DAILY}, [(CATCH, 1)]),
    "each day, all": ({"schedule": DAILY, "missedRunPolicy": "RUN_ALL"}, [(CATCH, 1)]),
    "planned, skip": ({"schedule": PLANNED, "missedRunPolicy": "SKIP"}, [(MISS, 3)]),
    "planned, once": ({"schedule": PLANNED}, [(MISS, 2), (CATCH, 1)]),
    "planned, all": (
        {"schedule": PLANNED, "missedRunPolicy": "RUN_ALL"},
        [(CATCH, 1), (LINE, 2)],
    ),
    "each hour, once, from noon": (
        {"schedule": HOURLY, "startsAt": BACK_US - 5 * HOUR_US},
        [(MISS, 4), (CATCH, 1)],
    ),
    "each hour, once, until noon": (
        {"schedule": HOURLY, "endsAt": BEGIN_US + 5 * HOUR_US},
        [(MISS, 4), (CATCH, 1)],
    ),
    "each hour, all, within five hours": (
        {
            "schedule": HOURLY,
            "missedRunPolicy": "RUN_ALL",
            "startsAt": BEGIN_US + 5 * HOUR_US,
            "endsAt": BEGIN_US + 10 * HOUR_US,
        },
        [(CATCH, 1), (LINE, 4)],
    ),
    "each hour, all, three in all": (
        {"schedule": HOURLY, "missedRunPolicy": "RUN_ALL", "maxRuns": 3},
        [(CATCH, 1), (LINE, 2)],
    ),
}


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[TaskWorld, None]:
    """A world on each database."""
    async with task_world(database) as built:
        yield built


async def rows_of(world: TaskWorld, task_id: str) -> list[tuple[tuple[str, str], int]]:
    """Status and trigger of the due times, oldest first, and how many are alike in a row."""
    rows = [(row.status, row.trigger) for row in await world.occurrences(task_id)]
    return [(kind, len(list(alike))) for kind, alike in groupby(rows)]


@pytest.mark.parametrize("name", TABLE)
async def test_a_day_without_schedulers_leaves_exactly_the_rows_of_the_policy(
    world: TaskWorld, name: str
) -> None:
    given, expected = TABLE[name]
    task = await world.create(**given)

    await world.move_to(BACK_US)

    assert await rows_of(world, task.id) == expected
    started = sum(count for (status, _), count in expected if status == "RUNNING")
    assert len(await world.attempts(task.id)) == len(world.hinted()) == started
    times = [row.scheduled_for for row in await world.occurrences(task.id)]
    assert len(set(times)) == len(times)


@pytest.mark.parametrize("name", ["each hour, skip", "each hour, once", "each hour, all"])
@pytest.mark.parametrize("until", [None, BEGIN_US + 12 * HOUR_US], ids=["for good", "till noon"])
async def test_a_day_of_which_the_task_was_held_follows_the_same_policy(
    world: TaskWorld, name: str, until: int | None
) -> None:
    given, expected = TABLE[name]
    task = await world.create(**given)
    principal = world.runs.principal
    await world.service.pause(principal, {"taskId": task.id, "until": until})

    await world.move_to(BACK_US)
    if until is None:
        assert await rows_of(world, task.id) == []
        await world.service.resume(principal, task.id)
        await world.tick()

    assert await rows_of(world, task.id) == expected
    assert (await world.task(task.id)).status == "ACTIVE"


async def test_a_pause_that_ended_in_time_leaves_the_rest_of_the_day_to_the_schedule(
    world: TaskWorld,
) -> None:
    task = await world.create(schedule=HOURLY, missedRunPolicy="SKIP")
    until = BEGIN_US + 12 * HOUR_US
    await world.service.pause(world.runs.principal, {"taskId": task.id, "until": until})

    await world.move_to(until)
    assert await rows_of(world, task.id) == [(MISS, 12)]
    world.runs.model.script(say("done"))
    await world.move_to(until + 47 * MINUTE_US)
    await world.work_off()

    assert await rows_of(world, task.id) == [(MISS, 12), (("SUCCEEDED", "SCHEDULE"), 1)]


async def test_a_backlog_longer_than_the_line_is_run_to_its_end(world: TaskWorld) -> None:
    task = await world.create(
        schedule=cron("*/10 * * * *"),
        missedRunPolicy="RUN_ALL",
        overlapPolicy="PARALLEL",
        maxConcurrency=32,
    )
    due = 24 * 6

    await world.move_to(BACK_US)
    while world.runs.queue.hints:
        world.runs.model.script(*(say("done") for _ in world.runs.queue.hints))
        await world.work_off()
        await world.tick()

    assert due > MOST_WAITING
    assert await rows_of(world, task.id) == [(("SUCCEEDED", "CATCH_UP"), due)]
    assert (await world.task(task.id)).next_run_at == BACK_US + 6 * MINUTE_US + 40_000_000


async def test_more_than_one_look_deals_with_the_times_of_two_days(world: TaskWorld) -> None:
    task = await world.create(schedule=cron("* * * * *"), missedRunPolicy="SKIP", graceSeconds=0)

    await world.move_to(BACK_US)

    assert await rows_of(world, task.id) == [(MISS, 24 * 60)]
    assert MOST_ROWS * 2 < 24 * 60
