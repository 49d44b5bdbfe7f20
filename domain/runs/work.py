"""A run in the hands of its worker: what it is asked, under which lease, how far it has come."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from domain.events.records import EventDraft
from domain.models.ports import TokenUsage
from domain.models.prices import Price, dollars
from domain.runs.answering import Asking
from domain.runs.state import EventType, RunStatus, WaitsFor

CLAIM_COLUMNS = (
    "id, workspace_id, agent_id, agent_version, conversation_id, root_run_id, parent_run_id,"
    " depth, attempt, instruction, inputs, spec, trace_id, span_id, created_by, started_at,"
    " lease_owner, fence, losses, input_tokens, output_tokens, cached_tokens, reasoning_tokens,"
    " offline, model_calls, tool_calls, cost_pico_usd, cost_known, status, waits_for, parked_at,"
    " waited_us, bounds, tainted, behavior_pin, priority, holds_conversation, line_at,"
    " retry_of"
)


StreamedText = tuple[EventType, str, str]
"""Text as it streamed: kind, step and words."""


class Claim(NamedTuple):
    """A run's row as the worker that took its lease reads it; CLAIM_COLUMNS in order."""

    id: str
    workspace_id: str
    agent_id: str
    agent_version: int
    conversation_id: str | None
    root_run_id: str
    parent_run_id: str | None
    depth: int
    attempt: int
    instruction: str
    inputs: str
    spec: str
    trace_id: str
    span_id: str
    created_by: str
    started_at: int
    lease_owner: str
    fence: int
    losses: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    offline: bool
    model_calls: int
    tool_calls: int
    cost_pico_usd: int
    cost_known: bool
    status: str = RunStatus.RUNNING
    """As it was parked, or RUNNING."""
    waits_for: str | None = None
    parked_at: int | None = None
    waited_us: int = 0
    bounds: str | None = None
    tainted: bool = False
    behavior_pin: str | None = None
    priority: int = 5
    holds_conversation: bool = False
    line_at: int | None = None
    """Its place in the line for its conversation; None when it does not wait for it."""
    retry_of: str | None = None


@dataclass(slots=True)
class RunUsage:
    """Tokens, calls and money of one run so far."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    model_calls: int = 0
    tool_calls: int = 0
    cost_pico_usd: int = 0
    """What is known to be spent."""
    cost_known: bool = True
    """False once a call was made whose price nobody knows."""

    def add(self, call: TokenUsage, cost: int | None) -> None:
        """Count one model call; `cost` in pico-dollars, None when nobody knows."""
        self.input_tokens += call.input_tokens
        self.output_tokens += call.output_tokens
        self.cached_tokens += call.cached_tokens
        self.reasoning_tokens += call.reasoning_tokens
        self.model_calls += 1
        self.cost_pico_usd += cost or 0
        self.cost_known = self.cost_known and cost is not None

    def plus(self, other: "RunUsage") -> "RunUsage":
        """Both together."""
        *counts, known = zip(self.columns(), other.columns(), strict=True)
        return RunUsage(*(mine + theirs for mine, theirs in counts), cost_known=all(known))

    def columns(self) -> tuple[int | bool, ...]:
        """In the order of the row's columns."""
        return (
            self.input_tokens,
            self.output_tokens,
            self.cached_tokens,
            self.reasoning_tokens,
            self.model_calls,
            self.tool_calls,
            self.cost_pico_usd,
            self.cost_known,
        )

    def as_json(self) -> dict[str, Any]:
        """As events and clients name it."""
        return {
            "inputTokens": self.input_tokens,
            "outputTokens": self.output_tokens,
            "cachedTokens": self.cached_tokens,
            "reasoningTokens": self.reasoning_tokens,
            "modelCalls": self.model_calls,
            "toolCalls": self.tool_calls,
            "costUsd": dollars(self.cost_pico_usd) if self.cost_known else None,
        }


