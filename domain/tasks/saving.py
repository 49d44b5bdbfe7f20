"""What one change of a task writes: its row, its audit line, its event, its runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from domain.access.audit import AuditTrail
from domain.access.scopes import Principal
from domain.kernel.database import Statement
from domain.kernel.errors import Conflict, ErrorCode, NotFound, ObjectRef
from domain.kernel.ids import IdSource
from domain.kernel.rows import fetch_rows
from domain.models.providers import ModelProviders
from domain.runs.candidates import model_of_agent
from domain.runs.orders import CancelOrder
from domain.runs.spec import AgentChoice
from domain.tasks.claiming import claim_before_change
from domain.tasks.commits import Batch
from domain.tasks.plan import first_due
from domain.tasks.reading import faults_of, refuse_unreadable
from domain.tasks.repair import Repair
from domain.tasks.rows import OccurrenceRow, TaskRow
from domain.tasks.schedule import Adhoc
from domain.tasks.settling import AT_ONCE
from domain.tasks.spec import NewTask, TaskChanges, TaskSettings
from domain.tasks.starting import AGENT_COLUMNS, AgentNow, RunStarter
from domain.tasks.state import (
    BY_SCHEDULE,
    ConversationMode,
    OccurrenceStatus,
    OccurrenceTrigger,
    TaskChange,
    TaskStatus,
)
from domain.tasks.writes import (
    columns_of,
    insert_occurrences,
    insert_task,
    update_task,
)

DELETED = "The task was deleted."
_TIMES = frozenset({"schedule", "starts_at", "ends_at"})
_STARTED = f"""
SELECT count(*) FROM occurrence
WHERE task_id = $1 AND trigger IN ({", ".join(f"'{trigger}'" for trigger in BY_SCHEDULE)})
    AND status NOT IN ('{OccurrenceStatus.SKIPPED}', '{OccurrenceStatus.MISSED}')
