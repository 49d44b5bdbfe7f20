"""Approvals: questions to people whether tool calls may go ahead."""

from enum import Enum
from typing import Self

from strawberry import ID, UNSET, Private, field

from domain.kernel.errors import NotFound
from domain.kernel.paging import Page
from domain.runs.approval_rows import ApprovalRow
from domain.runs.approval_writes import rule_of
from schema.behavior import BehaviorRule
from schema.context import Info
from schema.declare import api_enum, api_input, api_type
from schema.ids import Kind, encode_id
from schema.inputs import refers_to
from schema.relay import Count, CountedConnection, Edge, Node
from schema.runs import Run
from schema.scalars import Json, Moment, moment
from schema.steps import ToolCallStep
from schema.tools import SideEffect


@api_enum
class ApprovalStatus(Enum):
    """State of an approval."""

    PENDING = "Waits for a decision."
    APPROVED = "The call may go ahead."
    DENIED = "The call may not go ahead."
    EXPIRED = "Nobody decided in time; counts as denied."
    CANCELLED = "The run ended first."


@api_enum
class ApprovalDecision(Enum):
    """Decision on an approval."""

    APPROVE = "Let the call go ahead."
    DENY = "Forbid the call; the agent is told why."


@api_enum
class ApprovalScope(Enum):
    """How far a decision reaches."""

    ONCE = "This call."
    RUN = "Every call of the tool in this run."
    ALWAYS = "Every call of the tool by this agent from now on; adds a behavior rule."


@api_type
class Approval(Node):
    """Question to a person whether a tool call may go ahead."""

    id: ID = field(description="Opaque global id.")
    tool_name: str = field(description="Tool to be called.")
    arguments: Json = field(description="Arguments proposed by the agent, secrets masked.")
    reason: str = field(description="Why a person is asked.")
    rule: BehaviorRule | None = field(
        description="Rule that asks; null when the tool's default does."
    )
    side_effect: SideEffect = field(description="What the call can do.")
    requested_at: Moment = field(description="When it was asked.")
    expires_at: Moment = field(description="When silence becomes a denial.")
    decided_at: Moment | None = field(description="When it was decided; null before.")
    decided_by: str | None = field(description="Who decided; null before or when it expired.")
    scope: ApprovalScope | None = field(description="Scope of the decision; null before.")
    decision_reason: str | None = field(description="Why it was decided so.")

    row: Private[ApprovalRow]

    @classmethod
    def of(cls, row: ApprovalRow) -> Self:
        """Show a row."""
        rule = rule_of(row.rule)
        return cls(
            id=encode_id(Kind.APPROVAL, row.id),
            tool_name=row.tool_name,
            arguments=Json(row.arguments),
            reason=row.reason,
            rule=None if rule is None else BehaviorRule.of(rule),
            side_effect=SideEffect[row.side_effect],
            requested_at=Moment(row.created_at),
            expires_at=Moment(row.expires_at),
            decided_at=moment(row.decided_at),
            decided_by=row.decided_by,
            scope=None if row.scope is None else ApprovalScope[row.scope],
            decision_reason=row.decision_reason,
            row=row,
        )

    @field(description="State.")
    def status(self, info: Info) -> ApprovalStatus:
        """Tell it as it is at this moment."""
        return ApprovalStatus[self.row.status_at(info.context.now_us())]

    @field(description="Run that waits.")
    async def run(self, info: Info) -> Run:
        """Load it."""
        row = await info.context.loaders.run(self.row.run_id)
        if row is None:
            raise NotFound(Kind.RUN.noun, encode_id(Kind.RUN, self.row.run_id))
        return Run.of(row)

    @field(description="Call that waits.")
    async def step(self, info: Info) -> ToolCallStep:
        """Load it."""
        row = await info.context.loaders.step(self.row.step_id)
        if row is None:
            raise NotFound(Kind.STEP.noun, encode_id(Kind.STEP, self.row.step_id))
        return ToolCallStep.of(row)


@api_type
class ApprovalEdge(Edge[Approval]):
    """Place of one approval in a page."""


@api_type
class ApprovalConnection(CountedConnection[Approval, ApprovalEdge]):
    """Page of approvals."""

    @classmethod
    def of(cls, page: Page[ApprovalRow], *, count: Count) -> Self:
        """Show a page of rows."""
        nodes = [Approval.of(row) for row in page.items]
        return cls.counted(page, nodes, ApprovalEdge, count=count)


@api_type
class DecideApprovalSuccess:
    """The decided approval."""

    approval: Approval = field(description="The approval.")
    rule: BehaviorRule | None = field(description="Rule added by ALWAYS; null otherwise.")


@api_input
class ApprovalFilter:
    """Narrows a list of approvals."""

    statuses: list[ApprovalStatus] | None = field(description="Only these states.", default=UNSET)
    run_id: ID | None = field(
        description="Only those of this run and the runs below it.",
        default=UNSET,
        metadata=refers_to(Kind.RUN),
    )
    agent_id: ID | None = field(
        description="Only those of this agent.", default=UNSET, metadata=refers_to(Kind.AGENT)
    )


@api_input
class DecideApprovalInput:
    """Answer to an approval."""

    approval_id: ID = field(description="The approval.", metadata=refers_to(Kind.APPROVAL))
    decision: ApprovalDecision = field(description="The decision.")
    scope: ApprovalScope = field(description="How far it reaches.", default=ApprovalScope.ONCE)
    arguments: Json | None = field(
        description=("Arguments to use instead of the proposed ones; only with APPROVE and ONCE."),
        default=UNSET,
    )
    reason: str | None = field(description="Why; the agent sees it.", default=UNSET)
