"""Runs that other runs began: made, found again, and what they used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from domain.kernel.database import Database, Statement, placeholders
from domain.runs.budgets import pico, promised
from domain.runs.state import RunStatus
from domain.runs.work import RunUsage, dumps

INSERT = """
INSERT INTO run (id, workspace_id, agent_id, agent_version, root_run_id, parent_run_id,
    parent_call_id, depth, status, instruction, inputs, spec, priority, metadata, trace_id,
    span_id, created_by, created_at, due_at, bounds, tainted)
SELECT $2, workspace_id, $3, $4, root_run_id, id, $5, depth + 1, 'QUEUED', $6, $7, $8, priority,
    '{}', trace_id, $9, created_by, $10, $10, $11, tainted
FROM run WHERE id = $1
RETURNING id
"""

OF_STEPS = """
SELECT run.parent_call_id, run.id, run.status, run.output, run.output_data, run.error_code,
    run.error_message, run.status_reason, run.tainted, run.waited_us, agent.slug
FROM run JOIN agent ON agent.id = run.agent_id
WHERE run.parent_run_id = $1 AND run.parent_call_id IN
"""

FAMILY = """
WITH RECURSIVE below (top, id) AS (
    SELECT id, id FROM run WHERE parent_run_id = $1
    UNION ALL
    SELECT below.top, run.id FROM run JOIN below ON run.parent_run_id = below.id
)
SELECT child.status, child.spec, CAST(sum(run.input_tokens) AS BIGINT),
    CAST(sum(run.output_tokens) AS BIGINT), CAST(sum(run.cached_tokens) AS BIGINT),
    CAST(sum(run.reasoning_tokens) AS BIGINT), CAST(sum(run.model_calls) AS BIGINT),
    CAST(sum(run.tool_calls) AS BIGINT), CAST(sum(run.cost_pico_usd) AS BIGINT),
    min(CASE WHEN run.cost_known THEN 1 ELSE 0 END),
    CAST(sum(run.waited_us + CASE
        WHEN run.status IN ('WAITING_APPROVAL', 'PAUSED') AND run.parked_at IS NOT NULL
        THEN $2 - run.parked_at ELSE 0 END) AS BIGINT)
FROM below JOIN run ON run.id = below.id JOIN run AS child ON child.id = below.top
GROUP BY child.id, child.status, child.spec
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewChild:
    """A run about to be begun by another, which gives it its workspace, trace and priority."""

    id: str
    parent_run_id: str
    step_id: str
    agent_id: str
    agent_version: int
    instruction: str
    inputs: object
    spec: object
    bounds: object
    span_id: str
    created_at: int

    def statement(self) -> Statement:
        """Insert it as QUEUED and due; twice for one step is a duplicate."""
        args = (
            self.parent_run_id,
            self.id,
            self.agent_id,
            self.agent_version,
            self.step_id,
            self.instruction,
            dumps(self.inputs),
            dumps(self.spec),
            self.span_id,
            self.created_at,
            dumps(self.bounds),
        )
        return Statement(INSERT, args, must_match=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildState:
    """A child as its parent looks at it."""

    step_id: str
    run_id: str
    status: RunStatus
    agent: str
    output: str | None
    output_data: Any
    error_code: str | None
    error_message: str | None
    reason: str | None
    is_tainted: bool
    waited_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What the runs below a run used, and what is promised to those that have not ended."""

    used: RunUsage = field(default_factory=RunUsage)
    tokens: int = 0
    """Spent, and promised to children that may spend it yet."""
    cost: int = 0
    waited_us: int = 0
    """Time in which they waited for people."""


class Children:
    """Reads the children of runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_steps(self, run_id: str, step_ids: Sequence[str]) -> dict[str, ChildState]:
        """Return the children that steps of a run began, by step."""
        if not step_ids:
            return {}
        sql = f"{OF_STEPS} ({placeholders(2, len(step_ids))})"
        rows = await self._database.fetch(sql, run_id, *step_ids)
        return {row[0]: _state(row) for row in rows}

    async def family(self, run_id: str, now_us: int) -> Family:
        """Sum up everything below a run."""
        used, tokens, cost, waited_us = RunUsage(), 0, 0, 0
        rows = await self._database.fetch(FAMILY, run_id, now_us)
        for status, spec, *counts, cost_known, waited in rows:
            spent = RunUsage(*counts, cost_known=bool(cost_known))
            used, waited_us = used.plus(spent), waited_us + max(0, waited)
            limits: Mapping[str, Any] = orjson.loads(spec).get("limits") or {}
            is_over = RunStatus(status).is_final
            spent_tokens = spent.input_tokens + spent.output_tokens
            tokens += promised(spent_tokens, limits.get("maxTokens"), is_over=is_over)
            carved = limits.get("maxCostUsd")
            given = None if carved is None else pico(carved)
            cost += promised(spent.cost_pico_usd, given, is_over=is_over)
        return Family(used=used, tokens=tokens, cost=cost, waited_us=waited_us)


def _state(row: Sequence[Any]) -> ChildState:
    return ChildState(
        step_id=row[0],
        run_id=row[1],
        status=RunStatus(row[2]),
        output=row[3],
        output_data=None if row[4] is None else orjson.loads(row[4]),
        error_code=row[5],
        error_message=row[6],
        reason=row[7],
        is_tainted=bool(row[8]),
        waited_us=row[9],
        agent=row[10],
    )
