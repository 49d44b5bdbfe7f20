"""Runs: executions of instructions by agents."""

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Self

import strawberry
from strawberry import ID, UNSET, Private, field

from domain.kernel.errors import NotFound
from domain.kernel.paging import Page, PageRequest
from domain.runs import queries
from domain.runs.context import narrowed_limits
from domain.runs.rows import RunRow
from schema.agents import Agent, RunLimits
from schema.behavior import BehaviorVersion
from schema.context import Info
from schema.conversations import Conversation
from schema.declare import api_enum, api_input, api_type
from schema.ids import Kind, encode_id
from schema.inputs import refers_to, values_of
from schema.relay import Connection, Edge, Node, Paged, TimeRange
from schema.scalars import Json, Moment, moment
from schema.steps import RunError, RunStepConnection, Usage, milliseconds

if TYPE_CHECKING:
    from schema.approvals import Approval
    from schema.occurrences import Occurrence


@api_enum
class RunStatus(Enum):
    """State of a run."""

    QUEUED = "Accepted, not started."
    RUNNING = "At work."
    WAITING_APPROVAL = "Waits for a person to decide an approval."
    PAUSED = "Held by request; resume it to go on."
    CANCELLING = "Asked to stop; not stopped yet."
    SUCCEEDED = "Ended with an answer."
    FAILED = "Ended with an error."
    CANCELLED = "Ended by request; partial output is kept."
    TIMED_OUT = "Ended by its time limit; partial output is kept."


@api_type
class Run(Node):
    """One execution of an instruction by an agent."""

    id: ID = field(description="Opaque global id.")
    status: RunStatus = field(description="State.")
    status_reason: str | None = field(
        description="Why it is in this state, such as a cancel reason; null when obvious."
    )
    agent_version: int = field(description="Version of the agent it uses.")
    instruction: str = field(description="What was asked.")
    inputs: Json = field(description="Named values given with the instruction.")
    output: str | None = field(
        description="Answer so far; final once the run has ended, partial when it was cut short."
    )
    output_data: Json | None = field(description="Answer as data when an output schema was given.")
    error: RunError | None = field(description="Why it failed; null unless FAILED or TIMED_OUT.")
    depth: int = field(description="Delegations above it; 0 at the top.")
    attempt: int = field(description="Number of the try, from 1; counts crashes too.")
    usage: Usage = field(description="Use of the run itself, child runs left out.")
    offline: bool = field(description="True when no language model was involved.")
    trace_id: str = field(description="Trace that ties together its logs, steps and events.")
    metadata: Json = field(description="Free data of the client.")
    created_by: str = field(description="Who started it.")
    created_at: Moment = field(description="When it was created.")
    started_at: Moment | None = field(description="When work began; null while queued.")
    finished_at: Moment | None = field(description="When it ended; null before.")

    row: Private[RunRow]

    @classmethod
    def of(cls, row: RunRow) -> Self:
        """Show a row."""
        return cls(
            id=encode_id(Kind.RUN, row.id),
            status=RunStatus[row.status],
            status_reason=row.status_reason,
            agent_version=row.agent_version,
            instruction=row.instruction,
            inputs=Json(row.inputs),
            output=row.output,
            output_data=None if row.output_data is None else Json(row.output_data),
            error=RunError.of(row),
            depth=row.depth,
            attempt=row.attempt,
            usage=Usage.of(row),
            offline=row.offline,
            trace_id=row.trace_id,
            metadata=Json(row.metadata),
            created_by=row.created_by,
            created_at=Moment(row.created_at),
            started_at=moment(row.started_at),
            finished_at=moment(row.finished_at),
            row=row,
        )

    @field(description="Runs ahead of it in line; null unless QUEUED.")
    async def queue_position(self, info: Info) -> int | None:
        """Count them."""
        if self.status is not RunStatus.QUEUED:
            return None
        return await info.context.loaders.queue_position(self.row.id)

    @field(description="Agent at work.")
    async def agent(self, info: Info) -> Agent:
        """Load it."""
        row = await info.context.loaders.agent(self.row.agent_id)
        if row is None:
            raise NotFound(Kind.AGENT.noun, encode_id(Kind.AGENT, self.row.agent_id))
        return Agent.of(row)

    @field(description="Behavior versions in force, the workspace's first.")
    async def behavior_versions(self, info: Info) -> list[BehaviorVersion]:
        """Load those of its latest step."""
        rows = await info.context.loaders.behavior_of(self.row.id)
        return [BehaviorVersion.of(row) for row in rows]

    @field(description="Conversation it works in; null when it has none.")
    async def conversation(self, info: Info) -> Conversation | None:
        """Load it."""
        if self.row.conversation_id is None:
            return None
        row = await info.context.loaders.conversation(self.row.conversation_id)
        return None if row is None else Conversation.of(row)

    @field(description="Occurrence of a task that started it; null when none did.")
    async def occurrence(
        self, info: Info
    ) -> Annotated["Occurrence", strawberry.lazy("schema.occurrences")] | None:
        """Load it."""
        from schema.occurrences import Occurrence

        if self.row.occurrence_id is None:
            return None
        row = await info.context.loaders.occurrence(self.row.occurrence_id)
        return None if row is None else Occurrence.of(row)

    @field(description="Run that delegated to it; null at the top.")
    async def parent(self, info: Info) -> "Run | None":
        """Load it."""
        return await _run(info, self.row.parent_run_id)

    @field(description="Runs it delegated to, oldest first.", extensions=[Paged()])
    async def children(
        self, info: Info, page: PageRequest
    ) -> Annotated["RunConnection", strawberry.lazy("schema.runs")]:
        """List them."""
        return RunConnection.of(await info.context.loaders.children(self.row.id, page))

    @field(description="Run it retries; null when it is a first try.")
    async def retry_of(self, info: Info) -> "Run | None":
        """Load it."""
        return await _run(info, self.row.retry_of)

    @field(description="What it did, in order.", extensions=[Paged()])
    async def steps(self, info: Info, page: PageRequest) -> RunStepConnection:
        """List it."""
        return RunStepConnection.of(await info.context.loaders.steps(self.row.id, page))

    @field(description="Approvals it asked for, oldest first.")
    async def approvals(
        self, info: Info
    ) -> list[Annotated["Approval", strawberry.lazy("schema.approvals")]]:
        """Load them."""
        from schema.approvals import Approval

        return [Approval.of(row) for row in await info.context.loaders.approvals(self.row.id)]

    @field(description="Bounds in force.")
    async def limits(self, info: Info) -> RunLimits:
        """Narrow the agent's bounds by those of the run, as the engine does."""
        row = self.row
        agent = await info.context.loaders.agent_settings(row.agent_id, row.agent_version)
        if agent is None:
            raise NotFound(Kind.AGENT.noun, encode_id(Kind.AGENT, row.agent_id))
        return RunLimits.of(narrowed_limits(agent.limits, row.spec.get("limits") or {}))

    @field(description="Use of the run and all runs below it.")
    async def total_usage(self, info: Info) -> Usage:
        """Sum it up."""
        total = await info.context.loaders.total_usage(self.row.id)
        return self.usage if total is None else Usage.of(total)

    @field(description="Time at work so far; null while queued.")
    async def duration_ms(self, info: Info) -> int | None:
        """Measure to the end, or to now."""
        ended = self.row.finished_at
        return milliseconds(self.row.started_at, info.context.now_us() if ended is None else ended)


