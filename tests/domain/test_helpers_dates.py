"""Dates: calendar arithmetic that knows time zones."""

from datetime import UTC, datetime
from typing import Any

import pytest

from domain.helpers.dates import DateDifference, date_add, date_difference, date_format
from domain.helpers.errors import HelperError

at = datetime.fromisoformat


@pytest.mark.parametrize(
    ("moment", "step", "zone", "expected"),
    [
        ("2026-01-31T10:00", (1, "months"), "UTC", "2026-02-28T10:00:00+00:00"),
        ("2024-02-29T00:00", (1, "years"), "UTC", "2025-02-28T00:00:00+00:00"),
        ("2026-03-31T00:00", (-1, "months"), "UTC", "2026-02-28T00:00:00+00:00"),
        # The day keeps its wall-clock time when clocks go forward, hours do not.
        ("2026-03-28T12:00", (1, "days"), "Europe/Berlin", "2026-03-29T12:00:00+02:00"),
        ("2026-03-28T12:00", (24, "hours"), "Europe/Berlin", "2026-03-29T13:00:00+02:00"),
        # 02:30 does not exist on that day.
        ("2026-03-28T02:30", (1, "days"), "Europe/Berlin", "2026-03-29T03:30:00+02:00"),
        ("2026-10-25T00:30Z", (1, "hours"), "Europe/Berlin", "2026-10-25T02:30:00+01:00"),
        ("2026-01-01T00:00+05:00", (2, "weeks"), "UTC", "2026-01-14T19:00:00+00:00"),
    ],
)
def test_time_is_added_in_the_calendar_of_the_zone(
    moment: str, step: tuple[int, Any], zone: str, expected: str
):
    assert date_add(at(moment), *step, zone=zone).isoformat() == expected


@pytest.mark.parametrize(
    ("amount", "unit"),
    [(10**12, "seconds"), (10**12, "weeks"), (8_000, "years"), (-2_030, "years")],
)
def test_a_sum_beyond_the_calendar_is_refused(amount: int, unit: Any):
    with pytest.raises(HelperError) as refusal:
        date_add(at("2026-01-01T00:00"), amount, unit)

    assert str(refusal.value) == f"amount: {amount} {unit} leave the years 1 to 9999."


def test_a_difference_is_given_in_total_and_in_calendar_parts():
    difference = date_difference(at("2024-02-29"), at("2026-03-01T12:30:05.5"))

    assert difference == DateDifference(
        total_seconds=63203405.5,
        total_days=731.520896990741,
        years=2,
        months=0,
        days=1,
        hours=12,
        minutes=30,
        seconds=5.5,
        is_negative=False,
    )


def test_an_earlier_end_gives_a_negative_total_and_the_same_parts():
    forth = date_difference(at("2026-01-31"), at("2026-03-01"))
    back = date_difference(at("2026-03-01"), at("2026-01-31"))

    assert (forth.total_days, forth.months, forth.days) == (29, 1, 1)
    assert (back.total_days, back.months, back.days, back.is_negative) == (-29, 1, 1, True)


def test_a_day_on_which_clocks_change_is_one_day_of_23_hours():
    difference = date_difference(at("2026-03-29"), at("2026-03-30"), zone="Europe/Berlin")

    assert (difference.total_seconds, difference.days, difference.hours) == (82_800, 1, 0)


@pytest.mark.parametrize(
    ("zone", "pattern", "expected"),
    [
        ("UTC", "%Y-%m-%d %H:%M:%S %Z", "2026-07-04 15:05:09 UTC"),
        ("Asia/Tokyo", "%A, %d %B %Y, %I:%M %p", "Sunday, 05 July 2026, 12:05 AM"),
        ("America/New_York", "%G-W%V-%u %z 100%%", "2026-W27-6 -0400 100%"),
    ],
)
def test_a_moment_is_written_in_its_zone(zone: str, pattern: str, expected: str):
    moment = datetime(2026, 7, 4, 15, 5, 9, tzinfo=UTC)

    assert date_format(moment, zone=zone, pattern=pattern) == expected


@pytest.mark.parametrize("pattern", ["%1000000000d", "%", "%-d", "%Q"])
def test_a_placeholder_that_means_nothing_is_refused(pattern: str):
    with pytest.raises(HelperError, match="means nothing here; use %% %A"):
        date_format(at("2026-01-01"), pattern=pattern)


@pytest.mark.parametrize(
    "zone", ["Europe/Berln", "../../etc/passwd", "Europe", "", "/etc/passwd", "a\0b"]
)
def test_a_zone_that_does_not_exist_is_refused(zone: str):
    with pytest.raises(HelperError, match="zone: no time zone is called"):
        date_format(at("2026-01-01"), zone=zone)


def test_a_zone_that_is_nearly_right_is_suggested():
    with pytest.raises(HelperError, match="did you mean Europe/Berlin or "):
        date_format(at("2026-01-01"), zone="Europe/Berln")


def test_a_moment_outside_the_calendar_of_its_zone_is_refused():
    with pytest.raises(HelperError, match="outside the years 1 to 9999"):
        date_format(datetime.max.replace(tzinfo=UTC), zone="Asia/Tokyo")
