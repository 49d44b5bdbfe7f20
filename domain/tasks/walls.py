"""Wall-clock times that fit the five fields of cron, as if clocks never changed. Pure."""

from bisect import bisect_left
from calendar import monthrange
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, date, datetime
from typing import Literal, TypeAlias

Field: TypeAlias = Sequence[int | str]
Place: TypeAlias = int | Literal["l"]

SHAPES = [(first, length) for first in range(7) for length in (28, 29, 30, 31)]
"""Every month that can be: the weekday of its first day, Sunday being 0, and its length."""
LONGEST = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}
EVERY = ("*",)


@dataclass(frozen=True, slots=True, kw_only=True)
class DayRule:
    """Which days of a month fit.

    Plain days and weekdays add up where both are narrowed; with the nth or last weekday, or the
    weekday nearest to a day, both must fit.
    """

    days: Field
    """Days of the month; `*` for all, `l` for the last."""
    weekdays: Field
    places: Mapping[int, Collection[Place]]
    """By weekday which of the month; empty where any will do."""
    nearest: Collection[int]
    """Days to which a weekday is to be the nearest, instead of `days`."""

    def of(self, first: int, length: int) -> tuple[int, ...]:
        """Return the days of a month of a shape that fit."""
        month = range(1, length + 1)
        dates = self._dates(first, length)
        weekdays = {day for day in month if self._is_weekday(day, first, length)}
        if dates is None:
            return tuple(sorted(weekdays))
        if self.places or self.nearest or tuple(self.weekdays) == EVERY:
            return tuple(sorted(dates & weekdays))
        return tuple(sorted(dates | weekdays))

    def _dates(self, first: int, length: int) -> set[int] | None:
        if self.nearest:
            return {_nearest(min(day, length), first, length) for day in self.nearest}
        if tuple(self.days) == EVERY:
            return None
        numbers = {length if day == "l" else int(day) for day in self.days}
        return {day for day in numbers if day <= length}

    def _is_weekday(self, day: int, first: int, length: int) -> bool:
        weekday = (first + day - 1) % 7
        if not self.places:
            return weekday in self.weekdays or tuple(self.weekdays) == EVERY
        wanted = self.places.get(weekday, ())
        return (day + 6) // 7 in wanted or ("l" in wanted and day + 7 > length)


def _nearest(day: int, first: int, length: int) -> int:
    """Return the day from Monday to Friday that is nearest to a day, of the same month."""
    weekday = (first + day - 1) % 7
    if weekday == 6:
        return day - 1 if day > 1 else day + 2
    if weekday == 0:
        return day + 1 if day < length else day - 2
    return day


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WallTimes:
    """The minutes of a day, the months, and the days of each shape of a month that fit."""

    minutes: Sequence[int]
    hours: Sequence[int]
    months: Collection[int]
    days: Mapping[tuple[int, int], Sequence[int]]

    @classmethod
    def of(cls, *, minutes: Field, hours: Field, months: Field, rule: DayRule) -> "WallTimes":
        """Prepare the search for what the fields say."""
        return cls(
            minutes=_numbers(minutes, range(60)),
            hours=_numbers(hours, range(24)),
            months=frozenset(_numbers(months, range(1, 13))),
            days={shape: rule.of(*shape) for shape in SHAPES},
        )

    @property
    def ever(self) -> bool:
        """False when none of its months ever has such a day; months come in every shape."""
        longest = {LONGEST.get(month, 31) for month in self.months}
        lengths = longest | {28} if 2 in self.months else longest
        return any(days for (_, length), days in self.days.items() if length in lengths)

    def after(self, wall: datetime) -> Iterator[datetime]:
        """Every wall-clock time that fits, strictly after one, up to the end of the calendar."""
        today = wall.date()
        for day in self._dates(today):
            hour, minute = (wall.hour, wall.minute) if day == today else (-1, -1)
            yield from self._within(day, hour, minute)

    def _dates(self, start: date) -> Iterator[date]:
        year, month, since = start.year, start.month, start.day
        while year <= MAXYEAR:
            if month in self.months:
                weekday, length = monthrange(year, month)
                for day in self.days[(weekday + 1) % 7, length]:
                    if day >= since:
                        yield date(year, month, day)
            year, month, since = year + month // 12, month % 12 + 1, 1

    def _within(self, day: date, hour: int, minute: int) -> Iterator[datetime]:
        """Times of a date after a minute of it."""
        for one in self.hours[bisect_left(self.hours, hour) :]:
            least = minute + 1 if one == hour else 0
            for other in self.minutes[bisect_left(self.minutes, least) :]:
                yield datetime(day.year, day.month, day.day, one, other)  # noqa: DTZ001 - a wall-clock time


def _numbers(field: Field, every: range) -> list[int]:
    return list(every) if tuple(field) == EVERY else sorted(int(value) for value in field)
