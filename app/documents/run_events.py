"""Events of runs as JSON: one document per type, named as in GraphQL."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from app.documents.approvals import Approval
from app.documents.base import Document, MomentText, id_field
from app.documents.runs import RunError, Usage
from domain.events.cursors import encode_cursor
from domain.events.feed import StreamHeartbeat, StreamResync
from domain.events.records import EventRecord
from domain.runs.state import EventType, RunStatus, StepStatus
from schema.ids import Kind, encode_id, optional_id
from schema.scalars import format_moment

StepId = Annotated[str, id_field(Kind.STEP)]


class ChildRun(Document):
    """A run that another one handed work to, and the slug of its agent."""

    id: Annotated[str, id_field(Kind.RUN)] = Field(description="Its id.")
    agent: str = Field(description="Slug of the agent at work.")


class Event(Document):
    """Something that happened; clients ignore types they do not know."""

    cursor: str
    trace_id: str
    occurred_at: MomentText


class RunEvent(Event):
    """Something that happened in a run."""

    seq: int
    run_id: Annotated[str, id_field(Kind.RUN)]
    parent_run_id: Annotated[str | None, id_field(Kind.RUN)]
    depth: int


class RunStarted(RunEvent):
    """The run began, or began again after a crash or a pause."""

    type: Literal["RunStarted"] = "RunStarted"


class RunStateChanged(RunEvent):
    """The run changed state."""

    type: Literal["RunStateChanged"] = "RunStateChanged"
    previous_status: RunStatus
    status: RunStatus
    reason: str | None


class RunFinished(RunEvent):
    """Last event of a run that SUCCEEDED or was CANCELLED."""

    type: Literal["RunFinished"] = "RunFinished"
    status: RunStatus
    output: str | None
    usage: Usage


class RunFailed(RunEvent):
    """Last event of a run that FAILED or was TIMED_OUT."""

    type: Literal["RunFailed"] = "RunFailed"
    status: RunStatus
    error: RunError
    output: str | None


class Retrying(RunEvent):
    """A failed call or attempt will be tried again."""

    type: Literal["Retrying"] = "Retrying"
    attempt: int
    delay_ms: int
    error: RunError
    voided_step_id: Annotated[str | None, id_field(Kind.STEP)]


class TokenDelta(RunEvent):
    """More text of the answer."""

    type: Literal["TokenDelta"] = "TokenDelta"
    from_seq: int
    step_id: StepId
    text: str


class ReasoningDelta(RunEvent):
    """More text of the model's reasoning."""

    type: Literal["ReasoningDelta"] = "ReasoningDelta"
    from_seq: int
    step_id: StepId
    text: str


class ToolCallStarted(RunEvent):
    """A tool is being called."""

    type: Literal["ToolCallStarted"] = "ToolCallStarted"
    step_id: StepId
    tool_name: str
    arguments: Any


class ToolCallFinished(RunEvent):
    """A tool call ended."""

    type: Literal["ToolCallFinished"] = "ToolCallFinished"
    step_id: StepId
    tool_name: str
    status: StepStatus
    result: Any
    error: RunError | None
    duration_ms: int


class ApprovalRequested(RunEvent):
    """The run waits for a person."""

    type: Literal["ApprovalRequested"] = "ApprovalRequested"
    approval: Approval


class ApprovalResolved(RunEvent):
    """An approval was decided or expired."""

    type: Literal["ApprovalResolved"] = "ApprovalResolved"
    approval: Approval


class DelegationStarted(RunEvent):
    """Work was handed to another agent; `child` is the run that does it."""

    type: Literal["DelegationStarted"] = "DelegationStarted"
    step_id: StepId
    child: ChildRun


class DelegationFinished(RunEvent):
    """Work handed to another agent came back; `child` is the run that did it."""

    type: Literal["DelegationFinished"] = "DelegationFinished"
    step_id: StepId
    child: ChildRun
    status: RunStatus = Field(description="How the child ended.")


class UsageUpdated(RunEvent):
    """Running total of a run's use; sent after each model call."""

    type: Literal["UsageUpdated"] = "UsageUpdated"
    usage: Usage


class Heartbeat(Event):
    """Nothing happened for a while; the stream is alive."""

    type: Literal["Heartbeat"] = "Heartbeat"


class ResyncRequired(Event):
    """Events after the given cursor are no longer kept: read the state again, then go on."""

    type: Literal["ResyncRequired"] = "ResyncRequired"
    oldest_cursor: str | None


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
    Field(discriminator="type", title="RunStreamItem"),
]
"""Item of a run's stream."""

Common = dict[str, Any]
Data = Mapping[str, Any]


def _started(_: EventRecord, common: Common, __: Data) -> RunEvent:
    return RunStarted(**common)


def _state_changed(_: EventRecord, common: Common, data: Data) -> RunEvent:
    return RunStateChanged(
        **common,
        previous_status=RunStatus(data["previousStatus"]),
        status=RunStatus(data["status"]),
        reason=data.get("reason"),
    )


