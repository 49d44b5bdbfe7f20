"""Answering approvals, from any process: the run that waits goes on at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from domain.access.audit import AuditTrail
from domain.access.scopes import Principal, Scope
from domain.behavior.rules import Rule
from domain.events.store import EventStore
from domain.kernel.database import Database, Statement, WriteRefusedError
from domain.kernel.errors import Conflict, FieldProblem, NotFound, ObjectRef, ValidationFailed
from domain.kernel.ports import Clock, JobQueue
from domain.kernel.rows import fetch_rows
from domain.kernel.validation import ClientModel, JsonObject, Text, validated
from domain.runs.approval_queries import ApprovalFilter, ApprovalQueries
from domain.runs.approval_rows import ApprovalRow
from domain.runs.approval_state import ApprovalDecision, ApprovalScope, ApprovalStatus
from domain.runs.approval_writes import Answer, decide
from domain.runs.delegate_call import DELEGATE, read_call
from domain.runs.orders import EXECUTE_JOB
from domain.runs.parking import wake_statements
from domain.runs.standing import NO_RULE, Standing, StandingRules
from domain.runs.state import WaitsFor
from domain.tools.calls import InvalidArguments, ToolError
from domain.tools.registry import ToolRegistry, parsed_arguments

__all__ = ["ApprovalFilter", "ApprovalService", "Decided"]

LONGEST_REASON = 2000

_OVER = {
    ApprovalStatus.APPROVED: "The approval was granted already.",
    ApprovalStatus.DENIED: "The approval was denied already.",
    ApprovalStatus.EXPIRED: "The approval has expired, which denied the call.",
    ApprovalStatus.CANCELLED: "The run ended before anybody answered.",
}


class DecideSpec(ClientModel):
    """What a person decides."""

    approval_id: Text
    decision: ApprovalDecision
    scope: ApprovalScope = ApprovalScope.ONCE
    arguments: JsonObject | None = None
    reason: Annotated[Text, Field(max_length=LONGEST_REASON)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """An approval as it was decided, and the rule that ALWAYS added."""

    row: ApprovalRow
    rule: Rule | None


class ApprovalService(ApprovalQueries):
    """Approvals of every workspace; each call sees those of its caller's."""

    def __init__(  # noqa: PLR0913 - the collaborators, each a noun of its own
        self,
        database: Database,
        clock: Clock,
        *,
        tools: ToolRegistry,
        queue: JobQueue,
        store: EventStore,
        standing: StandingRules,
        audit: AuditTrail,
    ) -> None:
        super().__init__(database, clock)
        self._store = store
        self._standing = standing
        self._tools = tools
        self._queue = queue
        self._audit = audit

    async def decide(self, principal: Principal, values: Mapping[str, Any]) -> Decided:
        """Decide a pending approval; the first decision counts.

        Raises ValidationFailed, NotFound, Conflict once it was decided, has expired or its run
        has ended, and Forbidden for ALWAYS without the scope to change behavior.
        """
        principal.needs(Scope.RUNS_APPROVE)
        spec = validated(DecideSpec, values)
        if spec.scope is ApprovalScope.ALWAYS:
            principal.needs(Scope.BEHAVIOR_WRITE)
        row = await self._found(principal, spec.approval_id)
        edited = self._edited(row, spec)
        self._check_open(row)
        answer = Answer(
            status=spec.decision.status,
            scope=spec.scope,
            edited=edited,
            reason=spec.reason,
            decided_by=principal.name,
            decided_at=self._clock.now_us(),
        )
        while True:
            standing = NO_RULE
            if spec.scope is ApprovalScope.ALWAYS:
                standing = await self._standing.prepare(principal, row, answer.status)
            if await self._save(principal, row, answer, standing):
                break
            # Somebody else was faster: to the approval, or to the agent's rules.
            self._check_open(await self._found(principal, row.id))
        self._queue.enqueue(EXECUTE_JOB, row.run_id)
        return Decided(row=await self._found(principal, row.id), rule=standing.rule)

    async def _save(
        self, principal: Principal, row: ApprovalRow, answer: Answer, standing: Standing
    ) -> bool:
        """Write the decision and what comes with it as one commit; false when it came too late."""
        statements = self._statements(principal, row, answer, standing)
        if standing.told:
            statements += self._store.append(principal.workspace_id, standing.told)
        try:
            results = await self._database.write(statements)
        except WriteRefusedError:
            return False
        if standing.told:
            head = self._store.head_of(results)
            self._store.announce(principal.workspace_id, head, standing.told)
        return True

    def _statements(
        self, principal: Principal, row: ApprovalRow, answer: Answer, standing: Standing
    ) -> list[Statement]:
        detail = {
            "runId": row.run_id,
            "tool": row.tool_name,
            "decision": answer.status,
            "scope": answer.scope,
            "edited": answer.edited is not None,
            "reason": answer.reason,
        }
        target = ObjectRef(kind="Approval", id=row.id)
        *locked, wake = wake_statements(
            self._database, row.run_id, now_us=answer.decided_at, waits_for=WaitsFor.CALLS
        )
        return [
            # The run's row first, as whoever holds the run does.
            *locked,
            decide(row.id, row.workspace_id, answer),
            *standing.statements,
            wake,
            *standing.lines,
            *self._audit.record(principal, "approval.decided", target=target, detail=detail),
        ]

    async def _found(self, principal: Principal, approval_id: str) -> ApprovalRow:
        condition = "id = $1 AND workspace_id = $2"
        rows = await fetch_rows(
            self._database, ApprovalRow, condition, approval_id, principal.workspace_id
        )
        if not rows:
            raise NotFound("approval", approval_id, path=["approvalId"])
        return rows[0]

    def _check_open(self, row: ApprovalRow) -> None:
        """Raises Conflict unless somebody may still decide."""
        status = row.status_at(self._clock.now_us())
        if status is not ApprovalStatus.PENDING:
            raise self._over(row, status)

    @staticmethod
    def _over(row: ApprovalRow, status: ApprovalStatus) -> Conflict:
        return Conflict(
            _OVER[status],
            path=["approvalId"],
            conflicting=ObjectRef(kind="Approval", id=row.id),
        )

    def _edited(self, row: ApprovalRow, spec: DecideSpec) -> Mapping[str, Any] | None:
        """The arguments to use instead, checked against the tool. Raises ValidationFailed."""
        if spec.arguments is None:
            return None
        once = spec.scope is ApprovalScope.ONCE
        if spec.decision is not ApprovalDecision.APPROVE or not once:
            message = "Arguments can be changed only with APPROVE and ONCE; leave them out."
            raise ValidationFailed.of("arguments", message)
        tool = self._tools.get(row.tool_name)
        if tool is None and row.tool_name == DELEGATE:
            return self._delegating(spec.arguments)
        if tool is None:
            message = f"There is no tool {row.tool_name!r} any more to check them against."
            raise ValidationFailed.of("arguments", message)
        try:
            tool.accept(parsed_arguments(spec.arguments))
        except InvalidArguments as error:
            wrong = error.problems or [FieldProblem(path=(), message=error.message)]
            raise ValidationFailed(
                [FieldProblem(path=("arguments", *one.path), message=one.message) for one in wrong]
            ) from None
        return spec.arguments

    @staticmethod
    def _delegating(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Arguments of a call that hands work on, checked. Raises ValidationFailed."""
        try:
            read_call(arguments)
        except ToolError as error:
            raise ValidationFailed.of("arguments", error.message) from None
        return arguments