async def _run(info: Info, run_id: str | None) -> Run | None:
    row = None if run_id is None else await info.context.loaders.run(run_id)
    return None if row is None else Run.of(row)


@api_type
class RunEdge(Edge[Run]):
    """Place of one run in a page."""


@api_type
class RunConnection(Connection[Run, RunEdge]):
    """Page of runs."""

    @classmethod
    def of(cls, page: Page[RunRow]) -> Self:
        """Show a page of rows."""
        return cls.over(page, [Run.of(row) for row in page.items], RunEdge)


@api_type
class RunSuccess:
    """The run as it is now."""

    run: Run = field(description="The run.")
    replayed: bool = field(
        description=(
            "True when the same request was already done, by idempotency key or state, and "
            "nothing new was started."
        )
    )


@api_input
class RunFilter:
    """Narrows a list of runs."""

    statuses: list[RunStatus] | None = field(description="Only these states.", default=UNSET)
    agent_id: ID | None = field(
        description="Only those of this agent.", default=UNSET, metadata=refers_to(Kind.AGENT)
    )
    conversation_id: ID | None = field(
        description="Only those of this conversation.",
        default=UNSET,
        metadata=refers_to(Kind.CONVERSATION),
    )
    task_id: ID | None = field(
        description="Only those of this task.", default=UNSET, metadata=refers_to(Kind.TASK)
    )
    top_level: bool | None = field(description="True leaves out delegated runs.", default=UNSET)
    trace_id: str | None = field(description="Only those with this trace.", default=UNSET)
    created: TimeRange | None = field(description="Only those created in this span.", default=UNSET)


def run_filter(given: RunFilter | None, *, agent_id: str | None = None) -> queries.RunFilter:
    """Read a filter, within the runs of one agent where it is given."""
    values = values_of(given, above="filter") if given else {}
    span: Mapping[str, Any] = values.get("created") or {}
    return queries.RunFilter(
        statuses=values.get("statuses"),
        agent_id=agent_id or values.get("agentId"),
        conversation_id=values.get("conversationId"),
        task_id=values.get("taskId"),
        top_level=bool(values.get("topLevel")),
        trace_id=values.get("traceId"),
        since_us=span.get("since"),
        until_us=span.get("until"),
    )