def _finished(_: EventRecord, common: Common, data: Data) -> RunEvent:
    return RunFinished(
        **common,
        status=RunStatus(data["status"]),
        output=data.get("output"),
        usage=Usage.of_event(data["usage"]),
    )


def _failed(_: EventRecord, common: Common, data: Data) -> RunEvent:
    return RunFailed(
        **common,
        status=RunStatus(data["status"]),
        error=RunError.of_event(data["error"]),
        output=data.get("output"),
    )


def _retrying(_: EventRecord, common: Common, data: Data) -> RunEvent:
    return Retrying(
        **common,
        attempt=data["attempt"],
        delay_ms=data["delayMs"],
        error=RunError.of_event(data["error"]),
        voided_step_id=optional_id(Kind.STEP, data.get("voidedStepId")),
    )


def _token(record: EventRecord, common: Common, data: Data) -> RunEvent:
    return TokenDelta(**common, **_delta(record, data))


def _reasoning(record: EventRecord, common: Common, data: Data) -> RunEvent:
    return ReasoningDelta(**common, **_delta(record, data))


def _delta(record: EventRecord, data: Data) -> Common:
    return {
        "from_seq": record.seq if record.from_seq is None else record.from_seq,
        "step_id": encode_id(Kind.STEP, data["stepId"]),
        "text": data["text"],
    }


def _call_started(_: EventRecord, common: Common, data: Data) -> RunEvent:
    return ToolCallStarted(
        **common,
        step_id=encode_id(Kind.STEP, data["stepId"]),
        tool_name=data["toolName"],
        arguments=data["arguments"],
    )


def _call_finished(_: EventRecord, common: Common, data: Data) -> RunEvent:
    error = data.get("error")
    return ToolCallFinished(
        **common,
        step_id=encode_id(Kind.STEP, data["stepId"]),
        tool_name=data["toolName"],
        status=StepStatus(data["status"]),
        result=data.get("result"),
        error=None if error is None else RunError.of_event(error),
        duration_ms=data["durationMs"],
    )


def _approval_requested(_: EventRecord, common: Common, data: Data) -> RunEvent:
    return ApprovalRequested(**common, approval=Approval.of_event(data["approval"]))


def _approval_resolved(_: EventRecord, common: Common, data: Data) -> RunEvent:
    return ApprovalResolved(**common, approval=Approval.of_event(data["approval"]))


def _delegation_started(_: EventRecord, common: Common, data: Data) -> RunEvent:
    return DelegationStarted(**common, **_delegation(data))


def _delegation_finished(_: EventRecord, common: Common, data: Data) -> RunEvent:
    return DelegationFinished(**common, **_delegation(data), status=RunStatus(data["status"]))


def _delegation(data: Data) -> Common:
    child = ChildRun(id=encode_id(Kind.RUN, data["childId"]), agent=data["agent"])
    return {"step_id": encode_id(Kind.STEP, data["stepId"]), "child": child}


def _usage_updated(_: EventRecord, common: Common, data: Data) -> RunEvent:
    return UsageUpdated(**common, usage=Usage.of_event(data["usage"]))


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
    EventType.APPROVAL_REQUESTED: _approval_requested,
    EventType.APPROVAL_RESOLVED: _approval_resolved,
    EventType.DELEGATION_STARTED: _delegation_started,
    EventType.DELEGATION_FINISHED: _delegation_finished,
    EventType.USAGE_UPDATED: _usage_updated,
}


def run_event(record: EventRecord) -> RunEvent | None:
    """Show a record of a run; None for types that are not public."""
    show = _SHOW.get(record.type)
    if show is None or record.run_id is None:
        return None
    common: Common = {
        "cursor": encode_cursor(record.workspace_id, record.cursor),
        "trace_id": record.trace_id,
        "occurred_at": format_moment(record.occurred_at),
        "seq": record.seq,
        "run_id": encode_id(Kind.RUN, record.run_id),
        "parent_run_id": optional_id(Kind.RUN, record.parent_run_id),
        "depth": record.depth,
    }
    return show(record, common, record.data)


def heartbeat(beat: StreamHeartbeat) -> Heartbeat:
    """Show how far a stream has come."""
    return Heartbeat(
        cursor=encode_cursor(beat.workspace_id, beat.cursor),
        trace_id=beat.trace_id,
        occurred_at=format_moment(beat.occurred_at),
    )


def resync_required(gap: StreamResync) -> ResyncRequired:
    """Show from where a stream goes on."""
    return ResyncRequired(
        cursor=encode_cursor(gap.workspace_id, gap.cursor),
        trace_id=gap.trace_id,
        occurred_at=format_moment(gap.occurred_at),
        oldest_cursor=None if gap.oldest is None else encode_cursor(gap.workspace_id, gap.oldest),
    )
