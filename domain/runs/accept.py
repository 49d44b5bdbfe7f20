"""Accepting a run: one commit that makes it exist, due for a worker or begun right here."""

from dataclasses import dataclass

from domain.kernel.database import Database, Statement
from domain.runs.state import RunStatus
from domain.runs.work import CLAIM_COLUMNS, dumps

INSERT = """
INSERT INTO run (id, workspace_id, agent_id, agent_version, conversation_id, holds_conversation,
    root_run_id, status, instruction, inputs, spec, priority, metadata, trace_id, span_id,
    created_by, created_at, started_at, due_at, lease_owner, lease_until, fence, task_id,
    occurrence_id)
VALUES ($1, $2, $3, $4, $5, $6, $1, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
    {lease}, $21, $22, $23)
ON CONFLICT DO NOTHING
RETURNING {columns}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run about to be accepted; `owner` names the process that begins it at once."""

    id: str
    workspace_id: str
    agent_id: str
    agent_version: int
    conversation_id: str | None
    instruction: str
    inputs: object
    spec: object
    priority: int
    metadata: object
    trace_id: str
    span_id: str
    created_by: str
    created_at: int
    due_at: int | None = None
    """When it may begin; at once when absent."""
    task_id: str | None = None
    occurrence_id: str | None = None
    owner: str | None = None
    lease_us: int = 0


def insert_run(database: Database, new: NewRun) -> Statement:
    """Insert the run; matches nothing when its conversation is held by another."""
    inline = new.owner is not None
    lease = f"{database.now_sql(24)} + $20" if inline else "$20"
    args = (
        new.id,
        new.workspace_id,
        new.agent_id,
        new.agent_version,
        new.conversation_id,
        new.conversation_id is not None,
        RunStatus.RUNNING if inline else RunStatus.QUEUED,
        new.instruction,
        dumps(new.inputs),
        dumps(new.spec),
        new.priority,
        dumps(new.metadata),
        new.trace_id,
        new.span_id,
        new.created_by,
        new.created_at,
        new.created_at if inline else None,
        None if inline else new.due_at or new.created_at,
        new.owner,
        new.lease_us if inline else None,
        1 if inline else 0,
        new.task_id,
        new.occurrence_id,
        *((new.created_at,) if inline else ()),
    )
    return Statement(INSERT.format(lease=lease, columns=CLAIM_COLUMNS), args, must_match=True)
