"""What a client says about when a task is due, checked."""

from typing import Annotated, Self

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, model_validator

from domain.kernel.moments import Instant
from domain.kernel.validation import ClientModel, Flag, Text, exactly_one_of, refusal
from domain.tasks.cron import (
    FIELD_NAMES,
    CronError,
    ScheduleError,
    check_field,
    cron_times,
    five_fields,
    zone_named,
)
from domain.tasks.schedule import Adhoc, Cron, Planned, Schedule

MOST_TIMES = 1000
UTC_ZONE = "UTC"


def plain_expression(text: str) -> str:
    """Return the five fields with single blanks, an alias replaced."""
    try:
        expression = " ".join(five_fields(text))
        cron_times(expression, UTC_ZONE)
    except ScheduleError as error:
        raise refusal(str(error)) from None
    return expression


def _zone(name: str) -> str:
    try:
        zone_named(name)
    except ScheduleError as error:
        raise refusal(str(error)) from None
    return name


def _some(times: tuple[int, ...]) -> tuple[int, ...]:
    # The length that pydantic checks leaves out items that are none.
    if not times:
        raise refusal("Give at least one time.")
    return times


def _by_field(name: str) -> AfterValidator:
    def check(text: str) -> str:
        try:
            check_field(name, text)
        except CronError as error:
            raise refusal(str(error)) from None
        return text

    return AfterValidator(check)


def _exactly_one(model: ClientModel, names: str) -> None:
    shown = {name: field.alias for name, field in type(model).model_fields.items()}
    given = [str(alias) for name, alias in shown.items() if getattr(model, name) is not None]
    if len(given) != 1:
        counted = "none of them is" if not given else f"{' and '.join(given)} are"
        raise refusal(f"Give exactly one of {names}; {counted} given.")


Expression = Annotated[Text, AfterValidator(plain_expression)]
Zone = Annotated[Text, AfterValidator(_zone)]
Times = Annotated[
    tuple[Instant, ...],
    Field(max_length=MOST_TIMES, json_schema_extra={"minItems": 1}),
    AfterValidator(_some),
]
CronField = Annotated[Text, StringConstraints(min_length=1, max_length=100)]


class CronFields(ClientModel):
    """The five fields of a cron schedule."""

    minute: Annotated[CronField, _by_field("minute")] = "*"
    hour: Annotated[CronField, _by_field("hour")] = "*"
    day: Annotated[CronField, _by_field("day")] = "*"
    month: Annotated[CronField, _by_field("month")] = "*"
    weekday: Annotated[CronField, _by_field("weekday")] = "*"

    @model_validator(mode="after")
    def _is_due(self) -> Self:
        plain_expression(self.expression)
        return self

    @property
    def expression(self) -> str:
        """The fields in one line."""
        return " ".join(str(getattr(self, name)) for name in FIELD_NAMES)


class CronSpec(ClientModel):
    """A cron schedule, as a line or by field."""

    model_config = ConfigDict(json_schema_extra=exactly_one_of("expression", "fields"))

    expression: Expression | None = None
    fields_: CronFields | None = Field(default=None, alias="fields")

    @model_validator(mode="after")
    def _one(self) -> Self:
        _exactly_one(self, "expression and fields")
        return self


class AdhocSpec(ClientModel):
    """A schedule of a task run on demand."""

    run_now: Flag = False


class PlannedSpec(ClientModel):
    """A schedule of a task run at given times."""

    times: Times


class ScheduledSpec(ClientModel):
    """A schedule of a task run again and again."""

    cron: CronSpec
    timezone: Zone = UTC_ZONE


class ScheduleSpec(ClientModel):
    """When a task is due; exactly one."""

    model_config = ConfigDict(json_schema_extra=exactly_one_of("adhoc", "planned", "scheduled"))

    adhoc: AdhocSpec | None = None
    planned: PlannedSpec | None = None
    scheduled: ScheduledSpec | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        _exactly_one(self, "adhoc, planned and scheduled")
        return self

    def schedule(self) -> Schedule:
        """Return the schedule that was asked for."""
        if self.planned is not None:
            return Planned(times=self.planned.times)
        if self.scheduled is not None:
            cron = self.scheduled.cron
            expression = cron.expression or (cron.fields_ or CronFields()).expression
            return Cron(expression=expression, timezone=self.scheduled.timezone)
        return Adhoc(run_now=self.adhoc is not None and self.adhoc.run_now)

    @classmethod
    def of(cls, schedule: Schedule) -> Self:
        """Return what asks for a schedule."""
        match schedule:
            case Adhoc(run_now=run_now):
                return cls(adhoc=AdhocSpec(run_now=run_now))
            case Planned(times=times):
                return cls(planned=PlannedSpec(times=times))
            case Cron(expression=expression, timezone=timezone):
                cron = CronSpec(expression=expression)
                return cls(scheduled=ScheduledSpec(cron=cron, timezone=timezone))
