"""Runs as JSON."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from app.documents.base import (
    Document,
    MomentText,
    Reference,
    id_field,
    moment_text,
    reference,
)
from domain.models.prices import dollars
from domain.runs.rows import RunRow
from domain.runs.state import RunErrorCode, RunStatus
from schema.ids import Kind, encode_id
from schema.scalars import format_moment


class RunError(Document):
    """Why a run or step failed."""

    code: RunErrorCode
    message: str
    retryable: bool

    @classmethod
    def of_event(cls, error: Mapping[str, Any]) -> Self:
        """Show the failure that an event tells of."""
        return cls(
            code=RunErrorCode(error["code"]),
            message=error["message"],
            retryable=error["retryable"],
        )


class Usage(Document):
    """Tokens, calls and money used."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    model_calls: int
    tool_calls: int
    cost_usd: float | None

    @classmethod
    def of(cls, row: RunRow) -> Self:
        """Show what a run used."""
        return cls(
            input_tokens=row.input_tokens,
            output_tokens=row.output_tokens,
            cached_tokens=row.cached_tokens,
            reasoning_tokens=row.reasoning_tokens,
            model_calls=row.model_calls,
            tool_calls=row.tool_calls,
            cost_usd=dollars(row.cost_pico_usd) if row.cost_known else None,
        )

    @classmethod
    def of_event(cls, counts: Mapping[str, Any]) -> Self:
        """Show the use that an event tells of."""
        return cls(
            input_tokens=counts.get("inputTokens", 0),
            output_tokens=counts.get("outputTokens", 0),
            cached_tokens=counts.get("cachedTokens", 0),
            reasoning_tokens=counts.get("reasoningTokens", 0),
            model_calls=counts.get("modelCalls", 0),
            tool_calls=counts.get("toolCalls", 0),
            cost_usd=counts.get("costUsd"),
        )


class Run(Document):
    """One execution of an instruction by an agent."""

    id: Annotated[str, id_field(Kind.RUN)]
    agent: Reference
    agent_version: int
    conversation: Reference | None
    parent: Reference | None
    retry_of: Reference | None
    status: RunStatus
    status_reason: str | None
    instruction: str
    inputs: dict[str, Any]
    output: str | None
    output_data: Any
    error: RunError | None
    depth: int
    attempt: int
    usage: Usage
    offline: bool
    trace_id: str
    metadata: dict[str, Any]
    created_by: str
    created_at: MomentText
    started_at: MomentText | None
    finished_at: MomentText | None

    @classmethod
    def of(cls, row: RunRow) -> Self:
        """Show a row."""
        return cls(
            id=encode_id(Kind.RUN, row.id),
            agent=Reference.of(Kind.AGENT, row.agent_id),
            agent_version=row.agent_version,
            conversation=reference(Kind.CONVERSATION, row.conversation_id),
            parent=reference(Kind.RUN, row.parent_run_id),
            retry_of=reference(Kind.RUN, row.retry_of),
            status=RunStatus(row.status),
            status_reason=row.status_reason,
            instruction=row.instruction,
            inputs=row.inputs,
            output=row.output,
            output_data=row.output_data,
            error=_error_of(row),
            depth=row.depth,
            attempt=row.attempt,
            usage=Usage.of(row),
            offline=row.offline,
            trace_id=row.trace_id,
            metadata=row.metadata,
            created_by=row.created_by,
            created_at=format_moment(row.created_at),
            started_at=moment_text(row.started_at),
            finished_at=moment_text(row.finished_at),
        )


def _error_of(row: RunRow) -> RunError | None:
    if row.error_code is None:
        return None
    return RunError(
        code=RunErrorCode(row.error_code),
        message=row.error_message or "",
        retryable=bool(row.error_retryable),
    )
