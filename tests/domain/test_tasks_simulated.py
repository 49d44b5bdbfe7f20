"""Days of a scheduler: no due time missed, none twice, however it ticks, dies or clocks change."""

import os
import random
import secrets
from collections import Counter
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from itertools import takewhile

import pytest
from cronsim import CronSim

from domain.kernel.database import Database
from domain.kernel.database_sqlite import SqliteDatabase
from domain.kernel.moments import EPOCH, MICROSECOND
from domain.kernel.zones import load_zone
from tests.domain.task_simulation import HOUR_US, SECOND_US, simulation
from tests.domain.task_world import BEGIN_US, TaskWorld, task_world

DAY_US = 24 * HOUR_US
FIRST_HOUR_US = BEGIN_US - BEGIN_US % HOUR_US + HOUR_US
HOURLY = {"scheduled": {"cron": {"expression": "0 * * * *"}}}
TICKS = (0.1, 0.5, 2.0, 10.0)
CREWS = ("one", "two out of phase", "two of which one dies")


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[TaskWorld, None]:
    """A world on each database."""
    if isinstance(database, SqliteDatabase):
        # Nobody cuts the power of the machine itself.
        await database.on_writer(lambda writer: writer.execute("PRAGMA synchronous = OFF"))
    async with task_world(database) as built:
        yield built


async def play_days(world: TaskWorld, *, days: int, tick_s: float, crew: str, seed: int) -> None:
    task = await world.create(schedule=HOURLY)
    async with simulation(world, tick_s=tick_s, dice=random.Random(seed)) as played:
        first = played.start()
        if crew != "one":
            played.start(phase_us=played.tick_us * 3 // 7)
        mortal = first if crew == "two of which one dies" else None
        await played.play(FIRST_HOUR_US + days * DAY_US - 1, mortal=mortal)

    occurrences = await world.occurrences(task.id)
    expected = [FIRST_HOUR_US + hour * HOUR_US for hour in range(24 * days)]
    assert [row.scheduled_for for row in occurrences] == expected
    late = max(row.created_at - row.scheduled_for for row in occurrences)
    assert late <= tick_s * SECOND_US
    assert {row.trigger for row in occurrences} == {"SCHEDULE"}
    outcomes = Counter(row.status for row in occurrences)
    assert outcomes.keys() == {"SUCCEEDED", "FAILED"}
    runs = await world.attempts(task.id)
    assert sorted((run.occurrence_id, run.id) for run in runs) == sorted(
        (row.id, row.run_id) for row in occurrences
    )
    assert played.idle_ticks > 0
    assert (played.rescues > 0) is (mortal is not None)


@pytest.mark.parametrize(
    ("tick_s", "crew"),
    [
        (0.1, "two of which one dies"),
        (0.5, "two out of phase"),
        (2.0, "one"),
        (2.0, "two of which one dies"),
        (10.0, "two of which one dies"),
    ],
)
async def test_each_hour_fires_once_and_at_most_a_tick_late(world, tick_s: float, crew: str):
    await play_days(world, days=1, tick_s=tick_s, crew=crew, seed=20261123)


@pytest.mark.soak
@pytest.mark.parametrize("crew", CREWS)
@pytest.mark.parametrize("tick_s", TICKS)
async def test_sixty_days_of_hours_fire_1440_times(world, tick_s: float, crew: str):
    seed = int(os.environ.get("GOB_SEED") or secrets.randbelow(1_000_000))
    print(f"GOB_SEED={seed}")  # noqa: T201 - plays these days again

    await play_days(world, days=60, tick_s=tick_s, crew=crew, seed=seed)


async def play_changes(world: TaskWorld, zone: str, change: str, *, hours: int) -> None:
    """Let a task of every five minutes be due for some hours before a change and after it."""
    middle = datetime.fromisoformat(change).replace(tzinfo=UTC)
    start, end = middle - timedelta(hours=hours), middle + timedelta(hours=hours)
    cron = {"cron": {"expression": "*/5 * * * *"}, "timezone": zone}
    async with simulation(world, tick_s=2.0, dice=random.Random(0)) as played:
        played.longest_run_us = 120 * SECOND_US
        played.move_to((start - EPOCH) // MICROSECOND)
        task = await world.create(schedule={"scheduled": cron})
        played.start()
        await played.play((end - EPOCH) // MICROSECOND)

    due = [EPOCH + row.scheduled_for * MICROSECOND for row in await world.occurrences(task.id)]
    oracle = CronSim("*/5 * * * *", start.astimezone(load_zone(zone)))
    expected = takewhile(lambda time: time <= end, (time.astimezone(UTC) for time in oracle))
    assert due == list(expected)
    assert due == [start + count * timedelta(minutes=5) for count in range(1, 24 * hours + 1)]
    assert len(await world.attempts(task.id)) == len(due)


CHANGES = (
    ("America/New_York", "2026-03-08T07:00"),
    ("America/New_York", "2026-11-01T06:00"),
    ("Europe/London", "2026-03-29T01:00"),
    ("Europe/London", "2026-10-25T01:00"),
    ("Australia/Lord_Howe", "2026-04-04T15:00"),
    ("Australia/Lord_Howe", "2026-10-03T15:30"),
    ("Asia/Kathmandu", "2026-03-29T01:00"),
    ("Asia/Kathmandu", "1985-12-31T18:30"),
)


@pytest.mark.parametrize(("zone", "change"), CHANGES)
async def test_five_minutes_stay_five_minutes_when_clocks_change(world, zone: str, change: str):
    await play_changes(world, zone, change, hours=1)


@pytest.mark.soak
@pytest.mark.parametrize(("zone", "change"), CHANGES)
async def test_five_minutes_stay_five_minutes_for_days_around_a_change(world, zone, change):
    await play_changes(world, zone, change, hours=48)
