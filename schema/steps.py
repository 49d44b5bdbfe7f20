"""What a run did, step by step, and what it used."""

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Protocol, Self

import strawberry
from strawberry import ID, Private, field

from domain.kernel.errors import Forbidden, NotFound
from domain.kernel.paging import Page
from domain.models.prices import dollars
from domain.runs.rows import RunRow, RunStepRow
from domain.runs.state import StepKind
from schema.agents import Model
from schema.context import Info
from schema.declare import api_enum, api_interface, api_type
from schema.ids import Kind, encode_id
from schema.relay import Connection, Edge, Node
from schema.scalars import Json, Long, Moment, moment
from schema.tools import Tool

if TYPE_CHECKING:
    from schema.approvals import Approval
    from schema.runs import Run


class UsageCounts(Protocol):
    """Whatever counts tokens and calls: a run, or a run with all below it."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    model_calls: int
    tool_calls: int
    cost_pico_usd: int
    cost_known: bool


class Failure(Protocol):
    """A row that may have failed."""

    error_code: str | None
    error_message: str | None
    error_retryable: bool | None


@api_enum
class RunErrorCode(Enum):
    """Reason a run or step failed."""

    MODEL_RATE_LIMITED = "The model provider refused for the rate of calls."
    MODEL_UNAVAILABLE = "The model provider failed or could not be reached."
    MODEL_BAD_RESPONSE = "The model's reply was cut off or malformed."
    MODEL_REFUSED = "The model declined to answer."
    CONTEXT_TOO_LONG = "The context does not fit the model."
    TOOL_FAILED = "A tool failed and the agent could not go on."
    POLICY_DENIED = "A rule forbade a needed action."
    APPROVAL_DENIED = "A person denied an approval, or it expired."
    LIMIT_REACHED = "A limit on steps, tokens, money or delegation was reached."
    TIMED_OUT = "The time limit was reached."
    LOOP_DETECTED = "The agent repeated itself without progress."
    OUTPUT_INVALID = "The answer does not fit the output schema."
    WORKER_LOST = "The run was lost with its worker too often."
    INTERNAL = "A fault of the server; quote the trace id."


@api_type
class RunError:
    """Why a run or step failed."""

    code: RunErrorCode = field(description="Reason, for a program.")
    message: str = field(description="Reason, for a human.")
    retryable: bool = field(description="True when the same try could succeed later.")

    @classmethod
    def of(cls, row: Failure) -> Self | None:
        """Show why a row failed; None when it did not."""
        if row.error_code is None:
            return None
        return cls(
            code=RunErrorCode[row.error_code],
            message=row.error_message or "",
            retryable=bool(row.error_retryable),
        )

    @classmethod
    def of_event(cls, error: Mapping[str, Any]) -> Self:
        """Show the failure that an event tells of."""
        return cls(
            code=RunErrorCode[error["code"]],
            message=error["message"],
            retryable=error["retryable"],
        )


@api_type
class Usage:
    """Tokens, calls and money used."""

    input_tokens: Long = field(description="Tokens sent to models, cached ones included.")
    output_tokens: Long = field(description="Tokens written by models, reasoning included.")
    cached_tokens: Long = field(description="Input tokens served from a provider's cache.")
    reasoning_tokens: Long = field(description="Output tokens spent on reasoning.")
    model_calls: int = field(description="Calls of models.")
    tool_calls: int = field(description="Calls of tools.")
    cost_usd: float | None = field(
        description="Money spent; null when the price of a used model is unknown."
    )

    @classmethod
    def of(cls, counts: UsageCounts) -> Self:
        """Show what was counted."""
        return cls(
            input_tokens=Long(counts.input_tokens),
            output_tokens=Long(counts.output_tokens),
            cached_tokens=Long(counts.cached_tokens),
            reasoning_tokens=Long(counts.reasoning_tokens),
            model_calls=counts.model_calls,
            tool_calls=counts.tool_calls,
            cost_usd=dollars(counts.cost_pico_usd) if counts.cost_known else None,
        )

    @classmethod
    def of_stored(cls, counts: Mapping[str, Any], *, model_calls: int = 0) -> Self:
        """Show what a step or an event keeps under public names."""
        return cls(
            input_tokens=Long(counts.get("inputTokens", 0)),
            output_tokens=Long(counts.get("outputTokens", 0)),
            cached_tokens=Long(counts.get("cachedTokens", 0)),
            reasoning_tokens=Long(counts.get("reasoningTokens", 0)),
            model_calls=counts.get("modelCalls", model_calls),
            tool_calls=counts.get("toolCalls", 0),
            cost_usd=counts.get("costUsd"),
        )


@api_enum
class StepStatus(Enum):
    """State of a step."""

    RUNNING = "At work."
    WAITING_APPROVAL = "Waits for an approval."
    SUCCEEDED = "Done."
    REUSED = "Result taken over from the retried run; not executed again."
    FAILED = "Ended with an error."
    DENIED = "Forbidden by a rule or a person."
    CANCELLED = "Stopped with its run."
    TIMED_OUT = "Ended by a time limit."


@api_interface
class RunStep(Node):
    """One thing a run did."""

    id: ID = field(description="Opaque global id.")
    index: int = field(description="Place in the run, from 1.")
    status: StepStatus = field(description="State.")
    error: RunError | None = field(description="Why it failed; null when it did not.")
    started_at: Moment = field(description="When it began.")
    finished_at: Moment | None = field(description="When it ended; null before.")
    duration_ms: int | None = field(description="Time taken; null before the end.")


@api_type
class ModelCallStep(RunStep):
    """Call of a model."""

    text: str | None = field(description="Text it wrote; null when it only called tools.")
    reasoning: str | None = field(description="Reasoning it shared; null when none.")
    usage: Usage = field(description="Tokens and money of the call.")
    notices: list[str] = field(
        description="What its provider wants people to know of this call, such as a prompt that "
        "was cut; mostly empty."
    )

    row: Private[RunStepRow]

    @classmethod
    def of(cls, row: RunStepRow) -> Self:
        """Show a row of a model call."""
        return cls(
            **_common(row),
            text=row.text,
            reasoning=row.reasoning,
            usage=Usage.of_stored(row.usage or {}, model_calls=1),
            notices=row.notices or [],
            row=row,
        )

    @field(description="Model that answered.")
    async def model(self, info: Info) -> Model:
        """Join the model's name with the parameters that the run gave it."""
        loaders = info.context.loaders
        run = await loaders.run(self.row.run_id)
        provider, name = self.row.provider or "", self.row.name
        found: object = {}
        if run is not None:
            found = await _parameters(info, run, provider, name)
        return Model(provider=provider, name=name, parameters=Json(found))


