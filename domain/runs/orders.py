"""Orders that others leave for runs, wherever they are at work."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import structlog

from domain.kernel.database import Database, Statement
from domain.kernel.errors import Unavailable
from domain.kernel.ids import IdSource
from domain.kernel.ports import Clock, EventBus, JobQueue
from domain.runs.parking import LOCK, wake_statements
from domain.runs.state import WaitsFor

EXECUTE_JOB = "runs.execute"
ORDERS_CHANNEL = "run-orders"

log = structlog.get_logger("domain.runs.orders")


class OrderKind(StrEnum):
    """What a run is asked to do."""

    CANCEL = "cancel"
    PAUSE = "pause"
    STEER = "steer"
    RESUME = "resume"
    """Only said, never left: it takes a pause back."""


BELOW = """
WITH RECURSIVE below (id) AS (
    SELECT id FROM run WHERE {top}
    UNION ALL
    SELECT run.id FROM run JOIN below ON run.parent_run_id = below.id
)
"""
_NAMED = "id = $1 AND workspace_id = $2 AND finished_at IS NULL"
_CHILDREN = "parent_run_id = $1 AND workspace_id = $2"
_HOLDING = "conversation_id = $1 AND workspace_id = $2 AND holds_conversation"
_OPEN = """
SELECT 1 FROM run_order AS other
WHERE other.run_id = run.id AND other.taken_at IS NULL AND other.kind IN ({kinds})
"""
_CANCEL = f"""
INSERT INTO run_order (id, workspace_id, run_id, kind, reason, created_by, created_at)
SELECT $3 || '.' || run.id, $2, run.id, 'cancel', $4, $5, $6
FROM run JOIN below ON below.id = run.id
WHERE run.finished_at IS NULL AND NOT EXISTS ({_OPEN.format(kinds="'cancel'")})
RETURNING run_id
"""
# Below first: whoever ends a run locks its row, then its parent's.
_LOCK_BELOW = """
SELECT run.id FROM run JOIN below ON below.id = run.id
WHERE run.finished_at IS NULL ORDER BY run.depth DESC, run.id FOR NO KEY UPDATE OF run
"""
_PAUSE = f"""
INSERT INTO run_order (id, workspace_id, run_id, kind, reason, created_by, created_at)
SELECT $3, $2, run.id, 'pause', $4, $5, $6 FROM run
WHERE {_NAMED} AND COALESCE(waits_for, '') <> 'pause'
    AND NOT EXISTS ({_OPEN.format(kinds="'cancel', 'pause'")})
RETURNING run_id
"""
_STEER = f"""
INSERT INTO run_order (id, workspace_id, run_id, kind, detail, created_by, created_at)
SELECT $3, $2, run.id, 'steer', $4, $5, $6 FROM run
WHERE {_NAMED} AND NOT EXISTS ({_OPEN.format(kinds="'cancel'")})
RETURNING run_id
"""
_WAS_HELD = f"""
SELECT id FROM run WHERE id = $1 AND finished_at IS NULL
    AND ((waits_for = 'pause' AND due_at IS NULL) OR EXISTS ({_OPEN.format(kinds="'pause'")}))
