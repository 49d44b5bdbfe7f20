"""Tools by which agents have work done later, and look after what they have scheduled."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from domain.kernel.errors import ValidationFailed
from domain.kernel.ports import Clock
from domain.tasks.service import TaskService
from domain.tasks.tool_calls import (
    ZONE,
    CronLine,
    Instruction,
    Minutes,
    Moments,
    Name,
    by_argument,
    by_cron,
    caller_of,
    chosen_of,
    next_times,
    planned_for,
    words_of_schedule,
)
from domain.tasks.tool_changes import change_tools
from domain.tasks.tool_views import view_tools
from domain.tools.calls import Tool, ToolContext
from domain.tools.generate import tool_from
from domain.tools.manifest import SideEffect, ToolTraits

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
    return [
        _schedule_task(service, clock),
        *view_tools(service, clock),
        *change_tools(service, clock),
    ]


def _schedule_task(service: TaskService, clock: Clock) -> Tool:
    async def schedule_task(  # noqa: PLR0913 - what a model may say, by name
        context: ToolContext,
        *,
        name: Name,
        instruction: Instruction,
        cron: CronLine = None,
        timezone: Annotated[str, ZONE] = "UTC",
        times: Moments = None,
        in_minutes: Minutes = None,
        on_demand: Annotated[
            bool, Field(description="True for no time at all: run_task_now starts it.")
        ] = False,
    ) -> ScheduledTask:
        """Have an instruction carried out later: by cron, at given times, or in some minutes."""
        given = {"cron": cron, "times": times, "in_minutes": in_minutes, "on_demand": on_demand}
        chosen = chosen_of(given)
        caller = caller_of(context)
        now_us = clock.now_us()
        wanted: dict[str, Any] = {"adhoc": {}}
        if cron is not None:
            wanted = by_cron(cron, timezone)
        elif times is not None:
            wanted = {"planned": {"times": times}}
        elif in_minutes is not None:
            wanted = planned_for(in_minutes, now_us)
        values: dict[str, Any] = {
            "name": name,
            "instruction": instruction,
            "agent": {"id": caller.agent_id},
            "schedule": wanted,
            "idempotencyKey": context.step_id,
        }
        asked = {"name": name, "instruction": instruction, "timezone": timezone, **given}
        try:
            task = await service.create(caller.actor, values, asked=asked)
        except ValidationFailed as error:
            raise by_argument(error, chosen) from error
        return ScheduledTask(
            name=task.name,
            schedule=words_of_schedule(task.schedule),
            next_times=next_times(task, now_us, count=MOST_SHOWN),
        )

    return tool_from(schedule_task, domain="tasks", traits=_SCHEDULES)
