"""Random expressions, held against a clock that is walked and against another implementation."""

import os
import secrets
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise, takewhile
from typing import Any

import pytest
from cronsim import CronSim
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from domain.kernel.moments import EPOCH, MICROSECOND
from domain.kernel.zones import load_zone
from domain.tasks.cron import NeverDueError, cron_times
from domain.tasks.schedule import Cron, due_times, next_due
from tests.domain.cron_expressions import EXPRESSIONS, WEEKDAYS
from tests.domain.cron_reference import DAY, SECOND, Expression, Shown, at, dates, due, walked

CHANGES = (
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("Europe/London", "2026-03-29"),
    ("Europe/London", "2026-10-25"),
    ("Australia/Lord_Howe", "2026-10-04"),
    ("Australia/Lord_Howe", "2026-04-05"),
    ("Asia/Kathmandu", "2026-03-29"),
    ("Asia/Kathmandu", "2026-10-25"),
    # A quarter of an hour is left out.
    ("Asia/Kathmandu", "1986-01-01"),
    # The first hour of a day is left out, the last of one comes twice.
    ("Africa/Cairo", "2026-04-24"),
    ("Africa/Cairo", "2026-10-29"),
    ("America/Sao_Paulo", "2018-11-04"),
    ("America/Sao_Paulo", "2019-02-16"),
    ("Asia/Gaza", "2026-03-28"),
    ("Asia/Gaza", "2026-10-24"),
    # Two hours.
    ("Antarctica/Troll", "2026-03-29"),
    ("Antarctica/Troll", "2026-10-25"),
    # Summer is standard time.
    ("Europe/Dublin", "2026-03-29"),
    ("Europe/Dublin", "2026-10-25"),
    # A whole day is left out.
    ("Pacific/Apia", "2011-12-30"),
)
UNCHANGED = {("Asia/Kathmandu", "2026-03-29"), ("Asia/Kathmandu", "2026-10-25")}
SPAN, HOUR = timedelta(days=3), timedelta(hours=1)
YEARS = 41
"""After so many the rarest day has come, even over a year like 2100."""
COMMON = settings(
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def walk_of(zone: str, day: str) -> list[Shown]:
    start = at(day) - DAY + timedelta(hours=3)
    return walked(zone, start, start + SPAN)


def bounds(shown: list[Shown]) -> tuple[datetime, datetime]:
    start = shown[-1].instant - SPAN
    return start, shown[-1].instant


def ours(expression: Expression, zone: str, start: datetime, end: datetime) -> list[datetime]:
    found = due_times(
        Cron(expression=expression.text, timezone=zone),
        after_us=(start - EPOCH) // MICROSECOND,
        upto_us=(end - EPOCH) // MICROSECOND,
        limit=100_000,
    )
    return [EPOCH + moment_us * MICROSECOND for moment_us in found]


def theirs(expression: Expression, zone: str, start: datetime, end: datetime) -> list[datetime]:
    times = CronSim(str(expression.theirs), start.astimezone(load_zone(zone)))
    return list(
        takewhile(lambda time: time <= end, (time.astimezone(EPOCH.tzinfo) for time in times))
    )


def is_due_at_all(expression: Expression) -> bool:
    try:
        cron_times(expression.text, "UTC")
    except NeverDueError:
        return False
    return True


def check_walk(expression: Expression, zone: str, day: str) -> None:
    shown = walk_of(zone, day)
    assert ours(expression, zone, *bounds(shown)) == due(expression, shown)


@pytest.mark.parametrize(("zone", "day"), CHANGES)
def test_the_clocks_of_these_days_change(zone: str, day: str) -> None:
    shown = walk_of(zone, day)

    changes = [one for one in shown if one.missing or one.comes_twice]

    assert bool(changes) is ((zone, day) not in UNCHANGED)


def is_theirs_interval(expression: Expression) -> bool:
    fields = str(expression.theirs).split()
    return fields[0].startswith("*") or fields[1].startswith("*")


def steps_on_seven(part: str) -> bool:
    low, _, step = part.upper().partition("/")
    if not step or not low.isalnum():
        return False
    number = WEEKDAYS.index(low.lower()) if low.isalpha() else int(low)
    return (7 - number) % int(step) == 0


def known_difference(expression: Expression, instant: datetime, shown: list[Shown]) -> str | None:
    """Say why an instant may be due for one and not for the other."""
    (here,) = (one for one in shown if one.instant == instant)
    return _in_days(expression, here) or _at_changes(expression, here, shown)


def _in_days(expression: Expression, here: Shown) -> str | None:
    fields = str(expression.theirs).split()
    dates_fit = expression.fits_dates(here.wall.date())
    has_star = fields[2].startswith("*") or fields[4].startswith("*")
    if any(dates_fit) and not all(dates_fit):
        if expression.narrows_both and (expression.day.narrows or expression.weekday.narrows):
            return "it adds the nth weekday to the days; here both must fit"
        if expression.narrows_both and has_star:
            return "a star with a step lets both days narrow there; here they add up"
        if not expression.narrows_both and not has_star:
            return "a list that fits every day adds up there; here it narrows nothing"
    if here.wall.isoweekday() == 7 and any(map(steps_on_seven, fields[4].split(","))):
        return "its weekdays go up to 7, a second Sunday; here a step ends with Saturday"
    return None


def _at_changes(expression: Expression, here: Shown, shown: list[Shown]) -> str | None:
    counts = is_theirs_interval(expression)
    if counts is not expression.counts_intervals and is_changed(here):
        return "it takes a star in minute or hour for an interval; here every hour must fit"
    change = next((one for one in shown if is_changed(one)), None)
    if change is None or not counts:
        return None
    if here.leap >= DAY and not expression.fits(here.wall):
        return "it lands right after days that a zone leaves out, whatever day that is"
    if datetime.combine(here.wall.date(), time()) in change.missing:
        return "it loses a date whose midnight is jumped over, where it has to look for that date"
    if change.leap % HOUR and timedelta() <= here.instant - change.instant <= DAY:
        return "it leaps whole hours over a change of less, and so past the minutes after it"
    return None


def is_changed(here: Shown) -> bool:
    return bool(here.missing) or here.comes_twice


def check_theirs(expression: Expression, zone: str, day: str) -> None:
    shown = walk_of(zone, day)
    start, end = bounds(shown)
    differing = set(ours(expression, zone, start, end)) ^ set(theirs(expression, zone, start, end))
    unknown = [one for one in sorted(differing) if known_difference(expression, one, shown) is None]
    assert unknown == []


MANY = 600


def examples_of(count: int, *, first: int | None = None) -> Any:
    """Draw so many examples, always the same or from a first number on."""

    def settled(test: Any) -> Any:
        chosen = settings(COMMON, max_examples=count, derandomize=first is None)(test)
        return chosen if first is None else seed(first)(chosen)

    return settled


def first_number() -> int:
    first = int(os.environ.get("GOB_SEED") or secrets.randbelow(1_000_000))
    print(f"GOB_SEED={first}")  # noqa: T201 - draws these examples again
    return first


DUE = EXPRESSIONS.filter(is_due_at_all)
SHARED = DUE.filter(lambda expression: expression.theirs is not None)
CHANGE = st.sampled_from(CHANGES)


@examples_of(120)
@given(DUE, CHANGE)
def test_due_times_are_those_that_walking_the_clock_finds(expression, change):
    check_walk(expression, *change)


@examples_of(80)
@given(SHARED, CHANGE)
def test_due_times_are_those_of_another_implementation_but_for_known_reasons(expression, change):
    check_theirs(expression, *change)


@pytest.mark.soak
def test_due_times_are_those_that_walking_the_clock_finds_for_hundreds() -> None:
    examples_of(MANY, first=first_number())(given(DUE, CHANGE)(lambda e, c: check_walk(e, *c)))()


@pytest.mark.soak
def test_due_times_are_those_of_another_implementation_for_hundreds() -> None:
    examples_of(MANY, first=first_number())(
        given(SHARED, CHANGE)(lambda e, c: check_theirs(e, *c))
    )()


@examples_of(40)
@given(EXPRESSIONS, st.integers(0, 200 * 365))
def test_the_next_date_is_the_first_that_fits_however_far(expression, days):
    start = date(1950, 1, 1) + days * DAY
    found = next((day for day in dates(start, YEARS * 366) if expression.fits_day(day)), None)

    if found is None:
        assert not is_due_at_all(expression)
        return
    hour, minute = min(expression.hour.values), min(expression.minute.values)
    expected = datetime.combine(found, time(hour, minute, tzinfo=UTC))
    before = datetime.combine(start, time(), tzinfo=UTC) - MICROSECOND
    assert upcoming_first(expression, before) == expected


def upcoming_first(expression: Expression, after: datetime) -> datetime:
    schedule = Cron(expression=expression.text, timezone="UTC")
    found = next_due(schedule, after_us=(after - EPOCH) // MICROSECOND)
    assert found is not None
    return EPOCH + found * MICROSECOND


@examples_of(20)
@given(DUE, CHANGE, st.lists(st.integers(0, SPAN // MICROSECOND), max_size=6))
def test_a_span_split_anywhere_has_the_same_due_times(expression, change, cuts):
    start, end = bounds(walk_of(*change))
    places = [start, *(start + cut * MICROSECOND for cut in sorted(cuts)), end]

    whole = ours(expression, change[0], start, end)
    parts = [ours(expression, change[0], *part) for part in pairwise(places)]

    assert [time for part in parts for time in part] == whole
    assert all(earlier < later for earlier, later in pairwise(whole))


LMT = (
    ("America/New_York", "1883-11-18T15:00"),
    ("Europe/Paris", "1911-03-10T22:00"),
    ("Asia/Kolkata", "1905-12-31T16:00"),
    ("Africa/Monrovia", "1972-01-06T23:00"),
    # A whole day is left out.
    ("Asia/Manila", "1844-12-31T14:00"),
)
"""Places and times where the mean time of a place, with its odd seconds, was given up."""


@examples_of(40)
@given(DUE, st.sampled_from(LMT))
def test_offsets_with_seconds_are_kept(expression, place):
    zone, start = place[0], at(place[1])
    shown = walked(zone, start, start + 4 * HOUR, SECOND)
    assert any(one.leap for one in shown)

    found = ours(expression, zone, start, start + 4 * HOUR)

    assert found == due(expression, shown)
