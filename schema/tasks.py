"""Tasks: instructions that run on demand, at given times or on a schedule."""

from asyncio import sleep
from enum import Enum
from typing import Annotated, Self

import strawberry
from strawberry import ID, Private, field

from domain.kernel.errors import ValidationFailed
from domain.kernel.paging import Page, PageRequest
from domain.tasks import spec
from domain.tasks.plan import times_ahead
from domain.tasks.preview import MOST_SHOWN
from domain.tasks.reading import agent_gone, task_as_shown
from domain.tasks.rows import TaskRow
from schema.agents import Agent
from schema.context import Info
from schema.conversations import Conversation
from schema.declare import api_enum, api_type
from schema.ids import Kind, encode_id
from schema.occurrences import Occurrence, OccurrenceConnection
from schema.relay import Count, CountedConnection, Edge, Node, Paged
from schema.scalars import Json, Moment, moment
from schema.schedules import Schedule, schedule_of
from schema.steps import RunErrorCode


@api_enum
class TaskStatus(Enum):
    """State of a task."""

    ACTIVE = "Runs when due."
    PAUSED = "Held; resume it to go on."
    COMPLETED = "No due time is left."


@api_enum
class OverlapPolicy(Enum):
    """What happens when a task is due while still running."""

    SKIP = "Skip the new time."
    QUEUE = "Start after the running one."
    PARALLEL = "Start beside it, up to maxConcurrency."
    REPLACE = "Cancel the running one, then start."


@api_enum
class MissedRunPolicy(Enum):
    """What happens to missed times."""

    SKIP = "Record each as MISSED and go on."
    RUN_ONCE = "Run once for all of them."
    RUN_ALL = "Run each of them, oldest first."


@api_type
class RetryPolicy:
    """What happens when an attempt fails."""

    max_attempts: int = field(description="Most attempts, the first included.")
    backoff_seconds: int = field(description="Wait before the second attempt; doubles each time.")
    max_backoff_seconds: int = field(description="Longest wait.")
    retry_on: list[RunErrorCode] = field(description="Reasons worth a new attempt.")

    @classmethod
    def of(cls, policy: spec.RetryPolicy) -> Self:
        """Show a policy."""
        return cls(
            max_attempts=policy.max_attempts,
            backoff_seconds=policy.backoff_seconds,
            max_backoff_seconds=policy.max_backoff_seconds,
            retry_on=[RunErrorCode[code] for code in policy.retry_on],
        )


