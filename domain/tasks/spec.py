"""What a client asks for when it makes, changes, holds or starts a task, checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self, cast

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from domain.agents.changes import merged
from domain.agents.settings import Name
from domain.kernel.errors import ValidationFailed
from domain.kernel.idempotency import IdempotencyKey
from domain.kernel.moments import Instant
from domain.kernel.validation import (
    ClientModel,
    JsonObject,
    Text,
    Whole,
    refusal,
    validated,
)
from domain.runs.spec import LONGEST_INSTRUCTION, LONGEST_WAIT_S, AgentChoice
from domain.runs.state import RunErrorCode
from domain.tasks.schedule import Adhoc, Planned, begins_after, next_due
from domain.tasks.schedule_spec import ScheduleSpec
from domain.tasks.state import ConversationMode, MissedRunPolicy, OverlapPolicy

LONGEST_GRACE_S = 7 * 86_400
LONGEST_DELAY_S = 86_400
LONGEST_BACKOFF_S = 3600
"""Where nobody names the longest wait between attempts."""
MOST_RUNS = 1_000_000
TRANSIENT = (
    RunErrorCode.MODEL_RATE_LIMITED,
    RunErrorCode.MODEL_UNAVAILABLE,
    RunErrorCode.MODEL_BAD_RESPONSE,
    RunErrorCode.TIMED_OUT,
    RunErrorCode.WORKER_LOST,
)
"""Reasons that may be gone at the next attempt."""


def _without_repeats(codes: tuple[RunErrorCode, ...]) -> tuple[RunErrorCode, ...]:
    return tuple(dict.fromkeys(codes))


def _without_nulls(value: object) -> object:
    """A null asks for the default, as an absent field does."""
    if not isinstance(value, Mapping):
        return value
    fields = cast("Mapping[object, object]", value)
    return {name: field for name, field in fields.items() if field is not None}


class RetryPolicy(ClientModel):
    """What happens when an attempt fails; the wait doubles from one attempt to the next."""

    max_attempts: Annotated[Whole, Field(ge=1, le=20)] = 1
    backoff_seconds: Annotated[Whole, Field(ge=0, le=LONGEST_DELAY_S)] = 30
    max_backoff_seconds: Annotated[Whole, Field(ge=0, le=LONGEST_DELAY_S)] = LONGEST_BACKOFF_S
    retry_on: Annotated[
        tuple[RunErrorCode, ...],
        Field(max_length=len(RunErrorCode)),
        AfterValidator(_without_repeats),
    ] = TRANSIENT

    @model_validator(mode="before")
    @classmethod
    def _longest_follows(cls, values: object) -> object:
        """A first wait beyond the longest one that nobody has named raises it."""
        if not isinstance(values, Mapping):
            return values
        given = dict(cast("Mapping[str, object]", values))
        first = given.get("backoffSeconds")
        if type(first) is int and LONGEST_BACKOFF_S < first <= LONGEST_DELAY_S:
            given.setdefault("maxBackoffSeconds", first)
        return given

    def backoff_s(self, attempt: int) -> int:
        """Return the back-off after attempt number `attempt`, from 1, has failed."""
        # 2^17 seconds are more than a day, the longest wait there is.
        return min(self.backoff_seconds * 2 ** min(attempt - 1, 17), self.max_backoff_seconds)


RetrySpec = Annotated[RetryPolicy, BeforeValidator(_without_nulls)]


class TaskFields(ClientModel):
    """What a client says about a task, but for when it is due."""

    name: Name
    agent: AgentChoice
    instruction: Annotated[Text, Field(min_length=1, max_length=LONGEST_INSTRUCTION)]
    conversation_mode: ConversationMode = ConversationMode.NEW
    inputs: JsonObject = Field(default_factory=dict[str, Any])
    starts_at: Instant | None = None
    ends_at: Instant | None = None
    retry: RetrySpec = RetryPolicy()
    overlap_policy: OverlapPolicy = OverlapPolicy.SKIP
    missed_run_policy: MissedRunPolicy = MissedRunPolicy.RUN_ONCE
    grace_seconds: Annotated[Whole, Field(ge=0, le=LONGEST_GRACE_S)] = 60
    timeout_seconds: Annotated[Whole, Field(ge=1, le=86_400)] = 900
    jitter_seconds: Annotated[Whole, Field(ge=0, le=3600)] = 0
    max_concurrency: Annotated[Whole, Field(ge=1, le=32)] = 1
    priority: Annotated[Whole, Field(ge=0, le=9)] = 5
    pause_after_failures: Annotated[Whole, Field(ge=1, le=1000)] | None = None
    max_runs: Annotated[Whole, Field(ge=1, le=MOST_RUNS)] | None = None
    metadata: JsonObject = Field(default_factory=dict[str, Any])

    @field_validator("ends_at")
    @classmethod
    def _ends_later(cls, ends_at: int | None, found: ValidationInfo) -> int | None:
        starts_at = found.data.get("starts_at")
        if ends_at is not None and starts_at is not None and starts_at >= ends_at:
            raise refusal("Give a moment after startsAt.")
        return ends_at


class TaskSettings(TaskFields):
    """A task in the shape in which clients create it."""

    schedule: ScheduleSpec

    def stored(self) -> dict[str, Any]:
        """Return plain JSON in client names, moments in microseconds."""
        names = set(TaskSettings.model_fields)
        return self.model_dump(mode="json", by_alias=True, include=names, exclude_none=True)


class NewTask(TaskSettings):
    """What a client sends to create a task."""

    idempotency_key: IdempotencyKey | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Check a client's values; a null asks for the default. Raises ValidationFailed.

        Whether it is ever due, `refuse_without_due_time` says: a repeat by idempotency key gets
        its task also when the times have passed.
        """
        return validated(cls, merged({}, values))


