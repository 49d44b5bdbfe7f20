"""Due times of a schedule that is about to change: dealt with before it is gone."""

from collections.abc import Iterable, Sequence

from domain.kernel.database import Transaction, placeholders
from domain.kernel.ids import IdSource
from domain.kernel.rows import fetch_rows
from domain.kernel.tracing import TraceContext
from domain.runs.orders import CancelOrder
from domain.tasks import schedule
from domain.tasks.commits import Batch
from domain.tasks.plan import Fate, Line, Plan, plan_due, replaced_by, starts_left
from domain.tasks.rows import OccurrenceRow, TaskRow
from domain.tasks.settling import AT_ONCE
from domain.tasks.state import (
    BY_SCHEDULE,
    OccurrenceStatus,
    OccurrenceTrigger,
    TaskChange,
    TaskStatus,
)
from domain.tasks.writes import insert_occurrences, update_occurrence, update_task

SCHEDULER = "scheduler"
"""Who orders what the policy of a task asks for."""
_IN_LINE = """
task_id = $1 AND status IN ('QUEUED', 'RUNNING') AND trigger IN ('SCHEDULE', 'CATCH_UP')
"""
_ENDED = (OccurrenceStatus.MISSED, OccurrenceStatus.SKIPPED)


async def claim_before_change(
    batch: Batch, task: TaskRow, ids: IdSource, *, trace: TraceContext
) -> bool:
    """Claim what has come by the schedule that a locked task has until now.

    That is what fell into a pause, or what no scheduler has looked at yet. What is to run waits
    in line, for the scheduler to start. True when some is left, which takes another batch.
    """
    now_us = batch.now_us
    if task.next_run_at is None or task.next_run_at > now_us:
        return False
    line = await fetch_rows(batch.tx, OccurrenceRow, _IN_LINE, task.id)
    waiting = sum(1 for row in line if row.run_id is None)
    taken = Line(task=task, running=len(line) - waiting, waiting=waiting)
    due = schedule.read(task.schedule)
    known = (await known_times(batch.tx, [task], now_us)).get(task.id, ())
    plan = plan_due(task, due, taken, now_us, is_last=True, known=known)
    changed = await _replaced(batch, task, line, plan) if plan.replaces else []
    if plan.fates:
        rows = [occurrence_of(task, fate, ids(), now_us) for fate in plan.fates]
        insertion = insert_occurrences(rows)
        written = {row[0] for row in await batch.tx.fetch(insertion.sql, *insertion.args)}
        changed += [row for row in rows if row.id in written]
        count_starts(task, [row for row in changed if row.finished_at is None], 1)
    for row in changed:
        batch.tell(TaskChange.OCCURRENCE, task.id, occurrence_id=row.id, trace_id=trace.trace_id)
    task.next_run_at = None if starts_left(task) == 0 else plan.next_run_at
    moved = {
        "next_run_at": task.next_run_at,
        "wake_at": AT_ONCE,
        "started_runs": task.started_runs,
    }
    batch.statements.append(update_task(task.id, moved))
    return plan.more and task.next_run_at is not None


async def _replaced(
    batch: Batch, task: TaskRow, line: Sequence[OccurrenceRow], plan: Plan
) -> list[OccurrenceRow]:
    """Have a line make way for the newest due time; return those that waited in it."""
    # In a pause a run at work goes on, since none starts in its place.
    stops = task.status == TaskStatus.ACTIVE
    goes = [row for row in line if stops or row.run_id is None]
    dropped = make_way(batch, goes, by=plan.fates[-1].scheduled_for)
    count_starts(task, dropped, -1)
    # Now, for the starts of the task may be counted anew in this batch.
    await batch.tx.run([update_occurrence(row) for row in dropped])
    return dropped


def make_way(batch: Batch, line: Iterable[OccurrenceRow], *, by: int) -> list[OccurrenceRow]:
    """Stop what is at work and drop what waits, for a newer due time; return what was dropped."""
    reason, dropped = replaced_by(by), list[OccurrenceRow]()
    for row in line:
        if row.run_id is None:
            row.status, row.reason = OccurrenceStatus.SKIPPED, reason
            row.due_at, row.finished_at = None, batch.now_us
            dropped.append(row)
        else:
            order = CancelOrder(
                workspace_id=row.workspace_id,
                run_id=row.run_id,
                reason=reason,
                created_by=SCHEDULER,
            )
            batch.cancels.append(order)
    return dropped


def count_starts(task: TaskRow, rows: Sequence[OccurrenceRow], factor: int) -> None:
    """Count what the schedule starts, against maxRuns; what waits counts already."""
    if task.max_runs is not None:
        task.started_runs += factor * sum(1 for row in rows if row.trigger in BY_SCHEDULE)


async def known_times(
    tx: Transaction, tasks: Iterable[TaskRow], now_us: int
) -> dict[str, set[int]]:
    """Due times up to now that have a row already, by task."""
    due = [row.id for row in tasks if row.next_run_at is not None and row.next_run_at <= now_us]
    found: dict[str, set[int]] = {}
    if due:
        sql = (
            "SELECT o.task_id, o.scheduled_for FROM occurrence o JOIN task t ON t.id = o.task_id"
            f" WHERE o.task_id IN ({placeholders(2, len(due))})"
            " AND o.scheduled_for BETWEEN t.next_run_at AND $1 AND o.trigger <> 'MANUAL'"
        )
        for task_id, time in await tx.fetch(sql, now_us, *due):
            found.setdefault(task_id, set()).add(time)
    return found


def occurrence_of(task: TaskRow, fate: Fate, ident: str, now_us: int) -> OccurrenceRow:
    """Return the row of a due time that has not started yet."""
    has_ended = fate.status in _ENDED
    return OccurrenceRow(
        id=ident,
        workspace_id=task.workspace_id,
        task_id=task.id,
        trigger=OccurrenceTrigger(fate.trigger).value,
        scheduled_for=fate.scheduled_for,
        status=fate.status.value if has_ended else OccurrenceStatus.QUEUED.value,
        reason=fate.reason,
        attempts=0,
        created_at=now_us,
        finished_at=now_us if has_ended else None,
    )
