"""What streams carry: events of runs, in the form that every subscriber of one shares."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Self, TypeAlias

import strawberry
from strawberry import ID, Private, field

from domain.events.cursors import encode_cursor
from domain.events.feed import StreamHeartbeat, StreamResync
from domain.events.records import EventRecord
from domain.runs.state import EventType
from domain.runs.stream import TokenPiece
from schema.approval_events import ApprovalRequested, ApprovalResolved
from schema.context import Info
from schema.declare import api_type
from schema.delegation_events import DelegationFinished, DelegationStarted
from schema.event_base import Common, Event, RunEvent, run_event_fields, run_of
from schema.ids import Kind, encode_id, optional_id
from schema.runs import Run, RunStatus
from schema.scalars import Json, Moment
from schema.steps import RunError, StepStatus, Usage


@api_type
class RunStarted(RunEvent):
    """The run began, or began again after a crash or a pause."""

    raw_run_id: Private[str]

    @field(description="The run.")
    async def run(self, info: Info) -> Run:
        """Load it as it is now."""
        return await run_of(info, self.raw_run_id)


@api_type
class RunStateChanged(RunEvent):
    """The run changed state."""

    previous_status: RunStatus = field(description="State before.")
    status: RunStatus = field(description="State now.")
    reason: str | None = field(description="Why; null when obvious.")


@api_type
class RunFinished(RunEvent):
    """Last event of a run that SUCCEEDED or was CANCELLED."""

    status: RunStatus = field(description="SUCCEEDED or CANCELLED.")
    output: str | None = field(
        description="Answer, partial when cancelled; null when there is none."
    )
    usage: Usage = field(description="Use of the run and all runs below it.")

    raw_run_id: Private[str]

    @field(description="The run.")
    async def run(self, info: Info) -> Run:
        """Load it as it is now."""
        return await run_of(info, self.raw_run_id)


@api_type
class RunFailed(RunEvent):
    """Last event of a run that FAILED or was TIMED_OUT."""

    status: RunStatus = field(description="FAILED or TIMED_OUT.")
    error: RunError = field(description="Why it failed.")
    output: str | None = field(description="Partial answer; null when there is none.")

    raw_run_id: Private[str]

    @field(description="The run.")
    async def run(self, info: Info) -> Run:
        """Load it as it is now."""
        return await run_of(info, self.raw_run_id)


@api_type
class Retrying(RunEvent):
    """A failed call or attempt will be tried again."""

    attempt: int = field(description="Number of the coming try.")
    delay_ms: int = field(description="Wait before it.")
    error: RunError = field(description="Why the last one failed.")
    voided_step_id: ID | None = field(
        description="Model call whose text so far is void; null when none was sent."
    )


@api_type
class TokenDelta(RunEvent):
    """More text of the answer."""

    from_seq: int = field(
        description=(
            "First number folded into this delta, so that fromSeq follows the last seq seen."
        )
    )
    step_id: ID = field(description="Model call that writes it.")
    text: str = field(description="Text to append.")


@api_type
class ReasoningDelta(RunEvent):
    """More text of the model's reasoning."""

    from_seq: int = field(
        description=(
            "First number folded into this delta, so that fromSeq follows the last seq seen."
        )
    )
    step_id: ID = field(description="Model call that writes it.")
    text: str = field(description="Text to append.")


@api_type
class ToolCallStarted(RunEvent):
    """A tool is being called."""

    step_id: ID = field(description="The call.")
    tool_name: str = field(description="Name of the tool.")
    arguments: Json = field(description="Arguments, secrets masked.")


@api_type
class ToolCallFinished(RunEvent):
    """A tool call ended."""

    step_id: ID = field(description="The call.")
    tool_name: str = field(description="Name of the tool.")
    status: StepStatus = field(description="How it ended.")
    result: Json | None = field(description="What it returned, shortened, secrets masked.")
    error: RunError | None = field(description="Why it failed; null when it did not.")
    duration_ms: int = field(description="Time taken.")


@api_type
class UsageUpdated(RunEvent):
    """Running total of a run's use; sent after each model call."""

    usage: Usage = field(description="Use so far.")


@api_type
class Heartbeat(Event):
    """Nothing happened for a while; the stream is alive."""

    @classmethod
    def of(cls, beat: StreamHeartbeat) -> Self:
        """Show how far a stream has come."""
        return cls(
            cursor=encode_cursor(beat.workspace_id, beat.cursor),
            trace_id=beat.trace_id,
            occurred_at=Moment(beat.occurred_at),
        )


@api_type
class ResyncRequired(Event):
    """Events after the given cursor are no longer kept: read the state again, then go on from here."""  # noqa: E501 - the words of the contract

    oldest_cursor: str | None = field(
        description="Oldest event that is still kept; null when none is."
    )

    @classmethod
    def of(cls, gap: StreamResync) -> Self:
        """Show from where a stream goes on."""
        oldest = gap.oldest
        return cls(
            cursor=encode_cursor(gap.workspace_id, gap.cursor),
            trace_id=gap.trace_id,
            occurred_at=Moment(gap.occurred_at),
            oldest_cursor=None if oldest is None else encode_cursor(gap.workspace_id, oldest),
        )