class ChangeNote(ClientModel):
    """Which version of a task a change is based on."""

    task_id: Text
    expected_version: Annotated[Whole, Field(ge=1)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskChanges:
    """What a client sends to change a task: absent stays, null clears to the default."""

    task_id: str
    expected_version: int | None
    values: Mapping[str, Any]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Take a client's values apart. Raises ValidationFailed."""
        own = {name: values[name] for name in ("taskId", "expectedVersion") if name in values}
        note = validated(ChangeNote, own)
        rest = {name: value for name, value in values.items() if name not in own}
        return cls(task_id=note.task_id, expected_version=note.expected_version, values=rest)

    def onto(self, settings: TaskSettings, *, now_us: int) -> TaskSettings:
        """Return the settings with the changes; a schedule and a retry policy change as a whole.

        Raises ValidationFailed.
        """
        changed = validated(TaskSettings, merged(settings.stored(), self.values))
        if not self.values.keys().isdisjoint({"schedule", "startsAt", "endsAt"}):
            refuse_without_due_time(changed, now_us=now_us)
        return changed


class PauseSpec(ClientModel):
    """A task to hold."""

    task_id: Text
    reason: Annotated[Text, StringConstraints(max_length=1000)] | None = None
    until: Instant | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any], *, now_us: int) -> Self:
        """Check a client's values. Raises ValidationFailed."""
        spec = validated(cls, values)
        if spec.until is not None and spec.until <= now_us:
            raise ValidationFailed.of("until", "Give a moment that lies ahead.")
        return spec


class RunNowSpec(ClientModel):
    """A request to start a task at once."""

    task_id: Text
    inputs: JsonObject = Field(default_factory=dict[str, Any])
    wait_seconds: Annotated[Whole, Field(ge=0, le=LONGEST_WAIT_S)] = 0
    idempotency_key: IdempotencyKey | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Check a client's values; a null asks for the default. Raises ValidationFailed."""
        return validated(cls, merged({}, values))


def refuse_without_due_time(settings: TaskSettings, *, now_us: int) -> None:
    """Refuse what could never be due: past-only times, or an end before the first of them.

    Raises ValidationFailed naming the field.
    """
    ends_at = settings.ends_at
    if ends_at is not None and ends_at <= now_us:
        raise ValidationFailed.of("endsAt", "Give a moment that lies ahead.")
    schedule = settings.schedule.schedule()
    if isinstance(schedule, Adhoc):
        return
    if isinstance(schedule, Planned) and schedule.times[-1] <= now_us:
        message = "All of these times have passed; give at least one that lies ahead."
        raise ValidationFailed.of("schedule.planned.times", message)
    first = next_due(schedule, after_us=begins_after(now_us, settings.starts_at))
    if first is None:
        raise ValidationFailed.of("startsAt", "The schedule has no due time after this moment.")
    if ends_at is not None and first >= ends_at:
        message = "The schedule is not due before this moment; give a later one, or none."
        raise ValidationFailed.of("endsAt", message)
