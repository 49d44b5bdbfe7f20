"""Tools by which agents see what is scheduled, and what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from domain.kernel.moments import format_moment
from domain.kernel.paging import PageRequest
from domain.kernel.ports import Clock
from domain.kernel.public_ids import TASK, public_id
from domain.kernel.searching import LONGEST_SEARCH
from domain.runs.rows import RunRow
from domain.tasks.queries import OccurrenceFilter, TaskFilter, TaskOrder
from domain.tasks.rows import OccurrenceRow, TaskRow
from domain.tasks.service import TaskService
from domain.tasks.tool_calls import (
    READS,
    Which,
    caller_of,
    next_times,
    task_meant,
    words_of_schedule,
)
from domain.tools.calls import Tool, ToolContext
from domain.tools.generate import tool_from

MOST_LISTED = 20
MOST_TIMES = 5
MOST_PAST = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedTask:
    """A task in a list."""

    id: str
    name: str
    schedule: str
    """When it is due, in words."""
    status: str
    next_time: str | None
    own: bool
    """True when this agent does it, and so may change it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedTasks:
    """Tasks, the next due first."""

    tasks: list[ListedTask]
    more: bool
    """True when there are others; narrow the list to see them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastTime:
    """A due time of a task and what became of it."""

    due: str
    status: str
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownTask:
    """A task with its next and its last times."""

    id: str
    name: str
    instruction: str
    schedule: str
    """When it is due, in words."""
    status: str
    pause_reason: str | None
    own: bool
    """True when this agent does it, and so may change it."""
    next_times: list[str]
    last_times: list[PastTime]
    """The newest first."""


def view_tools(service: TaskService, clock: Clock) -> list[Tool]:
    """Make the tools that only look."""
    return [_list_tasks(service), _show_task(service, clock)]


def _list_tasks(service: TaskService) -> Tool:
    async def list_tasks(
        context: ToolContext,
        *,
        search: Annotated[
            str | None,
            Field(
                description="Words that the name or the instruction holds.",
                max_length=LONGEST_SEARCH,
            ),
        ] = None,
        status: Annotated[
            Literal["ACTIVE", "PAUSED", "COMPLETED"] | None,
            Field(description="Only tasks of this status; all by default."),
        ] = None,
    ) -> ListedTasks:
        """List scheduled tasks and reminders, the next due first."""
        caller = caller_of(context)
        narrowing = TaskFilter(search=search, statuses=None if status is None else [status])
        order, page = TaskOrder.NEXT_RUN_AT_ASC, PageRequest(first=MOST_LISTED)
        found = await service.tasks(caller.actor, narrowing, order, page)
        return ListedTasks(
            tasks=[_line(row, caller.agent_id) for row in found.items], more=found.has_next
        )

    return tool_from(list_tasks, domain="tasks", traits=READS)


def _line(row: TaskRow, agent_id: str) -> ListedTask:
    is_due = row.next_run_at is not None and row.status == "ACTIVE"
    return ListedTask(
        id=public_id(TASK, row.id),
        name=row.name,
        schedule=words_of_schedule(row.schedule),
        status=row.status,
        next_time=format_moment(row.next_run_at) if is_due and row.next_run_at else None,
        own=row.agent_id == agent_id,
    )


def _show_task(service: TaskService, clock: Clock) -> Tool:
    async def show_task(context: ToolContext, *, task: Which) -> ShownTask:
        """Show one scheduled task: what it does, its next times and what became of its last."""
        caller = caller_of(context)
        row = await task_meant(service, caller, task)
        page = PageRequest(first=MOST_PAST)
        past = await service.occurrences(caller.actor, OccurrenceFilter(task_id=row.id), page)
        attempts = await service.attempts(caller.actor, [each.id for each in past.items])
        if _tells_of_untrusted([run for runs in attempts.values() for run in runs]):
            context.reading.is_untrusted = True
        return ShownTask(
            id=public_id(TASK, row.id),
            name=row.name,
            instruction=row.instruction,
            schedule=words_of_schedule(row.schedule),
            status=row.status,
            pause_reason=row.pause_reason,
            own=row.agent_id == caller.agent_id,
            next_times=next_times(row, clock.now_us(), count=MOST_TIMES),
            last_times=[_past(each) for each in past.items],
        )

    return tool_from(show_task, domain="tasks", traits=READS)


def _tells_of_untrusted(runs: Sequence[RunRow]) -> bool:
    """True when what a reason says may come of text that a run has read."""
    return any(run.tainted for run in runs)


def _past(row: OccurrenceRow) -> PastTime:
    return PastTime(due=format_moment(row.scheduled_for), status=row.status, reason=row.reason)
