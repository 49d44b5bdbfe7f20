"""One look at one task whose time has come: what goes on, what starts, when to look again."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import structlog

from domain.kernel.ids import IdSource
from domain.kernel.tracing import new_trace
from domain.tasks import schedule
from domain.tasks.claiming import count_starts, make_way, occurrence_of
from domain.tasks.commits import Batch
from domain.tasks.plan import (
    Line,
    Plan,
    capacity_of,
    jitter_us,
    plan_due,
    starts_left,
)
from domain.tasks.reading import (
    AGENT_GONE,
    Fault,
    faults_of,
    held_by,
    occurrence_faults,
    occurrence_trouble,
)
from domain.tasks.rows import OccurrenceRow, TaskRow
from domain.tasks.settling import AT_ONCE
from domain.tasks.starting import AgentNow, RunStarter
from domain.tasks.state import (
    ConversationMode,
    OccurrenceStatus,
    OccurrenceTrigger,
    TaskChange,
    TaskStatus,
)
from domain.tasks.writes import (
    insert_occurrences,
    update_occurrence,
    update_task,
)

BESIDE = (OccurrenceTrigger.MANUAL, OccurrenceTrigger.BACKFILL)
"""Triggers whose runs go on beside the schedule, as if there were none."""
NO_AGENT = AgentNow("", "", 0, None)
"""Stands for the agent of a task whose agent is gone."""

log = structlog.get_logger("domain.tasks.look")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a batch has read beside its tasks."""

    opened: Mapping[str, list[OccurrenceRow]]
    """Occurrences at work or waiting, by task, oldest first."""
    known: Mapping[str, Collection[int]]
    """Due times up to now that have a row already, as after a clock that was set back, by task."""
    agents: Mapping[str, AgentNow]


@dataclass(frozen=True, slots=True, kw_only=True)
class LookParts:
    """What a look is made with."""

    starter: RunStarter
    ids: IdSource


