"""Firing: finds the tasks whose time has come, in any number of processes, and looks at each.

Due tasks are claimed in batches. One transaction locks them, writes what became of their due
times, moves them on and inserts their runs (DESIGN, I8); who comes second finds nothing to do.
Where more are due than a batch holds, a burst claims them all before runs are made.
"""

from collections.abc import Sequence

import structlog

from domain.kernel.clock_watch import ClockWatch
from domain.kernel.database import Statement, Transaction, WriteRefusedError, placeholders
from domain.kernel.errors import Unavailable
from domain.kernel.rows import fetch_rows
from domain.kernel.tracing import new_trace
from domain.tasks.burst import Burst
from domain.tasks.claiming import known_times
from domain.tasks.commits import Batch, TaskCommits
from domain.tasks.look import Found, Look, LookParts
from domain.tasks.reading import UNREADABLE
from domain.tasks.rows import OccurrenceRow, TaskRow
from domain.tasks.settling import AT_ONCE
from domain.tasks.starting import AGENT_COLUMNS, CONVERSATION_WAIT_US, AgentNow
from domain.tasks.state import TaskChange, TaskStatus
from domain.tasks.writes import SECOND_US

BATCH = 100
"""Tasks of one look, a transaction of some milliseconds."""
MOST_LOOKS = 5 * BATCH
"""Looks after which to see what has become due meanwhile."""
IDLE_S = 1.0
"""Longest wait before the next look, for when a hint was lost."""
CONTENDED_S = 0.1
"""Wait while another process deals with what is due."""


_OF_THIS_PROCESS = (Unavailable, OSError, ImportError, MemoryError)
"""What no task is to blame for: the tick ends, and the next one tries again."""
DUE_ONES = "wake_at IS NOT NULL AND deleted_at IS NULL"
"""Which tasks are looked at: a row that says both could not be saved, and stay due for ever."""

log = structlog.get_logger("domain.tasks.firing")


