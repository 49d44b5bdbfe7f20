"""Frames of `/ws/stream` as models: what clients may send, and what the server answers."""

from enum import StrEnum
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, StringConstraints, TypeAdapter

from app.documents.base import Document, MomentText, id_field
from app.documents.behavior import BehaviorVersion
from app.documents.memory import Memory
from app.documents.run_events import (
    ApprovalRequested,
    ApprovalResolved,
    Retrying,
    RunFailed,
    RunFinished,
    RunStarted,
    RunStateChanged,
    ToolCallFinished,
    ToolCallStarted,
    UsageUpdated,
)
from app.documents.tasks import Occurrence, Task
from domain.kernel.json_schema import PlainSchema
from domain.kernel.validation import ClientModel, Text
from domain.memory.writes import MemoryAction
from domain.tasks.state import TaskChange
from schema.ids import Kind

SubscriptionId = Annotated[Text, StringConstraints(min_length=1, max_length=100)]
Given = Annotated[Text, StringConstraints(min_length=1, max_length=200)]
MOST_EVENTS = 16


class EventName(StrEnum):
    """Kind of event that a client may subscribe to."""

    AGENT_TOKEN = "agent.token"  # noqa: S105 - the name of an event
    RUN_UPDATE = "run.update"
    TASK_UPDATE = "task.update"
    MEMORY_UPDATE = "memory.update"
    BEHAVIOR_UPDATE = "behavior.update"
    APPROVAL_UPDATE = "approval.update"


class Subscribe(ClientModel):
    """Asks for events, from now on or after a cursor."""

    type: Literal["subscribe"]
    id: SubscriptionId = Field(description="Name of the client's choice for this subscription.")
    events: Annotated[list[EventName], Field(min_length=1, max_length=MOST_EVENTS)] = Field(
        description="Kinds of events."
    )
    run_id: Given | None = Field(
        default=None, description="Only events of this run, from its first on; ends with the run."
    )
    task_id: Given | None = Field(
        default=None, description="Only updates of this task, and events of its runs."
    )
    after: Given | None = Field(
        default=None, description="Cursor of the last event seen; absent starts live."
    )


class Unsubscribe(ClientModel):
    """Ends a subscription."""

    type: Literal["unsubscribe"]
    id: SubscriptionId


class Ping(ClientModel):
    """Asks for a pong."""

    type: Literal["ping"]


class Subscribed(Document):
    """The subscription stands: no later event is missed."""

    type: Literal["subscribed"] = "subscribed"
    id: str


class Complete(Document):
    """The subscription has ended: its run has, or the client wished it."""

    type: Literal["complete"] = "complete"
    id: str


class Pong(Document):
    """Answer to a ping."""

    type: Literal["pong"] = "pong"


class Resync(Document):
    """Events after the given cursor are no longer kept: read the state again, then go on."""

    type: Literal["resync"] = "resync"
    id: str
    cursor: str
    oldest_cursor: str | None = Field(description="Oldest event that is kept; null when none is.")


class FieldAtFault(Document):
    """Problem with one value of a frame."""

    path: list[str]
    message: str


class ErrorFrame(Document):
    """A frame was refused, or a subscription has ended by a fault."""

    type: Literal["error"] = "error"
    id: str | None = Field(description="The subscription; null where none is meant.")
    code: str = Field(description="What went wrong, for a program; the same as in GraphQL.")
    message: str = Field(description="What went wrong and what to do, for a human.")
    fields: list[FieldAtFault] | None = Field(
        default=None, description="Every value at fault; null when none is."
    )


class AgentToken(Document):
    """Text of an answer."""

    run_id: Annotated[str, id_field(Kind.RUN)]
    step_id: Annotated[str, id_field(Kind.STEP)] = Field(description="Model call that writes it.")
    seq: int = Field(description="Number within the run.")
    from_seq: int = Field(description="First number folded into this text.")
    reset: bool = Field(description="True: drop the text of this step, it is tried again.")
    text: str = Field(description="Text to append.")