WAITING = frozenset({RunStatus.WAITING_APPROVAL, RunStatus.PAUSED})
"""States in which a run waits for people, so that its time limit stands still."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseWish:
    """Somebody wants a run to be held, and why."""

    reason: str | None = None
    is_ordered: bool = True
    """True for a person's order, which may be taken back; False for a rule's."""


class Work:
    """One claimed run. Only its holder numbers its events and steps (DESIGN, I5)."""

    def __init__(self, claim: Claim, *, seq: int = 0, position: int = 0) -> None:
        self.claim = claim
        self.run_id = claim.id
        self.workspace_id = claim.workspace_id
        self.seq = seq
        self.kept_seq = seq
        """The last event that is written; numbers after it were given out for a write to come."""
        self.unkept_text: Sequence[StreamedText] = ()
        """Text that was numbered for a write to come."""
        self.position = position
        self.spec: Mapping[str, Any] = orjson.loads(claim.spec)
        self.inputs: Mapping[str, Any] = orjson.loads(claim.inputs)
        self.pinned: Sequence[str | None] | None = (
            None if claim.behavior_pin is None else orjson.loads(claim.behavior_pin)
        )
        """Versions of behavior that its steps follow: the workspace's, then its agent's."""
        self.usage = RunUsage(
            claim.input_tokens,
            claim.output_tokens,
            claim.cached_tokens,
            claim.reasoning_tokens,
            claim.model_calls,
            claim.tool_calls,
            claim.cost_pico_usd,
            bool(claim.cost_known),
        )
        self.below = RunUsage()
        """What the runs below it used, as far as it has looked."""
        self.waited_below_us = 0
        """How long the runs below it waited for people, likewise."""
        self.offline = bool(claim.offline) or claim.model_calls == 0
        self.ending = False
        """True once a write begins that gives the lease back."""
        self.has_ended = False
        """True once its end is committed."""
        self.status = RunStatus(claim.status)
        """As clients see it."""
        self._waited_us = claim.waited_us
        self._parked_at = claim.parked_at if self.status in WAITING else None
        self.waits_for = None if claim.waits_for is None else WaitsFor(claim.waits_for)
        """What it waits for by its row; None while it is at work."""
        self.is_tainted = bool(claim.tainted)
        """True once it has read untrusted text; the next commit keeps that."""
        self.is_taint_kept = self.is_tainted
        self.has_asked = False
        """True once a person was asked something by this worker."""
        self.is_due = False
        """True when it was parked and what it waits for is there already."""
        self.pause: PauseWish | None = None
        """Set when somebody wants it to be held at its next step."""
        self.is_calling = False
        """True while calls of tools are under way."""
        self.is_leaving = False
        """True when this process stops, so that the next step is begun by another."""
        self.is_steered = False
        """True when instructions may have come that it has not seen."""
        self.asking: Asking | None = None
        """The model call under way, or the one that failed last."""

    def waited_us(self, now_us: int) -> int:
        """Time so far that its time limit does not count: its waits for people, and those below."""
        return self._own_waits_us(now_us) + self.waited_below_us

    def _own_waits_us(self, now_us: int) -> int:
        if self.claim.line_at is not None:
            # Its time has not begun.
            return 0
        since = now_us if self._parked_at is None else self._parked_at
        return self._waited_us + max(0, now_us - since)

    def deadline_us(self, max_seconds: int, now_us: int) -> int:
        """When its time is over, as long as it waits for nobody."""
        return self.claim.started_at + self.waited_us(now_us) + max_seconds * 1_000_000

    def end_wait(self, now_us: int) -> int:
        """Stop counting the wait under way; return the sum of all so far."""
        self._waited_us, self._parked_at = self._own_waits_us(now_us), None
        return self._waited_us

    @property
    def partial(self) -> str | None:
        """What the unfinished model call said, None when nothing."""
        return None if self.asking is None else self.asking.text or None

    @property
    def total_usage(self) -> RunUsage:
        """Its own use and that of the runs below it."""
        return self.usage.plus(self.below)

    @property
    def traceparent(self) -> str:
        """The run's span for those it calls (W3C Trace Context)."""
        return f"00-{self.claim.trace_id}-{self.claim.span_id}-01"

    def begin_call(self, step_id: str, price: Price | None, *, offline: bool) -> Asking:
        """A model call begins; `offline` where no language model is behind it."""
        self.asking = Asking(step_id=step_id, price=price, offline=offline)
        return self.asking

    def count_call(self, *, is_billed: bool = True) -> None:
        """Count the model call under way once, whole or broken off; not one that was never made.

        `is_billed` is false for a request that the provider turned away.
        """
        asking = self.asking
        if asking is None or asking.is_counted:
            return
        asking.is_counted = True
        if asking.is_in_line:
            asking.cost = 0
            return
        told = asking.usage or TokenUsage()
        self.offline = self.offline and asking.is_offline
        asking.cost = asking.cost_of(told, is_billed=is_billed)
        self.usage.add(told, asking.cost)

    def keep_text(self) -> None:
        """The model call under way is recorded."""
        self.asking = None

    def draft(self, kind: EventType, data: Mapping[str, Any], now_us: int) -> EventDraft:
        """Number and build the next event of the run."""
        self.seq += 1
        claim = self.claim
        return EventDraft(
            kind,
            orjson.dumps(data).decode(),
            claim.trace_id,
            now_us,
            claim.id,
            self.seq,
            claim.root_run_id,
            claim.parent_run_id,
            claim.depth,
        )

    def told(self) -> None:
        """All events that were numbered are written."""
        self.kept_seq, self.unkept_text = self.seq, ()

    def number_text(self, pieces: Sequence[StreamedText], now_us: int) -> list[EventDraft]:
        """Number text for a write to come, with that of a write that never came.

        A run may be stopped between the two; then its numbers are free again.
        """
        self.seq = self.kept_seq
        self.unkept_text = (*self.unkept_text, *pieces)
        return [
            self.draft(kind, {"stepId": step_id, "text": text}, now_us)
            for kind, step_id, text in self.unkept_text
        ]

    def next_position(self) -> int:
        """Number the next step."""
        self.position += 1
        return self.position


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailure:
    """Why a run or a step failed, as it is stored and sent."""

    code: str
    message: str
    retryable: bool = False

    def as_json(self) -> dict[str, Any]:
        """As events and clients name it."""
        return {"code": self.code, "message": self.message, "retryable": self.retryable}


def dumps(value: object) -> str:
    """JSON text of a value."""
    return orjson.dumps(value).decode()
