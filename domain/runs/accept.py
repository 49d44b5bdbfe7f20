"""Accepting a run: one commit that makes it exist, due for a worker or begun right here."""

from dataclasses import dataclass

from domain.kernel.database import Database, Statement
from domain.runs.state import RunStatus, WaitsFor
from domain.runs.work import CLAIM_COLUMNS, dumps

COLUMNS = """
INSERT INTO run (id, workspace_id, agent_id, agent_version, conversation_id, holds_conversation,
    root_run_id, status, instruction, inputs, spec, priority, metadata, trace_id, span_id,
    created_by, created_at, started_at, due_at, lease_owner, lease_until, fence, task_id,
    occurrence_id, retry_of, line_at, waits_for, bounds, tainted, behavior_pin)
"""
VALUES = """
$1, $2, $3, $4, $5, $6, $1, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
    {lease}, $21, $22, $23, $24, $25, $26, $27, $28, $29
"""
FREE = "NOT EXISTS (SELECT 1 FROM run WHERE conversation_id = $5 AND holds_conversation)"
ENDING = """
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
    behavior_profile_id: str | None = None
    """The agent's own, for the first step of a run that begins at once."""
    task_id: str | None = None
    occurrence_id: str | None = None
    owner: str | None = None
    lease_us: int = 0
    line_at: int | None = None
    """Its place in the line for its conversation, which it does not hold yet."""
    retry_of: str | None = None
    bounds: object = None
    tainted: bool = False
    behavior_pin: object = None
    opens_conversation: bool = False
    """True where its conversation begins in the same write, so that nobody else can hold it."""


def insert_run(database: Database, new: NewRun) -> Statement:
    """Insert the run; matches nothing when its conversation is held by another."""
    inline, in_line = new.owner is not None, new.line_at is not None
    takes = new.conversation_id is not None and not in_line
    values = VALUES.format(lease=f"{database.now_sql(30)} + $20" if inline else "$20")
    asks = takes and not new.opens_conversation
    given = f"SELECT {values} WHERE {FREE}" if asks else f"VALUES ({values})"
    args = (
        new.id,
        new.workspace_id,
        new.agent_id,
        new.agent_version,
        new.conversation_id,
        takes,
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
        None if inline or in_line else new.due_at or new.created_at,
        new.owner,
        new.lease_us if inline else None,
        1 if inline else 0,
        new.task_id,
        new.occurrence_id,
        new.retry_of,
        new.line_at,
        WaitsFor.CONVERSATION if in_line else None,
        None if new.bounds is None else dumps(new.bounds),
        new.tainted,
        None if new.behavior_pin is None else dumps(new.behavior_pin),
        *((new.created_at,) if inline else ()),
    )
    sql = COLUMNS + given + ENDING.format(columns=CLAIM_COLUMNS)
    return Statement(sql, args, must_match=True)
