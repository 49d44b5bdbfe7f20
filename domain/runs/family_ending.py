"""The part that delegation has in the end of a run: its parent goes on, its children stop."""

from collections.abc import Callable

from domain.kernel.database import Database, Statement
from domain.kernel.ids import IdSource
from domain.runs.endings import EndWrites, RunEnd
from domain.runs.parking import wake_statements
from domain.runs.state import RunStatus, WaitsFor
from domain.runs.work import Work

BELOW = """
WITH RECURSIVE below (id) AS (
    SELECT id FROM run WHERE parent_run_id = $1
    UNION ALL
    SELECT run.id FROM run JOIN below ON run.parent_run_id = below.id
)
"""
STOP = f"""
{BELOW}
INSERT INTO run_order (id, workspace_id, run_id, kind, reason, created_by, created_at)
SELECT $2 || '.' || run.id, run.workspace_id, run.id, 'cancel', $3, $4, $5
FROM run JOIN below ON below.id = run.id
WHERE run.finished_at IS NULL AND NOT EXISTS (
    SELECT 1 FROM run_order AS other
    WHERE other.run_id = run.id AND other.kind = 'cancel' AND other.taken_at IS NULL
)
"""
# Whoever is at work reads its orders; who waits is taken up to end.
DUE = """
UPDATE run SET due_at = $1, hints = 0
WHERE lease_owner IS NULL AND finished_at IS NULL
    AND id IN (SELECT run_id FROM run_order WHERE id LIKE $2 AND taken_at IS NULL)
"""
ABANDONED = "The run that asked for it has ended."


class FamilyEnding:
    """Makes a parent due when its child ends, and stops what a run that failed leaves at work.

    `hint` tells a worker of a run that is due.
    """

    def __init__(self, database: Database, ids: IdSource, hint: Callable[[str], None]) -> None:
        self._database = database
        self._ids = ids
        self._hint = hint

    def at_end(self, work: Work, end: RunEnd, now_us: int) -> EndWrites | None:
        """Say what to write; nothing for a run that is alone and has its answer."""
        parent_id = work.claim.parent_run_id
        stops = [] if end.status is RunStatus.SUCCEEDED else self._stops(work, now_us)
        if parent_id is None:
            return EndWrites(statements=stops, drafts=(), committed=_nothing) if stops else None
        wakes = wake_statements(self._database, parent_id, now_us=now_us, waits_for=WaitsFor.CALLS)
        return EndWrites(
            statements=[*stops, *wakes], drafts=(), committed=lambda: self._hint(parent_id)
        )

    def _stops(self, work: Work, now_us: int) -> list[Statement]:
        batch = self._ids()
        values = (work.run_id, batch, ABANDONED, work.claim.created_by, now_us)
        return [Statement(STOP, values), Statement(DUE, (now_us, f"{batch}.%"))]


def _nothing() -> None:
    """Those who wait are found by the sweep, the others look for orders by themselves."""
