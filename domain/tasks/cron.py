"""Cron expressions in a time zone: when they are due. Pure.

A day is due when it fits the day of the month or the day of the week, where both are narrowed;
with the nth or last weekday (`mon#1`, `L5`) or the nearest one (`15W`) it must fit both.

Clocks that change decide in one of two ways:

- An expression whose hour field is `*` (or covers all 24 hours) counts intervals: it is due at
  every instant whose wall-clock time fits, so `*/5 * * * *` goes on every 5 minutes through the
  hour that comes twice. Times that the clock jumps over have no instant and are left out.
- Every other expression names wall-clock times: each is due once per local date, at the first
  of two instants when clocks go back, and at the first instant after the jump when the clock
  jumps over it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from croniter import CroniterError, croniter

from domain.kernel.moments import EPOCH, LATEST_US, MICROSECOND
from domain.kernel.zones import load_zone, zone_names
from domain.tasks.cron_cures import cure, instead_of_alias, surplus
from domain.tasks.walls import DayRule, WallTimes
from domain.tasks.zone_hints import zone_hint

LONGEST_EXPRESSION = 200
HORIZON_US = LATEST_US - 100 * 366 * 86_400 * 1_000_000
"""Nothing is due after the year 9899: a search never leaves the calendar, nor does one begin
before the year 5."""
EARLIEST_SEARCH_US = -62_000_000_000 * 1_000_000

FIELD_NAMES = ("minute", "hour", "day", "month", "weekday")
ALLOWED = {
    "minute": "0 to 59",
    "hour": "0 to 23",
    "day": "1 to 31, L for the last day, or a day with W for the weekday nearest to it",
    "month": "1 to 12, or jan to dec",
    "weekday": "0 to 7, or sun to sat, with #1 to #5 for the nth or L before it for the last",
}
ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
RANGES = {
    "minute": range(60),
    "hour": range(24),
    "day": range(1, 32),
    "month": range(1, 13),
    "weekday": range(7),
}
NAMES = {
    "month": ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    "weekday": ("sun", "mon", "tue", "wed", "thu", "fri", "sat"),
}
_EVERY_ONE = re.compile(r"[*?]|\*/0*1")
_SPAN = re.compile(r"(\w+)-(\w+)(?:/(\d+))?", re.ASCII)
_SECOND = timedelta(seconds=1)


class ScheduleError(ValueError):
    """A schedule that cannot be; the message says what would be right."""


class CronError(ScheduleError):
    """An expression that cannot be; `field` is its field at fault, None for the whole of it."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class NeverDueError(CronError):
    """An expression whose day never comes."""


class ZoneError(ScheduleError):
    """A time zone that nobody knows."""


def zone_named(name: str) -> ZoneInfo:
    """Return a time zone of the `tzdata` package. Raises ZoneError with close matches."""
    if name not in zone_names():
        raise ZoneError(f"No time zone is called {name[:64]!r}; {zone_hint(name[:64])}")
    return load_zone(name)


def five_fields(expression: str) -> tuple[str, ...]:
    """Split an expression, its alias replaced. Raises CronError for anything but five fields."""
    if len(expression) > LONGEST_EXPRESSION:
        raise CronError(f"Use at most {LONGEST_EXPRESSION} characters; this has {len(expression)}.")
    text = expression.strip()
    if text.startswith("@"):
        if text.lower() not in ALIASES:
            known = ", ".join(ALIASES) + instead_of_alias(text)
            raise CronError(f"{text!r} is no alias; use one of {known}.")
        text = ALIASES[text.lower()]
    fields = tuple(text.split())
    if len(fields) != len(FIELD_NAMES):
        raise CronError(
            "Give five fields, minute, hour, day of month, month and day of week, such as"
            f" 0 9 * * mon-fri; this has {len(fields)}{surplus(fields)}."
        )
    return fields


@lru_cache(maxsize=4096)
def cron_times(expression: str, timezone: str) -> "CronTimes":
    """Read an expression of a zone, once for a process. Raises CronError and ZoneError."""
    fields = five_fields(expression)
    zone = zone_named(timezone)
    for name, field in zip(FIELD_NAMES, fields, strict=True):
        check_field(name, field)
    exact = " ".join(_exact(name, field) for name, field in zip(FIELD_NAMES, fields, strict=True))
    try:
        walker = croniter(exact, EPOCH, ret_type=datetime)
    except CroniterError as error:
        # Of fields that are right by themselves, it refuses only these.
        raise CronError(cure("weekday", fields[-1]) or _told(error), field="weekday") from None
    walls = _walls(walker)
    if not walls.ever:
        raise NeverDueError(
            f"{' '.join(fields)!r} is never due: none of its months has such a day.", field="day"
        )
    return CronTimes(expression=" ".join(fields), zone=zone, walker=walker, wall_times=walls)


def _walls(walker: "croniter[datetime]") -> WallTimes:
    minutes, hours, days, months, weekdays = walker.expanded
    rule = DayRule(
        days=days,
        weekdays=weekdays,
        places={int(day): tuple(of) for day, of in walker.nth_weekday_of_month.items()},
        nearest=walker.nearest_weekday,
    )
    return WallTimes.of(minutes=minutes, hours=hours, months=months, rule=rule)


def _exact(name: str, field: str) -> str:
    """Write a field so that croniter reads it as cron does.

    A part that fits all fits all, and a range from a value to itself is that value; where a range
    goes on from the start, as 22-3/2 does, so do its steps.
    """
    parts = field.lower().split(",")
    if any(_EVERY_ONE.fullmatch(part) for part in parts):
        return "*"
    return ",".join(_spelled(name, part) for part in parts)


