"""What the rows of tasks say between two rules of their state machine."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from domain.kernel.database import Database

TASK = (
    "id, status, pause_reason, paused_until, next_run_at, wake_at, consecutive_failures,"
    " conversation_id, deleted_at"
)
OCCURRENCE = (
    "id, task_id, trigger, scheduled_for, status, reason, run_id, attempts, due_at, finished_at"
)
RUN = (
    "id, task_id, occurrence_id, status, error_code, due_at, attempt, conversation_id,"
    " holds_conversation, created_at, finished_at, agent_id"
)


class TaskSeen(NamedTuple):
    """A task's row; TASK in order."""

    id: str
    status: str
    pause_reason: str | None
    paused_until: int | None
    next_run_at: int | None
    wake_at: int | None
    consecutive_failures: int
    conversation_id: str | None
    deleted_at: int | None


class OccurrenceSeen(NamedTuple):
    """An occurrence's row; OCCURRENCE in order."""

    id: str
    task_id: str
    trigger: str
    scheduled_for: int
    status: str
    reason: str | None
    run_id: str | None
    attempts: int
    due_at: int | None
    finished_at: int | None

    @property
    def is_open(self) -> bool:
        """True while it is not settled."""
        return self.status in ("QUEUED", "RUNNING")

    @property
    def is_in_line(self) -> bool:
        """True while it is at work or waits, but for what a person has started beside."""
        return self.is_open and self.trigger in ("SCHEDULE", "CATCH_UP")


class RunSeen(NamedTuple):
    """A run's row; RUN in order."""

    id: str
    task_id: str
    occurrence_id: str
    status: str
    error_code: str | None
    due_at: int | None
    attempt: int
    conversation_id: str | None
    holds_conversation: bool
    created_at: int
    finished_at: int | None
    agent_id: str


class Told(NamedTuple):
    """A TaskUpdate event."""

    cursor: int
    change: str
    task_id: str
    occurrence_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All rows of a story at one moment."""

    now_us: int
    latest_us: int
    """The furthest that the clock has been: set back, it takes a while to come there again."""
    tasks: Mapping[str, TaskSeen]
    occurrences: Mapping[str, OccurrenceSeen]
    """In order of their due times."""
    by_task: Mapping[str, Sequence[OccurrenceSeen]]
    runs: Mapping[str, RunSeen]
    by_occurrence: Mapping[str, Sequence[RunSeen]]
    told: Sequence[Told]
    archived: frozenset[str]
    stopped: frozenset[str]
    """Runs that were told to stop."""
    cursors: tuple[int, int]
    """How many events the workspace has, and its position."""

    def of(self, task_id: str) -> Sequence[OccurrenceSeen]:
        """The occurrences of a task."""
        return self.by_task.get(task_id, ())

    def in_line(self, task_id: str) -> list[OccurrenceSeen]:
        """Those at work or waiting."""
        return [row for row in self.of(task_id) if row.is_in_line]


async def look(database: Database, now_us: int, latest_us: int) -> Seen:
    """Read everything. Between two rules nobody writes."""
    queries = (
        f"SELECT {TASK} FROM task ORDER BY id",
        f"SELECT {OCCURRENCE} FROM occurrence ORDER BY scheduled_for, id",
        f"SELECT {RUN} FROM run WHERE task_id IS NOT NULL ORDER BY id",
        "SELECT cursor, data FROM event WHERE type = 'TaskUpdate' ORDER BY cursor",
        "SELECT id FROM agent WHERE archived_at IS NOT NULL",
        "SELECT run_id FROM run_order WHERE kind = 'cancel'",
        "SELECT (SELECT count(*) FROM event), (SELECT max(cursor) FROM event_head)",
    )
    found = await asyncio.gather(*(database.fetch(query) for query in queries))
    tasks, occurrences, runs, told, archived, stopped, cursors = found
    rows = [OccurrenceSeen(*row) for row in occurrences]
    by_task: dict[str, list[OccurrenceSeen]] = {}
    for row in rows:
        by_task.setdefault(row.task_id, []).append(row)
    attempts = [RunSeen(*row) for row in runs]
    by_occurrence: dict[str, list[RunSeen]] = {}
    for run in attempts:
        by_occurrence.setdefault(run.occurrence_id, []).append(run)
    return Seen(
        now_us=now_us,
        latest_us=latest_us,
        tasks={row[0]: TaskSeen(*row) for row in tasks},
        occurrences={row.id: row for row in rows},
        by_task=by_task,
        runs={run.id: run for run in attempts},
        by_occurrence=by_occurrence,
        told=[_told(cursor, orjson.loads(data)) for cursor, data in told],
        archived=frozenset(row[0] for row in archived),
        stopped=frozenset(row[0] for row in stopped),
        cursors=(cursors[0][0], cursors[0][1]),
    )


def _told(cursor: int, values: Mapping[str, str]) -> Told:
    return Told(cursor, values["change"], values["taskId"], values.get("occurrenceId"))
