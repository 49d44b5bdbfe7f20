"""When a task is due. Pure: give it a moment, get the next."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice, takewhile
from typing import Any, TypeAlias, TypeGuard

from domain.kernel.moments import EARLIEST_US, LATEST_US
from domain.kernel.rows import Unreadable
from domain.tasks.cron import ScheduleError, cron_times, next_cron


class ScheduleKind(StrEnum):
    """How due times are given."""

    ADHOC = "ADHOC"
    PLANNED = "PLANNED"
    SCHEDULED = "SCHEDULED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Adhoc:
    """Due only on demand; with `run_now` once as soon as the task is made."""

    run_now: bool = False

    @property
    def kind(self) -> ScheduleKind:
        """How due times are given."""
        return ScheduleKind.ADHOC


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """Due at given moments in microseconds, sorted and each once."""

    times: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "times", tuple(sorted(set(self.times))))

    @property
    def kind(self) -> ScheduleKind:
        """How due times are given."""
        return ScheduleKind.PLANNED


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """Due by the five fields of an expression, read in a time zone."""

    expression: str
    timezone: str

    @property
    def kind(self) -> ScheduleKind:
        """How due times are given."""
        return ScheduleKind.SCHEDULED


Schedule: TypeAlias = Adhoc | Planned | Cron


def times_after(schedule: Schedule, after_us: int) -> Iterator[int]:
    """Every due time strictly after a moment, in order; endless for most cron schedules.

    Raises CronError and ZoneError for what `read` would not give.
    """
    match schedule:
        case Adhoc():
            return iter(())
        case Planned(times=times):
            return iter(times[bisect_right(times, after_us) :])
        case Cron(expression=expression, timezone=timezone):
            return _cron_after(expression, timezone, after_us)


def _cron_after(expression: str, timezone: str, after_us: int) -> Iterator[int]:
    found = next_cron(expression, timezone, after_us)
    while found is not None:
        yield found
        found = next_cron(expression, timezone, found)


def next_due(schedule: Schedule, *, after_us: int) -> int | None:
    """Return the first due time strictly after a moment, None when there is none."""
    return next(times_after(schedule, after_us), None)


def due_times(schedule: Schedule, *, after_us: int, upto_us: int, limit: int) -> list[int]:
    """Return the due times after one moment and up to another, that one included; oldest first."""
    ahead = times_after(schedule, after_us)
    return list(islice(takewhile(lambda time: time <= upto_us, ahead), limit))


def upcoming(
    schedule: Schedule, *, after_us: int, count: int, ends_us: int | None = None
) -> list[int]:
    """Return the next due times strictly after a moment and before `ends_us`, at most `count`."""
    ahead = times_after(schedule, after_us)
    if ends_us is not None:
        ahead = takewhile(lambda time: time < ends_us, ahead)
    return list(islice(ahead, count))


def begins_after(now_us: int, starts_us: int | None) -> int:
    """Return the moment after which a task's times count: now, or just before its start."""
    return now_us if starts_us is None else max(now_us, starts_us - 1)


def stored(schedule: Schedule) -> dict[str, Any]:
    """Return plain JSON that `read` turns back into the schedule."""
    match schedule:
        case Adhoc(run_now=run_now):
            return {"kind": schedule.kind.value, "runNow": run_now}
        case Planned(times=times):
            return {"kind": schedule.kind.value, "times": list(times)}
        case Cron(expression=expression, timezone=timezone):
            return {
                "kind": schedule.kind.value,
                "expression": expression,
                "timezone": timezone,
            }


def read(values: Mapping[str, Any]) -> Schedule:
    """Read what `stored` gave. Raises ScheduleError for anything else."""
    if isinstance(values, Unreadable):
        raise ScheduleError(values.trouble)
    match dict(values):
        case {"kind": ScheduleKind.ADHOC, "runNow": bool(run_now)}:
            return Adhoc(run_now=run_now)
        case {"kind": ScheduleKind.PLANNED, "times": [_, *_] as times} if _are_moments(times):
            return Planned(times=tuple(times))
        case {
            "kind": ScheduleKind.SCHEDULED,
            "expression": str(expression),
            "timezone": str(timezone),
        }:
            cron_times(expression, timezone)
            return Cron(expression=expression, timezone=timezone)
        case other:
            raise ScheduleError(f"{str(other)[:100]} is no schedule.")


def _are_moments(values: Sequence[Any]) -> TypeGuard[Sequence[int]]:
    return all(type(value) is int and EARLIEST_US <= value <= LATEST_US for value in values)
