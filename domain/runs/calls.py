"""The tool calls of one model answer: begun, run side by side where they may, and told."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from domain.access.audit import AuditTrail
from domain.access.scopes import Principal, Scope
from domain.events.records import EventDraft
from domain.kernel.database import Statement
from domain.kernel.errors import ObjectRef
from domain.kernel.ids import IdSource
from domain.kernel.ports import Clock
from domain.kernel.tracing import TraceContext
from domain.kernel.validation import storable
from domain.models.ports import ChatMessage, ToolCall
from domain.runs.context import Turn
from domain.runs.lease import PastStep
from domain.runs.state import EventType, RunErrorCode, StepKind, StepStatus
from domain.runs.steps import ModelAnswer, StepStart, end_tool_step
from domain.runs.work import RunFailure, Work
from domain.tools.calls import ToolContext, ToolFailure, ToolResult
from domain.tools.manifest import ToolManifest
from domain.tools.registry import ToolRegistry

UNKNOWN_OUTCOME = (
    "The outcome of this call is unknown: its worker was lost while it ran, and the tool must not"
    " be repeated blindly. Check what it did before calling it again."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallDone:
    """A call that ended, and how long it took in milliseconds."""

    start: StepStart
    result: ToolResult
    duration_ms: int
    denied: RunErrorCode | None = None
    """Why it was refused before it began; None when it was called."""
    is_untrusted: bool = False
    """True when it brought text back that others may have written."""

    @property
    def status(self) -> StepStatus:
        """How the step ended."""
        if self.denied is not None:
            return StepStatus.DENIED
        return StepStatus.SUCCEEDED if self.result.failure is None else StepStatus.FAILED

    @property
    def failure(self) -> RunFailure | None:
        """The failure as steps and events show it."""
        failed = self.result.failure
        if failed is None:
            return None
        message = storable(f"{failed.code}: {failed.message}")
        return RunFailure(code=self.denied or RunErrorCode.TOOL_FAILED, message=message)


class CallRunner:
    """Runs calls and says what of them is written and told."""

    def __init__(self, clock: Clock, ids: IdSource, audit: AuditTrail) -> None:
        self._audit = audit
        self._clock = clock
        self._ids = ids

    def starts(
        self,
        work: Work,
        turn: Turn,
        calls: Sequence[ToolCall],
        *,
        hands_on: Callable[[str], bool],
    ) -> list[StepStart]:
        """Number the calls of an answer as steps; `hands_on` tells names that delegate."""
        return [
            StepStart(
                id=self._ids(),
                workspace_id=work.workspace_id,
                run_id=work.run_id,
                position=work.next_position(),
                kind=StepKind.DELEGATION if hands_on(call.name) else StepKind.TOOL_CALL,
                name=call.name,
                call_id=call.id,
                arguments=readable(call.arguments),
                trace_id=work.claim.trace_id,
                started_at=self._clock.now_us(),
                behavior_profile_id=turn.behavior_profile_id,
                pinned=work.pinned,
            )
            for call in calls
        ]

    def recorded(self, work: Work, agent: str, starts: Sequence[StepStart]) -> list[Statement]:
        """Lines of the audit log for calls that begin; put them last but for the events."""
        actor = _actor(work, agent)
        target = ObjectRef(kind="Run", id=work.run_id)
        lines: list[Statement] = []
        for start in starts:
            detail = {"tool": start.name, "stepId": start.id, "arguments": start.arguments}
            lines += self._audit.record(actor, "tool.called", target=target, detail=detail)
        return lines

    def reopened(self, work: Work, steps: Sequence[PastStep]) -> list[StepStart]:
        """Take up calls that wait, or were under way when their worker was lost."""
        return [
            StepStart(
                id=step.id,
                workspace_id=work.workspace_id,
                run_id=work.run_id,
                position=step.position,
                kind=StepKind(step.kind),
                name=step.name,
                call_id=step.call_id,
                arguments=orjson.loads(step.arguments or "null"),
                trace_id=work.claim.trace_id,
                started_at=self._clock.now_us(),
                reopened=step.status == StepStatus.RUNNING,
                waited=step.status == StepStatus.WAITING_APPROVAL,
            )
            for step in steps
        ]

    async def run(
        self, work: Work, tools: ToolRegistry, starts: Sequence[StepStart], *, agent: str
    ) -> AsyncGenerator[CallDone, None]:
        """Yield each call as it ends; calls that may not run beside others go one by one."""
        alone = [start for start in starts if not _is_parallel(tools, start)]
        tasks = [
            asyncio.create_task(self._call(work, tools, start, agent), name=f"call-{start.name}")
            for start in starts
            if start not in alone
        ]
        try:
            for ended in asyncio.as_completed(tasks):
                yield await ended
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for start in alone:
            yield await self._call(work, tools, start, agent)

    async def _call(
        self, work: Work, tools: ToolRegistry, start: StepStart, agent: str
    ) -> CallDone:
        began = self._clock.monotonic()
        tool = tools.get(start.name)
        if start.reopened and tool is not None and not tool.manifest.idempotent:
            failure = ToolFailure(code="OUTCOME_UNKNOWN", message=UNKNOWN_OUTCOME)
            return CallDone(start=start, result=ToolResult(failure=failure), duration_ms=0)
        context = ToolContext(
            workspace_id=work.workspace_id,
            run_id=work.run_id,
            step_id=start.id,
            agent_id=work.claim.agent_id,
            conversation_id=work.claim.conversation_id,
            trace_id=work.claim.trace_id,
            actor=_actor(work, agent, None if tool is None else tool.manifest),
            is_tainted=work.is_tainted,
        )
        arguments: Any = start.arguments
        result = await tools.call(start.name, arguments, context=context)
        took_ms = round((self._clock.monotonic() - began) * 1000)
        untrusted = context.reading.is_untrusted or (
            result.failure is None and tool is not None and tool.manifest.untrusted_output
        )
        return CallDone(start=start, result=result, duration_ms=took_ms, is_untrusted=untrusted)

    def started_event(self, work: Work, start: StepStart) -> EventDraft:
        """Tell that a call begins."""
        data = {"stepId": start.id, "toolName": start.name, "arguments": start.arguments}
        return work.draft(EventType.TOOL_CALL_STARTED, data, start.started_at)

    def finished_event(self, work: Work, done: CallDone) -> EventDraft:
        """Tell how a call ended."""
        failure = done.failure
        data = {
            "stepId": done.start.id,
            "toolName": done.start.name,
            "status": done.status,
            "result": done.result.value if failure is None else None,
            "error": failure.as_json() if failure is not None else None,
            "durationMs": done.duration_ms,
        }
        return work.draft(EventType.TOOL_CALL_FINISHED, data, self._clock.now_us())

    def end_statement(self, done: CallDone) -> Statement:
        """Record how a call ended."""
        now_us = self._clock.now_us()
        value, failure = done.result.value, done.failure
        return end_tool_step(done.start, value, now_us, status=done.status, failure=failure)

    @staticmethod
    def asked(answer: ModelAnswer) -> ChatMessage:
        """The answer as the next model call reads it."""
        return ChatMessage(
            role="assistant",
            content=answer.text,
            tool_calls=answer.calls,
            provider_state=answer.provider_state,
        )

    @staticmethod
    def message(done: CallDone) -> ChatMessage:
        """The result as the next model call reads it."""
        return ChatMessage(
            role="tool",
            content=done.result.content,
            tool_call_id=done.start.call_id,
            tool_name=done.start.name,
            failed=done.result.failure is not None,
        )


def readable(arguments: str) -> object:
    """The arguments as data; text that is no JSON stays text, for the tool to refuse."""
    try:
        return orjson.loads(arguments or "{}")
    except orjson.JSONDecodeError:
        return arguments


def _actor(work: Work, agent: str, manifest: ToolManifest | None = None) -> Principal:
    """The agent as a caller of services: `memory.write` of a manifest gives memory:write."""
    named = (
        {capability.replace(".", ":") for capability in manifest.capabilities} if manifest else ()
    )
    return Principal(
        workspace_id=work.workspace_id,
        key_id=None,
        name=agent,
        scopes=frozenset(scope for scope in Scope if scope.value in named),
        trace=TraceContext(trace_id=work.claim.trace_id, span_id=work.claim.span_id),
    )


def _is_parallel(tools: ToolRegistry, start: StepStart) -> bool:
    tool = tools.get(start.name)
    return tool is None or tool.manifest.parallel