def _spelled(name: str, part: str) -> str:
    """Spell out a range."""
    whole = RANGES[name]
    found = _SPAN.fullmatch(part.replace("*", f"{whole[0]}-{whole[-1]}", 1))
    if found is None:
        return part
    step = int(found[3] or 1)
    low, high = (_number(name, text) for text in found.group(1, 2))
    if low > whole[-1] and low != high:
        low = whole[0]  # the other number of Sunday
    if high < low:
        high += len(whole)
    values = range(low, high + 1, step)
    return ",".join(str((value - whole[0]) % len(whole) + whole[0]) for value in values)


def _number(name: str, text: str) -> int:
    if name == "day" and text == "l":
        return RANGES[name][-1]
    names = NAMES.get(name, ())
    return RANGES[name][names.index(text)] if text in names else int(text)


def check_field(name: str, field: str) -> None:
    """Refuse what croniter refuses, and what it would draw at random."""
    allowed = f"{field[:40]!r} is no {name}; use {ALLOWED[name]}, with , - * and /."
    if not field.isascii() or field.split() != [field]:
        raise CronError(allowed, field=name)
    if field[0] in "rRhH":
        message = f"{field[:40]!r} is drawn at random; name the {name}, or use a task's jitter."
        raise CronError(message, field=name)
    fields = [field if name == own else "*" for own in FIELD_NAMES]
    try:
        croniter.expand(" ".join(fields))
    except CroniterError:
        raise CronError(cure(name, field) or allowed, field=name) from None


def _told(error: CroniterError) -> str:
    """Say in one line what croniter found in the whole of an expression."""
    return f"{str(error).splitlines()[0].strip()[:200].removesuffix('.')}."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CronTimes:
    """An expression in its zone. The `walker` holds what croniter has read, and never moves."""

    expression: str
    zone: ZoneInfo
    walker: "croniter[datetime]"
    wall_times: WallTimes

    @property
    def fields(self) -> Sequence[Sequence[int | str]]:
        """Values of the five fields; `["*"]` for all, `"l"` for the last."""
        return self.walker.expanded

    @property
    def counts_intervals(self) -> bool:
        """True when it fits every hour, so that changes of the clock do not stop it."""
        return list(self.fields[1]) == ["*"]

    def next_after(self, after_us: int) -> int | None:
        """Return the first due instant strictly after a moment, None where no more is known."""
        if after_us >= HORIZON_US:
            return None
        after = EPOCH + max(after_us, EARLIEST_SEARCH_US) * MICROSECOND
        found = self._next_interval(after) if self.counts_intervals else self._next_wall(after)
        return None if found is None else (found - EPOCH) // MICROSECOND

    def walls(self, after: datetime) -> Iterator[datetime]:
        """Wall-clock times that fit, strictly after one, as if clocks never changed."""
        return self.wall_times.after(after)

    def first_instant(self, wall: datetime) -> datetime:
        """When a wall-clock time is due that is due once: see the rules of this module."""
        before, after = self.offsets(wall)
        instant = (wall - before).replace(tzinfo=UTC)
        return instant if before >= after else self.jump_before(instant, after - before)

    def offsets(self, wall: datetime) -> tuple[timedelta, timedelta]:
        """Offsets to UTC of its two readings (PEP 495).

        The first is the larger where the time comes twice, the smaller where it is jumped over.
        """
        earlier = wall.replace(tzinfo=self.zone, fold=0).utcoffset()
        later = wall.replace(tzinfo=self.zone, fold=1).utcoffset()
        return earlier or timedelta(), later or timedelta()

    def offset_at(self, instant: datetime) -> timedelta:
        """Offset to UTC at an instant."""
        return instant.astimezone(self.zone).utcoffset() or timedelta()

    def jump_before(self, instant: datetime, within: timedelta) -> datetime:
        """Return the first instant with the offset of `instant`, at most `within` before it."""
        offset = self.offset_at(instant)
        low, high = instant - within, instant
        while high - low > _SECOND:
            middle = low + (high - low) // 2
            middle = middle.replace(microsecond=0)
            if self.offset_at(middle) == offset:
                high = middle
            else:
                low = middle
        return high

    def _next_wall(self, after: datetime) -> datetime | None:
        # `first_instant` never falls as walls rise, so the first that lies ahead is the next.
        local = after.astimezone(self.zone).replace(tzinfo=None)
        instants = (self.first_instant(wall) for wall in self.walls(local))
        return next((instant for instant in instants if instant > after), None)

    def _next_interval(self, after: datetime) -> datetime | None:
        local = after.astimezone(self.zone)
        found = self._first_shown(local, after, fold=local.fold)
        before, later = self.offsets(local.replace(tzinfo=None))
        if local.fold == 0 and before > later:
            # Its wall-clock times are still to come a second time.
            again = self._first_shown(local - (before - later), after, fold=1)
            return min((one for one in (found, again) if one is not None), default=None)
        return found

    def _first_shown(self, local: datetime, after: datetime, *, fold: int) -> datetime | None:
        for wall in self.walls(local.replace(tzinfo=None)):
            shown = wall.replace(tzinfo=self.zone, fold=fold)
            instant = shown.astimezone(UTC)
            exists = instant.astimezone(self.zone).replace(tzinfo=None) == wall
            if exists and instant > after:
                return instant
        return None


@lru_cache(maxsize=8192)
def next_cron(expression: str, timezone: str, after_us: int) -> int | None:
    """Return the first due instant strictly after a moment; many tasks ask for the same one."""
    return cron_times(expression, timezone).next_after(after_us)
