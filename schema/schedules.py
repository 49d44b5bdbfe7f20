"""When a task is due, as clients read it and as they say it."""

from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeAlias

from strawberry import UNSET, field

from domain.tasks import schedule
from domain.tasks.cron import ScheduleError
from domain.tasks.wording import summary
from schema.declare import api_choice, api_enum, api_input, api_interface, api_type
from schema.scalars import Moment


@api_interface
class Schedule:
    """When a task is due."""

    summary: str = field(description="The schedule in words.")


@api_type
class AdhocSchedule(Schedule):
    """Due only when started by runTaskNow."""


@api_type
class PlannedSchedule(Schedule):
    """Due at given times."""

    times: list[Moment] = field(description="All times, done ones too, in order.")


@api_type
class CronSchedule(Schedule):
    """Due again and again by a cron expression."""

    expression: str = field(
        description="Five fields: minute, hour, day of month, month, day of week."
    )
    timezone: str = field(description="IANA time zone, such as Europe/Berlin.")


AnySchedule: TypeAlias = AdhocSchedule | PlannedSchedule | CronSchedule


def schedule_of(stored: Mapping[str, Any]) -> AnySchedule:
    """Show a stored schedule; one that cannot be read is never due, and says so."""
    try:
        found = schedule.read(stored)
        words = summary(found)
    except ScheduleError as error:
        return AdhocSchedule(summary=f"Cannot be read: {error}")
    match found:
        case schedule.Adhoc():
            return AdhocSchedule(summary=words)
        case schedule.Planned(times=times):
            return PlannedSchedule(summary=words, times=[Moment(time) for time in times])
        case schedule.Cron(expression=expression, timezone=timezone):
            return CronSchedule(summary=words, expression=expression, timezone=timezone)


@api_enum
class ScheduleKind(Enum):
    """Kind of schedule."""

    ADHOC = "On demand."
    PLANNED = "At given times."
    SCHEDULED = "By a cron expression."


@api_input
class AdhocScheduleInput:
    """Schedule of a task run on demand."""

    run_now: bool = field(
        description="True starts it once as soon as it is created.", default=False
    )


@api_input
class PlannedScheduleInput:
    """Schedule of a task run at given times."""

    times: list[Moment] = field(description="The times, 1 to 1000.")


@api_input
class CronFieldsInput:
    """The five fields of a cron schedule."""

    minute: str = field(description="0 to 59.", default="*")
    hour: str = field(description="0 to 23.", default="*")
    day: str = field(description="Day of the month, 1 to 31.", default="*")
    month: str = field(description="1 to 12, or jan to dec.", default="*")
    weekday: str = field(description="0 to 7, or sun to sat; 0 and 7 are Sunday.", default="*")


@api_choice
class CronInput:
    """Cron schedule, as a line or by field."""

    expression: str | None = field(
        description="Five fields in one line, such as 0 9 * * mon-fri.", default=UNSET
    )
    fields: CronFieldsInput | None = field(description="The five fields.", default=UNSET)


@api_input
class CronScheduleInput:
    """Schedule of a task run again and again."""

    cron: CronInput = field(description="When.")
    timezone: str = field(description="IANA time zone the fields are read in.", default="UTC")


@api_choice
class ScheduleInput:
    """When a task is due; exactly one."""

    adhoc: AdhocScheduleInput | None = field(description="On demand.", default=UNSET)
    planned: PlannedScheduleInput | None = field(description="At given times.", default=UNSET)
    scheduled: CronScheduleInput | None = field(description="Again and again.", default=UNSET)