@api_type
class Task(Node):
    """Instruction that runs on demand, at given times or on a schedule."""

    id: ID = field(description="Opaque global id.")
    name: str = field(description="Display name.")
    status: TaskStatus = field(description="State.")
    pause_reason: str | None = field(description="Why it is paused; null while it is not.")
    instruction: str = field(description="What to do.")
    inputs: Json = field(description="Named values the instruction refers to.")
    schedule: Schedule = field(description="When it is due.")
    starts_at: Moment | None = field(description="First moment it may be due; null for no bound.")
    ends_at: Moment | None = field(
        description="Moment from which it is no longer due; null for no bound."
    )
    retry: RetryPolicy = field(description="What happens when an attempt fails.")
    overlap_policy: OverlapPolicy = field(
        description="What happens when it is due while still running."
    )
    missed_run_policy: MissedRunPolicy = field(
        description="What happens to times missed while the server was down or the task paused."
    )
    grace_seconds: int = field(description="Lateness up to which a time does not count as missed.")
    timeout_seconds: int = field(description="Longest time of an attempt.")
    jitter_seconds: int = field(description="Largest random delay added to each time.")
    max_concurrency: int = field(description="Most runs at a time, with PARALLEL.")
    priority: int = field(description="Higher goes first when workers are busy, 0 to 9.")
    next_run_at: Moment | None = field(description="Next due time; null when none is left.")
    consecutive_failures: int = field(description="Failed occurrences in a row.")
    pause_after_failures: int | None = field(
        description="Failures in a row after which the task pauses; null for never."
    )
    max_runs: int | None = field(
        description="Starts by its schedule after which it is completed; null for no bound."
    )
    metadata: Json = field(description="Free data of the client.")
    version: int = field(description="Counts changes; send it back as expectedVersion.")
    created_at: Moment = field(description="When it was created.")
    updated_at: Moment = field(description="When it last changed.")

    row: Private[TaskRow]

    @classmethod
    def of(cls, row: TaskRow) -> Self:
        """Show a row; one that cannot be read is paused and says why."""
        row = task_as_shown(row)
        return cls(
            id=encode_id(Kind.TASK, row.id),
            name=row.name,
            status=TaskStatus[row.status],
            pause_reason=row.pause_reason,
            instruction=row.instruction,
            inputs=Json(row.inputs),
            schedule=schedule_of(row.schedule),
            starts_at=moment(row.starts_at),
            ends_at=moment(row.ends_at),
            retry=RetryPolicy.of(spec.RetryPolicy.model_validate(row.retry)),
            overlap_policy=OverlapPolicy[row.overlap_policy],
            missed_run_policy=MissedRunPolicy[row.missed_run_policy],
            grace_seconds=row.grace_seconds,
            timeout_seconds=row.timeout_seconds,
            jitter_seconds=row.jitter_seconds,
            max_concurrency=row.max_concurrency,
            priority=row.priority,
            next_run_at=moment(row.next_run_at),
            consecutive_failures=row.consecutive_failures,
            pause_after_failures=row.pause_after_failures,
            max_runs=row.max_runs,
            metadata=Json(row.metadata),
            version=row.version,
            created_at=Moment(row.created_at),
            updated_at=Moment(row.updated_at),
            row=row,
        )

    @field(description="Agent that does it.")
    async def agent(self, info: Info) -> Agent:
        """Load it."""
        row = await info.context.loaders.agent(self.row.agent_id)
        return Agent.of(row or agent_gone(self.row.agent_id))

    @field(description="Conversation its runs continue; null when each run has its own.")
    async def conversation(self, info: Info) -> Conversation | None:
        """Load it."""
        if self.row.conversation_id is None:
            return None
        row = await info.context.loaders.conversation(self.row.conversation_id)
        return None if row is None else Conversation.of(row)

    @field(description="Next due times.")
    async def next_occurrences(
        self,
        info: Info,
        count: Annotated[int, strawberry.argument(description="How many, 1 to 100.")] = 5,
    ) -> list[Moment]:
        """Compute them."""
        if not 1 <= count <= MOST_SHOWN:
            raise ValidationFailed.of("count", f"Ask for 1 to {MOST_SHOWN} times, not {count}.")
        # A hundred times take some milliseconds: let others have their turn between two tasks.
        await sleep(0)
        return [Moment(time) for time in times_ahead(self.row, info.context.now_us(), count=count)]

    @field(description="Past and present occurrences, newest first.", extensions=[Paged()])
    async def occurrences(self, info: Info, page: PageRequest) -> OccurrenceConnection:
        """List them."""
        found = await info.context.loaders.occurrences(self.row.id, page)
        return OccurrenceConnection.of(found)

    @field(description="Latest occurrence; null before the first.")
    async def last_occurrence(self, info: Info) -> Occurrence | None:
        """Load it."""
        row = await info.context.loaders.last_occurrence(self.row.id)
        return None if row is None else Occurrence.of(row)


@api_type
class TaskEdge(Edge[Task]):
    """Place of one task in a page."""


@api_type
class TaskConnection(CountedConnection[Task, TaskEdge]):
    """Page of tasks."""

    @classmethod
    def of(cls, page: Page[TaskRow], *, count: Count) -> Self:
        """Show a page of rows."""
        nodes = [Task.of(row) for row in page.items]
        return cls.counted(page, nodes, TaskEdge, count=count)


@api_type
class TaskSuccess:
    """The task as saved."""

    task: Task = field(description="The task.")
