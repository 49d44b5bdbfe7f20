"""What requests about tasks bring, described as the services validate it."""

from typing import Annotated, Any, cast

from pydantic import Field, create_model
from pydantic.fields import FieldInfo

from app.rest.calls import Call
from app.rest.failures import body_refused
from domain.kernel.moments import Instant
from domain.kernel.validation import ClientModel, JsonObject, Text, Whole
from domain.runs.spec import LONGEST_WAIT_S
from domain.tasks.flat import FlatSchedule, FlatTask
from domain.tasks.preview import MOST_SHOWN
from domain.tasks.schedule_spec import ScheduleSpec
from domain.tasks.spec import NewTask
from schema.ids import Kind

_OF_NEW_ONES = frozenset({"idempotency_key"})

Count = Annotated[Whole, Field(ge=1, le=MOST_SHOWN, description="How many due times, 1 to 100.")]
After = Annotated[
    Instant | None, Field(description="Due times after this moment; absent means now.")
]


def _changes(model: type[ClientModel]) -> dict[str, Any]:
    """The fields of a new task as those of a change: any may be left out, and null clears."""
    return {
        name: (
            _plain(field) if field.is_required() else _plain(field) | None,
            Field(default=None, description=field.description),
        )
        for name, field in model.model_fields.items()
        if name not in _OF_NEW_ONES
    }


def _plain(field: FieldInfo) -> Any:
    found: Any = field.annotation
    for part in field.metadata:
        found = cast("Any", Annotated)[found, part]
    return found


class ChangedVersion(ClientModel):
    """Which version of a task a change is based on."""

    expected_version: Annotated[Whole, Field(ge=1)] | None = None


UpdateTaskBody = create_model(
    "UpdateTaskBody",
    __base__=ChangedVersion,
    __doc__="Changes to a task; a run at work keeps the old settings.",
    **_changes(NewTask),
)
FlatTaskChanges = create_model(
    "FlatTaskChanges",
    __base__=ChangedVersion,
    __doc__="Changes to a task, its schedule by `type`; a kind that stays keeps what is absent.",
    **_changes(FlatTask),
)


class RunNowBody(ClientModel):
    """How to start a task at once."""

    inputs: JsonObject | None = None
    wait_seconds: Annotated[Whole, Field(ge=0, le=LONGEST_WAIT_S)] | None = 0
    idempotency_key: Annotated[Text, Field(min_length=1, max_length=200)] | None = None


class PauseTaskBody(ClientModel):
    """Why a task is held, and until when."""

    reason: Annotated[Text, Field(max_length=1000)] | None = None
    until: Instant | None = None


class PreviewBody(ClientModel):
    """A schedule to look at, as in GraphQL."""

    schedule: Annotated[ScheduleSpec, Field(description="The schedule.")]
    count: Count = 5
    after: After = None


class FlatPreviewBody(FlatSchedule):
    """A schedule to look at, by `type`: with `times`, or with `cron` and a `timezone`."""

    count: Count = 5
    after: After = None


def about_task(call: Call) -> dict[str, Any]:
    """The values of a request about the task that its path names."""
    if "taskId" in call.values:
        message = "There is no such field; the path names the task."
        raise body_refused(message, path=["taskId"])
    return {**call.values, "taskId": call.ident(Kind.TASK)}
