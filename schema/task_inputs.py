"""What clients say to find, make, change, hold and start tasks."""

from enum import Enum

from strawberry import ID, UNSET, field

from schema.agent_inputs import AgentRef
from schema.declare import api_enum, api_input
from schema.ids import Kind
from schema.inputs import refers_to
from schema.relay import TimeRange
from schema.scalars import Json, Moment
from schema.schedules import ScheduleInput, ScheduleKind
from schema.steps import RunErrorCode
from schema.tasks import MissedRunPolicy, OverlapPolicy, TaskStatus


@api_enum
class ConversationMode(Enum):
    """Whether a task's runs share a conversation."""

    NEW = "Each run has a conversation of its own."
    CONTINUE = "All runs go on with one."


@api_enum
class TaskOrder(Enum):
    """Sort order of tasks."""

    NEXT_RUN_AT_ASC = "Next due first; tasks without a due time last."
    CREATED_AT_DESC = "Newest first."
    NAME_ASC = "By name, A to Z."


@api_input
class TaskFilter:
    """Narrows a list of tasks."""

    search: str | None = field(description="Words in the name or instruction.", default=UNSET)
    statuses: list[TaskStatus] | None = field(description="Only these states.", default=UNSET)
    schedules: list[ScheduleKind] | None = field(
        description="Only these kinds of schedule.", default=UNSET
    )
    agent_id: ID | None = field(
        description="Only those of this agent.", default=UNSET, metadata=refers_to(Kind.AGENT)
    )
    next_run: TimeRange | None = field(
        description="Only those next due in this span.", default=UNSET
    )


@api_input
class RetryPolicyInput:
    """What happens when an attempt fails; absent fields take the server's."""

    max_attempts: int | None = field(
        description="Most attempts, the first included.", default=UNSET
    )
    backoff_seconds: int | None = field(
        description="Wait before the second attempt; doubles each time.", default=UNSET
    )
    max_backoff_seconds: int | None = field(description="Longest wait.", default=UNSET)
    retry_on: list[RunErrorCode] | None = field(
        description="Reasons worth a new attempt.", default=UNSET
    )


@api_input
class CreateTaskInput:
    """New task."""

    name: str = field(description="Display name.")
    agent: AgentRef = field(description="Agent to do it.")
    instruction: str = field(description="What to do.")
    schedule: ScheduleInput = field(description="When it is due.")
    conversation_mode: ConversationMode = field(
        description="Whether its runs share a conversation.", default=ConversationMode.NEW
    )
    inputs: Json | None = field(
        description="Named values the instruction refers to.", default=UNSET
    )
    starts_at: Moment | None = field(description="First moment it may be due.", default=UNSET)
    ends_at: Moment | None = field(
        description="Moment from which it is no longer due.", default=UNSET
    )
    retry: RetryPolicyInput | None = field(
        description="What happens when an attempt fails.", default=UNSET
    )
    overlap_policy: OverlapPolicy | None = field(
        description="What happens when it is due while still running; SKIP when never set.",
        default=UNSET,
    )
    missed_run_policy: MissedRunPolicy | None = field(
        description="What happens to missed times; RUN_ONCE when never set.", default=UNSET
    )
    grace_seconds: int | None = field(
        description=("Lateness up to which a time does not count as missed; 60 when never set."),
        default=UNSET,
    )
    timeout_seconds: int | None = field(description="Longest time of an attempt.", default=UNSET)
    jitter_seconds: int | None = field(
        description="Largest random delay added to each time.", default=UNSET
    )
    max_concurrency: int | None = field(
        description="Most runs at a time, with PARALLEL.", default=UNSET
    )
    priority: int | None = field(
        description="Higher goes first, 0 to 9; 5 when never set.", default=UNSET
    )
    pause_after_failures: int | None = field(
        description=("Failures in a row after which the task pauses; absent or null for never."),
        default=UNSET,
    )
    max_runs: int | None = field(
        description=(
            "Starts by its schedule after which the task is completed; absent or null for no bound."
        ),
        default=UNSET,
    )
    metadata: Json | None = field(description="Free data of the client.", default=UNSET)
    idempotency_key: str | None = field(
        description=(
            "Key of the client's choice; a repeat within 24 hours returns the first outcome."
        ),
        default=UNSET,
    )


