"""Reading tasks and their occurrences, within the caller's workspace."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from tortoise.expressions import Q
from tortoise.functions import Lower
from tortoise.queryset import QuerySet

from domain.access.scopes import Principal, Scope
from domain.kernel.database import Database, placeholders
from domain.kernel.paging import Page, PageRequest, paginate
from domain.kernel.rows import fetch_rows
from domain.kernel.searching import contains, contains_all, words_of
from domain.runs.rows import RunRow
from domain.tasks.rows import OccurrenceRow, TaskRow
from domain.tasks.schedule import ScheduleKind
from domain.tasks.state import OccurrenceStatus, TaskStatus


class TaskOrder(StrEnum):
    """Sort order of tasks."""

    NEXT_RUN_AT_ASC = "NEXT_RUN_AT_ASC"
    CREATED_AT_DESC = "CREATED_AT_DESC"
    NAME_ASC = "NAME_ASC"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """Narrows a list of tasks; the span is of the next due time, `until_us` excluded."""

    search: str | None = None
    statuses: Sequence[str] | None = None
    schedules: Sequence[str] | None = None
    agent_id: str | None = None
    since_us: int | None = None
    until_us: int | None = None

    def narrow(self, rows: QuerySet[TaskRow]) -> QuerySet[TaskRow]:
        """Apply every condition that is given. Raises ValidationFailed."""
        conditions = {
            "agent_id": self.agent_id,
            "next_run_at__gte": self.since_us,
            "next_run_at__lt": self.until_us,
        }
        given = {name: value for name, value in conditions.items() if value is not None}
        words = words_of(self.search)
        named = ("name", "instruction")
        found = contains_all(words, lambda word: contains(named, word))
        rows = rows.filter(**given).filter(found)
        # A row that cannot be read is found as what it is shown as.
        if self.statuses is not None:
            rows = rows.filter(_one_of("status", self.statuses, TaskStatus, TaskStatus.PAUSED))
        if self.schedules is None:
            return rows
        kinds = _one_of("schedule_kind", self.schedules, ScheduleKind, ScheduleKind.ADHOC)
        return rows.filter(kinds)


@dataclass(frozen=True, slots=True, kw_only=True)
class OccurrenceFilter:
    """Narrows a list of occurrences by what was due; `until_us` is excluded."""

    task_id: str | None = None
    statuses: Sequence[str] | None = None
    since_us: int | None = None
    until_us: int | None = None

    def narrow(self, rows: QuerySet[OccurrenceRow]) -> QuerySet[OccurrenceRow]:
        """Apply every condition that is given."""
        conditions = {
            "task_id": self.task_id,
            "scheduled_for__gte": self.since_us,
            "scheduled_for__lt": self.until_us,
        }
        given = {name: value for name, value in conditions.items() if value is not None}
        rows = rows.filter(**given)
        if self.statuses is None:
            return rows
        failed = OccurrenceStatus.FAILED
        return rows.filter(_one_of("status", self.statuses, OccurrenceStatus, failed))


def _one_of(column: str, wanted: Sequence[str], known: type[StrEnum], otherwise: str) -> Q:
    """Rows with one of these words; one that nobody knows counts as `otherwise`."""
    found = _within(column, wanted)
    return found | ~_within(column, list(known)) if otherwise in wanted else found


def _within(column: str, words: Sequence[str]) -> Q:
    return Q(**cast("dict[str, Any]", {f"{column}__in": list(words)}))


class TaskQueries:
    """What clients read of tasks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tasks(
        self, principal: Principal, narrowing: TaskFilter, order: TaskOrder, page: PageRequest
    ) -> Page[TaskRow]:
        """List tasks that are not deleted. Raises ValidationFailed for the filter and BadCursor."""
        column = {
            TaskOrder.NEXT_RUN_AT_ASC: "next_run_at",
            TaskOrder.CREATED_AT_DESC: "created_at",
            TaskOrder.NAME_ASC: "sort_name",
        }[order]
        rows = narrowing.narrow(self._tasks(principal)).annotate(sort_name=Lower("name"))
        return await paginate(
            rows,
            sort=(column, "id"),
            descending=order is TaskOrder.CREATED_AT_DESC,
            request=page,
            database=self._database,
            within=principal.workspace_id,
        )

    async def count(self, principal: Principal, narrowing: TaskFilter) -> int:
        """Length of the whole list."""
        return await narrowing.narrow(self._tasks(principal)).count()

    async def task(self, principal: Principal, task_id: str) -> TaskRow | None:
        """Return one task, None when unknown or deleted."""
        return await self._tasks(principal).filter(id=task_id).first()

    async def called(self, principal: Principal, name: str, *, most: int) -> list[TaskRow]:
        """Return tasks of a name, whatever its capitals; else those whose names hold its words.

        Raises ValidationFailed for a name that cannot be searched for.
        """
        words = words_of(name)
        if not words:
            return []
        rows = self._tasks(principal).order_by("created_at", "id").limit(most)
        exact = await rows.filter(name__iexact=name.strip())
        return exact or await rows.filter(
            contains_all(words, lambda word: contains(("name",), word))
        )

    async def by_ids(self, principal: Principal, task_ids: Sequence[str]) -> dict[str, TaskRow]:
        """Return tasks by id, deleted ones too: their history still names them."""
        principal.needs(Scope.TASKS_READ)
        rows = TaskRow.filter(workspace_id=principal.workspace_id, id__in=list(task_ids))
        return {row.id: row for row in await rows.using_db(self._database.reader)}

    async def occurrences(
        self,
        principal: Principal,
        narrowing: OccurrenceFilter,
        page: PageRequest,
        *,
        newest_first: bool = True,
    ) -> Page[OccurrenceRow]:
        """List due times of all tasks, of deleted ones too. Raises BadCursor."""
        return await paginate(
            narrowing.narrow(self._occurrences(principal)),
            sort=("scheduled_for", "id"),
            descending=newest_first,
            request=page,
            database=self._database,
            within=f"{principal.workspace_id} {narrowing.task_id or ''}",
        )

    async def occurrences_by_ids(
        self, principal: Principal, occurrence_ids: Sequence[str]
    ) -> dict[str, OccurrenceRow]:
        """Return occurrences by id."""
        rows = await self._occurrences(principal).filter(id__in=list(occurrence_ids))
        return {row.id: row for row in rows}

    async def last_occurrences(
        self, principal: Principal, task_ids: Sequence[str]
    ) -> dict[str, OccurrenceRow]:
        """Return the latest occurrence of each task that has one."""
        principal.needs_any(Scope.TASKS_READ, Scope.TASKS_WRITE)
        if not task_ids:
            return {}
        # One seek in the index for each task, however long its history is.
        condition = f"""
            workspace_id = $1 AND id IN (
                SELECT (
                    SELECT latest.id FROM occurrence AS latest WHERE latest.task_id = task.id
                    ORDER BY latest.scheduled_for DESC, latest.id DESC LIMIT 1
                ) FROM task WHERE task.id IN ({placeholders(2, len(task_ids))})
            )
        """
        rows = await fetch_rows(
            self._database, OccurrenceRow, condition, principal.workspace_id, *task_ids
        )
        return {row.task_id: row for row in rows}

    async def attempts(
        self, principal: Principal, occurrence_ids: Sequence[str]
    ) -> dict[str, list[RunRow]]:
        """Return the runs of each occurrence, oldest first."""
        principal.needs_any(Scope.TASKS_READ, Scope.RUNS_READ)
        rows = RunRow.filter(
            workspace_id=principal.workspace_id, occurrence_id__in=list(occurrence_ids)
        )
        found: dict[str, list[RunRow]] = {ident: [] for ident in occurrence_ids}
        for row in await rows.using_db(self._database.reader).order_by("created_at", "id"):
            if row.occurrence_id is not None:
                found[row.occurrence_id].append(row)
        return found

    async def is_run_of(self, principal: Principal, task_id: str, run_id: str) -> bool:
        """Tell whether a run is one of the task's."""
        principal.needs(Scope.TASKS_READ)
        rows = RunRow.filter(workspace_id=principal.workspace_id, id=run_id, task_id=task_id)
        return await rows.using_db(self._database.reader).exists()

    def _tasks(self, principal: Principal) -> QuerySet[TaskRow]:
        principal.needs(Scope.TASKS_READ)
        rows = TaskRow.filter(workspace_id=principal.workspace_id, deleted_at__isnull=True)
        return rows.using_db(self._database.reader)

    def _occurrences(self, principal: Principal) -> QuerySet[OccurrenceRow]:
        principal.needs(Scope.TASKS_READ)
        rows = OccurrenceRow.filter(workspace_id=principal.workspace_id)
        return rows.using_db(self._database.reader)
