"""Tools by which agents change, hold, start and cancel tasks of their own."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from domain.kernel.errors import ValidationFailed
from domain.kernel.ports import Clock
from domain.kernel.public_ids import TASK, public_id
from domain.runs.spec import LONGEST_INSTRUCTION
from domain.tasks import schedule
from domain.tasks.cron import ScheduleError
from domain.tasks.rows import TaskRow
from domain.tasks.schedule_spec import UTC_ZONE
from domain.tasks.service import TaskService
from domain.tasks.tool_calls import (
    CHANGES,
    LONGEST_NAME,
    ZONE,
    Caller,
    CronLine,
    Minutes,
    Moments,
    Which,
    by_argument,
    by_cron,
    caller_of,
    chosen_of,
    next_times,
    own_task,
    planned_for,
    words_of_schedule,
)
from domain.tools.calls import InvalidArguments, Tool, ToolContext, ToolError, ToolFailureCode
from domain.tools.generate import tool_from
from domain.tools.manifest import SideEffect, ToolTraits

MOST_SHOWN = 3
# The step's id is the key, so that a repeated call starts nothing twice.
_STARTS = ToolTraits(side_effect=SideEffect.WRITE, capabilities=CHANGES.capabilities)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedTask:
    """A task as it is after a change."""

    id: str
    name: str
    schedule: str
    """When it is due, in words."""
    status: str
    next_times: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelledTask:
    """A task that is gone; its runs are kept."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedTask:
    """A task that was started beside its schedule."""

    id: str
    name: str
    status: str
    """RUNNING, or QUEUED while it waits for its conversation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """When a task shall be due from now on."""

    cron: str | None
    timezone: str | None
    times: list[str] | None
    in_minutes: int | None

    @property
    def argument(self) -> str | None:
        """The argument that says when; None when nothing does. Raises InvalidArguments for two."""
        given = {"cron": self.cron, "times": self.times, "in_minutes": self.in_minutes}
        if any(value is not None for value in given.values()):
            return chosen_of(given)
        return None if self.timezone is None else "timezone"


def change_tools(service: TaskService, clock: Clock) -> list[Tool]:
    """Make the tools that change tasks."""
    return [_change_task(service, clock), _cancel_task(service), _run_task_now(service)]


def _change_task(service: TaskService, clock: Clock) -> Tool:
    async def change_task(  # noqa: PLR0913 - what a model may say, by name
        context: ToolContext,
        *,
        task: Which,
        name: Annotated[
            str | None, Field(description="New name.", min_length=1, max_length=LONGEST_NAME)
        ] = None,
        instruction: Annotated[
            str | None,
            Field(description="New instruction.", min_length=1, max_length=LONGEST_INSTRUCTION),
        ] = None,
        cron: CronLine = None,
        timezone: Annotated[str | None, ZONE] = None,
        times: Moments = None,
        in_minutes: Minutes = None,
        paused: Annotated[
            bool | None,
            Field(description="True holds it, false lets it go on; with no other change."),
        ] = None,
    ) -> ChangedTask:
        """Change when a scheduled task is due or what it does, or pause and resume it."""
        wanted = _Wanted(cron=cron, timezone=timezone, times=times, in_minutes=in_minutes)
        argument = wanted.argument
        texts = {"name": name, "instruction": instruction}
        changes: dict[str, Any] = {key: text for key, text in texts.items() if text is not None}
        caller = caller_of(context)
        _check_changes(is_held=paused is not None, is_changed=bool(changes) or argument is not None)
        row = await own_task(service, caller, task)
        if paused is not None:
            return _changed(await _held(service, caller, row, paused=paused), clock.now_us())
        if argument is not None:
            changes["schedule"] = _schedule(wanted, row, clock.now_us())
        try:
            row = await service.update(caller.actor, {"taskId": row.id, **changes})
        except ValidationFailed as error:
            raise by_argument(error, argument or "task") from error
        return _changed(row, clock.now_us())

    return tool_from(change_task, domain="tasks", traits=CHANGES)


def _check_changes(*, is_held: bool, is_changed: bool) -> None:
    if is_held and is_changed:
        raise InvalidArguments("paused: Give it alone; change the rest by another call.")
    if not is_held and not is_changed:
        names = "name, instruction, cron, timezone, times, in_minutes or paused"
        raise InvalidArguments(f"Give what shall change: {names}.")


async def _held(service: TaskService, caller: Caller, row: TaskRow, *, paused: bool) -> TaskRow:
    if paused:
        return await service.pause(caller.actor, {"taskId": row.id})
    return await service.resume(caller.actor, row.id)


def _schedule(wanted: _Wanted, row: TaskRow, now_us: int) -> dict[str, Any]:
    """Return the new schedule; what is said only of fields or zone leaves the other as it is."""
    if wanted.in_minutes is not None:
        return planned_for(wanted.in_minutes, now_us)
    if wanted.times is not None:
        return {"planned": {"times": wanted.times}}
    before = _cron_of(row)
    if wanted.cron is not None:
        zone = before.timezone if before is not None else UTC_ZONE
        return by_cron(wanted.cron, wanted.timezone or zone)
    if before is None:
        raise InvalidArguments("timezone: The task has no cron fields to read in it; give cron.")
    return by_cron(before.expression, wanted.timezone or before.timezone)


def _cron_of(row: TaskRow) -> schedule.Cron | None:
    try:
        due = schedule.read(row.schedule)
    except ScheduleError:
        return None
    return due if isinstance(due, schedule.Cron) else None


def _changed(row: TaskRow, now_us: int) -> ChangedTask:
    return ChangedTask(
        id=public_id(TASK, row.id),
        name=row.name,
        schedule=words_of_schedule(row.schedule),
        status=row.status,
        next_times=next_times(row, now_us, count=MOST_SHOWN),
    )


def _cancel_task(service: TaskService) -> Tool:
    async def cancel_task(context: ToolContext, *, task: Which) -> CancelledTask:
        """Cancel a scheduled task or reminder for good; its history is kept."""
        caller = caller_of(context)
        row = await own_task(service, caller, task)
        cure = "hold it with change_task and paused true"
        await _refuse_own_run(service, caller, row, f"cancelling would end it as well; {cure}")
        await service.delete(caller.actor, row.id)
        return CancelledTask(id=public_id(TASK, row.id), name=row.name)

    return tool_from(cancel_task, domain="tasks", traits=CHANGES)


def _run_task_now(service: TaskService) -> Tool:
    async def run_task_now(context: ToolContext, *, task: Which) -> StartedTask:
        """Start a scheduled task at once, beside its schedule, without waiting for its end."""
        caller = caller_of(context)
        row = await own_task(service, caller, task)
        await _refuse_own_run(service, caller, row, "it would start itself without end")
        given = {"taskId": row.id, "idempotencyKey": context.step_id}
        started = await service.run_now(caller.actor, given)
        return StartedTask(id=public_id(TASK, row.id), name=row.name, status=started.row.status)

    return tool_from(run_task_now, domain="tasks", traits=_STARTS)


async def _refuse_own_run(service: TaskService, caller: Caller, row: TaskRow, why: str) -> None:
    """Refuse what a run would do to the task that it is a run of. Raises ToolError."""
    if caller.run_id is not None and await service.is_run_of(caller.actor, row.id, caller.run_id):
        message = f"This is a run of the task {row.name!r} itself: {why}."
        raise ToolError(message, code=ToolFailureCode.REFUSED)