class TaskFiring:
    """The scheduler's work; several may do it at once."""

    def __init__(self, commits: TaskCommits, parts: LookParts) -> None:
        self._commits = commits
        self._parts = parts
        self._watch = ClockWatch(commits.clock)
        self._burst = Burst(commits, parts.ids)
        self._has_unheld = False
        """True when a task of the last tick could neither be looked at nor be held."""
        self._database = commits.database
        self._clock = commits.clock
        self._now = self._database.now_sql(1)
        self._skip = "FOR NO KEY UPDATE SKIP LOCKED" if self._database.dialect == "postgres" else ""

    async def fire_due(self) -> float:
        """Look at the tasks that are due; return the seconds after which to come again."""
        sql = f"SELECT {self._now}, (SELECT min(wake_at) FROM task WHERE {DUE_ONES})"
        found = await self._database.fetch(sql, self._clock.now_us())
        now_us, nearest = found[0]
        before_us = self._watch.set_back_from(now_us)
        if before_us is not None:
            await self._look_again(now_us, before_us)
            self._watch.accept(now_us)
            return 0.0
        if nearest is None:
            return IDLE_S
        if nearest > now_us:
            return min((nearest - now_us) / 1_000_000, IDLE_S)
        sql = (
            f"SELECT workspace_id, count(*) FROM task WHERE wake_at <= $1 AND {DUE_ONES}"
            " GROUP BY workspace_id"
        )
        looked, self._has_unheld = 0, False
        for workspace_id, due in await self._database.fetch(sql, now_us):
            if due > BATCH:
                await self._claim_all(workspace_id)
            looked += await self._look_within(workspace_id)
        if looked:
            return 0.0
        return IDLE_S if self._has_unheld else CONTENDED_S

    async def _look_again(self, now_us: int, before_us: int) -> None:
        """After the clock was set back, look at what was due; a needless look does nothing.

        Due times of schedules, and ends of pauses, come when the clock shows them again.
        """
        log.warning("tasks.clock_set_back", seconds=(before_us - now_us) // SECOND_US)
        upto_us = before_us + CONVERSATION_WAIT_US
        waited = (
            "UPDATE occurrence SET due_at = $1 WHERE status = 'QUEUED' AND due_at > $1"
            " AND due_at <= $2"
        )
        looks = "UPDATE task SET wake_at = $3 WHERE wake_at > $1 AND wake_at <= $2"
        # The tasks come first: whoever looks at one locks it before its occurrences.
        await self._database.write(
            [
                Statement(looks, (now_us, upto_us, AT_ONCE)),
                Statement(waited, (now_us, upto_us)),
            ]
        )

    async def _claim_all(self, workspace_id: str) -> None:
        try:
            await self._burst.claim(workspace_id)
        except _OF_THIS_PROCESS:
            raise
        except Exception:  # the edge of a scheduler tick: a look finds the one at fault
            log.exception("tasks.burst_failed", workspace_id=workspace_id)

    async def _look_within(self, workspace_id: str) -> int:
        """Look at due tasks of one workspace; a fault in one of them does not stop the others."""
        sql = (
            f"SELECT id FROM task WHERE workspace_id = $2 AND wake_at <= {self._now}"
            f" AND {DUE_ONES} ORDER BY priority DESC, wake_at, id LIMIT {MOST_LOOKS}"
        )
        found = await self._database.fetch(sql, self._clock.now_us(), workspace_id)
        ids = [row[0] for row in found]
        looked = 0
        for first in range(0, len(ids), BATCH):
            looked += await self._look_all(workspace_id, ids[first : first + BATCH])
        return looked

    async def _look_all(self, workspace_id: str, task_ids: Sequence[str]) -> int:
        try:
            return await self._look(workspace_id, task_ids)
        except _OF_THIS_PROCESS:
            raise
        except Exception:  # the edge of a scheduler tick: the one at fault is found below
            log.exception("tasks.batch_failed", workspace_id=workspace_id)
        return sum([await self._look_alone(workspace_id, task_id) for task_id in task_ids])

    async def _look_alone(self, workspace_id: str, task_id: str) -> int:
        try:
            return await self._look(workspace_id, [task_id])
        except _OF_THIS_PROCESS:
            raise
        except WriteRefusedError:
            return 0  # its conversation was deleted this very moment: the next look finds out
        except Exception as error:  # the edge of a scheduler tick: only this task is held
            log.exception("task.broken", task_id=task_id, workspace_id=workspace_id)
            return await self._hold_broken(workspace_id, task_id, error)

    async def _look(self, workspace_id: str, task_ids: Sequence[str]) -> int:
        """Look at those that are due still and that nobody else has his hands on."""
        async with self._commits.batch(workspace_id) as batch:
            condition = (
                f"workspace_id = $1 AND wake_at <= $2 AND id IN ({placeholders(3, len(task_ids))})"
                f" AND {DUE_ONES} ORDER BY priority DESC, wake_at, id {self._skip}"
            )
            values = (workspace_id, batch.now_us, *task_ids)
            rows = await fetch_rows(batch.tx, TaskRow, condition, *values)
            if rows:
                found = Found(
                    opened=await _opened(batch.tx, [row.id for row in rows]),
                    known=await known_times(batch.tx, rows, batch.now_us),
                    agents=await _agents(batch, [row.agent_id for row in rows]),
                )
                for row in rows:
                    await Look(row, batch, found, self._parts).take()
        if batch.due_runs:
            log.info("tasks.fired", workspace_id=workspace_id, runs=len(batch.due_runs))
        return len(rows)

    async def _hold_broken(self, workspace_id: str, task_id: str, error: Exception) -> int:
        """Pause a task that cannot be looked at, with the reason, so that nothing else notices.

        Return how many are held: one that cannot even be marked is met again.
        """
        now_us = self._clock.now_us()
        trouble = f"an error of the server, {type(error).__name__}, which its log tells in full."
        reason = f"{UNREADABLE}{trouble} Resume it when that is mended."
        sql = (
            "UPDATE task SET status = $3, pause_reason = $4, paused_until = NULL, wake_at = NULL,"
            " updated_at = $5 WHERE id = $1 AND workspace_id = $2"
        )
        values = (task_id, workspace_id, TaskStatus.PAUSED, reason, now_us)
        try:
            async with self._commits.batch(workspace_id) as batch:
                batch.statements.append(Statement(sql, values))
                batch.tell(TaskChange.UPDATED, task_id, trace_id=new_trace().trace_id)
        except _OF_THIS_PROCESS:
            raise
        except Exception:  # the edge of a scheduler tick: those behind it have to fire
            log.exception("task.not_held", task_id=task_id, workspace_id=workspace_id)
            self._has_unheld = True
            return 0
        return 1


async def _opened(tx: Transaction, task_ids: Sequence[str]) -> dict[str, list[OccurrenceRow]]:
    condition = (
        f"task_id IN ({placeholders(1, len(task_ids))}) AND status IN ('QUEUED', 'RUNNING')"
        " ORDER BY scheduled_for, id"
    )
    found: dict[str, list[OccurrenceRow]] = {}
    for row in await fetch_rows(tx, OccurrenceRow, condition, *task_ids):
        found.setdefault(row.task_id, []).append(row)
    return found


async def _agents(batch: Batch, agent_ids: Sequence[str]) -> dict[str, AgentNow]:
    wanted = sorted(set(agent_ids))
    sql = (
        f"SELECT {AGENT_COLUMNS} FROM agent"
        f" WHERE workspace_id = $1 AND id IN ({placeholders(2, len(wanted))})"
    )
    rows = await batch.tx.fetch(sql, batch.workspace_id, *wanted)
    return {row[0]: AgentNow(*row) for row in rows}