@api_type
class TokenChunk:
    """Piece of an answer; the stream ends with the run."""

    seq: int = field(description="Number within the run; send the last one seen as after.")
    reset: bool = field(description="True: drop the text so far, its model call is tried again.")
    text: str = field(description="Text to append.")

    @classmethod
    def of(cls, piece: TokenPiece) -> Self:
        """Show a piece of an answer."""
        return cls(seq=piece.seq, reset=piece.reset, text=piece.text)


RunStreamItem: TypeAlias = Annotated[
    RunStarted
    | RunStateChanged
    | RunFinished
    | RunFailed
    | Retrying
    | TokenDelta
    | ReasoningDelta
    | ToolCallStarted
    | ToolCallFinished
    | ApprovalRequested
    | ApprovalResolved
    | DelegationStarted
    | DelegationFinished
    | UsageUpdated
    | Heartbeat
    | ResyncRequired,
    strawberry.union("RunStreamItem", description="Item of runEvents."),
]

Data = Mapping[str, Any]


def _started(record: EventRecord, common: Common, _: Data) -> RunStarted:
    return RunStarted(**common, raw_run_id=record.run_id or "")


def _state_changed(_: EventRecord, common: Common, data: Data) -> RunStateChanged:
    return RunStateChanged(
        **common,
        previous_status=RunStatus[data["previousStatus"]],
        status=RunStatus[data["status"]],
        reason=data.get("reason"),
    )


def _finished(record: EventRecord, common: Common, data: Data) -> RunFinished:
    return RunFinished(
        **common,
        status=RunStatus[data["status"]],
        output=data.get("output"),
        usage=Usage.of_stored(data["usage"]),
        raw_run_id=record.run_id or "",
    )


def _failed(record: EventRecord, common: Common, data: Data) -> RunFailed:
    return RunFailed(
        **common,
        status=RunStatus[data["status"]],
        error=RunError.of_event(data["error"]),
        output=data.get("output"),
        raw_run_id=record.run_id or "",
    )


def _retrying(_: EventRecord, common: Common, data: Data) -> Retrying:
    return Retrying(
        **common,
        attempt=data["attempt"],
        delay_ms=data["delayMs"],
        error=RunError.of_event(data["error"]),
        voided_step_id=optional_id(Kind.STEP, data.get("voidedStepId")),
    )


def _token(record: EventRecord, common: Common, data: Data) -> TokenDelta:
    return TokenDelta(**common, **_delta(record, data))


def _reasoning(record: EventRecord, common: Common, data: Data) -> ReasoningDelta:
    return ReasoningDelta(**common, **_delta(record, data))


def _delta(record: EventRecord, data: Data) -> Common:
    return {
        "from_seq": record.seq if record.from_seq is None else record.from_seq,
        "step_id": encode_id(Kind.STEP, data["stepId"]),
        "text": data["text"],
    }


def _call_started(_: EventRecord, common: Common, data: Data) -> ToolCallStarted:
    return ToolCallStarted(
        **common,
        step_id=encode_id(Kind.STEP, data["stepId"]),
        tool_name=data["toolName"],
        arguments=Json(data["arguments"]),
    )


def _call_finished(_: EventRecord, common: Common, data: Data) -> ToolCallFinished:
    error, result = data.get("error"), data.get("result")
    return ToolCallFinished(
        **common,
        step_id=encode_id(Kind.STEP, data["stepId"]),
        tool_name=data["toolName"],
        status=StepStatus[data["status"]],
        result=None if result is None else Json(result),
        error=None if error is None else RunError.of_event(error),
        duration_ms=data["durationMs"],
    )


def _usage_updated(_: EventRecord, common: Common, data: Data) -> UsageUpdated:
    return UsageUpdated(**common, usage=Usage.of_stored(data["usage"]))


_SHOW: Mapping[str, Callable[[EventRecord, Common, Data], RunEvent]] = {
    EventType.RUN_STARTED: _started,
    EventType.RUN_STATE_CHANGED: _state_changed,
    EventType.RUN_FINISHED: _finished,
    EventType.RUN_FAILED: _failed,
    EventType.RETRYING: _retrying,
    EventType.TOKEN_DELTA: _token,
    EventType.REASONING_DELTA: _reasoning,
    EventType.TOOL_CALL_STARTED: _call_started,
    EventType.TOOL_CALL_FINISHED: _call_finished,
    EventType.APPROVAL_REQUESTED: ApprovalRequested.of,
    EventType.APPROVAL_RESOLVED: ApprovalResolved.of,
    EventType.DELEGATION_STARTED: DelegationStarted.of,
    EventType.DELEGATION_FINISHED: DelegationFinished.of,
    EventType.USAGE_UPDATED: _usage_updated,
}


def event_of(record: EventRecord) -> RunEvent | None:
    """Show a record of a run; None for types that are not public."""
    show = _SHOW.get(record.type)
    if show is None or record.run_id is None:
        return None
    return show(record, run_event_fields(record, record.run_id), record.data)
