"""Many tasks due at once: their due times are claimed before the first of their runs is made.

A claim is two rows of a few columns, written for hundreds of tasks by two statements; a run with
its conversation and its message is six rows. Claimed first, no due time gets so late behind the
runs of the others that it counts as missed, and runs can be made in the order of their priority.
What was claimed waits like an occurrence in line: QUEUED, without a run, its task due for a look,
whose event is the first that tells of it; only what waits for its jitter is told at once.
"""

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import orjson
import structlog

from domain.kernel.ids import IdSource
from domain.kernel.tracing import new_trace
from domain.tasks import schedule
from domain.tasks.commits import Batch, TaskCommits
from domain.tasks.plan import LEAST_GRACE_S, SECOND_US, first_due, jitter_us
from domain.tasks.schedule import ScheduleError
from domain.tasks.settling import AT_ONCE
from domain.tasks.state import TaskChange

PAGE = 1000
"""Due times of one commit."""
LANES = 2
"""Transactions at a time where the database has processes of its own."""

# Tasks on time with nothing at work: everything else needs a look at what surrounds it. The OFFSET
# keeps PostgreSQL from joining: knowing of no occurrences yet, it would read all for each task.
_DUE = f"""
SELECT id, schedule, next_run_at, starts_at, ends_at, jitter_seconds FROM task
WHERE workspace_id = $1 AND wake_at <= $2 AND next_run_at <= $2 AND status = 'ACTIVE'
    AND deleted_at IS NULL AND max_runs IS NULL AND (next_run_at, id) > ($3, $4)
    AND next_run_at >= $2 - {SECOND_US} * CASE WHEN grace_seconds > {LEAST_GRACE_S}
        THEN CAST(grace_seconds AS BIGINT) ELSE {LEAST_GRACE_S} END
    AND (pause_after_failures IS NULL OR consecutive_failures < pause_after_failures)
    AND NOT EXISTS (SELECT 1 FROM occurrence
        WHERE task_id = task.id AND occurrence.status IN ('QUEUED', 'RUNNING') LIMIT 1 OFFSET 0)
ORDER BY next_run_at, id LIMIT {PAGE}
"""
_COLUMNS = "id, workspace_id, task_id, trigger, scheduled_for, status, attempts, due_at, created_at"
_VALUES = "id, $1, task_id, 'SCHEDULE', scheduled_for, 'QUEUED', 0, due_at, $2"
_MOVE = "UPDATE task SET next_run_at = claimed.following, wake_at = $1 FROM"
_INSERT = {
    "postgres": f"""
        INSERT INTO occurrence ({_COLUMNS}) SELECT {_VALUES}
        FROM unnest($3::text[], $4::text[], $5::bigint[], $6::bigint[])
            AS claimed (id, task_id, scheduled_for, due_at)
        ON CONFLICT DO NOTHING RETURNING id
    """,
    "sqlite": f"""
        INSERT INTO occurrence ({_COLUMNS}) SELECT {_VALUES} FROM (
            SELECT value ->> 0 AS id, value ->> 1 AS task_id, value ->> 2 AS scheduled_for,
                value ->> 3 AS due_at
            FROM json_each($3)
        ) WHERE true ON CONFLICT DO NOTHING RETURNING id
    """,
}
_UPDATE = {
    "postgres": f"""
        {_MOVE} unnest($2::text[], $3::bigint[]) AS claimed (id, following)
        WHERE task.id = claimed.id
    """,
    "sqlite": f"""
        {_MOVE} (SELECT value ->> 0 AS id, value ->> 1 AS following FROM json_each($2)) AS claimed
        WHERE task.id = claimed.id
    """,
}

log = structlog.get_logger("domain.tasks.burst")


class DueTask(NamedTuple):
    """A task on time, in the order of the columns asked for; moments in microseconds."""

    id: str
    schedule: str
    next_run_at: int
    starts_at: int | None
    ends_at: int | None
    jitter_seconds: int


