"""Approvals as JSON."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from app.documents.base import Document, MomentText, Reference, id_field, moment_text
from app.documents.behavior import BehaviorRule
from domain.runs.approval_state import ApprovalScope, ApprovalStatus
from domain.runs.approval_writes import rule_of
from domain.tools.manifest import SideEffect
from schema.ids import Kind, encode_id
from schema.scalars import format_moment


class Approval(Document):
    """Question to a person whether a tool call may go ahead."""

    id: Annotated[str, id_field(Kind.APPROVAL)]
    status: ApprovalStatus
    run: Reference
    step: Reference
    tool_name: str
    arguments: Any
    reason: str
    rule: BehaviorRule | None
    side_effect: SideEffect
    requested_at: MomentText
    expires_at: MomentText
    decided_at: MomentText | None
    decided_by: str | None
    scope: ApprovalScope | None
    decision_reason: str | None

    @classmethod
    def of_event(cls, told: Mapping[str, Any]) -> Self:
        """Show an approval as an event tells of it."""
        rule = rule_of(told["rule"])
        return cls(
            id=encode_id(Kind.APPROVAL, told["id"]),
            status=ApprovalStatus(told["status"]),
            run=Reference.of(Kind.RUN, told["runId"]),
            step=Reference.of(Kind.STEP, told["stepId"]),
            tool_name=told["toolName"],
            arguments=told["arguments"],
            reason=told["reason"],
            rule=None if rule is None else BehaviorRule.of(rule),
            side_effect=SideEffect(told["sideEffect"]),
            requested_at=format_moment(told["requestedAt"]),
            expires_at=format_moment(told["expiresAt"]),
            decided_at=moment_text(told["decidedAt"]),
            decided_by=told["decidedBy"],
            scope=None if told["scope"] is None else ApprovalScope(told["scope"]),
            decision_reason=told["decisionReason"],
        )
