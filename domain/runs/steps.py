"""Steps of a run as statements: begun before the outside is asked, ended with its answer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from domain.behavior.writes import version_in_force, version_of_profile
from domain.kernel.database import Row, Statement
from domain.models.ports import ProviderState, TokenUsage, ToolCall
from domain.models.prices import dollars
from domain.runs.state import StepKind, StepStatus
from domain.runs.work import RunFailure, dumps

_INSERT = """
INSERT INTO run_step (id, workspace_id, run_id, position, kind, status, provider, name, call_id,
                      arguments, trace_id, started_at, behavior_version_id,
                      agent_behavior_version_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, {}, {})
RETURNING behavior_version_id, agent_behavior_version_id
"""
INSERT = _INSERT.format(version_in_force("$2"), "NULL")
INSERT_OF_AGENT = _INSERT.format(version_in_force("$2"), version_of_profile("$2", "$13"))
INSERT_PINNED = _INSERT.format("$13", "$14")

END_MODEL = """
UPDATE run_step SET status = $2, text = $3, reasoning = $4, calls = $5, usage = $6,
    error_code = $7, error_message = $8, error_retryable = $9, finished_at = $10,
    notices = $11, provider_state = $12, input_tokens = $13, output_tokens = $14,
    cached_tokens = $15, reasoning_tokens = $16, cost_pico_usd = $17
WHERE id = $1 AND status = 'RUNNING'
"""

VOID_MODEL = """
UPDATE run_step SET status = $2, finished_at = $3, input_tokens = $4, output_tokens = $5,
    cached_tokens = $6, reasoning_tokens = $7, cost_pico_usd = $8
WHERE id = $1
"""

END_TOOL = """
UPDATE run_step SET status = $2, arguments = $3, result = $4, error_code = $5,
    error_message = $6, error_retryable = $7, finished_at = $8
WHERE id = $1 AND status IN ('RUNNING', 'WAITING_APPROVAL')
"""

STEP_COLUMNS = (
    "id, position, kind, status, name, text, calls, call_id, arguments, result, error_message,"
    " provider_state, provider, error_code, error_retryable"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStart:
    """A step that begins; for a tool call with its call id and arguments."""

    id: str
    workspace_id: str
    run_id: str
    position: int
    kind: StepKind
    name: str
    trace_id: str
    started_at: int
    provider: str | None = None
    call_id: str | None = None
    arguments: object = None
    reopened: bool = False
    """True for a call whose worker was lost while it ran."""
    waited: bool = False
    """True for a call that a person was asked about."""
    behavior_profile_id: str | None = None
    """The agent's own profile."""
    pinned: Sequence[str | None] | None = None
    """Versions that are followed instead of those in force: the workspace's, then the agent's."""
    behavior_version_id: str | None = None
    """Rules in force when the step was written; None before that, and where there are none."""
    agent_behavior_version_id: str | None = None
    """Rules of the agent's own profile, likewise."""

    def begun(self, rows: Sequence[Row]) -> "StepStart":
        """The step as it was written, by what its statement returned."""
        of_workspace, of_agent = rows[0]
        if of_workspace is None and of_agent is None:
            return self
        return replace(self, behavior_version_id=of_workspace, agent_behavior_version_id=of_agent)

    def statement(self) -> Statement:
        """Insert the step as RUNNING, under the rules in force at this moment or the pinned."""
        sql, rules = INSERT, ()
        if self.pinned is not None:
            sql, rules = INSERT_PINNED, (*self.pinned, None, None)[:2]
        elif self.behavior_profile_id is not None:
            sql, rules = INSERT_OF_AGENT, (self.behavior_profile_id,)
        return Statement(
            sql,
            (
                self.id,
                self.workspace_id,
                self.run_id,
                self.position,
                self.kind,
                StepStatus.RUNNING,
                self.provider,
                self.name,
                self.call_id,
                None if self.arguments is None else dumps(self.arguments),
                self.trace_id,
                self.started_at,
                *rules,
            ),
        )


def usage_json(usage: TokenUsage, cost: int | None) -> dict[str, int | float | None]:
    """Tokens and money of one model call as they are stored on its step."""
    return {
        "inputTokens": usage.input_tokens,
        "outputTokens": usage.output_tokens,
        "cachedTokens": usage.cached_tokens,
        "reasoningTokens": usage.reasoning_tokens,
        "cacheWriteTokens": usage.cache_write_tokens,
        "costUsd": None if cost is None else dollars(cost),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswer:
    """What a model call came to."""

    text: str
    reasoning: str
    calls: tuple[ToolCall, ...]
    usage: TokenUsage
    notices: tuple[str, ...] = ()
    provider_state: ProviderState | None = None
    cost: int | None = None
    """Pico-dollars; None when nobody knows."""
    is_made: bool = True
    """False for a call that never got its turn, so that nothing was used."""


def end_model_step(
    step_id: str,
    answer: ModelAnswer,
    now_us: int,
    *,
    status: StepStatus = StepStatus.SUCCEEDED,
    failure: RunFailure | None = None,
) -> Statement:
    """Record an answer, or how far it came."""
    calls = [{"id": c.id, "name": c.name, "arguments": c.arguments} for c in answer.calls]
    return Statement(
        END_MODEL,
        (
            step_id,
            status,
            answer.text or None,
            answer.reasoning or None,
            dumps(calls) if calls else None,
            dumps(usage_json(answer.usage, answer.cost)),
            *_failure(failure),
            now_us,
            dumps(answer.notices) if answer.notices else None,
            _stored_state(answer.provider_state),
            *(used(answer.usage, answer.cost) if answer.is_made else (None,) * 5),
        ),
    )


def void_model_step(step_id: str, cost: int | None, now_us: int) -> Statement:
    """End a call that was lost with its worker, and keep what it may have cost."""
    used_up = used(TokenUsage(), cost)
    return Statement(VOID_MODEL, (step_id, StepStatus.CANCELLED, now_us, *used_up))


def used(usage: TokenUsage, cost: int | None) -> tuple[int | None, ...]:
    """What a model call used, in the order of its step's columns; reports are made of them."""
    return (
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_tokens,
        usage.reasoning_tokens,
        cost,
    )


def _stored_state(state: ProviderState | None) -> str | None:
    return None if state is None else dumps({"provider": state.provider, "data": state.data})


def end_tool_step(
    start: StepStart,
    result: Any,
    now_us: int,
    *,
    status: StepStatus,
    failure: RunFailure | None = None,
) -> Statement:
    """Record a result; results that failed carry the failure in its place."""
    stored = dumps(result) if failure is None else None
    return Statement(
        END_TOOL,
        (start.id, status, dumps(start.arguments), stored, *_failure(failure), now_us),
    )


def _failure(failure: RunFailure | None) -> tuple[str | None, str | None, bool | None]:
    if failure is None:
        return (None, None, None)
    return (failure.code, failure.message, failure.retryable)
