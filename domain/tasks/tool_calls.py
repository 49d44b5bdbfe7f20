"""What the tools over tasks share: who calls, which task is meant, when it shall be due."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from domain.access.scopes import Principal
from domain.kernel.errors import ValidationFailed
from domain.kernel.moments import SECOND_US, format_moment
from domain.kernel.public_ids import TASK, public_id, row_id
from domain.runs.spec import LONGEST_INSTRUCTION
from domain.tasks import schedule
from domain.tasks.cron import ScheduleError
from domain.tasks.plan import times_ahead
from domain.tasks.rows import TaskRow
from domain.tasks.service import TaskService
from domain.tasks.wording import summary
from domain.tools.calls import InvalidArguments, ToolContext, ToolError, ToolFailureCode
from domain.tools.manifest import SideEffect, ToolTraits

LONGEST_WAIT_MINUTES = 366 * 24 * 60
LONGEST_NAME = 200
MOST_NAMED = 5
"""Tasks that an answer names where several could be meant."""
READS = ToolTraits(side_effect=SideEffect.READ, capabilities=("tasks.read",))
# A repeat after a lost worker could meet another task of that name: its outcome is unknown.
CHANGES = ToolTraits(
    side_effect=SideEffect.WRITE, capabilities=("tasks.read", "tasks.write"), idempotent=False
)

Which = Annotated[
    str,
    Field(
        description="Name of the task, or its id as list_tasks shows it.",
        min_length=1,
        max_length=LONGEST_NAME,
    ),
]
Name = Annotated[str, Field(description="Short name.", min_length=1, max_length=LONGEST_NAME)]
Instruction = Annotated[
    str,
    Field(
        description="What to do then, complete in itself: nothing else will be known.",
        min_length=1,
        max_length=LONGEST_INSTRUCTION,
    ),
]
CronLine = Annotated[
    str | None,
    Field(description="Five cron fields, such as 0 9 * * mon-fri, to do it repeatedly."),
]
ZONE = Field(description="IANA time zone of the cron fields, such as Europe/Berlin.")
Moments = Annotated[
    list[str] | None,
    Field(
        description="Moments with their offset, such as 2030-01-31T09:00:00Z.",
        min_length=1,
        max_length=1000,
    ),
]
Minutes = Annotated[
    int | None, Field(description="Minutes from now, once.", ge=1, le=LONGEST_WAIT_MINUTES)
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The agent at work, as a caller of the service."""

    actor: Principal
    agent_id: str
    run_id: str | None


def caller_of(context: ToolContext) -> Caller:
    """Return who calls. Raises ToolError where no agent is at work."""
    if context.actor is None or context.agent_id is None:
        raise ToolError("Only an agent at work can schedule a task.")
    return Caller(actor=context.actor, agent_id=context.agent_id, run_id=context.run_id)


def chosen_of(given: Mapping[str, object]) -> str:
    """Name the one argument that says when."""
    chosen = [argument for argument, value in given.items() if value not in (None, False)]
    if len(chosen) != 1:
        raise InvalidArguments(f"Give exactly one of {', '.join(given)}.")
    return chosen[0]


def planned_for(minutes: int, now_us: int) -> dict[str, Any]:
    """Return the schedule of something done once, some minutes from now."""
    return {"planned": {"times": [now_us + minutes * 60 * SECOND_US]}}


def by_cron(cron: str, timezone: str) -> dict[str, Any]:
    """Return the schedule of something done again and again."""
    return {"scheduled": {"cron": {"expression": cron}, "timezone": timezone}}


def by_argument(error: ValidationFailed, chosen: str) -> InvalidArguments:
    """Name what is wrong by the tool's own arguments; `chosen` is the one that says when."""
    told: list[str] = []
    for problem in error.problems:
        first = problem.path[0] if problem.path else ""
        argument = "timezone" if "timezone" in problem.path else chosen
        told.append(f"{argument if first == 'schedule' else first}: {problem.message}")
    return InvalidArguments(" ".join(told))


async def task_meant(service: TaskService, caller: Caller, which: str) -> TaskRow:
    """Return the one task that is meant. Raises ToolError where there is none, or several."""
    found = await service.task(caller.actor, row_id(TASK, which) or which)
    if found is not None:
        return found
    try:
        named = await service.called(caller.actor, which, most=MOST_NAMED + 1)
    except ValidationFailed as error:
        raise InvalidArguments(f"task: {error.problems[0].message}") from error
    if not named:
        message = f"No task is called {which!r}; list_tasks shows those there are."
        raise ToolError(message, code=ToolFailureCode.NOT_FOUND)
    if len(named) > 1:
        raise InvalidArguments(f"task: {which!r} could mean {_listed(named)}; give the id of one.")
    return named[0]


async def own_task(service: TaskService, caller: Caller, which: str) -> TaskRow:
    """Return the task that is meant if it is the caller's own. Raises ToolError."""
    task = await task_meant(service, caller, which)
    if task.agent_id != caller.agent_id:
        message = f"The task {task.name!r} is another agent's; only that agent or a person may."
        raise ToolError(message, code=ToolFailureCode.REFUSED)
    return task


def _listed(rows: Sequence[TaskRow]) -> str:
    shown = [f"{row.name!r} ({public_id(TASK, row.id)})" for row in rows[:MOST_NAMED]]
    more = ["others"] if len(rows) > MOST_NAMED else []
    *some, last = [*shown, *more]
    return f"{', '.join(some)} and {last}"


def words_of_schedule(kept: Mapping[str, Any]) -> str:
    """Say when a task is due."""
    try:
        return summary(schedule.read(kept))
    except ScheduleError:
        return "A schedule that cannot be read; give it a new one."


def next_times(task: TaskRow, now_us: int, *, count: int) -> list[str]:
    """Return the next moments at which a task is due, none for one that is held or over."""
    if task.next_run_at is None:
        return []
    # What is due and waits for the scheduler lies ahead still.
    after_us = min(now_us, task.next_run_at - 1)
    return [format_moment(time) for time in times_ahead(task, after_us, count=count)]
