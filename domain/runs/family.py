"""What the runs around a run used: those that it handed work to, and those of its whole tree."""

from domain.kernel.database import Database
from domain.runs.usage import usage_of
from domain.runs.work import RunUsage

SUMS = """
CAST(COALESCE(sum(run.input_tokens), 0) AS BIGINT),
CAST(COALESCE(sum(run.output_tokens), 0) AS BIGINT),
CAST(COALESCE(sum(run.cached_tokens), 0) AS BIGINT),
CAST(COALESCE(sum(run.reasoning_tokens), 0) AS BIGINT),
CAST(COALESCE(sum(run.model_calls), 0) AS BIGINT),
CAST(COALESCE(sum(run.tool_calls), 0) AS BIGINT),
CAST(COALESCE(sum(run.cost_pico_usd), 0) AS BIGINT),
COALESCE(min(CASE WHEN run.cost_known THEN 1 ELSE 0 END), 1)
"""

BELOW = f"""
WITH RECURSIVE below (id) AS (
    SELECT id FROM run WHERE parent_run_id = $1
    UNION ALL
    SELECT run.id FROM run JOIN below ON run.parent_run_id = below.id
)
SELECT {SUMS} FROM below JOIN run ON run.id = below.id
"""

AROUND = f"""
SELECT {SUMS} FROM run
WHERE run.id <> $2 AND (run.id = $1 OR (run.root_run_id = $1 AND run.parent_run_id IS NOT NULL))
"""

# A run is made after the run that handed it work.
EARLIER_IN_TREE = """
SELECT count(*) FROM run JOIN run AS mine ON mine.id = $2
WHERE (run.id = $1 OR (run.root_run_id = $1 AND run.parent_run_id IS NOT NULL))
    AND (run.created_at < mine.created_at
        OR (run.created_at = mine.created_at AND run.id < mine.id))
"""


async def used_below(database: Database, run_id: str) -> RunUsage:
    """Sum up all runs below a run, without its own use."""
    return usage_of((await database.fetch(BELOW, run_id))[0])


async def used_around(database: Database, root_run_id: str, run_id: str) -> RunUsage:
    """Sum up all runs of a tree but one."""
    return usage_of((await database.fetch(AROUND, root_run_id, run_id))[0])


async def runs_before(database: Database, root_run_id: str, run_id: str) -> int:
    """Count the runs of a tree that were made before one of them."""
    return (await database.fetch(EARLIER_IN_TREE, root_run_id, run_id))[0][0]
