"""Reading runs and their steps, within the caller's workspace."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import orjson
from tortoise.expressions import Q, RawSQL
from tortoise.queryset import QuerySet

from domain.access.scopes import Principal, Scope
from domain.kernel.database import Database, placeholders
from domain.kernel.errors import NotFound
from domain.kernel.paging import Page, PageRequest, paginate
from domain.kernel.ports import Clock
from domain.kernel.rows import fetch_rows
from domain.runs.rows import RunRow, RunStepRow
from domain.runs.state import RunStatus, StepKind
from domain.runs.work import RunUsage

# An order that met the end of its run may stay open.
_STOPPING = """
(run.finished_at IS NULL AND EXISTS (
    SELECT 1 FROM run_order o WHERE o.run_id = run.id AND o.kind = 'cancel' AND o.taken_at IS NULL
))
"""


class RunOrder(StrEnum):
    """Sort order of runs."""

    CREATED_AT_DESC = "CREATED_AT_DESC"
    CREATED_AT_ASC = "CREATED_AT_ASC"
    FINISHED_AT_DESC = "FINISHED_AT_DESC"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Narrows a list of runs; moments in microseconds, `until_us` excluded."""

    statuses: Sequence[str] | None = None
    agent_id: str | None = None
    conversation_id: str | None = None
    task_id: str | None = None
    top_level: bool = False
    trace_id: str | None = None
    since_us: int | None = None
    until_us: int | None = None

    def narrow(self, query: QuerySet[RunRow]) -> QuerySet[RunRow]:
        """Apply every condition that is given."""
        conditions = {
            "agent_id": self.agent_id,
            "conversation_id": self.conversation_id,
            "task_id": self.task_id,
            "trace_id": self.trace_id,
            "created_at__gte": self.since_us,
            "created_at__lt": self.until_us,
        }
        given = {name: value for name, value in conditions.items() if value is not None}
        query = query.filter(**given)
        if self.statuses is not None:
            query = _in_states(query, self.statuses)
        return query.filter(parent_run_id__isnull=True) if self.top_level else query


def _in_states(query: QuerySet[RunRow], statuses: Sequence[str]) -> QuerySet[RunRow]:
    """Narrow to states as they are shown: of runs at work, some were told to stop."""
    open_ones = [status for status in statuses if not RunStatus(status).is_final]
    if not open_ones:
        return query.filter(status__in=list(statuses))
    query = query.annotate(is_stopping=RawSQL(_STOPPING))
    shown = Q(status__in=list(statuses), is_stopping=False)
    if RunStatus.CANCELLING in open_ones:
        shown |= Q(is_stopping=True)
    return query.filter(shown)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlace:
    """Whose run it is, and where it is held."""

    agent_id: str | None
    conversation_id: str | None


