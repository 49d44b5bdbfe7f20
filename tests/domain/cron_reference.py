"""Cron once more, slow and plain: expressions that know what they mean, and a clock that is walked.

An expression is made together with the values that its fields stand for, so nothing is parsed here;
its due times are found by looking at each minute of a span.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import NamedTuple

from domain.kernel.zones import load_zone

NONE, SECOND, MINUTE = timedelta(), timedelta(seconds=1), timedelta(minutes=1)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a field, and what it stands for."""

    text: str
    theirs: str | None
    """As cronsim writes it; None where it cannot."""
    values: frozenset[int] = frozenset()
    fits: Callable[[date], bool] | None = None
    """For days that hang on their month."""
    narrows: bool = False
    """True where the other field of days must fit too."""


class Field:
    """A list of parts."""

    def __init__(self, parts: Sequence[Part], every: range) -> None:
        texts = [part.theirs for part in parts]
        self.text = ",".join(part.text for part in parts)
        self.theirs = None if None in texts else ",".join(str(text) for text in texts)
        self.is_every = any(part.text in {"*", "?", "*/1"} for part in parts)
        self.is_whole = self.is_every or every == sorted({v for p in parts for v in p.values})
        self.values = frozenset(every) if self.is_every else frozenset(_values(parts))
        self.special = [part.fits for part in parts if part.fits is not None]
        self.narrows = any(part.narrows for part in parts)

    def fits(self, value: int, day: date) -> bool:
        """True when the value of a day fits."""
        return value in self.values or any(fits(day) for fits in self.special)


def _values(parts: Sequence[Part]) -> Iterator[int]:
    return (value for part in parts for value in part.values)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Expression:
    """Five fields and what they mean."""

    minute: Field
    hour: Field
    day: Field
    month: Field
    weekday: Field

    @property
    def fields(self) -> tuple[Field, ...]:
        """In the order of cron."""
        return (self.minute, self.hour, self.day, self.month, self.weekday)

    @property
    def text(self) -> str:
        """As we write it."""
        return " ".join(field.text for field in self.fields)

    @property
    def theirs(self) -> str | None:
        """As cronsim writes it."""
        texts = [field.theirs for field in self.fields]
        return None if None in texts else " ".join(str(text) for text in texts)

    def __repr__(self) -> str:
        return self.text

    @property
    def counts_intervals(self) -> bool:
        """True when every hour fits."""
        return len(self.hour.values) == 24

    @property
    def narrows_both(self) -> bool:
        """True when neither field of days is a star."""
        return not self.day.is_every and not self.weekday.is_every

    def fits_dates(self, day: date) -> tuple[bool, bool]:
        """Whether the day of the month fits, and the weekday."""
        return self.day.fits(day.day, day), self.weekday.fits(day.isoweekday() % 7, day)

    def fits_day(self, day: date) -> bool:
        """True when something is due on a date."""
        if day.month not in self.month.values:
            return False
        adds_up = self.narrows_both and not self.day.narrows and not self.weekday.narrows
        return (any if adds_up else all)(self.fits_dates(day))

    def fits(self, wall: datetime) -> bool:
        """True when a wall-clock time is due."""
        return (
            wall.minute in self.minute.values
            and wall.hour in self.hour.values
            and self.fits_day(wall.date())
        )


class Shown(NamedTuple):
    """What a clock shows at an instant, and which minutes it has jumped over just before."""

    instant: datetime
    wall: datetime
    leap: timedelta
    """By how much the clock was moved just before: forwards or, negative, back."""
    missing: Sequence[datetime]
    comes_twice: bool


@cache
def walked(zone: str, start: datetime, end: datetime, step: timedelta = MINUTE) -> list[Shown]:
    """Walk a clock from one instant to another; what it shows at whole minutes and after jumps."""
    zoned, shown = load_zone(zone), list[Shown]()
    instant, before = start, start.astimezone(zoned).replace(tzinfo=None)
    seen = set[datetime]()
    while instant < end:
        instant += step
        wall = instant.astimezone(zoned).replace(tzinfo=None)
        leap = wall - before - step
        missing = list(_minutes(before, wall)) if leap > NONE else []
        if leap or not wall.second:
            shown.append(Shown(instant, wall, leap, missing, wall in seen))
            seen.add(wall)
        before = wall
    return shown


def _minutes(after: datetime, before: datetime) -> Iterator[datetime]:
    minute = after.replace(second=0) + MINUTE
    while minute < before:
        yield minute
        minute += MINUTE


def due(expression: Expression, shown: Sequence[Shown]) -> list[datetime]:
    """Return the due times of a walk: each time of the wall clock once, or each interval."""
    found: list[datetime] = []
    intervals = expression.counts_intervals
    for at in shown:
        is_due = at.wall.second == 0 and expression.fits(at.wall)
        if not intervals:
            is_due = (is_due and not at.comes_twice) or any(map(expression.fits, at.missing))
        if is_due:
            found.append(at.instant)
    return found


def length_of(day: date) -> int:
    """Return how many days its month has."""
    return ((day.replace(day=28) + 4 * DAY).replace(day=1) - DAY).day


def is_nearest(day: date, wanted: int) -> bool:
    """True for the day from Monday to Friday nearest to a day, of the same month."""
    month = [day.replace(day=one) for one in range(1, length_of(day) + 1)]
    working = [one for one in month if one.isoweekday() < 6]
    return day == min(working, key=lambda one: abs(one.day - min(wanted, len(month))))


def dates(start: date, days: int) -> Iterator[date]:
    """Every date from one on."""
    return (start + count * DAY for count in range(days))


def at(text: str) -> datetime:
    """Read an instant."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
