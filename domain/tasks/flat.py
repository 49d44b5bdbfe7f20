"""A task as scripts write it: its schedule beside the other fields, with its kind as `type`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, TypeVar, cast

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from domain.agents.changes import merged
from domain.kernel.errors import FieldProblem, ValidationFailed
from domain.kernel.idempotency import IdempotencyKey
from domain.kernel.validation import ClientModel, Flag, refusal, validated
from domain.tasks.cron import FIELD_NAMES
from domain.tasks.schedule import Adhoc, Cron, Planned
from domain.tasks.schedule_spec import CronFields, ScheduleSpec, Times, Zone, plain_expression
from domain.tasks.spec import TaskFields

FLAT = ("type", "runNow", "times", "cron", "timezone")
_KINDS = "adhoc, planned or scheduled"
_KIND_OF = {"runNow": "adhoc", "times": "planned", "cron": "scheduled", "timezone": "scheduled"}
_NEEDED_BY = {"planned": "times", "scheduled": "cron"}
_FLAT_PATHS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("schedule", "adhoc"), ()),
    (("schedule", "planned"), ()),
    (("schedule", "scheduled", "cron", "expression"), ("cron",)),
    (("schedule", "scheduled", "cron", "fields"), ("cron",)),
    (("schedule", "scheduled"), ()),
    (("schedule",), ("type",)),
)


def _fields_of(value: object) -> object:
    if isinstance(value, Mapping):
        return cast("object", value)
    if not isinstance(value, str):
        raise refusal("Give an object of cron fields, or five of them in one line.")
    return dict(zip(FIELD_NAMES, plain_expression(value).split(), strict=True))


CronText = Annotated[
    CronFields, BeforeValidator(_fields_of, json_schema_input_type=CronFields | str)
]
"""The five fields of a cron schedule, or one line of them."""


class FlatSchedule(ClientModel):
    """When a task is due, by `type`: with `times`, or with `cron` and a `timezone`."""

    type: Annotated[
        Literal["adhoc", "planned", "scheduled"], Field(description="Kind of schedule.")
    ]
    run_now: Flag | None = None
    times: Times | None = None
    cron: CronText | None = None
    timezone: Zone | None = None

    @field_validator("run_now", "times", "cron", "timezone")
    @classmethod
    def _belongs(cls, value: object, found: ValidationInfo) -> object:
        kind = found.data.get("type")
        name = "runNow" if found.field_name == "run_now" else str(found.field_name)
        if value is not None and kind is not None and kind != _KIND_OF[name]:
            raise refusal(f"Leave this out; it goes with the type {_KIND_OF[name]}.")
        return value


F = TypeVar("F", bound=FlatSchedule)


class FlatTask(TaskFields, FlatSchedule):
    """A new task, its schedule by `type`: with `times`, or with `cron` and a `timezone`."""

    idempotency_key: IdempotencyKey | None = None


def from_flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values in the shape of CreateTaskInput; what has that shape stays as it is.

    Raises ValidationFailed naming fields as the client did.
    """
    refuse_numbers(values)
    if not is_flat(values):
        return dict(values)
    refuse_both_forms(values)
    given = merged({}, values)
    schedule = _nested(_checked(FlatTask, given), given)
    others = {name: value for name, value in given.items() if name not in FLAT}
    return {**others, "schedule": schedule}


def nested_schedule(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schedule alone in the shape of ScheduleInput.

    Raises ValidationFailed naming fields as the client did.
    """
    given = merged({}, values)
    return _nested(_checked(FlatSchedule, given), given)


def flat_schedule(spec: ScheduleSpec) -> dict[str, Any]:
    """Return the fields that say a schedule in the flat form."""
    match spec.schedule():
        case Adhoc(run_now=run_now):
            return {"type": "adhoc", "runNow": run_now}
        case Planned(times=times):
            return {"type": "planned", "times": list(times)}
        case Cron(expression=expression, timezone=timezone):
            return {"type": "scheduled", "cron": expression, "timezone": timezone}


def refuse_both_forms(values: Mapping[str, Any]) -> None:
    """Refuse a schedule that is said twice. Raises ValidationFailed."""
    if "schedule" in values:
        raise ValidationFailed.of("type", "Give either type or schedule, not both.")


def is_flat(values: Mapping[str, Any]) -> bool:
    """True when a client gave its schedule in the flat form."""
    return any(name in values for name in FLAT)


def in_flat_names(error: ValidationFailed) -> ValidationFailed:
    """Return the failure of a nested schedule with its fields named as the flat form does."""
    return ValidationFailed(
        [replace(problem, path=_flat_path(problem.path)) for problem in error.problems]
    )


def refuse_numbers(values: Mapping[str, Any]) -> None:
    """Refuse moments as numbers: what they would count from, and in which unit, is a guess.

    Raises ValidationFailed.
    """
    numbers = [path for path, value in _moments(values) if isinstance(value, int | float)]
    if numbers:
        message = "Give a moment as text, such as 2026-11-22T09:30:00Z."
        raise ValidationFailed([FieldProblem(path=path, message=message) for path in numbers])


def _checked(model: type[F], given: Mapping[str, Any]) -> F:
    if "type" not in given:
        raise ValidationFailed.of("type", f"Give {_KINDS}; this field is required.")
    return validated(model, given)


def _nested(flat: FlatSchedule, given: Mapping[str, Any]) -> dict[str, Any]:
    needed = _NEEDED_BY.get(flat.type)
    if needed is not None and needed not in given:
        message = f"Give a value; the type {flat.type} requires this field."
        raise ValidationFailed.of(needed, message)
    return {flat.type: _inside(flat)}


def _inside(flat: FlatSchedule) -> dict[str, Any]:
    if flat.times is not None:
        return {"times": list(flat.times)}
    if flat.cron is not None:
        fields = flat.cron.model_dump(by_alias=True)
        zone = {} if flat.timezone is None else {"timezone": flat.timezone}
        return {"cron": {"fields": fields}, **zone}
    return {} if flat.run_now is None else {"runNow": flat.run_now}


def _flat_path(path: tuple[str, ...]) -> tuple[str, ...]:
    for nested, flat in _FLAT_PATHS:
        if path[: len(nested)] == nested:
            return (*flat, *path[len(nested) :])
    return path


def _moments(values: Mapping[str, Any]) -> list[tuple[tuple[str, ...], object]]:
    found: list[tuple[tuple[str, ...], object]] = [
        ((name,), values.get(name)) for name in ("startsAt", "endsAt")
    ]
    nested = ("schedule", "planned", "times")
    for path in (("times",), nested):
        times: object = values
        for name in path:
            times = cast("Mapping[str, object]", times).get(name) if _is_object(times) else None
        if isinstance(times, list):
            listed = enumerate(cast("list[object]", times))
            found += [((*path, str(place)), time) for place, time in listed]
    return found


def _is_object(value: object) -> bool:
    return isinstance(value, Mapping)