RunUpdate: TypeAlias = Annotated[
    RunStarted
    | RunStateChanged
    | RunFinished
    | RunFailed
    | Retrying
    | ToolCallStarted
    | ToolCallFinished
    | ApprovalRequested
    | ApprovalResolved
    | UsageUpdated,
    Field(discriminator="type"),
]
"""What happened in a run, but for its text."""


ApprovalUpdate: TypeAlias = Annotated[
    ApprovalRequested | ApprovalResolved, Field(discriminator="type")
]
"""A person is asked whether a call may go ahead, or the question was answered."""


class TaskUpdate(Document):
    """A task or one of its occurrences changed."""

    change: TaskChange
    task_id: Annotated[str, id_field(Kind.TASK)]
    task: Task | None = Field(description="The task as it is now; null once deleted.")
    occurrence: Occurrence | None = Field(
        description="The occurrence; null when only the task changed."
    )


class MemoryUpdate(Document):
    """A memory changed, whoever changed it."""

    action: MemoryAction
    memory_id: Annotated[str, id_field(Kind.MEMORY)]
    memory: Memory | None = Field(description="The memory as it is now; null once erased.")


class BehaviorUpdate(Document):
    """A behavior profile has a new version in force."""

    profile_id: Annotated[str, id_field(Kind.BEHAVIOR_PROFILE)]
    version: BehaviorVersion


class _EventFrame(Document):
    type: Literal["event"] = "event"
    id: str = Field(description="The subscription.")
    cursor: str = Field(description="Place in the stream; send the last one seen as after.")
    trace_id: str = Field(description="Trace of the work behind it.")
    occurred_at: MomentText


class AgentTokenFrame(_EventFrame):
    """An agent writes."""

    event: Literal[EventName.AGENT_TOKEN]
    data: AgentToken


class RunUpdateFrame(_EventFrame):
    """Something happened in a run."""

    event: Literal[EventName.RUN_UPDATE]
    data: RunUpdate


class TaskUpdateFrame(_EventFrame):
    """A task or one of its occurrences changed."""

    event: Literal[EventName.TASK_UPDATE]
    data: TaskUpdate


class MemoryUpdateFrame(_EventFrame):
    """A memory changed."""

    event: Literal[EventName.MEMORY_UPDATE]
    data: MemoryUpdate


class BehaviorUpdateFrame(_EventFrame):
    """Other rules are in force."""

    event: Literal[EventName.BEHAVIOR_UPDATE]
    data: BehaviorUpdate


class ApprovalUpdateFrame(_EventFrame):
    """A person is asked, or a question was decided or expired."""

    event: Literal[EventName.APPROVAL_UPDATE]
    data: ApprovalUpdate


EventFrame: TypeAlias = Annotated[
    AgentTokenFrame
    | RunUpdateFrame
    | TaskUpdateFrame
    | MemoryUpdateFrame
    | BehaviorUpdateFrame
    | ApprovalUpdateFrame,
    Field(discriminator="event"),
]
ClientFrame: TypeAlias = Annotated[Subscribe | Unsubscribe | Ping, Field(discriminator="type")]
ServerFrame: TypeAlias = Subscribed | EventFrame | Complete | Resync | ErrorFrame | Pong

SCHEMA_ID = "https://json-schema.org/draft/2020-12/schema"


def frames_schema() -> dict[str, Any]:
    """Describe every frame as JSON Schema 2020-12: `$defs` ClientFrame and ServerFrame."""
    client = TypeAdapter[Any](ClientFrame).json_schema(schema_generator=PlainSchema)
    server = TypeAdapter[Any](ServerFrame).json_schema(
        mode="serialization", schema_generator=PlainSchema
    )
    definitions: dict[str, Any] = {**client.pop("$defs"), **server.pop("$defs")}
    return {
        "$schema": SCHEMA_ID,
        "title": "Frames of /ws/stream",
        "$defs": {
            **dict(sorted(definitions.items())),
            "ClientFrame": client,
            "ServerFrame": server,
        },
    }
