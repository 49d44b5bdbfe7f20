"""What clients say to find, start and stop runs."""

from enum import Enum

from strawberry import ID, UNSET, field

from schema.agent_inputs import AgentRef, ModelInput, RunLimitsInput
from schema.declare import api_enum, api_input
from schema.ids import Kind
from schema.inputs import refers_to
from schema.scalars import Json


@api_enum
class RunOrder(Enum):
    """Sort order of runs."""

    CREATED_AT_DESC = "Newest first."
    CREATED_AT_ASC = "Oldest first."
    FINISHED_AT_DESC = "Most recently ended first; runs that have not ended come first."


@api_input
class ExecuteAgentInput:
    """Instruction for an agent."""

    agent: AgentRef = field(description="Agent to do it.")
    instruction: str = field(description="What to do.")
    inputs: Json | None = field(
        description="Named values the instruction refers to.", default=UNSET
    )
    conversation_id: ID | None = field(
        description="Conversation to go on with; absent runs without one.",
        default=UNSET,
        metadata=refers_to(Kind.CONVERSATION),
    )
    wait_seconds: int = field(
        description=(
            "Longest wait for the end before answering, 0 to 300; 0 runs in the background."
        ),
        default=0,
    )
    model: ModelInput | None = field(description="Model instead of the agent's.", default=UNSET)
    allowed_tools: list[str] | None = field(
        description="Tool names or patterns that narrow what the agent allows.", default=UNSET
    )
    limits: RunLimitsInput | None = field(
        description="Bounds that narrow the agent's.", default=UNSET
    )
    priority: int = field(description="Higher goes first when workers are busy, 0 to 9.", default=5)
    metadata: Json | None = field(description="Free data of the client.", default=UNSET)
    idempotency_key: str | None = field(
        description=(
            "Key of the client's choice; a repeat within 24 hours returns the first outcome."
        ),
        default=UNSET,
    )


@api_input
class CancelRunInput:
    """Request to stop a run and all runs below it."""

    run_id: ID = field(description="The run.", metadata=refers_to(Kind.RUN))
    reason: str | None = field(description="Why, kept on the run.", default=UNSET)