class Look:
    """Takes a locked task from the state it was left in to the one it should be in now."""

    def __init__(self, task: TaskRow, batch: Batch, found: Found, parts: LookParts) -> None:
        self._task = task
        self._batch = batch
        self._agent = found.agents.get(task.agent_id, NO_AGENT)
        self._open = list(found.opened.get(task.id, ()))
        self._known = found.known.get(task.id, ())
        self._parts = parts
        self._trace = new_trace()
        self._changed = False

    async def take(self) -> None:
        """Do everything that is due; a task that cannot be read is held."""
        faults = faults_of(self._task) or ([AGENT_GONE] if self._agent is NO_AGENT else [])
        if faults:
            self._hold(faults)
            return
        task, now_us = self._task, self._batch.now_us
        due = schedule.read(task.schedule)
        self._go_on()
        self._promote()
        self._pause_failing()
        await self._start_by_hand()
        plan = Plan(next_run_at=task.next_run_at)
        if task.status == TaskStatus.ACTIVE:
            await self._let_go()
            plan = plan_due(task, due, self._line(), now_us, known=self._known)
            if plan.replaces:
                self._replace(plan)
            await self._place(plan)
            task.next_run_at = None if starts_left(task) == 0 else plan.next_run_at
        await self._start_backfill()
        if task.status == TaskStatus.ACTIVE:
            self._complete(is_endless=isinstance(due, schedule.Adhoc))
        self._pause_failing()
        self._save(more=plan.more and task.next_run_at is not None)

    def _hold(self, faults: Sequence[Fault]) -> None:
        """Leave a task that cannot be read as it is, but for the pause that says so."""
        values = {"wake_at": None, **held_by(self._task, faults, self._batch.now_us)}
        self._batch.statements.append(update_task(self._task.id, values))
        if len(values) > 1:
            columns = sorted(fault.column for fault in faults)
            log.warning("task.unreadable", task_id=self._task.id, columns=columns)
            self._tell(TaskChange.UPDATED)

    def _go_on(self) -> None:
        """End a pause whose time is over."""
        until = self._task.paused_until
        if self._task.status == TaskStatus.PAUSED and until and until <= self._batch.now_us:
            self._set_status(TaskStatus.ACTIVE, None)
            self._task.consecutive_failures = 0

    def _set_status(self, status: TaskStatus, reason: str | None) -> None:
        task = self._task
        task.status, task.pause_reason, task.paused_until = status, reason, None
        self._changed = True

    def _pause_failing(self) -> None:
        task, most = self._task, self._task.pause_after_failures
        if task.status == TaskStatus.ACTIVE and most and task.consecutive_failures >= most:
            count = task.consecutive_failures
            self._set_status(TaskStatus.PAUSED, f"Paused after {count} failures in a row.")

    def _complete(self, *, is_endless: bool) -> None:
        if not is_endless and self._task.next_run_at is None and not self._still_open():
            self._set_status(TaskStatus.COMPLETED, None)

    def _still_open(self) -> list[OccurrenceRow]:
        return [row for row in self._open if row.finished_at is None]

    def _in_line(self) -> list[OccurrenceRow]:
        """Started or waiting, but for those that go on beside the schedule."""
        return [row for row in self._still_open() if row.trigger not in BESIDE]

    def _line(self) -> Line:
        rows = self._in_line()
        waiting = sum(1 for row in rows if row.run_id is None)
        return Line(task=self._task, running=len(rows) - waiting, waiting=waiting)

    def _promote(self) -> None:
        """Begin the attempts that waited for their time."""
        for row in self._open:
            if row.run_id is not None and row.due_at and row.due_at <= self._batch.now_us:
                row.status, row.due_at = OccurrenceStatus.RUNNING, None
                self._batch.due_runs.append(row.run_id)
                self._keep(row)

    async def _start_by_hand(self) -> None:
        """Start what runTaskNow left waiting for its conversation, also while paused."""
        for row in self._still_open():
            if row.trigger == OccurrenceTrigger.MANUAL and self._may_start(row):
                await self._start(row)
                self._keep(row)

    async def _start_backfill(self) -> None:
        """Start past due times, oldest first and in a line of their own, after all others."""
        task = self._task
        rows = [row for row in self._still_open() if row.trigger == OccurrenceTrigger.BACKFILL]
        waiting = [row for row in rows if row.run_id is None]
        free = capacity_of(task) - (len(rows) - len(waiting))
        for row in waiting if not self._is_wanted() else ():
            self._pause_failing()
            is_held = task.status == TaskStatus.PAUSED
            if free <= 0 or is_held or not self._may_start(row):
                return
            await self._start(row)
            self._keep(row)
            free -= row.status != OccurrenceStatus.FAILED

    def _is_wanted(self) -> bool:
        """True while others have the conversation that runs share, or wait for it."""
        shares = self._task.conversation_mode == ConversationMode.CONTINUE
        backfill = OccurrenceTrigger.BACKFILL
        return shares and any(row.trigger != backfill for row in self._still_open())

    async def _let_go(self) -> None:
        """Start those next in line, oldest first."""
        free = capacity_of(self._task) - self._line().running
        for row in self._in_line():
            if row.run_id is not None:
                continue
            if free <= 0 or not self._may_start(row):
                return
            await self._start(row)
            self._keep(row)
            free -= row.status != OccurrenceStatus.FAILED

    def _may_start(self, row: OccurrenceRow) -> bool:
        is_due = row.due_at is None or row.due_at <= self._batch.now_us
        return row.run_id is None and is_due

    def _replace(self, plan: Plan) -> None:
        """Stop what is at work and drop what waits, for the newest due time."""
        dropped = make_way(self._batch, self._in_line(), by=plan.fates[-1].scheduled_for)
        count_starts(self._task, dropped, -1)
        for row in dropped:
            self._keep(row)

    async def _place(self, plan: Plan) -> None:
        """Write the due times, and start those of them that nobody has started before."""
        if not plan.fates:
            return
        task, now_us = self._task, self._batch.now_us
        rows = [occurrence_of(task, fate, self._parts.ids(), now_us) for fate in plan.fates]
        insertion = insert_occurrences(rows)
        written = {row[0] for row in await self._batch.tx.fetch(insertion.sql, *insertion.args)}
        for row, fate in zip(rows, plan.fates, strict=True):
            if row.id not in written:
                continue
            self._open.append(row)
            if row.finished_at is None:
                count_starts(task, [row], 1)
            if fate.status is OccurrenceStatus.RUNNING:
                await self._start(row, delay=row.trigger == OccurrenceTrigger.SCHEDULE)
                self._batch.statements.append(update_occurrence(row))
            self._tell(TaskChange.OCCURRENCE, row.id)

    async def _start(self, row: OccurrenceRow, *, delay: bool = False) -> None:
        """Give an occurrence its run; without a usable agent it has failed."""
        task, now_us = self._task, self._batch.now_us
        trouble = self._trouble(row)
        if trouble is not None:
            row.status, row.due_at, row.finished_at = OccurrenceStatus.FAILED, None, now_us
            row.reason = trouble
            task.consecutive_failures += 1
            return
        jitter = jitter_us(task.id, row.scheduled_for, task.jitter_seconds) if delay else 0
        # What is due runs now, also when the clock was set back since.
        row.due_at = max(now_us, row.scheduled_for + jitter) if jitter else now_us
        await self._parts.starter.start(
            task, row, self._batch, agent=self._agent, trace=new_trace()
        )

    def _trouble(self, row: OccurrenceRow) -> str | None:
        """Say why an occurrence cannot be started, whatever its task does."""
        if self._agent.archived_at is not None:
            return f"The agent {self._agent.slug!r} is archived."
        faults = occurrence_faults(row)
        return occurrence_trouble(faults) if "inputs" in faults else None

    def _keep(self, row: OccurrenceRow) -> None:
        self._batch.statements.append(update_occurrence(row))
        self._tell(TaskChange.OCCURRENCE, row.id)

    def _tell(self, change: TaskChange, occurrence_id: str | None = None) -> None:
        self._batch.tell(
            change, self._task.id, occurrence_id=occurrence_id, trace_id=self._trace.trace_id
        )

    def _save(self, *, more: bool) -> None:
        task = self._task
        values = {
            "status": task.status,
            "pause_reason": task.pause_reason,
            "paused_until": task.paused_until,
            "conversation_id": task.conversation_id,
            "next_run_at": task.next_run_at,
            "wake_at": self._wake_at(more=more),
            "consecutive_failures": task.consecutive_failures,
            "started_runs": task.started_runs,
            "updated_at": self._batch.now_us if self._changed else task.updated_at,
        }
        self._batch.statements.append(update_task(task.id, values))
        if self._changed:
            self._tell(TaskChange.UPDATED)

    def _wake_at(self, *, more: bool) -> int | None:
        """When to look again: as late as possible, since the end of a run wakes the task too."""
        task, now_us = self._task, self._batch.now_us
        times = [row.due_at for row in self._still_open() if row.due_at and row.due_at > now_us]
        if task.status == TaskStatus.PAUSED and task.paused_until is not None:
            times.append(task.paused_until)
        if task.status == TaskStatus.ACTIVE:
            if task.next_run_at is not None and task.next_run_at > now_us:
                times.append(task.next_run_at)
            if more or self._has_stuck():
                times.append(AT_ONCE)
        return min(times, default=None)

    def _has_stuck(self) -> bool:
        """True when some wait in line and nothing is at work that would let them go."""
        rows = self._in_line()
        return bool(rows) and all(row.run_id is None and row.due_at is None for row in rows)
