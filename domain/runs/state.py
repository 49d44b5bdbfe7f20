"""The states of runs and steps, and which of them are ends."""

from enum import StrEnum


class RunStatus(StrEnum):
    """State of a run."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    WAITING_APPROVAL = "WAITING_APPROVAL"
    PAUSED = "PAUSED"
    CANCELLING = "CANCELLING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"

    @property
    def is_final(self) -> bool:
        """True for the four ends of a run."""
        return self in FINAL


FINAL = frozenset({RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.TIMED_OUT})


class WaitsFor(StrEnum):
    """What a parked run waits for: it holds no lease and no slot meanwhile."""

    CONVERSATION = "conversation"
    """Its turn in the line for its conversation."""
    CALLS = "calls"
    """Child runs and approvals."""
    PAUSE = "pause"
    """A person who lets it go on."""


class StepKind(StrEnum):
    """What a step is."""

    MODEL_CALL = "MODEL_CALL"
    TOOL_CALL = "TOOL_CALL"
    DELEGATION = "DELEGATION"


class StepStatus(StrEnum):
    """State of a step."""

    RUNNING = "RUNNING"
    WAITING_APPROVAL = "WAITING_APPROVAL"
    SUCCEEDED = "SUCCEEDED"
    REUSED = "REUSED"
    FAILED = "FAILED"
    DENIED = "DENIED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"


OPEN_STEPS = frozenset({StepStatus.RUNNING, StepStatus.WAITING_APPROVAL})


class RunErrorCode(StrEnum):
    """Why a run or a step failed."""

    MODEL_RATE_LIMITED = "MODEL_RATE_LIMITED"
    MODEL_UNAVAILABLE = "MODEL_UNAVAILABLE"
    MODEL_BAD_RESPONSE = "MODEL_BAD_RESPONSE"
    MODEL_REFUSED = "MODEL_REFUSED"
    CONTEXT_TOO_LONG = "CONTEXT_TOO_LONG"
    TOOL_FAILED = "TOOL_FAILED"
    POLICY_DENIED = "POLICY_DENIED"
    APPROVAL_DENIED = "APPROVAL_DENIED"
    LIMIT_REACHED = "LIMIT_REACHED"
    TIMED_OUT = "TIMED_OUT"
    LOOP_DETECTED = "LOOP_DETECTED"
    OUTPUT_INVALID = "OUTPUT_INVALID"
    WORKER_LOST = "WORKER_LOST"
    INTERNAL = "INTERNAL"


class EventType(StrEnum):
    """Events of a run, by the name of their public type."""

    RUN_STARTED = "RunStarted"
    RUN_STATE_CHANGED = "RunStateChanged"
    RUN_FINISHED = "RunFinished"
    RUN_FAILED = "RunFailed"
    RETRYING = "Retrying"
    TOKEN_DELTA = "TokenDelta"  # noqa: S105 - the name of an event
    REASONING_DELTA = "ReasoningDelta"
    TOOL_CALL_STARTED = "ToolCallStarted"
    TOOL_CALL_FINISHED = "ToolCallFinished"
    APPROVAL_REQUESTED = "ApprovalRequested"
    APPROVAL_RESOLVED = "ApprovalResolved"
    DELEGATION_STARTED = "DelegationStarted"
    DELEGATION_FINISHED = "DelegationFinished"
    USAGE_UPDATED = "UsageUpdated"


LAST_EVENTS = frozenset({EventType.RUN_FINISHED, EventType.RUN_FAILED})
