"""Tasks as clients make, change, hold, start and delete them, for every door."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from domain.access.scopes import Principal, Scope
from domain.events.cursors import encode_cursor
from domain.events.feed import WorkspaceFeed
from domain.events.records import EventRecord
from domain.kernel.database import Statement, WriteRefusedError
from domain.kernel.errors import NotFound
from domain.kernel.idempotency import IdempotencyKeys, digest_of
from domain.kernel.rows import fetch_rows
from domain.tasks.backfill import Backfilled, BackfillSpec, TaskBackfill
from domain.tasks.commits import TaskCommits
from domain.tasks.queries import OccurrenceFilter, TaskFilter, TaskOrder, TaskQueries
from domain.tasks.reading import task_as_shown
from domain.tasks.rows import OccurrenceRow, TaskRow
from domain.tasks.saving import TaskSaving, refuse_completed, refuse_other_version
from domain.tasks.spec import NewTask, PauseSpec, RunNowSpec, TaskChanges, refuse_without_due_time
from domain.tasks.state import TaskStatus
from domain.tasks.writes import TASK_UPDATE

__all__ = ["OccurrenceFilter", "StartedNow", "TaskFilter", "TaskOrder", "TaskService"]

CREATE = "createTask"
RUN_NOW = "runTaskNow"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedNow:
    """An occurrence that was started now, or before under the same idempotency key."""

    row: OccurrenceRow
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Keyed:
    """A request that may come twice."""

    principal: Principal
    operation: str
    key: str | None
    digest: str


class TaskService(TaskQueries):
    """Tasks of every workspace; each call sees those of its caller's."""

    def __init__(
        self,
        commits: TaskCommits,
        saving: TaskSaving,
        *,
        idempotency: IdempotencyKeys,
        feed: WorkspaceFeed,
    ) -> None:
        super().__init__(commits.database)
        self._commits = commits
        self._saving = saving
        self._idempotency = idempotency
        self._feed = feed
        self._backfill = TaskBackfill(commits, saving, idempotency)

    async def create(
        self,
        principal: Principal,
        values: Mapping[str, Any],
        *,
        asked: Mapping[str, Any] | None = None,
    ) -> TaskRow:
        """Make a task of a client's values; a repeat of its idempotency key makes none.

        `asked` is what has to be the same in a repeat, where the values depend on the moment.
        Raises ValidationFailed, NotFound for the agent, and Conflict for an archived one and for
        a key that came with other values.
        """
        principal.needs(Scope.TASKS_WRITE)
        new = NewTask.of(values)
        digest = digest_of(new.stored() if asked is None else asked)

        async def create(task_id: str, keeping: list[Statement]) -> None:
            refuse_without_due_time(new, now_us=self._commits.clock.now_us())
            async with self._commits.batch(principal.workspace_id) as batch:
                await self._saving.create(principal, batch, new, task_id=task_id, keeping=keeping)
            self._commits.wake()

        keyed = _Keyed(
            principal=principal, operation=CREATE, key=new.idempotency_key, digest=digest
        )
        task_id, _ = await self._once(keyed, create)
        return await self._found(principal, task_id)

    async def update(self, principal: Principal, values: Mapping[str, Any]) -> TaskRow:
        """Save what is given; without a change there is none. A run at work keeps what it has.

        Raises ValidationFailed, NotFound for the task or the agent, and Conflict.
        """
        principal.needs(Scope.TASKS_WRITE)
        return await self.change(principal, TaskChanges.of(values))

    async def change(self, principal: Principal, changes: TaskChanges) -> TaskRow:
        """Save changes taken apart already, as `update` does."""
        principal.needs(Scope.TASKS_WRITE)
        is_saved = False
        while not is_saved:
            async with self._commits.batch(principal.workspace_id) as batch:
                task = await self._saving.locked(batch, changes.task_id, must_be_readable=False)
                refuse_other_version(task_as_shown(task), changes.expected_version)
                is_saved = await self._saving.update(principal, batch, task, changes)
        self._commits.wake()
        return await self._found(principal, changes.task_id)

    async def pause(self, principal: Principal, values: Mapping[str, Any]) -> TaskRow:
        """Hold a task, for good or until a moment; a repeat changes nothing.

        Raises ValidationFailed, NotFound and Conflict.
        """
        principal.needs(Scope.TASKS_WRITE)
        spec = PauseSpec.of(values, now_us=self._commits.clock.now_us())
        async with self._commits.batch(principal.workspace_id) as batch:
            task = await self._saving.locked(batch, spec.task_id)
            refuse_completed(task)
            saved = {
                "status": TaskStatus.PAUSED,
                "pause_reason": spec.reason,
                "paused_until": spec.until,
            }
            if any(getattr(task, name) != value for name, value in saved.items()):
                detail = {"reason": spec.reason}
                self._saving.change(
                    principal, batch, task, saved, action="task.paused", detail=detail
                )
        self._commits.wake()
        return await self._found(principal, task.id)

    async def resume(self, principal: Principal, task_id: str) -> TaskRow:
        """Let a held task go on; one that is not held stays as it is.

        What was due meanwhile is treated by its missed-run policy. Raises NotFound and Conflict.
        """
        principal.needs(Scope.TASKS_WRITE)
        async with self._commits.batch(principal.workspace_id) as batch:
            task = await self._saving.locked(batch, task_id)
            refuse_completed(task)
            if task.status == TaskStatus.PAUSED:
                saved = {
                    "status": TaskStatus.ACTIVE,
                    "pause_reason": None,
                    "paused_until": None,
                    "consecutive_failures": 0,
                }
                self._saving.change(principal, batch, task, saved, action="task.resumed", detail={})
        self._commits.wake()
        return await self._found(principal, task_id)

    async def run_now(self, principal: Principal, values: Mapping[str, Any]) -> StartedNow:
        """Start a task at once, beside its schedule; with `waitSeconds`, wait for the end.

        Raises ValidationFailed, NotFound, Conflict and ProviderUnavailable.
        """
        principal.needs(Scope.TASKS_WRITE)
        spec = RunNowSpec.of(values)
        given = spec.model_dump(mode="json", by_alias=True, include={"task_id", "inputs"})

        async def start(occurrence_id: str, keeping: list[Statement]) -> None:
            async with self._commits.batch(principal.workspace_id) as batch:
                task = await self._saving.locked(batch, spec.task_id)
                await self._saving.check_model(batch, task)
                await batch.tx.run(keeping)
                await self._saving.start(
                    principal, batch, task, occurrence_id=occurrence_id, inputs=spec.inputs
                )
            self._commits.wake()

        keyed = _Keyed(
            principal=principal,
            operation=RUN_NOW,
            key=spec.idempotency_key,
            digest=digest_of(given),
        )
        occurrence_id, replayed = await self._once(keyed, start)
        if spec.wait_seconds:
            await self._wait_end(principal, occurrence_id, spec.wait_seconds)
        return StartedNow(row=await self._occurrence(occurrence_id), replayed=replayed)

    async def backfill(self, principal: Principal, values: Mapping[str, Any]) -> Backfilled:
        """Run a task for past due times that nobody has run; a dry run only lists them.

        Raises ValidationFailed, NotFound, Conflict and QuotaExceeded.
        """
        principal.needs(Scope.TASKS_WRITE)
        spec = BackfillSpec.of(values, now_us=self._commits.clock.now_us())
        act = self._backfill.look if spec.dry_run else self._backfill.start
        return await act(principal, spec)

    async def delete(self, principal: Principal, task_id: str) -> str:
        """Delete a task and cancel its runs at work; history and runs are kept.

        Return its id. Raises NotFound.
        """
        principal.needs(Scope.TASKS_WRITE)
        async with self._commits.batch(principal.workspace_id) as batch:
            task = await self._saving.locked(batch, task_id, must_be_readable=False)
            await self._saving.delete(principal, batch, task)
        return task_id

    async def _once(
        self, keyed: _Keyed, act: Callable[[str, list[Statement]], Awaitable[None]]
    ) -> tuple[str, bool]:
        """Act once for a key; return the id of the outcome, and True when it was there before."""
        workspace_id, operation = keyed.principal.workspace_id, keyed.operation
        key, digest = keyed.key, keyed.digest
        while True:
            made, keeping = self._saving.ids(), list[Statement]()
            if key is not None:
                known = await self._idempotency.recall(
                    workspace_id, operation, key=key, digest=digest
                )
                if known is not None:
                    return known, True
                keeping.append(
                    self._idempotency.remember(
                        workspace_id, operation, key=key, digest=digest, result_id=made
                    )
                )
            try:
                await act(made, keeping)
            except WriteRefusedError as error:
                if error.statement not in keeping:
                    raise
                continue  # a twin was faster: look for its outcome
            return made, False

    async def _found(self, principal: Principal, task_id: str) -> TaskRow:
        """Return a task as it was left, also when it is deleted by now."""
        condition = "id = $1 AND workspace_id = $2"
        rows = await fetch_rows(self._database, TaskRow, condition, task_id, principal.workspace_id)
        if not rows:
            raise NotFound("task", task_id, path=["taskId"])
        return rows[0]

    async def _occurrence(self, occurrence_id: str) -> OccurrenceRow:
        return (await fetch_rows(self._database, OccurrenceRow, "id = $1", occurrence_id))[0]

    async def _wait_end(self, principal: Principal, occurrence_id: str, seconds: float) -> None:
        """Wait for the end of an occurrence, its later attempts included, wherever it runs."""
        workspace_id = principal.workspace_id
        head, _ = (await self._commits.store.heads([workspace_id]))[workspace_id]
        following = self._feed.follow(
            workspace_id,
            [TASK_UPDATE],
            trace_id=principal.trace.trace_id,
            after=encode_cursor(workspace_id, head),
        )
        try:
            async with asyncio.timeout(seconds), aclosing(following):
                if (await self._occurrence(occurrence_id)).finished_at is not None:
                    return
                async for item in following:
                    concerned = (
                        isinstance(item, EventRecord)
                        and item.data.get("occurrenceId") == occurrence_id
                    )
                    if concerned and (await self._occurrence(occurrence_id)).finished_at:
                        return
        except TimeoutError:
            return
