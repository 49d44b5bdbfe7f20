"""What becomes of due times: which run, wait, are skipped or were missed. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from domain.kernel.moments import format_moment
from domain.tasks.rows import TaskRow
from domain.tasks.schedule import (
    Schedule,
    ScheduleError,
    begins_after,
    due_times,
    next_due,
    read,
    upcoming,
)
from domain.tasks.spec import RetryPolicy
from domain.tasks.state import (
    ConversationMode,
    MissedRunPolicy,
    OccurrenceStatus,
    OccurrenceTrigger,
    OverlapPolicy,
    TaskStatus,
)

SECOND_US = 1_000_000
MOST_ROWS = 500
"""Due times of one task that one look deals with; the next look goes on."""
MOST_WAITING = 100
"""Due times of one task that wait in line; more are skipped, or dealt with later."""
LEAST_GRACE_S = 5
"""A scheduler may be this late itself, so no task can ask for less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """A due time and what becomes of it: RUNNING starts now, QUEUED waits for its turn."""

    scheduled_for: int
    trigger: OccurrenceTrigger
    status: OccurrenceStatus
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one look does with due times; `more` when some are left for the next."""

    fates: Sequence[Fate] = ()
    next_run_at: int | None
    more: bool = False
    replaces: bool = False
    """True when what is at work or waits has to go for the newest due time."""


@dataclass(slots=True, kw_only=True)
class Line:
    """What of a task is at work and what waits; fills up as due times are placed."""

    task: TaskRow
    running: int
    waiting: int
    replaces: bool = field(default=False, init=False)
    placed: int = field(default=0, init=False)
    """Due times that have started or wait by now."""

    @property
    def capacity(self) -> int:
        """Most runs at a time. A shared conversation holds one."""
        return capacity_of(self.task)

    @property
    def is_used_up(self) -> bool:
        """True when the task has no start left (maxRuns)."""
        left = starts_left(self.task)
        return left is not None and self.placed >= left

    def place(self, time: int, trigger: OccurrenceTrigger, *, every: bool = False) -> Fate:
        """Say what becomes of a due time that should run; `every` of its kind is to run once."""
        status, reason = self._place(every=every)
        self.running += status is OccurrenceStatus.RUNNING
        self.waiting += status is OccurrenceStatus.QUEUED
        self.placed += status is not OccurrenceStatus.SKIPPED
        return Fate(scheduled_for=time, trigger=trigger, status=status, reason=reason)

    def _place(self, *, every: bool) -> tuple[OccurrenceStatus, str | None]:
        policy = self.task.overlap_policy
        if self.running + self.waiting < self.capacity:
            return OccurrenceStatus.RUNNING, None
        if every or policy == OverlapPolicy.QUEUE:
            if self.waiting < MOST_WAITING:
                return OccurrenceStatus.QUEUED, None
            return OccurrenceStatus.SKIPPED, f"{MOST_WAITING} due times wait in line already."
        if policy == OverlapPolicy.REPLACE:
            self.replaces = True
            return OccurrenceStatus.QUEUED, None
        if policy == OverlapPolicy.PARALLEL:
            message = f"{self.capacity} of its runs are at work already (maxConcurrency)."
            return OccurrenceStatus.SKIPPED, message
        return OccurrenceStatus.SKIPPED, "The run before it is still at work."


def capacity_of(task: TaskRow) -> int:
    """Most runs of a task at a time, those started by hand left out."""
    shares = task.conversation_mode == ConversationMode.CONTINUE
    if task.overlap_policy != OverlapPolicy.PARALLEL or shares:
        return 1
    return task.max_concurrency


def starts_left(task: TaskRow) -> int | None:
    """How often the schedule of a task may still start it; None for no bound."""
    return None if task.max_runs is None else max(0, task.max_runs - task.started_runs)


def times_ahead(task: TaskRow, after_us: int, *, count: int) -> list[int]:
    """Return the next due times of a task after a moment, no more than it has starts left.

    None for a task that is held or over, and for a schedule that cannot be read.
    """
    if task.status != TaskStatus.ACTIVE:
        return []
    try:
        due = read(task.schedule)
    except ScheduleError:
        return []
    left = starts_left(task)
    return upcoming(
        due,
        after_us=begins_after(after_us, task.starts_at),
        count=count if left is None else min(count, left),
        ends_us=task.ends_at,
    )


def first_due(
    schedule: Schedule, *, after_us: int, starts_at: int | None, ends_at: int | None
) -> int | None:
    """Return the first due time after a moment that lies within the bounds of a task."""
    begins_us = after_us if starts_at is None else max(after_us, starts_at - 1)
    found = next_due(schedule, after_us=begins_us)
    return None if found is None or (ends_at is not None and found >= ends_at) else found


def jitter_us(task_id: str, scheduled_for: int, jitter_seconds: int) -> int:
    """Return the delay of a due time: the same whoever asks, spread evenly over tasks and times."""
    if not jitter_seconds:
        return 0
    return _share(jitter_seconds * SECOND_US, f"{task_id} {scheduled_for}")


def retry_wait_us(policy: RetryPolicy, occurrence_id: str, attempt: int) -> int:
    """Return the wait after attempt number `attempt`, from 1, of an occurrence has failed.

    What failed together does not come back together: the wait is spread over a quarter of its
    back-off, upwards unless that would pass the longest wait, and never below the first one.
    """
    backoff_us = policy.backoff_s(attempt) * SECOND_US
    longest_us = policy.max_backoff_seconds * SECOND_US
    latest_us = min(backoff_us + backoff_us // 4, longest_us)
    shortest_us = min(policy.backoff_seconds * SECOND_US, longest_us)
    earliest_us = max(shortest_us, latest_us - backoff_us // 4)
    return earliest_us + _share(latest_us - earliest_us, f"{occurrence_id} {attempt}")


def _share(span_us: int, drawn_for: str) -> int:
    """Return a part of a span: the same for the same words, spread evenly over different ones."""
    drawn = int.from_bytes(sha256(drawn_for.encode()).digest()[:8])
    return drawn * span_us >> 64


def plan_due(
    task: TaskRow,
    schedule: Schedule,
    line: Line,
    now_us: int,
    *,
    is_last: bool = False,
    known: Collection[int] = (),
) -> Plan:
    """Deal with the due times up to now: on time ones by overlap, others by the missed-run policy.

    A policy that runs every missed time takes only as many as may wait in line; the rest is left
    for a later look, and skipped where there will be none (`is_last`). Times that are `known` have
    had their turn, and take no place from others.
    """
    runs_all = task.missed_run_policy == MissedRunPolicy.RUN_ALL and not is_last
    room = min(MOST_ROWS, MOST_WAITING - line.waiting) if runs_all else MOST_ROWS
    first = task.next_run_at
    if first is None or first > now_us or room <= 0:
        return Plan(next_run_at=first)
    upto_us = now_us if task.ends_at is None else min(now_us, task.ends_at - 1)
    times = [first, *due_times(schedule, after_us=first, upto_us=upto_us, limit=room - 1)]
    following = first_due(
        schedule, after_us=times[-1], starts_at=task.starts_at, ends_at=task.ends_at
    )
    more = following is not None and following <= now_us
    times = [time for time in times if time not in known]
    missed_before = now_us - max(task.grace_seconds, LEAST_GRACE_S) * SECOND_US
    missed = [time for time in times if time < missed_before]
    fresh = times[len(missed) :]
    fates = _missed(line, missed, now_us=now_us, is_last=not more and not fresh)
    if not line.is_used_up:
        fates += _on_time(line, fresh)
    if len(fates) < len(times):
        # After the last start that is left nothing is due, unless it was there already.
        following, more = times[len(fates)], True
    return Plan(fates=fates, next_run_at=following, more=more, replaces=line.replaces)


def _missed(line: Line, times: Sequence[int], *, now_us: int, is_last: bool) -> list[Fate]:
    policy, catch_up = line.task.missed_run_policy, OccurrenceTrigger.CATCH_UP
    if policy == MissedRunPolicy.RUN_ALL:
        return _placed(line, times, catch_up, every=True)
    once = policy == MissedRunPolicy.RUN_ONCE and is_last
    lost = times[:-1] if once else times
    fates = [_lost(line.task, time, now_us) for time in lost]
    return [*fates, *_placed(line, times[len(lost) :], catch_up)]


def _placed(
    line: Line, times: Sequence[int], trigger: OccurrenceTrigger, *, every: bool = False
) -> list[Fate]:
    """Place due times in turn, until the starts of the task are used up."""
    fates: list[Fate] = []
    for time in times:
        if line.is_used_up:
            break
        fates.append(line.place(time, trigger, every=every))
    return fates


def _lost(task: TaskRow, time: int, now_us: int) -> Fate:
    late_s = (now_us - time) // SECOND_US
    reason = f"Found {late_s} s late, with {task.grace_seconds} s of grace"
    if task.missed_run_policy == MissedRunPolicy.RUN_ONCE:
        reason += "; a later due time runs for it"
    return Fate(
        scheduled_for=time,
        trigger=OccurrenceTrigger.SCHEDULE,
        status=OccurrenceStatus.MISSED,
        reason=f"{reason}.",
    )


def _on_time(line: Line, times: Sequence[int]) -> list[Fate]:
    fates: list[Fate] = []
    wanted = times
    if line.task.overlap_policy == OverlapPolicy.REPLACE:
        wanted = times[-1:]
        fates = [_replaced(time, by=times[-1]) for time in times[:-1]]
    return [*fates, *_placed(line, wanted, OccurrenceTrigger.SCHEDULE)]


def _replaced(time: int, *, by: int) -> Fate:
    return Fate(
        scheduled_for=time,
        trigger=OccurrenceTrigger.SCHEDULE,
        status=OccurrenceStatus.SKIPPED,
        reason=replaced_by(by),
    )


def replaced_by(time: int) -> str:
    """Say what a due time had to go for."""
    return f"Replaced by the one due at {format_moment(time)}."