"""
_TAKE_BACK = """
UPDATE run_order SET taken_at = $2 WHERE run_id = $1 AND kind = 'pause' AND taken_at IS NULL
"""
# The row is due until its worker has read the order: hints may be lost.
_DUE_NOW = """
UPDATE run SET due_at = $1, hints = 0
WHERE lease_owner IS NULL AND finished_at IS NULL AND (due_at IS NULL OR due_at > $1)
    AND id IN (SELECT run_id FROM run_order WHERE {orders} AND taken_at IS NULL)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelOrder:
    """A run to stop with all runs below it, and why."""

    workspace_id: str
    run_id: str
    reason: str | None
    created_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An order for one run; `words` are the reason of a pause or the instruction of a steer."""

    workspace_id: str
    run_id: str
    words: str | None
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
        self._locks = database.dialect == "postgres"
        self._queue = queue
        self._bus = bus
        self._clock = clock
        self._ids = ids

    def cancel(self, order: CancelOrder) -> list[Statement]:
        """Order a run and all runs below it to stop; refuses the write if nothing is new."""
        named = (order.run_id, order.workspace_id)
        below = BELOW.format(top=_NAMED)
        lock = [Statement(below + _LOCK_BELOW, named)] if self._locks else []
        return [*lock, *self._cancelled(below, named, order, must_match=True)]

    def leave(self, order: CancelOrder) -> list[Statement]:
        """Order the same in the write of a feature that has locked rows of its own before."""
        named = (order.run_id, order.workspace_id)
        return self._cancelled(BELOW.format(top=_NAMED), named, order, must_match=False)

    def interrupt(self, order: CancelOrder, conversation_id: str) -> list[Statement]:
        """Order whoever holds a conversation to stop with all runs below it.

        Locks no run, since the conversation is locked: whoever ends a run locks it first.
        """
        named = (conversation_id, order.workspace_id)
        return self._cancelled(BELOW.format(top=_HOLDING), named, order, must_match=False)

    def _cancelled(
        self, below: str, named: tuple[str, str], order: CancelOrder, *, must_match: bool
    ) -> list[Statement]:
        values = (*named, self._ids(), order.reason, order.created_by, self._clock.now_us())
        return _cancel_statements(below, values, must_match=must_match)

    def pause(self, order: Told) -> list[Statement]:
        """Order a run to hold after its step; refused for one that is held, stopping or ended."""
        now_us = self._clock.now_us()
        due = Statement(_DUE_NOW.format(orders="run_id = $2"), (now_us, order.run_id))
        return [*self._left(_PAUSE, order, now_us), due]

    def steer(self, order: Told, ident: str) -> list[Statement]:
        """Add an instruction; refused for a run that is stopping or ended."""
        return self._left(_STEER, order, self._clock.now_us(), ident=ident)

    def _left(
        self, sql: str, order: Told, now_us: int, *, ident: str | None = None
    ) -> list[Statement]:
        lock = [Statement(LOCK, (order.run_id,))] if self._locks else []
        named = (order.run_id, order.workspace_id, ident or self._ids())
        values = (*named, order.words, order.created_by, now_us)
        return [*lock, Statement(sql, values, must_match=True)]

    def resume(self, run_id: str) -> list[Statement]:
        """Wake a held run, or take the order back; refuses the write when there is neither."""
        now_us = self._clock.now_us()
        wake = wake_statements(self._database, run_id, now_us=now_us, waits_for=WaitsFor.PAUSE)
        named = Statement(_WAS_HELD, (run_id,), must_match=True)
        return [*wake[:-1], named, Statement(_TAKE_BACK, (run_id, now_us)), wake[-1]]

    async def tell(self, order: CancelOrder) -> None:
        """Reach the workers of a run that is to stop, and of all runs below it."""
        run_ids: Sequence[str] = [order.run_id]
        try:
            run_ids = await self._stopping(order)
        except Unavailable as error:
            # The orders themselves are kept, and are found by the next look at them.
            log.warning("run.order_not_told", run_id=order.run_id, reason=error.message)
        for run_id in run_ids:
            self.hint(run_id, OrderKind.CANCEL, order.reason)

    async def _stopping(self, order: CancelOrder) -> list[str]:
        sql = BELOW.format(top="id = $1 AND workspace_id = $2") + (
            "SELECT run.id FROM run JOIN below ON below.id = run.id WHERE run.finished_at IS NULL"
        )
        rows = await self._database.fetch(sql, order.run_id, order.workspace_id)
        return [row[0] for row in rows]

    def hint(self, run_id: str, kind: OrderKind, words: str | None = None) -> None:
        """Tell whoever holds the run at once, and a worker in case that nobody does."""
        self._queue.enqueue(EXECUTE_JOB, run_id)
        self.publish(run_id, kind, words)

    def publish(self, run_id: str, kind: OrderKind, words: str | None = None) -> None:
        """Reach whoever holds the run at once."""
        self._bus.publish(ORDERS_CHANNEL, f"{kind}\n{run_id}\n{words or ''}".encode())


def stop_children(order: CancelOrder, batch: str, now_us: int) -> list[Statement]:
    """Order all runs below one to stop, in the write that ends it; `batch` is a new id."""
    values = (order.run_id, order.workspace_id, batch, order.reason, order.created_by, now_us)
    return _cancel_statements(BELOW.format(top=_CHILDREN), values, must_match=False)


def _cancel_statements(
    below: str, values: tuple[str, str, str, str | None, str, int], *, must_match: bool
) -> list[Statement]:
    """Orders for the runs below, and whoever of them waits is due to be ended."""
    batch, now_us = values[2], values[-1]
    return [
        Statement(below + _CANCEL, values, must_match=must_match),
        Statement(_DUE_NOW.format(orders="id LIKE $2"), (now_us, f"{batch}.%")),
    ]
