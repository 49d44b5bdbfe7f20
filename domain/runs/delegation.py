"""Handing work to other agents: a call of `delegate` begins a run of its own and waits for it.

The child's row is written in the commit of the step that begins it, and its end makes the parent
due in the commit in which it ends: neither is lost, and neither comes twice (DESIGN, section 5).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from pydantic import JsonValue

from domain.kernel.database import Database
from domain.kernel.ids import IdSource
from domain.kernel.ports import Clock
from domain.kernel.tracing import TraceContext
from domain.models.prices import dollars
from domain.runs.bounds import Bounds
from domain.runs.budgets import Rest, Share, pico, shares
from domain.runs.calls import CallDone, CallRunner
from domain.runs.children import Children, ChildState, NewChild
from domain.runs.circles import Circles
from domain.runs.context import Turn, granted
from domain.runs.delegate_call import (
    DELEGATE,
    Delegate,
    DelegateCall,
    Refusal,
    manifest_of,
    read_call,
)
from domain.runs.rulings import Next, Ruling
from domain.runs.state import EventType, RunStatus, StepKind
from domain.runs.steps import StepStart
from domain.runs.work import Work
from domain.tools.calls import ToolError, ToolFailure, ToolResult
from domain.tools.registry import bounded

NOT_DONE = {
    RunStatus.FAILED: "CHILD_FAILED",
    RunStatus.CANCELLED: "CHILD_CANCELLED",
    RunStatus.TIMED_OUT: "CHILD_TIMED_OUT",
}
"""Codes of the failures that a model is told of children that ended otherwise."""


LONGEST_PARTIAL = 2_000
"""Characters of an unfinished answer that a parent is shown."""


class ChildRuns:
    """Delegation as the engine knows it: begins children, and takes what they come back with.

    `hint` tells a worker of a run that is due.
    """

    def __init__(
        self,
        database: Database,
        calls: CallRunner,
        clock: Clock,
        ids: IdSource,
        *,
        hint: Callable[[str], None],
    ) -> None:
        self._children = Children(database)
        self._circles = Circles(database)
        self._calls = calls
        self._clock = clock
        self._ids = ids
        self._hint = hint

    def is_delegation(self, turn: Turn, name: str) -> bool:
        """Tell whether a call hands work on: for runs that may."""
        return name == DELEGATE and turn.hands_on

    async def rule(self, work: Work, turn: Turn, rulings: Sequence[Ruling]) -> list[Ruling]:
        """Take what ended, and begin what there is room for; the others wait for their turn."""
        starts = [ruling.start for ruling in rulings]
        taken_up = [start.id for start in starts if start.reopened or start.waited]
        begun = await self._children.of_steps(work.run_id, taken_up)
        ruled = {
            ruling.start.id: self._looked_at(work, begun[ruling.start.id], ruling)
            for ruling in rulings
            if ruling.start.id in begun
        }
        unbegun = [ruling for ruling in rulings if ruling.start.id not in begun]
        at_work = sum(1 for each in ruled.values() if each.next is Next.WAIT)
        if begun:
            below = await self._children.family(work.run_id, self._clock.now_us())
            work.below, work.waited_below_us = below.used, below.waited_us
        if unbegun:
            for ruling in await self._begun(work, turn, unbegun, at_work=at_work):
                ruled[ruling.start.id] = ruling
        return [ruled[start.id] for start in starts]

    def _looked_at(self, work: Work, child: ChildState, ruling: Ruling) -> Ruling:
        """What a child has come to; a tainted one taints its parent with its result."""
        if not child.status.is_final:
            return replace(ruling, next=Next.WAIT)
        work.is_tainted = work.is_tainted or child.is_tainted
        told = {**_telling(ruling.start, child.run_id, child.agent), "status": child.status}
        return replace(
            ruling,
            next=Next.DONE,
            done=CallDone(start=ruling.start, result=result_of(child), duration_ms=0),
            tellings=[*ruling.tellings, (EventType.DELEGATION_FINISHED, told)],
        )

    async def _begun(
        self, work: Work, turn: Turn, rulings: Sequence[Ruling], *, at_work: int
    ) -> list[Ruling]:
        """Begin as many as may be at work at a time, each with its share of what is left."""
        ruled: list[Ruling] = []
        wanted: list[tuple[Ruling, DelegateCall, Delegate]] = []
        circle = await self._circles.of(work, turn.settings, turn.limits)
        for ruling in rulings:
            try:
                call = read_call(ruling.start.arguments)
                strangers = await self._circles.strangers(work.workspace_id, [call.agent])
                wanted.append((ruling, call, circle.find(call.agent, strangers)))
            except ToolError as error:
                ruled.append(_refused(ruling, error))
        rest = await self._rest(work, turn)
        parts = shares(rest, [call.limits for _, call, _ in wanted])
        for (ruling, call, delegate), share in zip(wanted, parts, strict=True):
            if at_work >= turn.limits.max_parallel_delegations:
                ruled.append(replace(ruling, next=Next.WAIT))
            elif isinstance(share, Share):
                at_work += 1
                ruled.append(
                    self._handed_over(work, turn, ruling, call=call, delegate=delegate, share=share)
                )
            elif at_work:
                # What those at work leave unspent comes back.
                ruled.append(replace(ruling, next=Next.WAIT))
            else:
                ruled.append(_refused(ruling, ToolError(str(share), code=Refusal.BUDGET)))
        return ruled

    def _handed_over(
        self,
        work: Work,
        turn: Turn,
        ruling: Ruling,
        *,
        call: DelegateCall,
        delegate: Delegate,
        share: Share,
    ) -> Ruling:
        start, claim = ruling.start, work.claim
        bounds = Bounds.read(claim.bounds).grown(
            claim.agent_id, granted(work, turn.settings), turn.behavior_profile_id
        )
        child = NewChild(
            id=self._ids(),
            parent_run_id=work.run_id,
            step_id=start.id,
            agent_id=delegate.id,
            agent_version=delegate.version,
            instruction=call.instruction,
            inputs=call.inputs or {},
            spec=_spec(call, share, depth=turn.limits.max_delegation_depth - 1),
            bounds=bounds.as_json(),
            span_id=TraceContext(trace_id=claim.trace_id, span_id=claim.span_id).child().span_id,
            created_at=self._clock.now_us(),
        )
        told = _telling(start, child.id, delegate.slug)
        recorded = self._calls.recorded(work, turn.agent, [start])
        return replace(
            ruling,
            next=Next.WAIT,
            statements=[*ruling.statements, child.statement(), *recorded],
            tellings=[*ruling.tellings, (EventType.DELEGATION_STARTED, told)],
            committed=lambda: self._hint(child.id),
        )

    async def _rest(self, work: Work, turn: Turn) -> Rest:
        """What the run has left to give: its children's use and promises are taken off."""
        limits, used, now_us = turn.limits, work.usage, self._clock.now_us()
        family = await self._children.family(work.run_id, now_us)
        left_us = work.deadline_us(limits.max_seconds, now_us) - now_us
        spent_tokens = used.input_tokens + used.output_tokens + family.tokens
        most_cost = limits.max_cost_usd
        return Rest(
            seconds=min(left_us // 1_000_000, limits.max_seconds),
            tokens=None if limits.max_tokens is None else limits.max_tokens - spent_tokens,
            cost=None if most_cost is None else pico(most_cost) - used.cost_pico_usd - family.cost,
        )


def result_of(child: ChildState) -> ToolResult:
    """What the model is told of a child that ended."""
    if child.status is not RunStatus.SUCCEEDED:
        return ToolResult(failure=_failure_of(child))
    value: dict[str, JsonValue] = {"runId": child.run_id, "status": child.status.value}
    if child.output_data is None:
        value["output"] = child.output
    else:
        value["outputData"] = child.output_data
    return bounded(manifest_of(), value)


def _failure_of(child: ChildState) -> ToolFailure:
    why = "" if child.error_code is None else f" with {child.error_code}: {child.error_message}"
    if child.reason:
        why = f": {child.reason}"
    partial = f" It had written: {child.output[:LONGEST_PARTIAL]}" if child.output else ""
    ended = child.status.value.replace("_", " ").lower()
    message = f"The run {child.run_id} of {child.agent} {ended}{why}".rstrip(".")
    return ToolFailure(code=NOT_DONE[child.status], message=f"{message}.{partial}")


def _refused(ruling: Ruling, error: ToolError) -> Ruling:
    """A call that begins nothing is told as the call of a tool that it stays."""
    start = replace(ruling.start, kind=StepKind.TOOL_CALL)
    failure = ToolFailure(code=error.code, message=error.message)
    told = {"stepId": start.id, "toolName": start.name, "arguments": start.arguments}
    return replace(
        ruling,
        next=Next.DONE,
        done=CallDone(start=start, result=ToolResult(failure=failure), duration_ms=0),
        tellings=[*ruling.tellings, (EventType.TOOL_CALL_STARTED, told)],
    )


def _telling(start: StepStart, child_id: str, agent: str) -> dict[str, Any]:
    return {"stepId": start.id, "childId": child_id, "agent": agent}


def _spec(call: DelegateCall, share: Share, *, depth: int) -> dict[str, Any]:
    """What the engine of the child reads: its bounds, and the shape of its answer."""
    wish = call.limits
    limits = {} if wish is None else wish.model_dump(by_alias=True, exclude_none=True)
    limits["maxSeconds"] = share.seconds
    limits["maxDelegationDepth"] = min(limits.get("maxDelegationDepth", depth), depth)
    if share.tokens is not None:
        limits["maxTokens"] = share.tokens
    if share.cost is not None:
        limits["maxCostUsd"] = dollars(share.cost)
    schema = {} if call.output_schema is None else {"outputSchema": call.output_schema}
    return {"limits": limits, **schema}
