"""What clients say to choose among the events of a workspace."""

from collections.abc import Mapping
from enum import Enum

from strawberry import ID, UNSET, field

from domain.runs.state import EventType as RunEventType
from schema.access import Scope
from schema.declare import api_enum, api_input
from schema.ids import Kind
from schema.inputs import refers_to


@api_enum
class EventType(Enum):
    """Kind of event; each names the type that carries it."""

    RUN_STARTED = "RunStarted."
    RUN_STATE_CHANGED = "RunStateChanged."
    RUN_FINISHED = "RunFinished."
    RUN_FAILED = "RunFailed."
    RETRYING = "Retrying."
    TOKEN_DELTA = "TokenDelta; never sent to webhooks."  # noqa: S105 - what clients read
    REASONING_DELTA = "ReasoningDelta; never sent to webhooks."
    TOOL_CALL_STARTED = "ToolCallStarted."
    TOOL_CALL_FINISHED = "ToolCallFinished."
    APPROVAL_REQUESTED = "ApprovalRequested."
    APPROVAL_RESOLVED = "ApprovalResolved."
    DELEGATION_STARTED = "DelegationStarted."
    DELEGATION_FINISHED = "DelegationFinished."
    USAGE_UPDATED = "UsageUpdated."
    TASK_UPDATE = "TaskUpdate."
    MEMORY_UPDATE = "MemoryUpdate."
    BEHAVIOR_UPDATE = "BehaviorUpdate."

    @property
    def carrier(self) -> str:
        """Name of the type that carries it, which is also its name in the table of events."""
        return "".join(part.capitalize() for part in self.name.split("_"))

    @property
    def scope(self) -> Scope:
        """What a key must hold to see it."""
        return Scope.RUNS_READ if self.carrier in _OF_RUNS else _SCOPES[self]


_OF_RUNS = frozenset(kind.value for kind in RunEventType)
_SCOPES: Mapping[EventType, Scope] = {
    EventType.TASK_UPDATE: Scope.TASKS_READ,
    EventType.MEMORY_UPDATE: Scope.MEMORY_READ,
    EventType.BEHAVIOR_UPDATE: Scope.BEHAVIOR_READ,
}
"""Scopes of events that belong to no run; one that is missing here is shown to nobody."""

DELTAS = frozenset({EventType.TOKEN_DELTA, EventType.REASONING_DELTA})
"""Left out unless they are asked for."""


@api_input
class EventFilter:
    """Narrows the stream of all events."""

    types: list[EventType] | None = field(
        description="Only these types; absent means all but token and reasoning deltas.",
        default=UNSET,
    )
    agent_id: ID | None = field(
        description="Only those of this agent.", default=UNSET, metadata=refers_to(Kind.AGENT)
    )
    conversation_id: ID | None = field(
        description="Only those of this conversation's runs.",
        default=UNSET,
        metadata=refers_to(Kind.CONVERSATION),
    )