class Claim(NamedTuple):
    """A due time about to be claimed, and the next of its task."""

    id: str
    task_id: str
    scheduled_for: int
    due_at: int | None
    following: int | None


class Burst:
    """Claims what is due in one workspace, in any number of processes at once."""

    def __init__(self, commits: TaskCommits, ids: IdSource) -> None:
        self._commits = commits
        self._ids = ids
        dialect = commits.database.dialect
        self._insert, self._update = _INSERT[dialect], _UPDATE[dialect]
        self._is_shared = dialect == "postgres"
        self._lanes = LANES if self._is_shared else 1
        self._due = f"{_DUE} FOR NO KEY UPDATE SKIP LOCKED" if self._is_shared else _DUE

    async def claim(self, workspace_id: str) -> int:
        """Claim the due times of all tasks that need no closer look; return how many."""
        lanes = (self._claim_pages(workspace_id) for _ in range(self._lanes))
        claimed = 0
        for found in await asyncio.gather(*lanes, return_exceptions=True):
            if isinstance(found, BaseException):
                raise found
            claimed += found
        if claimed:
            log.info("tasks.claimed", workspace_id=workspace_id, occurrences=claimed)
        return claimed

    async def _claim_pages(self, workspace_id: str) -> int:
        claimed, after = 0, (0, "")
        while after is not None:
            async with self._commits.batch(workspace_id) as batch:
                values = (workspace_id, batch.now_us, *after)
                due = [DueTask(*row) for row in await batch.tx.fetch(self._due, *values)]
                claimed += await self._write(batch, self._claims(due, batch.now_us))
            after = (due[-1].next_run_at, due[-1].id) if len(due) == PAGE else None
        return claimed

    def _claims(self, due: Sequence[DueTask], now_us: int) -> list[Claim]:
        claims: list[Claim] = []
        for task in due:
            following = _following(task.schedule, task.next_run_at, task.starts_at, task.ends_at)
            # With more due times behind, or none that can be told, it takes a look.
            if following is None or (following.at and following.at <= now_us):
                continue
            jitter = jitter_us(task.id, task.next_run_at, task.jitter_seconds)
            due_at = task.next_run_at + jitter if jitter else None
            claims.append(Claim(self._ids(), task.id, task.next_run_at, due_at, following.at))
        return claims

    async def _write(self, batch: Batch, claims: Sequence[Claim]) -> int:
        if not claims:
            return 0
        ids, task_ids, times, due, following = (
            list(column) for column in zip(*claims, strict=True)
        )
        if self._is_shared:
            rows, moves = (ids, task_ids, times, due), (task_ids, following)
        else:
            rows = (_json(claims),)
            moves = (_json([(claim.task_id, claim.following) for claim in claims]),)
        written = await batch.tx.fetch(self._insert, batch.workspace_id, batch.now_us, *rows)
        await batch.tx.fetch(self._update, AT_ONCE, *moves)
        kept, trace_id = {row[0] for row in written}, new_trace().trace_id
        for claim in claims:
            if claim.due_at is not None and claim.id in kept:
                batch.tell(
                    TaskChange.OCCURRENCE,
                    claim.task_id,
                    occurrence_id=claim.id,
                    trace_id=trace_id,
                )
        return len(claims)


class _Following(NamedTuple):
    """The due time after the one that is claimed, None for none."""

    at: int | None


@lru_cache(maxsize=4096)
def _following(
    stored: str, after_us: int, starts_at: int | None, ends_at: int | None
) -> _Following | None:
    """Return the due time after one; None where the schedule cannot be read.

    Many of the tasks that are due at one moment have the same schedule.
    """
    try:
        due = schedule.read(orjson.loads(stored))
        found = first_due(due, after_us=after_us, starts_at=starts_at, ends_at=ends_at)
    except (ScheduleError, ValueError, TypeError):
        return None
    return _Following(found)


def _json(rows: Sequence[tuple[object, ...]]) -> str:
    return orjson.dumps([list(row) for row in rows]).decode()
