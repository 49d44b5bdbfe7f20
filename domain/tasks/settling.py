"""The end of an occurrence's run: its outcome, its next attempt, and whose turn it is now.

All of it is written in the commit that ends the run (DESIGN, I8). What needs a decision, such as
who starts next, is left to the scheduler: the commit makes the task due for a look.
"""

from collections.abc import Callable

from domain.events.records import EventDraft
from domain.kernel.database import Statement
from domain.kernel.ids import IdSource
from domain.kernel.tracing import TraceContext
from domain.runs.endings import EndWrites, RunEnd
from domain.runs.state import RunStatus
from domain.runs.work import Work, dumps
from domain.tasks.plan import retry_wait_us
from domain.tasks.reading import LARGEST_COUNT
from domain.tasks.spec import RetryPolicy
from domain.tasks.starting import TaskLink
from domain.tasks.state import OccurrenceStatus, TaskChange
from domain.tasks.writes import LONGEST_REASON, told

AT_ONCE = 0
"""A `wake_at` that is due by any clock."""

# A row may be damaged: a count that cannot be raised must not hold up the end of a run.
_FAILED = f"""
consecutive_failures * $4 + CASE WHEN consecutive_failures < {LARGEST_COUNT} THEN $5 ELSE 0 END
"""
# The task comes first: whoever looks at it locks it before its occurrences.
_SETTLE_TASK = f"""
UPDATE task SET
    consecutive_failures = {_FAILED},
    wake_at = CASE WHEN (schedule_kind <> 'ADHOC' AND next_run_at IS NULL)
            OR pause_after_failures <= {_FAILED}
            OR EXISTS (SELECT 1 FROM occurrence AS other
                       WHERE other.task_id = $1 AND other.status = 'QUEUED' AND other.id <> $2)
        THEN 0 ELSE wake_at END
WHERE id = $1 AND deleted_at IS NULL
    AND EXISTS (SELECT 1 FROM occurrence WHERE id = $2 AND run_id = $3)
"""
_SETTLE = """
UPDATE occurrence SET status = $3, reason = $4, due_at = NULL, finished_at = $5
WHERE id = $1 AND run_id = $2
"""
_WAKE = """
UPDATE task SET wake_at = CASE WHEN wake_at < $2 THEN wake_at ELSE $2 END
WHERE id = $1 AND deleted_at IS NULL
"""
_RETRY = f"""
UPDATE occurrence SET status = 'QUEUED', reason = $4, run_id = $3, due_at = $5,
    attempts = attempts + CASE WHEN attempts < {LARGEST_COUNT} THEN 1 ELSE 0 END
WHERE id = $1 AND run_id = $2
    AND EXISTS (SELECT 1 FROM task WHERE task.id = task_id AND task.deleted_at IS NULL)
"""
_NEXT_RUN = """
INSERT INTO run (id, workspace_id, agent_id, agent_version, conversation_id, holds_conversation,
    root_run_id, retry_of, attempt, status, instruction, inputs, spec, priority, metadata,
    trace_id, span_id, created_by, created_at, due_at, task_id, occurrence_id)
SELECT $2, workspace_id, agent_id, agent_version, conversation_id, conversation_id IS NOT NULL,
    $2, id, attempt + 1, 'QUEUED', instruction, inputs, $3, priority, metadata,
    trace_id, $4, created_by, $5, $6, task_id, occurrence_id
FROM run WHERE id = $1
    AND EXISTS (SELECT 1 FROM occurrence WHERE occurrence.run_id = $2)
ON CONFLICT DO NOTHING
"""

_OUTCOMES = {
    RunStatus.SUCCEEDED: OccurrenceStatus.SUCCEEDED,
    RunStatus.CANCELLED: OccurrenceStatus.CANCELLED,
}
_FAILURES = {
    OccurrenceStatus.SUCCEEDED: (0, 0),
    OccurrenceStatus.FAILED: (1, 1),
    OccurrenceStatus.CANCELLED: (1, 0),
}
"""Factor and summand of the failures in a row."""


class OccurrenceEnding:
    """The part that tasks have in the end of their runs; `wake` hints the scheduler."""

    def __init__(self, ids: IdSource, wake: Callable[[], None]) -> None:
        self._ids = ids
        self._wake = wake

    def at_end(self, work: Work, end: RunEnd, now_us: int) -> EndWrites | None:
        """Settle the occurrence of a run, or make its next attempt."""
        kept = work.spec.get("task")
        if kept is None:
            return None
        link = TaskLink.of(kept)
        retry = RetryPolicy.model_validate(link.retry)
        failure = end.failure
        again = (
            end.status in (RunStatus.FAILED, RunStatus.TIMED_OUT)
            and failure is not None
            and failure.code in retry.retry_on
            and link.attempt < retry.max_attempts
        )
        statements = self._settled(work, link, end, now_us)
        if again:
            due_at = now_us + retry_wait_us(retry, link.occurrence_id, link.attempt)
            statements = [*self._retried(work, link, end, now_us, due_at), statements[-1]]
        draft = self._told(work, link, now_us)
        return EndWrites(statements=statements, drafts=[draft], committed=self._wake)

    def _settled(self, work: Work, link: TaskLink, end: RunEnd, now_us: int) -> list[Statement]:
        """The task, then its occurrence."""
        status = _OUTCOMES.get(end.status, OccurrenceStatus.FAILED)
        named = (link.occurrence_id, work.run_id)
        return [
            Statement(_SETTLE_TASK, (link.task_id, *named, *_FAILURES[status])),
            Statement(_SETTLE, (*named, status, _reason(end), now_us)),
        ]

    def _retried(  # noqa: PLR0917 - the moments go with the end
        self, work: Work, link: TaskLink, end: RunEnd, now_us: int, due_at: int
    ) -> list[Statement]:
        """Match nothing when the task was deleted meanwhile: then the outcome stands."""
        run_id = self._ids()
        trace = TraceContext(trace_id=work.claim.trace_id, span_id=work.claim.span_id).child()
        following = TaskLink(
            task_id=link.task_id,
            occurrence_id=link.occurrence_id,
            attempt=link.attempt + 1,
            retry=link.retry,
        )
        spec = dumps({**work.spec, "task": following.stored()})
        named = (link.occurrence_id, work.run_id, run_id)
        return [
            Statement(_WAKE, (link.task_id, due_at)),
            Statement(_RETRY, (*named, _reason(end), due_at)),
            Statement(_NEXT_RUN, (work.run_id, run_id, spec, trace.span_id, now_us, due_at)),
        ]

    @staticmethod
    def _told(work: Work, link: TaskLink, now_us: int) -> EventDraft:
        return told(
            TaskChange.OCCURRENCE,
            link.task_id,
            occurrence_id=link.occurrence_id,
            trace_id=work.claim.trace_id,
            now_us=now_us,
        )


def _reason(end: RunEnd) -> str | None:
    failure = end.failure
    text = end.reason if failure is None else f"{failure.code}: {failure.message}"
    return text[:LONGEST_REASON] if text else None
