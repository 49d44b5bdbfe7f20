"""Tool by which agents have work done later, or again and again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from domain.access.scopes import Principal
from domain.kernel.errors import ValidationFailed
from domain.kernel.moments import format_moment
from domain.kernel.ports import Clock
from domain.runs.spec import LONGEST_INSTRUCTION
from domain.tasks import schedule
from domain.tasks.plan import SECOND_US
from domain.tasks.service import TaskService
from domain.tasks.wording import summary
from domain.tools.calls import InvalidArguments, Tool, ToolContext, ToolError
from domain.tools.generate import tool_from
from domain.tools.manifest import SideEffect, ToolTraits

LONGEST_WAIT_MINUTES = 366 * 24 * 60
MOST_SHOWN = 3
# The step's id is the key, so that a repeated call makes no second task.
_SCHEDULES = ToolTraits(side_effect=SideEffect.WRITE, capabilities=("tasks.write",))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledTask:
    """A task that was made."""

    name: str
    schedule: str
    """When it is due, in words."""
    next_times: list[str]
    """The first moments at which it is due."""


def task_tools(service: TaskService, clock: Clock) -> list[Tool]:
    """Make the tools over the service."""

    async def schedule_task(  # noqa: PLR0913 - what a model may say, by name
        context: ToolContext,
        *,
        name: Annotated[str, Field(description="Short name.", min_length=1, max_length=200)],
        instruction: Annotated[
            str,
            Field(
                description="What to do then, complete in itself: nothing else will be known.",
                min_length=1,
                max_length=LONGEST_INSTRUCTION,
            ),
        ],
        cron: Annotated[
            str | None,
            Field(description="Five cron fields, such as 0 9 * * mon-fri, to do it repeatedly."),
        ] = None,
        timezone: Annotated[
            str, Field(description="IANA time zone of the cron fields, such as Europe/Berlin.")
        ] = "UTC",
        times: Annotated[
            list[str] | None,
            Field(
                description="Moments with their offset, such as 2030-01-31T09:00:00Z.",
                min_length=1,
                max_length=1000,
            ),
        ] = None,
        in_minutes: Annotated[
            int | None,
            Field(description="Minutes from now, once.", ge=1, le=LONGEST_WAIT_MINUTES),
        ] = None,
    ) -> ScheduledTask:
        """Have an instruction carried out later: by cron, at given times, or in some minutes."""
        given = {"cron": cron, "times": times, "in_minutes": in_minutes}
        chosen = _chosen(given)
        actor, agent_id = _caller(context)
        now_us = clock.now_us()
        soon = [] if in_minutes is None else [now_us + in_minutes * 60 * SECOND_US]
        wanted: dict[str, Any] = {"planned": {"times": times or soon}}
        if cron is not None:
            wanted = {"scheduled": {"cron": {"expression": cron}, "timezone": timezone}}
        values: dict[str, Any] = {
            "name": name,
            "instruction": instruction,
            "agent": {"id": agent_id},
            "schedule": wanted,
            "idempotencyKey": context.step_id,
        }
        asked = {"name": name, "instruction": instruction, "timezone": timezone, **given}
        try:
            task = await service.create(actor, values, asked=asked)
        except ValidationFailed as error:
            raise InvalidArguments(_by_argument(error, chosen)) from error
        return _shown(task.name, task.schedule, now_us)

    return [tool_from(schedule_task, domain="tasks", traits=_SCHEDULES)]


def _chosen(given: Mapping[str, object]) -> str:
    """Name the one argument that says when."""
    chosen = [argument for argument, value in given.items() if value is not None]
    if len(chosen) != 1:
        raise InvalidArguments(f"Give exactly one of {', '.join(given)}.")
    return chosen[0]


def _caller(context: ToolContext) -> tuple[Principal, str]:
    """The agent as a caller, and its id: the task is for itself."""
    if context.actor is None or context.agent_id is None:
        raise ToolError("Only an agent at work can schedule a task.")
    return context.actor, context.agent_id


def _shown(name: str, kept: Mapping[str, Any], now_us: int) -> ScheduledTask:
    due = schedule.read(kept)
    times = schedule.upcoming(due, after_us=now_us, count=MOST_SHOWN)
    return ScheduledTask(
        name=name, schedule=summary(due), next_times=[format_moment(time) for time in times]
    )


def _by_argument(error: ValidationFailed, chosen: str) -> str:
    """Name what is wrong by the tool's own arguments."""
    told: list[str] = []
    for problem in error.problems:
        first = problem.path[0] if problem.path else ""
        argument = "timezone" if "timezone" in problem.path else chosen
        told.append(f"{argument if first == 'schedule' else first}: {problem.message}")
    return " ".join(told)