"""
OPEN = "task_id = $1 AND status IN ('QUEUED', 'RUNNING') ORDER BY id"
_SKIP_WAITING = """
UPDATE occurrence SET status = 'SKIPPED', reason = $2, due_at = NULL, finished_at = $3
WHERE task_id = $1 AND status = 'QUEUED' AND run_id IS NULL
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSaving:
    """Fills batches with changes of tasks, on behalf of a caller."""

    starter: RunStarter
    audit: AuditTrail
    ids: IdSource
    models: ModelProviders | None = None
    """Those that an agent may be run with; without them, none is checked."""

    async def locked(self, batch: Batch, task_id: str, *, must_be_readable: bool = True) -> TaskRow:
        """Return a task that nobody else changes until the batch ends.

        Raises NotFound, and Conflict for a task that cannot be read.
        """
        # NO KEY, or an occurrence being inserted elsewhere would wait for its task.
        lock = "FOR NO KEY UPDATE" if batch.is_shared else ""
        condition = f"id = $1 AND workspace_id = $2 AND deleted_at IS NULL {lock}"
        rows = await fetch_rows(batch.tx, TaskRow, condition, task_id, batch.workspace_id)
        if not rows:
            raise NotFound("task", task_id, path=["taskId"])
        if must_be_readable:
            refuse_unreadable(rows[0], faults_of(rows[0]))
        return rows[0]

    async def agent(self, batch: Batch, choice: AgentChoice) -> AgentNow:
        """Return the agent of a choice. Raises NotFound, and Conflict for an archived one."""
        column, named = ("id", choice.id) if choice.id is not None else ("slug", choice.slug)
        sql = f"SELECT {AGENT_COLUMNS} FROM agent WHERE workspace_id = $1 AND {column} = $2"
        rows = await batch.tx.fetch(sql, batch.workspace_id, named)
        if not rows:
            raise NotFound("agent", named or "", path=["agent"], by=column)
        agent = AgentNow(*rows[0])
        if agent.archived_at is not None:
            raise Conflict(
                f"The agent {agent.slug!r} is archived; bring it back with archiveAgent.",
                path=["agent"],
                conflicting=ObjectRef(kind="Agent", id=agent.id),
            )
        return agent

    async def check_model(self, batch: Batch, task: TaskRow) -> None:
        """Raise ProviderUnavailable when the model of a task's agent cannot be asked here."""
        if self.models is None:
            return
        sql = "SELECT slug, settings FROM agent WHERE workspace_id = $1 AND id = $2"
        for slug, settings in await batch.tx.fetch(sql, batch.workspace_id, task.agent_id):
            model_of_agent(self.models, slug, orjson.loads(settings), path=["taskId"])

    async def create(
        self,
        principal: Principal,
        batch: Batch,
        new: NewTask,
        *,
        task_id: str,
        keeping: list[Statement],
    ) -> None:
        """Insert a task; one that runs at once is started. Raises WriteRefusedError for a twin."""
        agent = await self.agent(batch, new.agent)
        due = new.schedule.schedule()
        next_run_at = first_due(
            due, after_us=batch.now_us, starts_at=new.starts_at, ends_at=new.ends_at
        )
        values = {
            "id": task_id,
            "workspace_id": principal.workspace_id,
            **columns_of(new, agent.id),
            "status": TaskStatus.ACTIVE,
            "next_run_at": next_run_at,
            "wake_at": next_run_at,
            "version": 1,
            "created_by": principal.name,
            "created_at": batch.now_us,
            "updated_at": batch.now_us,
        }
        await batch.tx.run([*keeping, insert_task(values)])
        task = await self.locked(batch, task_id)
        if task.conversation_mode == ConversationMode.CONTINUE:
            batch.statements.append(update_task(task_id, self._with_conversation(batch, task)))
        detail = {"name": task.name, "schedule": task.schedule}
        self._record(principal, batch, task_id, "task.created", detail=detail)
        batch.tell(TaskChange.CREATED, task_id, trace_id=principal.trace.trace_id)
        if isinstance(due, Adhoc) and due.run_now:
            await self.start(principal, batch, task, occurrence_id=self.ids(), inputs={})

    async def update(
        self, principal: Principal, batch: Batch, task: TaskRow, changes: TaskChanges
    ) -> bool:
        """Save what a client changes; a new schedule counts from now.

        A task that cannot be read goes on once all that is wrong with it is replaced. False when
        so much was due by the schedule before that it takes another batch first.
        Raises ValidationFailed, NotFound for the agent, and Conflict.
        """
        repair = Repair.of(task, changes)
        after = repair.changes.onto(repair.settings, now_us=batch.now_us)
        agent_id = task.agent_id
        if "agent" in changes.values:
            agent_id = (await self.agent(batch, after.agent)).id
        saved = repair.changed(columns_of(after, agent_id)) | repair.mended(batch.now_us)
        if not saved:
            return True
        task = repair.shown
        changes_times = not saved.keys().isdisjoint(_TIMES)
        if changes_times and await claim_before_change(
            batch, task, self.ids, trace=principal.trace
        ):
            return False
        detail = {"changed": sorted(saved)}
        saved |= await self._times(batch, task, after, saved)
        if task.conversation_mode != after.conversation_mode:
            task.conversation_id = None
            if after.conversation_mode is ConversationMode.CONTINUE:
                saved |= self._with_conversation(batch, task)
            else:
                saved["conversation_id"] = None
        self.change(principal, batch, task, saved, action="task.updated", detail=detail)
        return True

    def change(
        self,
        principal: Principal,
        batch: Batch,
        task: TaskRow,
        values: Mapping[str, Any],
        *,
        action: str,
        detail: Mapping[str, Any],
    ) -> None:
        """Save columns as a new version, have the scheduler look, record and tell it."""
        raised = {"version": task.version + 1, "updated_at": batch.now_us, "wake_at": AT_ONCE}
        batch.statements.append(update_task(task.id, {**values, **raised}))
        self._record(principal, batch, task.id, action, detail=detail)
        batch.tell(TaskChange.UPDATED, task.id, trace_id=principal.trace.trace_id)

    async def start(
        self,
        principal: Principal,
        batch: Batch,
        task: TaskRow,
        *,
        occurrence_id: str,
        inputs: Mapping[str, Any],
    ) -> None:
        """Start an occurrence beside the schedule. Raises Conflict for an archived agent."""
        row = OccurrenceRow(
            id=occurrence_id,
            workspace_id=task.workspace_id,
            task_id=task.id,
            trigger=OccurrenceTrigger.MANUAL.value,
            scheduled_for=batch.now_us,
            status=OccurrenceStatus.QUEUED.value,
            inputs=dict(inputs) or None,
            attempts=0,
            created_at=batch.now_us,
        )
        agent = await self.agent(batch, AgentChoice(id=task.agent_id))
        await self.starter.start(task, row, batch, agent=agent, trace=principal.trace)
        batch.statements.append(insert_occurrences([row]))
        # A conversation that was gone is begun anew, one that is held is waited for.
        saved: dict[str, Any] = {"conversation_id": task.conversation_id}
        if row.due_at is not None:
            saved["wake_at"] = AT_ONCE
        batch.statements.append(update_task(task.id, saved))
        detail = {"occurrenceId": row.id, "runId": row.run_id}
        self._record(principal, batch, task.id, "task.started", detail=detail)
        trace_id = principal.trace.trace_id
        batch.tell(TaskChange.OCCURRENCE, task.id, occurrence_id=row.id, trace_id=trace_id)

    async def delete(self, principal: Principal, batch: Batch, task: TaskRow) -> None:
        """Delete a task: what waits is skipped, what is at work is told to stop."""
        values = {"deleted_at": batch.now_us, "updated_at": batch.now_us, "wake_at": None}
        batch.statements.append(update_task(task.id, values))
        skipping = Statement(_SKIP_WAITING, (task.id, DELETED, batch.now_us))
        batch.statements.append(skipping)
        for row in await fetch_rows(batch.tx, OccurrenceRow, OPEN, task.id):
            self._stop(principal, batch, row)
        self._record(principal, batch, task.id, "task.deleted", detail={"name": task.name})
        batch.tell(TaskChange.DELETED, task.id, trace_id=principal.trace.trace_id)

    def _stop(self, principal: Principal, batch: Batch, row: OccurrenceRow) -> None:
        if row.run_id is None:
            trace_id = principal.trace.trace_id
            batch.tell(TaskChange.OCCURRENCE, row.task_id, occurrence_id=row.id, trace_id=trace_id)
        else:
            order = CancelOrder(
                workspace_id=row.workspace_id,
                run_id=row.run_id,
                reason=DELETED,
                created_by=principal.name,
            )
            batch.cancels.append(order)

    def _with_conversation(self, batch: Batch, task: TaskRow) -> dict[str, Any]:
        task.conversation_id, starting = self.starter.conversation(task)
        batch.openings.append(starting)
        return {"conversation_id": task.conversation_id}

    async def _times(
        self, batch: Batch, task: TaskRow, after: TaskSettings, saved: Mapping[str, Any]
    ) -> dict[str, Any]:
        """When a task is due after its schedule or its bounds have changed."""
        if saved.keys().isdisjoint({*_TIMES, "max_runs"}):
            return {}
        due, changed = after.schedule.schedule(), {"next_run_at": task.next_run_at}
        if task.next_run_at is None or not saved.keys().isdisjoint(_TIMES):
            changed["next_run_at"] = first_due(
                due, after_us=batch.now_us, starts_at=after.starts_at, ends_at=after.ends_at
            )
        if after.max_runs is not None:
            changed["started_runs"] = (await batch.tx.fetch(_STARTED, task.id))[0][0]
            if changed["started_runs"] >= after.max_runs:
                changed["next_run_at"] = None
        goes_on = changed["next_run_at"] is not None or isinstance(due, Adhoc)
        if goes_on and task.status == TaskStatus.COMPLETED:
            return {**changed, "status": TaskStatus.ACTIVE}
        return changed

    def _record(
        self,
        principal: Principal,
        batch: Batch,
        task_id: str,
        action: str,
        *,
        detail: Mapping[str, Any],
    ) -> None:
        target = ObjectRef(kind="Task", id=task_id)
        batch.lines += self.audit.record(principal, action, target=target, detail=detail)


def refuse_other_version(task: TaskRow, expected: int | None) -> None:
    """Raise Conflict (VERSION_MISMATCH) unless the task is as the client has read it."""
    if expected is not None and task.version != expected:
        raise Conflict(
            f"The task is at version {task.version}, not {expected}; read it again.",
            code=ErrorCode.VERSION_MISMATCH,
            path=["expectedVersion"],
            current_version=task.version,
        )


def refuse_completed(task: TaskRow) -> None:
    """Raise Conflict for a task that has no due time left."""
    if task.status == TaskStatus.COMPLETED:
        raise Conflict(
            "The task is completed; give it a new schedule, or a higher maxRuns, with updateTask.",
            path=["taskId"],
            conflicting=ObjectRef(kind="Task", id=task.id),
        )