@api_type
class ToolCallStep(RunStep):
    """Call of a tool."""

    tool_name: str = field(description="Name of the tool.")
    arguments: Json = field(
        description="Arguments used, secrets masked, edits of the approver included."
    )
    result: Json | None = field(
        description="What it returned, secrets masked; null before the end."
    )

    raw_id: Private[str]

    @classmethod
    def of(cls, row: RunStepRow) -> Self:
        """Show a row of a tool call."""
        return cls(
            **_common(row),
            tool_name=row.name,
            arguments=Json(row.arguments),
            result=None if row.result is None else Json(row.result),
            raw_id=row.id,
        )

    @field(description="The tool; null when it no longer exists.")
    async def tool(self, info: Info) -> Tool | None:
        """Find it by name."""
        manifest = info.context.loaders.tool(self.tool_name)
        return None if manifest is None else Tool.of(manifest)

    @field(description="Approval it needed; null when none was.")
    async def approval(
        self, info: Info
    ) -> Annotated["Approval", strawberry.lazy("schema.approvals")] | None:
        """Load it."""
        from schema.approvals import Approval

        row = await info.context.loaders.approval_of(self.raw_id)
        return None if row is None else Approval.of(row)


@api_type
class DelegationStep(RunStep):
    """Hand-over of work to another agent."""

    row: Private[RunStepRow]

    @classmethod
    def of(cls, row: RunStepRow) -> Self:
        """Show a row of a delegation."""
        return cls(**_common(row), row=row)

    @field(description="Run that does the work.")
    async def child(self, info: Info) -> Annotated["Run", strawberry.lazy("schema.runs")]:
        """Load it."""
        from schema.runs import Run

        child = await info.context.loaders.delegated_run(self.row.run_id, self.row.id)
        if child is None:
            raise NotFound(Kind.RUN.noun, self.id)
        return Run.of(child)


@api_type
class RunStepEdge(Edge[RunStep]):
    """Place of one run step in a page."""


@api_type
class RunStepConnection(Connection[RunStep, RunStepEdge]):
    """Page of run steps."""

    @classmethod
    def of(cls, page: Page[RunStepRow]) -> Self:
        """Show a page of rows."""
        return cls.over(page, [step_of(row) for row in page.items], RunStepEdge)


def step_of(row: RunStepRow) -> ModelCallStep | ToolCallStep | DelegationStep:
    """Show a row as the type of its kind."""
    if row.kind == StepKind.DELEGATION:
        return DelegationStep.of(row)
    return ToolCallStep.of(row) if row.kind == StepKind.TOOL_CALL else ModelCallStep.of(row)


def milliseconds(started_at: int | None, ended_at: int | None) -> int | None:
    """Return the whole milliseconds between two moments; None unless both are known."""
    if started_at is None or ended_at is None:
        return None
    return max(0, ended_at - started_at) // 1000


def _common(row: RunStepRow) -> dict[str, Any]:
    return {
        "id": encode_id(Kind.STEP, row.id),
        "index": row.position,
        "status": StepStatus[row.status],
        "error": RunError.of(row),
        "started_at": Moment(row.started_at),
        "finished_at": moment(row.finished_at),
        "duration_ms": milliseconds(row.started_at, row.finished_at),
    }


async def _parameters(info: Info, run: RunRow, provider: str, name: str) -> Mapping[str, Any]:
    """Find what the run, or the version of its agent, asks of a model.

    A key that may not see agents is shown none of an agent's.
    """
    chosen = run.spec.get("model")
    if chosen is not None and (chosen["provider"], chosen["name"]) == (provider, name):
        return chosen.get("parameters") or {}
    try:
        agent = await info.context.loaders.agent_settings(run.agent_id, run.agent_version)
    except Forbidden:
        return {}
    own = agent.model if agent is not None and chosen is None else None
    choices = () if agent is None else (own, *agent.fallback_models)
    for choice in choices:
        if choice is not None and (choice.provider, choice.name) == (provider, name):
            return choice.parameters
    return {}
