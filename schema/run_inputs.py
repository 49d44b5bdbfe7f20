"""What clients say to find, start and stop runs."""

from enum import Enum

from strawberry import ID, UNSET, field

from schema.agent_inputs import AgentRef, MemoryPolicyInput, ModelInput, RunLimitsInput
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


@api_enum
class OnBusy(Enum):
    """What to do when the conversation already has an active run."""

    REJECT = "Answer with a Conflict."
    QUEUE = "Wait in line behind it."
    INTERRUPT = "Cancel it, keep its partial output, then start."


@api_enum
class RetryConfig(Enum):
    """Which settings a retry uses."""

    CURRENT = "The agent and behavior as they are now."
    ORIGINAL = "The versions the run used."


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
    on_busy: OnBusy = field(
        description="What to do when that conversation is busy.", default=OnBusy.REJECT
    )
    wait_seconds: int = field(
        description=(
            "Longest wait for the end before answering, 0 to 300; 0 runs in the background."
        ),
        default=0,
    )
    output_schema: Json | None = field(
        description="JSON Schema the answer must fit.", default=UNSET
    )
    model: ModelInput | None = field(description="Model instead of the agent's.", default=UNSET)
    allowed_tools: list[str] | None = field(
        description="Tool names or patterns that narrow what the agent allows.", default=UNSET
    )
    limits: RunLimitsInput | None = field(
        description="Bounds that narrow the agent's.", default=UNSET
    )
    memory: MemoryPolicyInput | None = field(
        description="Use of memory instead of the agent's.", default=UNSET
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


@api_input
class PauseRunInput:
    """Run to hold after its current step."""

    run_id: ID = field(description="The run.", metadata=refers_to(Kind.RUN))
    reason: str | None = field(description="Why, kept on the run.", default=UNSET)


@api_input
class ResumeRunInput:
    """Held run to let go on."""

    run_id: ID = field(description="The run.", metadata=refers_to(Kind.RUN))


@api_input
class RetryRunInput:
    """New try of an ended run."""

    run_id: ID = field(description="The run.", metadata=refers_to(Kind.RUN))
    from_step_id: ID | None = field(
        description="First step to do again, earlier results are reused; absent starts over.",
        default=UNSET,
        metadata=refers_to(Kind.STEP),
    )
    config: RetryConfig = field(
        description="Whether to use today's agent and rules or those of the run.",
        default=RetryConfig.CURRENT,
    )
    wait_seconds: int = field(
        description="Longest wait for the end before answering, 0 to 300.", default=0
    )
    idempotency_key: str | None = field(
        description=(
            "Key of the client's choice; a repeat within 24 hours returns the first outcome."
        ),
        default=UNSET,
    )


@api_input
class SteerRunInput:
    """Extra instruction for a run at work, seen before its next model call."""

    run_id: ID = field(description="The run.", metadata=refers_to(Kind.RUN))
    instruction: str = field(description="What to take into account.")
    idempotency_key: str | None = field(
        description=(
            "Key of the client's choice; a repeat within 24 hours returns the first outcome."
        ),
        default=UNSET,
    )
