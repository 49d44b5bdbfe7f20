"""Whose memory a run uses where it was started with a word on that."""

import orjson

from domain.kernel.database import Database
from domain.memory.policy import MemoryPolicy


async def run_memory(
    database: Database, workspace_id: str, run_id: str | None
) -> MemoryPolicy | None:
    """Return what a run was started with; None where its agent decides."""
    if run_id is None:
        return None
    sql = "SELECT spec FROM run WHERE id = $1 AND workspace_id = $2"
    rows = await database.fetch(sql, run_id, workspace_id)
    given = orjson.loads(rows[0][0]).get("memory") if rows else None
    return None if given is None else MemoryPolicy.model_validate(given)
