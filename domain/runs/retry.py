"""Trying an ended run again: what of it is taken over, and from where on it is done anew."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from domain.kernel.database import Database, Statement
from domain.kernel.errors import NotFound
from domain.runs.recovery import ANSWERED
from domain.runs.rows import RunRow
from domain.runs.spec import ExecuteSpec
from domain.runs.state import StepKind, StepStatus

KEPT_CALLS = (*ANSWERED, StepStatus.FAILED, StepStatus.DENIED)
"""Ends of calls that their run went on from."""
AT_ONCE = 400
"""Steps that one statement copies."""

_STEPS = """
SELECT id, position, kind, status FROM run_step
WHERE run_id = $1 AND workspace_id = $2 ORDER BY position
"""
# What they used is of the run that used it, so the counts of its steps are not copied.
_COPY = """
WITH taken (old_id, new_id, place) AS (VALUES {taken})
INSERT INTO run_step (id, workspace_id, run_id, position, kind, status, provider, name, text,
    reasoning, calls, call_id, arguments, result, error_code, error_message, error_retryable,
    usage, trace_id, started_at, finished_at, behavior_version_id, agent_behavior_version_id,
    notices, provider_state)
SELECT taken.new_id, workspace_id, $1, CAST(taken.place AS INTEGER), kind,
    CASE WHEN status = 'SUCCEEDED' THEN 'REUSED' ELSE status END, provider, name, text,
    reasoning, calls, call_id, arguments, result, error_code, error_message, error_retryable,
    usage, $2, started_at, finished_at, behavior_version_id, agent_behavior_version_id,
    notices, provider_state
FROM run_step JOIN taken ON taken.old_id = run_step.id
"""
_STEERS = """
SELECT id, position FROM run_order
WHERE run_id = $1 AND kind = 'steer' AND position <= $2 ORDER BY id
"""
_COPY_STEER = """
INSERT INTO run_order (id, workspace_id, run_id, kind, reason, detail, created_by, created_at,
    taken_at, position)
SELECT $2, workspace_id, $3, kind, reason, detail, created_by, created_at, taken_at, $4
FROM run_order WHERE id = $1
"""
_PIN = """
SELECT behavior_version_id, agent_behavior_version_id FROM run_step
WHERE run_id = $1 ORDER BY position DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reused:
    """Steps and instructions of the old run as the new one takes them over."""

    statements: Sequence[Statement] = ()
    """Written after the new run itself."""


async def reused(
    database: Database,
    run: RunRow,
    step_id: str,
    new_id: str,
    *,
    trace_id: str,
    ids: Callable[[], str],
) -> Reused:
    """Take over what stands before a step. Raises NotFound for a step of another run."""
    rows = await database.fetch(_STEPS, run.id, run.workspace_id)
    first = next((row for row in rows if row[0] == step_id), None)
    if first is None:
        raise NotFound("step", step_id, path=["fromStepId"])
    kept = [row for row in rows if row[1] < first[1] and _is_kept(row[2], row[3])]
    places = {row[1]: place for place, row in enumerate(kept, 1)}
    statements: list[Statement] = []
    for start in range(0, len(kept), AT_ONCE):
        batch = kept[start : start + AT_ONCE]
        values = [(row[0], ids(), str(places[row[1]])) for row in batch]
        marks = [f"(${3 * n}, ${3 * n + 1}, ${3 * n + 2})" for n in range(1, len(batch) + 1)]
        taken = ", ".join(marks)
        flat = [value for row in values for value in row]
        statements.append(Statement(_COPY.format(taken=taken), (new_id, trace_id, *flat)))
    for order_id, position in await database.fetch(_STEERS, run.id, first[1]):
        place = next((places[at] for at in sorted(places) if at >= position), len(kept) + 1)
        statements.append(Statement(_COPY_STEER, (order_id, ids(), new_id, place)))
    return Reused(statements=statements)


def _is_kept(kind: str, status: str) -> bool:
    return status in (ANSWERED if kind == StepKind.MODEL_CALL else KEPT_CALLS)


async def pinned(database: Database, run: RunRow) -> list[str | None]:
    """Versions of the workspace's and the agent's behavior that a run's last step went by."""
    rows = await database.fetch(_PIN, run.id)
    return list(rows[0]) if rows else [None, None]


def spec_of(run: RunRow) -> Mapping[str, Any]:
    """What the engine reads of a run, without the task that it was started for."""
    return {name: value for name, value in run.spec.items() if name != "task"}


def asked_of(run: RunRow) -> ExecuteSpec:
    """What a client would ask for to start the run."""
    known = {field.alias or name for name, field in ExecuteSpec.model_fields.items()}
    given = {name: value for name, value in run.spec.items() if name in known}
    asked = {**given, "agent": {"id": run.agent_id}, "instruction": run.instruction}
    return ExecuteSpec.model_validate(asked)