class RunQueries:
    """What clients read of runs."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def _runs(self, principal: Principal) -> QuerySet[RunRow]:
        principal.needs(Scope.RUNS_READ)
        rows = RunRow.filter(workspace_id=principal.workspace_id)
        return rows.using_db(self._database.reader)

    async def _row(self, run_id: str) -> RunRow:
        rows = await fetch_rows(self._database, RunRow, "id = $1", run_id)
        if not rows:
            raise NotFound("run", run_id)
        return rows[0]

    async def run(self, principal: Principal, run_id: str) -> RunRow | None:
        """Return one run of the workspace."""
        principal.needs(Scope.RUNS_READ)
        row = await self._find(principal, run_id)
        return None if row is None else (await self._told([row]))[0]

    async def _told(self, rows: Sequence[RunRow]) -> Sequence[RunRow]:
        """Fill in what runs at work have said so far; rows get their output at the end."""
        await self._tell_stopping([row for row in rows if row.finished_at is None])
        at_work = (RunStatus.RUNNING, RunStatus.CANCELLING)
        open_rows = {row.id: row for row in rows if row.status in at_work}
        if not open_rows:
            return rows
        sql = f"""
            SELECT event.run_id, event.data FROM event JOIN (
                SELECT run_id, max(CASE WHEN type IN ('UsageUpdated', 'Retrying') THEN seq
                                   ELSE 0 END) AS since
                FROM event WHERE run_id IN ({placeholders(1, len(open_rows))}) GROUP BY run_id
            ) AS answered ON answered.run_id = event.run_id AND event.seq > answered.since
            WHERE event.type = 'TokenDelta' ORDER BY event.run_id, event.seq
        """
        said: dict[str, list[str]] = {}
        for run_id, data in await self._database.fetch(sql, *open_rows):
            said.setdefault(run_id, []).append(orjson.loads(data)["text"])
        for run_id, pieces in said.items():
            open_rows[run_id].output = "".join(pieces)
        return rows

    async def _tell_stopping(self, rows: Sequence[RunRow]) -> None:
        """Show which runs were told to stop and have not stopped yet."""
        if not rows:
            return
        marks = placeholders(1, len(rows))
        sql = (
            "SELECT run_id FROM run_order WHERE kind = 'cancel' AND taken_at IS NULL"
            f" AND run_id IN ({marks})"
        )
        found = await self._database.fetch(sql, *(row.id for row in rows))
        stopping = {row[0] for row in found}
        for row in rows:
            if row.id in stopping:
                row.status = RunStatus.CANCELLING

    async def _find(self, principal: Principal, run_id: str) -> RunRow | None:
        condition = "id = $1 AND workspace_id = $2"
        rows = await fetch_rows(self._database, RunRow, condition, run_id, principal.workspace_id)
        return rows[0] if rows else None

    async def place(self, principal: Principal, run_id: str) -> RunPlace | None:
        """Return where a run belongs."""
        principal.needs(Scope.RUNS_READ)
        sql = "SELECT agent_id, conversation_id FROM run WHERE id = $1 AND workspace_id = $2"
        rows = await self._database.fetch(sql, run_id, principal.workspace_id)
        return RunPlace(agent_id=rows[0][0], conversation_id=rows[0][1]) if rows else None

    async def by_ids(self, principal: Principal, run_ids: Sequence[str]) -> dict[str, RunRow]:
        """Return those of the runs that exist, by id."""
        rows = await self._told(await self._runs(principal).filter(id__in=list(run_ids)))
        return {row.id: row for row in rows}

    async def by_steps(
        self, principal: Principal, steps: Sequence[tuple[str, str]]
    ) -> dict[tuple[str, str], RunRow]:
        """Return the runs that steps delegated to, by the ids of the step's run and its own."""
        narrowed = self._runs(principal).filter(
            parent_run_id__in=[run_id for run_id, _ in steps],
            parent_call_id__in=[step_id for _, step_id in steps],
        )
        return {
            (row.parent_run_id, row.parent_call_id): row
            for row in await self._told(await narrowed)
            if row.parent_run_id is not None and row.parent_call_id is not None
        }

    async def runs(
        self, principal: Principal, narrowing: RunFilter, order: RunOrder, page: PageRequest
    ) -> Page[RunRow]:
        """List runs of the workspace, delegated ones included."""
        query = narrowing.narrow(self._runs(principal))
        column = "finished_at" if order is RunOrder.FINISHED_AT_DESC else "created_at"
        found = await paginate(
            query,
            sort=(column, "id"),
            descending=order is not RunOrder.CREATED_AT_ASC,
            request=page,
            database=self._database,
            within=principal.workspace_id,
        )
        await self._told(found.items)
        return found

    async def children(self, principal: Principal, run_id: str, page: PageRequest) -> Page[RunRow]:
        """List runs that a run delegated to, oldest first."""
        return await paginate(
            self._runs(principal).filter(parent_run_id=run_id),
            sort=("created_at", "id"),
            descending=False,
            request=page,
            database=self._database,
        )

    async def steps(self, principal: Principal, run_id: str, page: PageRequest) -> Page[RunStepRow]:
        """List what a run did, in order."""
        principal.needs(Scope.RUNS_READ)
        rows = RunStepRow.filter(workspace_id=principal.workspace_id, run_id=run_id)
        found = await paginate(
            rows.using_db(self._database.reader),
            sort=("position", "id"),
            descending=False,
            request=page,
            database=self._database,
        )
        await self._kinds_shown(found.items)
        return found

    async def step(self, principal: Principal, step_id: str) -> RunStepRow | None:
        """Return one step of a run of the workspace."""
        principal.needs(Scope.RUNS_READ)
        rows = RunStepRow.filter(workspace_id=principal.workspace_id, id=step_id)
        row = await rows.using_db(self._database.reader).first()
        if row is not None:
            await self._kinds_shown([row])
        return row

    async def _kinds_shown(self, steps: Sequence[RunStepRow]) -> None:
        """Call a delegation that began no run, or has not yet, the call of a tool that it is.

        The steps are of one run.
        """
        handed_on = [step for step in steps if step.kind == StepKind.DELEGATION]
        if not handed_on:
            return
        sql = (
            "SELECT parent_call_id FROM run WHERE parent_run_id = $1"
            f" AND parent_call_id IN ({placeholders(2, len(handed_on))})"
        )
        ids = [step.id for step in handed_on]
        begun = {row[0] for row in await self._database.fetch(sql, handed_on[0].run_id, *ids)}
        for step in handed_on:
            if step.id not in begun:
                step.kind = StepKind.TOOL_CALL

    async def active_of(
        self, principal: Principal, conversation_ids: Sequence[str]
    ) -> dict[str, RunRow]:
        """Return the run at work on each busy conversation."""
        rows = await self._runs(principal).filter(
            conversation_id__in=list(conversation_ids), holds_conversation=True
        )
        await self._told(rows)
        return {row.conversation_id: row for row in rows if row.conversation_id is not None}

    async def usage_below(
        self, principal: Principal, run_ids: Sequence[str]
    ) -> dict[str, RunUsage]:
        """Return the use of each run together with all runs below it."""
        principal.needs(Scope.RUNS_READ)
        if not run_ids:
            return {}
        sql = f"""
            WITH RECURSIVE below (top, id) AS (
                SELECT id, id FROM run
                WHERE workspace_id = $1 AND id IN ({placeholders(2, len(run_ids))})
                UNION ALL
                SELECT below.top, run.id FROM run JOIN below ON run.parent_run_id = below.id
            )
            SELECT top, CAST(sum(input_tokens) AS BIGINT), CAST(sum(output_tokens) AS BIGINT),
                CAST(sum(cached_tokens) AS BIGINT), CAST(sum(reasoning_tokens) AS BIGINT),
                CAST(sum(model_calls) AS BIGINT), CAST(sum(tool_calls) AS BIGINT),
                CAST(sum(cost_pico_usd) AS BIGINT), min(CASE WHEN cost_known THEN 1 ELSE 0 END)
            FROM below JOIN run ON run.id = below.id GROUP BY top
        """
        rows = await self._database.fetch(sql, principal.workspace_id, *run_ids)
        return {row[0]: _usage_of(row[1:]) for row in rows}

    async def behavior_of(
        self, principal: Principal, run_ids: Sequence[str]
    ) -> dict[str, tuple[str, ...]]:
        """Return the behavior versions of each run's latest step, the workspace's first."""
        principal.needs(Scope.RUNS_READ)
        if not run_ids:
            return {}
        sql = f"""
            SELECT run_step.run_id, behavior_version_id, agent_behavior_version_id FROM run_step
            JOIN (
                SELECT run_id, max(position) AS position FROM run_step
                WHERE run_id IN ({placeholders(2, len(run_ids))}) GROUP BY run_id
            ) AS latest
                ON latest.run_id = run_step.run_id AND latest.position = run_step.position
            WHERE run_step.workspace_id = $1
        """
        rows = await self._database.fetch(sql, principal.workspace_id, *run_ids)
        return {row[0]: tuple(ident for ident in row[1:] if ident is not None) for row in rows}

    async def queue_positions(self, principal: Principal, run_ids: Sequence[str]) -> dict[str, int]:
        """Return how many runs of the workspace are ahead of each that is queued.

        The line is that of `LeaseOffice.due`: those that are due, or will be before it, by priority
        and moment. Who waits for a conversation has a line of its own.
        """
        principal.needs(Scope.RUNS_READ)
        if not run_ids:
            return {}
        now = self._database.now_sql(2)
        # The expression keeps SQLite from reading every run of the workspace: few are due.
        sql = f"""
            WITH waiting AS (
                SELECT id, priority, due_at, status FROM run
                WHERE due_at IS NOT NULL AND lease_owner IS NULL AND workspace_id || '' = $1
            )
            SELECT mine.id, (
                SELECT count(*) FROM waiting AS other
                WHERE (other.priority > mine.priority OR (other.priority = mine.priority
                        AND (other.due_at, other.id) < (mine.due_at, mine.id)))
                    AND (other.due_at <= mine.due_at OR other.due_at <= {now})
            ) FROM waiting AS mine
            WHERE mine.status = 'QUEUED' AND mine.id IN ({placeholders(3, len(run_ids))})
            UNION ALL
            SELECT mine.id, (
                SELECT count(*) FROM run AS other
                WHERE other.conversation_id = mine.conversation_id AND other.line_at IS NOT NULL
                    AND other.waits_for = 'conversation'
                    AND (other.line_at, other.id) < (mine.line_at, mine.id)
            ) FROM run AS mine
            WHERE mine.line_at IS NOT NULL AND mine.workspace_id || '' = $1
                AND mine.id IN ({placeholders(3, len(run_ids))})
        """
        moment = self._clock.now_us()
        rows = await self._database.fetch(sql, principal.workspace_id, moment, *run_ids)
        return {row[0]: row[1] for row in rows}


def _usage_of(sums: Sequence[int]) -> RunUsage:
    *counts, cost_known = sums
    return RunUsage(*counts, cost_known=bool(cost_known))