@api_input
class UpdateTaskInput:
    """Changes to a task; a run at work keeps the old settings."""

    task_id: ID = field(description="The task.", metadata=refers_to(Kind.TASK))
    expected_version: int | None = field(
        description="Version the change is based on; a newer one is a Conflict.", default=UNSET
    )
    name: str | None = field(description="Display name.", default=UNSET)
    agent: AgentRef | None = field(description="Agent to do it.", default=UNSET)
    instruction: str | None = field(description="What to do.", default=UNSET)
    schedule: ScheduleInput | None = field(description="When it is due.", default=UNSET)
    conversation_mode: ConversationMode | None = field(
        description="Whether its runs share a conversation.", default=UNSET
    )
    inputs: Json | None = field(
        description="Named values the instruction refers to.", default=UNSET
    )
    starts_at: Moment | None = field(description="First moment it may be due.", default=UNSET)
    ends_at: Moment | None = field(
        description="Moment from which it is no longer due.", default=UNSET
    )
    retry: RetryPolicyInput | None = field(
        description="What happens when an attempt fails.", default=UNSET
    )
    overlap_policy: OverlapPolicy | None = field(
        description="What happens when it is due while still running; SKIP when never set.",
        default=UNSET,
    )
    missed_run_policy: MissedRunPolicy | None = field(
        description="What happens to missed times; RUN_ONCE when never set.", default=UNSET
    )
    grace_seconds: int | None = field(
        description=("Lateness up to which a time does not count as missed; 60 when never set."),
        default=UNSET,
    )
    timeout_seconds: int | None = field(description="Longest time of an attempt.", default=UNSET)
    jitter_seconds: int | None = field(
        description="Largest random delay added to each time.", default=UNSET
    )
    max_concurrency: int | None = field(
        description="Most runs at a time, with PARALLEL.", default=UNSET
    )
    priority: int | None = field(
        description="Higher goes first, 0 to 9; 5 when never set.", default=UNSET
    )
    pause_after_failures: int | None = field(
        description=("Failures in a row after which the task pauses; absent or null for never."),
        default=UNSET,
    )
    max_runs: int | None = field(
        description=(
            "Starts by its schedule after which the task is completed; absent or null for no bound."
        ),
        default=UNSET,
    )
    metadata: Json | None = field(description="Free data of the client.", default=UNSET)


@api_input
class PauseTaskInput:
    """Task to hold; runs at work go on."""

    task_id: ID = field(description="The task.", metadata=refers_to(Kind.TASK))
    reason: str | None = field(description="Why, kept on the task.", default=UNSET)
    until: Moment | None = field(
        description="When to go on by itself; absent for never.", default=UNSET
    )


@api_input
class ResumeTaskInput:
    """Held task to let go on."""

    task_id: ID = field(description="The task.", metadata=refers_to(Kind.TASK))


@api_input
class RunTaskNowInput:
    """Request to start a task at once, beside its schedule."""

    task_id: ID = field(description="The task.", metadata=refers_to(Kind.TASK))
    inputs: Json | None = field(
        description="Named values that replace the task's of the same name.", default=UNSET
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
class BackfillTaskInput:
    """Request to run a task for past due times."""

    task_id: ID = field(description="The task.", metadata=refers_to(Kind.TASK))
    span: TimeRange = field(description="The span; times that already ran are left out.")
    dry_run: bool = field(description="True only lists the times.", default=True)
    idempotency_key: str | None = field(
        description=(
            "Key of the client's choice; a repeat within 24 hours returns the first outcome."
        ),
        default=UNSET,
    )


@api_input
class DeleteTaskInput:
    """Object that deleteTask acts on."""

    task_id: ID = field(description="The task.", metadata=refers_to(Kind.TASK))
