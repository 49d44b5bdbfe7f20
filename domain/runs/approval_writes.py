"""Statements of approvals: asked, decided, expired, used once, told, and closed with their run."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from domain.behavior.rules import Rule, read, written
from domain.kernel.database import Statement
from domain.runs.approval_state import ApprovalScope, ApprovalStatus
from domain.runs.work import dumps

_ASK = """
INSERT INTO approval (id, workspace_id, run_id, root_run_id, agent_id, step_id, tool_name,
                      side_effect, arguments, call_hash, reason, rule, behavior_versions, status,
                      expires_at, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 'PENDING', $14, $15)
ON CONFLICT (step_id) DO UPDATE SET
    arguments = excluded.arguments, call_hash = excluded.call_hash, reason = excluded.reason,
    rule = excluded.rule, behavior_versions = excluded.behavior_versions, status = 'PENDING',
    scope = NULL, edited = NULL, decided_by = NULL, decision_reason = NULL, decided_at = NULL,
    expires_at = excluded.expires_at, created_at = excluded.created_at, used_at = NULL,
    told_at = NULL
"""
_DECIDE = """
UPDATE approval SET status = $4, scope = $5, edited = $6, decided_by = $7, decision_reason = $8,
    decided_at = $3
WHERE id = $1 AND workspace_id = $2 AND status = 'PENDING' AND expires_at > $3
RETURNING id
"""
_CLOSE = """
UPDATE approval SET told_at = $4,
    decision_reason = CASE WHEN status = 'PENDING' THEN $3 ELSE decision_reason END,
    decided_by = CASE WHEN status = 'PENDING' THEN $5 ELSE decided_by END,
    decided_at = CASE WHEN status = 'PENDING' AND $2 <> 'EXPIRED' THEN $4 ELSE decided_at END,
    status = CASE WHEN status = 'PENDING' THEN $2 ELSE status END
WHERE id = $1
"""
_USE = """
UPDATE approval SET used_at = $2, told_at = COALESCE(told_at, $2)
WHERE id = $1 AND status = 'APPROVED' AND used_at IS NULL
RETURNING id
"""
_TELL = "UPDATE approval SET told_at = $2 WHERE id = $1 AND told_at IS NULL"
_CANCEL = """
UPDATE approval SET status = 'CANCELLED', told_at = $2 WHERE run_id = $1 AND status = 'PENDING'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a person is asked: whether one call may go ahead."""

    id: str
    workspace_id: str
    run_id: str
    root_run_id: str
    agent_id: str
    step_id: str
    tool_name: str
    side_effect: str
    arguments: object
    reason: str
    rule: Rule | None
    behavior_versions: Sequence[str]
    asked_at: int
    expires_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a person decided."""

    status: ApprovalStatus
    scope: ApprovalScope
    edited: Mapping[str, Any] | None
    reason: str | None
    decided_by: str
    decided_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """How a question ends that no person answered."""

    status: ApprovalStatus
    reason: str
    decided_by: str | None = None


def call_hash(run_id: str, step_id: str, tool_name: str, arguments: object) -> str:
    """SHA-256 of a call: an approval counts for this one and no other."""
    call = [run_id, step_id, tool_name, arguments]
    return hashlib.sha256(orjson.dumps(call, option=orjson.OPT_SORT_KEYS)).hexdigest()


def ask(question: Question) -> Statement:
    """Ask about a call, anew where it was asked about before."""
    asked = question
    values = (
        asked.id,
        asked.workspace_id,
        asked.run_id,
        asked.root_run_id,
        asked.agent_id,
        asked.step_id,
        asked.tool_name,
        asked.side_effect,
        dumps(asked.arguments),
        call_hash(asked.run_id, asked.step_id, asked.tool_name, asked.arguments),
        asked.reason,
        None if asked.rule is None else dumps(kept_rule(asked.rule)),
        dumps(list(asked.behavior_versions)),
        asked.expires_at,
        asked.asked_at,
    )
    return Statement(_ASK, values)


def decide(approval_id: str, workspace_id: str, answer: Answer) -> Statement:
    """Decide what still waits; refused once it was decided, has expired or was closed."""
    values = (
        approval_id,
        workspace_id,
        answer.decided_at,
        answer.status,
        answer.scope,
        None if answer.edited is None else dumps(answer.edited),
        answer.decided_by,
        answer.reason,
    )
    return Statement(_DECIDE, values, must_match=True)


def close(approval_id: str, closing: Closing, now_us: int) -> Statement:
    """End a question that nobody answered in time, or that is answered without a person."""
    values = (approval_id, closing.status, closing.reason, now_us, closing.decided_by)
    return Statement(_CLOSE, values)


def use(approval_id: str, now_us: int) -> Statement:
    """Begin the approved call; refused the second time."""
    return Statement(_USE, (approval_id, now_us), must_match=True)


def tell(approval_id: str, now_us: int) -> Statement:
    """Note that its decision was told in the run's story."""
    return Statement(_TELL, (approval_id, now_us))


def cancel(run_id: str, now_us: int) -> Statement:
    """Close every open question of a run that ends."""
    return Statement(_CANCEL, (run_id, now_us))


def kept_rule(rule: Rule | None) -> dict[str, Any] | None:
    """A rule as an approval keeps it: what it says when the call is asked about."""
    return None if rule is None else orjson.loads(written((rule,)))[0]


def rule_of(kept: Mapping[str, Any] | None) -> Rule | None:
    """Read what `kept_rule` made of a rule."""
    return None if kept is None else read(orjson.dumps([kept]).decode())[0]
