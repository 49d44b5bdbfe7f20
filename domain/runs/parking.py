"""Runs that wait without a worker: parked by who holds them, woken by what they wait for.

A parked run has no lease and no slot. What ends its wait is written with the wake-up in one
transaction, and the parking commit looks whether that happened meanwhile. On PostgreSQL both lock
the run's row before they look, so one of them sees the other.
"""

from dataclasses import dataclass

from domain.kernel.database import Database, Statement
from domain.runs.state import RunStatus, WaitsFor

PARK = """
UPDATE run SET status = $2, waits_for = $3, status_reason = $4, due_at = $5, hints = 0,
    parked_at = $6, waited_us = $7,
    lease_owner = NULL, lease_until = NULL
WHERE id = $1
"""

AT_WORK = """
UPDATE run SET status = 'RUNNING', waits_for = NULL, status_reason = NULL, parked_at = NULL,
    waited_us = $2
WHERE id = $1
"""

# After the lock of its own row: whoever ended a wait before is seen, who does later sees the park.
ALREADY_OVER = """
UPDATE run SET due_at = $2 WHERE id = $1 AND (
    EXISTS (
        SELECT 1 FROM run_order WHERE run_id = $1 AND taken_at IS NULL
            AND (kind = 'cancel' OR (kind = 'pause' AND run.waits_for <> 'pause'))
    )
    OR (waits_for = 'calls' AND (
        EXISTS (
            SELECT 1 FROM run AS child JOIN run_step ON run_step.id = child.parent_call_id
            WHERE child.parent_run_id = $1 AND child.finished_at IS NOT NULL
                AND run_step.status = 'RUNNING'
        )
        OR EXISTS (
            SELECT 1 FROM approval WHERE approval.run_id = $1 AND told_at IS NULL
                AND status IN ('APPROVED', 'DENIED')
        )
    ))
) RETURNING id
"""

LOCK = "SELECT id FROM run WHERE id = $1 FOR NO KEY UPDATE"
WAKE = """
UPDATE run SET due_at = $2, hints = 0
WHERE id = $1 AND lease_owner IS NULL AND finished_at IS NULL AND waits_for = $3
"""
WAKE_ANY = """
UPDATE run SET due_at = $2, hints = 0
WHERE id = $1 AND lease_owner IS NULL AND finished_at IS NULL
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parking:
    """How a run is to wait; `due_us` is when it goes on by itself, None for never."""

    status: RunStatus
    waits_for: WaitsFor
    reason: str | None = None
    due_us: int | None = None


def wake_statements(
    database: Database, run_id: str, *, now_us: int, waits_for: WaitsFor | None = None
) -> list[Statement]:
    """Statements for the write that ends a wait, after its own rows: then the run is due.

    Without `waits_for` any run that nobody holds is due, as for an order. Hint it after the commit.
    """
    locked = [Statement(LOCK, (run_id,))] if database.dialect == "postgres" else []
    if waits_for is None:
        return [*locked, Statement(WAKE_ANY, (run_id, now_us))]
    return [*locked, Statement(WAKE, (run_id, now_us, waits_for))]
