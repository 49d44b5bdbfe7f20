"""Cron held against a second, independent implementation, across changes of the clock."""

from datetime import UTC, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim

from domain.kernel.moments import EPOCH, MICROSECOND
from domain.tasks.schedule import Cron, due_times

CHANGES = {
    "America/New_York": ("2026-03-08", "2026-11-01"),
    "Europe/London": ("2026-03-29", "2026-10-25"),
    "Australia/Lord_Howe": ("2026-10-04", "2026-04-05"),
    "Asia/Kathmandu": ("2026-03-29", "2026-10-25"),
}
EXPRESSIONS = (
    "0 0 * * *",
    "30 1 * * *",
    "45 1 * * *",
    "0 2 * * *",
    "15 2 * * *",
    "30 2 * * *",
    "0 1,2,3 * * *",
    "0,15,30,45 0-4 * * *",
    "59 23 * * *",
    "0 9 * * mon-fri",
    "30 1 * * sun",
    "0 12 1,15 * *",
    "0 12 L * *",
    "0 2 1 * sun",
    "0 0 1 1 *",
    "0 0 29 2 *",
    "0 9 * * 1#2",
    "* * * * *",
    "*/5 * * * *",
    "*/7 * * * *",
    "0 * * * *",
    "30 * * * *",
    "45 * * * *",
    "15 * * * sun",
    "10-20/3 * * * *",
)
SPAN = timedelta(days=3)
HALF_HOUR_LEAPS = ("30 * * * *", "45 * * * *")
"""The other implementation leaps a whole hour to the next minute, past half an hour's change."""
CASES = [
    (expression, zone, day)
    for expression in EXPRESSIONS
    for zone, days in CHANGES.items()
    for day in days
    if not (zone == "Australia/Lord_Howe" and expression in HALF_HOUR_LEAPS)
]


def ours(expression: str, zone: str, start: datetime) -> list[datetime]:
    after_us = (start - EPOCH) // MICROSECOND
    upto_us = (start + SPAN - EPOCH) // MICROSECOND
    schedule = Cron(expression=expression, timezone=zone)
    found = due_times(schedule, after_us=after_us, upto_us=upto_us, limit=10_000)
    return [EPOCH + moment_us * MICROSECOND for moment_us in found]


def theirs(expression: str, zone: str, start: datetime) -> list[datetime]:
    times = (time.astimezone(UTC) for time in CronSim(expression, start.astimezone(ZoneInfo(zone))))
    return list(takewhile(lambda time: time <= start + SPAN, times))


def day_before(day: str) -> datetime:
    return datetime.fromisoformat(day).replace(hour=3, tzinfo=UTC) - timedelta(days=1)


@pytest.mark.parametrize(("expression", "zone", "day"), CASES)
def test_due_times_are_those_of_another_implementation_when_clocks_change(expression, zone, day):
    start = day_before(day)

    found = ours(expression, zone, start)

    assert found == theirs(expression, zone, start)


@pytest.mark.parametrize(
    ("expression", "zone", "day", "reason", "extra", "missing"),
    [
        (
            "*/30 1 * * *",
            "America/New_York",
            "2026-11-01",
            "it takes a star in the minute field for an interval; here the hour field decides",
            [],
            ["2026-11-01T06:00Z", "2026-11-01T06:30Z"],
        ),
        (
            "*/30 2 * * *",
            "America/New_York",
            "2026-03-08",
            "for the same reason it drops times that the clock jumps over",
            ["2026-03-08T07:00Z"],
            [],
        ),
        (
            "45 * * * *",
            "Australia/Lord_Howe",
            "2026-10-04",
            "it leaps a whole hour from 01:45 and so past 02:45, which comes half an hour later",
            ["2026-10-03T15:45Z"],
            [],
        ),
        (
            "45 * * * *",
            "Australia/Lord_Howe",
            "2026-04-05",
            "it leaps a whole hour from 01:45 and so past its second coming",
            ["2026-04-04T15:15Z"],
            [],
        ),
        (
            "30 0-23 * * *",
            "America/New_York",
            "2026-11-01",
            "it takes an hour field without a star for times of the wall clock",
            ["2026-11-01T06:30Z"],
            [],
        ),
        (
            "0 1 */7 * sun",
            "Europe/London",
            "2026-10-25",
            "a star with a step narrows the day of the week there; here both narrowed add up",
            ["2026-10-25T00:00Z"],
            [],
        ),
        (
            "0 12 20-31 * sun#4",
            "Europe/London",
            "2026-10-25",
            "it adds the nth weekday to the days; here both must fit",
            [],
            ["2026-10-24T11:00Z", "2026-10-26T12:00Z"],
        ),
        (
            "0 12 * * 5/1",
            "Europe/London",
            "2026-10-25",
            "its weekdays go up to 7, a second Sunday; here a step ends with Saturday",
            [],
            ["2026-10-25T12:00Z"],
        ),
    ],
)
def test_differences_from_the_other_implementation_are_known(
    expression, zone, day, reason, extra, missing
):
    start = day_before(day)

    found, other = set(ours(expression, zone, start)), set(theirs(expression, zone, start))

    assert sorted(found - other) == [datetime.fromisoformat(text) for text in extra]
    assert sorted(other - found) == [datetime.fromisoformat(text) for text in missing]
