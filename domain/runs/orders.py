"""Orders that others leave for a run, wherever it is at work."""

from dataclasses import dataclass

import structlog

from domain.kernel.database import Database, Statement
from domain.kernel.errors import Unavailable
from domain.kernel.ids import IdSource
from domain.kernel.ports import Clock, EventBus, JobQueue

EXECUTE_JOB = "runs.execute"
ORDERS_CHANNEL = "run-orders"

log = structlog.get_logger("domain.runs.orders")

_INSERT = """
INSERT INTO run_order (id, workspace_id, run_id, kind, reason, created_by, created_at)
VALUES ($1, $2, $3, 'cancel', $4, $5, $6)
"""
_DUE_NOW = "UPDATE run SET due_at = $2 WHERE id = $1 AND lease_owner IS NULL AND due_at > $2"


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelOrder:
    """A run to stop, and why."""

    workspace_id: str
    run_id: str
    reason: str | None
    created_by: str


class RunOrders:
    """Leaves orders in the write of who gives them, and tells the worker after its commit."""

    def __init__(
        self,
        database: Database,
        queue: JobQueue,
        bus: EventBus,
        *,
        clock: Clock,
        ids: IdSource,
    ) -> None:
        self._database = database
        self._queue = queue
        self._bus = bus
        self._clock = clock
        self._ids = ids

    def leave(self, order: CancelOrder) -> Statement:
        """Return the statement that leaves the order."""
        values = (
            self._ids(),
            order.workspace_id,
            order.run_id,
            order.reason,
            order.created_by,
            self._clock.now_us(),
        )
        return Statement(_INSERT, values)

    async def tell(self, order: CancelOrder) -> None:
        """Hint the worker; a run that waits for its time ends now instead."""
        values = (order.run_id, self._clock.now_us())
        try:
            await self._database.write([Statement(_DUE_NOW, values)])
        except Unavailable as error:
            # The order itself is kept, and is read when the run's time has come.
            log.warning("run.order_not_told", run_id=order.run_id, reason=error.message)
        self._queue.enqueue(EXECUTE_JOB, order.run_id)
        self.publish(order)

    def publish(self, order: CancelOrder) -> None:
        """Reach whoever holds the run at once."""
        self._bus.publish(ORDERS_CHANNEL, f"{order.run_id}\n{order.reason or ''}".encode())
