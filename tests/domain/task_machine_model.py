"""What must become of tasks, said a second time: by walking through each minute, without cron.

Nothing of `domain/tasks` is used here. It is slower, plainer, and knows only a few schedules.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from typing import Any, NamedTuple

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
DAY_MINUTES = 1440
DAY_US = DAY_MINUTES * MINUTE_US
LEAST_GRACE_S = 5
MOST_WAITING = 100
MOST_ROWS = 500


class Minutes(NamedTuple):
    """A cron schedule as a question that each minute since 1970 is asked."""

    expression: str
    timezone: str
    every: int
    offset: int

    def is_due(self, minute: int) -> bool:
        """Tell whether a minute since 1970 is a due time."""
        return minute % self.every == self.offset


CRONS = (
    Minutes("* * * * *", "UTC", 1, 0),
    Minutes("*/20 * * * *", "UTC", 20, 0),
    # Here it is winter, and Lisbon's time UTC.
    Minutes("0 * * * *", "Europe/Lisbon", 60, 0),
    # Kathmandu is 5 hours and 45 minutes ahead all the year.
    Minutes("30 6 * * *", "Asia/Kathmandu", DAY_MINUTES, 390 - 345),
)


@cache
def _walked(cron: Minutes, day: int) -> tuple[int, ...]:
    """Each due time of a day, since 1970."""
    minutes = range(day * DAY_MINUTES, (day + 1) * DAY_MINUTES)
    return tuple(minute * MINUTE_US for minute in minutes if cron.is_due(minute))


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """When a task is due: at moments, by a cron schedule, or only when asked; within bounds."""

    times: tuple[int, ...] = ()
    cron: Minutes | None = None
    starts_at: int | None = None
    ends_at: int | None = None

    @property
    def is_endless(self) -> bool:
        """True for a task that is only run on demand: it never has had its last time."""
        return not self.times and self.cron is None

    def between(self, after_us: int, upto_us: int) -> Iterable[int]:
        """Each due time after a moment and up to another, in order."""
        days = range(after_us // DAY_US, upto_us // DAY_US + 1)
        found = (
            self.times if self.cron is None else chain(*(_walked(self.cron, day) for day in days))
        )
        return (time for time in found if after_us < time <= upto_us and self._is_within(time))

    def _is_within(self, time: int) -> bool:
        if self.starts_at is not None and time < self.starts_at:
            return False
        return self.ends_at is None or time < self.ends_at

    def next_after(self, after_us: int) -> int | None:
        """The first due time after a moment; no schedule here waits longer than two days."""
        last = max([after_us, self.starts_at or 0, *self.times]) + 2 * DAY_US
        return next(iter(self.between(after_us, last)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What a look makes of a due time: `runs`, `waits`, SKIPPED or MISSED."""

    trigger: str
    outcome: str


@dataclass(slots=True, kw_only=True)
class TaskModel:
    """A task as it should be."""

    id: str
    values: dict[str, Any]
    timing: Timing
    since: int
    """After this moment its times count."""
    reached: int
    """Up to this moment all times of its schedule were dealt with."""
    status: str = "ACTIVE"
    until: int | None = None
    failures: int = 0
    is_deleted: bool = False
    former: set[int] = field(default_factory=set[int])
    """Times of schedules that it had before, which were due while they were in force."""

    @property
    def capacity(self) -> int:
        """Most runs at a time in its line."""
        if self.values["conversationMode"] == "CONTINUE":
            return 1
        return self.values["maxConcurrency"] if self.values["overlapPolicy"] == "PARALLEL" else 1

    def due_upto(self, moment: int) -> set[int]:
        """Every time that was due up to a moment, by the schedule in force at each."""
        return self.former | set(self.timing.between(self.since, moment))

    def change_timing(self, timing: Timing, now_us: int) -> None:
        """Have another schedule from now on; what was due before stays due."""
        self.former = self.due_upto(max(self.reached, now_us))
        self.timing, self.since, self.reached = timing, now_us, now_us
        if self.status == "COMPLETED":
            self.status = "ACTIVE"

    def begin_look(self, now_us: int) -> None:
        """What a look does before it deals with times."""
        if self.status == "PAUSED" and self.until is not None and self.until <= now_us:
            self.status, self.until, self.failures = "ACTIVE", None, 0
        self.pause_if_failing()

    def pause_if_failing(self) -> None:
        """Hold a task that has failed too often in a row."""
        most = self.values["pauseAfterFailures"]
        if self.status == "ACTIVE" and most and self.failures >= most:
            self.status, self.until = "PAUSED", None

    def settled(self, status: str) -> None:
        """Count how an occurrence ended."""
        if status == "SUCCEEDED":
            self.failures = 0
        elif status == "FAILED":
            self.failures += 1

    def fates(self, times: Sequence[int], opened: int, now_us: int) -> dict[int, Fate]:
        """What becomes of times found at one moment, beside so many that run or wait."""
        line = _Line(self.values["overlapPolicy"], self.capacity, opened)
        grace_us = max(self.values["graceSeconds"], LEAST_GRACE_S) * SECOND_US
        late = [time for time in times if now_us - time > grace_us]
        on_time = times[len(late) :]
        found: dict[int, Fate] = {}
        for time in late:
            if self.values["missedRunPolicy"] == "RUN_ALL":
                found[time] = Fate(trigger="CATCH_UP", outcome=line.place(waits=True))
            elif self.values["missedRunPolicy"] == "RUN_ONCE" and time == times[-1]:
                found[time] = Fate(trigger="CATCH_UP", outcome=line.place())
            else:
                found[time] = Fate(trigger="SCHEDULE", outcome="MISSED")
        for time in on_time:
            is_replaced = self.values["overlapPolicy"] == "REPLACE" and time != times[-1]
            outcome = "SKIPPED" if is_replaced else line.place()
            found[time] = Fate(trigger="SCHEDULE", outcome=outcome)
        return found

    def replaces(self, fates: Mapping[int, Fate], opened: int) -> bool:
        """Tell whether the last of these fates is to take the place of what was in line."""
        if self.values["overlapPolicy"] != "REPLACE" or not fates or not opened:
            return False
        every = self.values["missedRunPolicy"] == "RUN_ALL"
        last = fates[max(fates)]
        return last.outcome == "waits" and not (every and last.trigger == "CATCH_UP")


@dataclass(slots=True)
class _Line:
    overlap: str
    capacity: int
    taken: int

    def place(self, *, waits: bool = False) -> str:
        if self.taken < self.capacity:
            outcome = "runs"
        elif waits or self.overlap in ("QUEUE", "REPLACE"):
            outcome = "waits"
        else:
            outcome = "SKIPPED"
        self.taken += outcome != "SKIPPED"
        return outcome
