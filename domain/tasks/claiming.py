"""Due times of a schedule that is about to change: dealt with before it is gone."""

from domain.kernel.ids import IdSource
from domain.kernel.rows import fetch_rows
from domain.kernel.tracing import TraceContext
from domain.tasks import schedule
from domain.tasks.commits import Batch
from domain.tasks.plan import Fate, Line, plan_due, starts_left
from domain.tasks.rows import OccurrenceRow, TaskRow
from domain.tasks.settling import AT_ONCE
from domain.tasks.state import OccurrenceStatus, OccurrenceTrigger, TaskChange
from domain.tasks.writes import insert_occurrences, update_task

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
    plan = plan_due(task, schedule.read(task.schedule), taken, now_us, is_last=True)
    if plan.fates:
        rows = [occurrence_of(task, fate, ids(), now_us) for fate in plan.fates]
        waits = {row.id for row in rows if row.finished_at is None}
        insertion = insert_occurrences(rows)
        for (ident,) in await batch.tx.fetch(insertion.sql, *insertion.args):
            task.started_runs += task.max_runs is not None and ident in waits
            batch.tell(TaskChange.OCCURRENCE, task.id, occurrence_id=ident, trace_id=trace.trace_id)
    task.next_run_at = None if starts_left(task) == 0 else plan.next_run_at
    moved = {
        "next_run_at": task.next_run_at,
        "wake_at": AT_ONCE,
        "started_runs": task.started_runs,
    }
    batch.statements.append(update_task(task.id, moved))
    return plan.more and task.next_run_at is not None


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
