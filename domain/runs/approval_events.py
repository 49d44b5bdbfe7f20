"""What the story of a run tells of its approvals: each as it was at that moment."""

from typing import Any

from domain.runs.approval_rows import ApprovalRow
from domain.runs.approval_state import ApprovalScope, ApprovalStatus
from domain.runs.approval_writes import Closing, Question, kept_rule


def asked(question: Question) -> dict[str, Any]:
    """Content of ApprovalRequested."""
    return {
        "approval": {
            "id": question.id,
            "runId": question.run_id,
            "stepId": question.step_id,
            "toolName": question.tool_name,
            "arguments": question.arguments,
            "reason": question.reason,
            "rule": kept_rule(question.rule),
            "sideEffect": question.side_effect,
            "status": ApprovalStatus.PENDING,
            "requestedAt": question.asked_at,
            "expiresAt": question.expires_at,
            "decidedAt": None,
            "decidedBy": None,
            "scope": None,
            "decisionReason": None,
        }
    }


def resolved(row: ApprovalRow, closing: Closing | None = None) -> dict[str, Any]:
    """Content of ApprovalResolved; `closing` where no person answered."""
    return {
        "approval": {
            "id": row.id,
            "runId": row.run_id,
            "stepId": row.step_id,
            "toolName": row.tool_name,
            "arguments": row.arguments,
            "reason": row.reason,
            "rule": row.rule,
            "sideEffect": row.side_effect,
            "status": row.status if closing is None else closing.status,
            "requestedAt": row.created_at,
            "expiresAt": row.expires_at,
            "decidedAt": row.decided_at,
            "decidedBy": row.decided_by if closing is None else closing.decided_by,
            "scope": None if row.scope is None else ApprovalScope(row.scope),
            "decisionReason": row.decision_reason if closing is None else closing.reason,
        }
    }
