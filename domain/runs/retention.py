"""How long events are kept: what is older goes, in short writes, but never of a run at work."""

from domain.kernel.database import Database, Statement
from domain.kernel.ports import Clock

BATCH = 2_000
DAY_US = 86_400_000_000

AT_WORK = """
SELECT min(event.cursor) FROM event JOIN run ON run.id = event.run_id
WHERE run.workspace_id = $1 AND run.finished_at IS NULL
"""

# Looks at so many events and no further: however much is old, each statement is short.
BOUNDARY = """
SELECT max(cursor) FROM (
    SELECT cursor, occurred_at FROM event WHERE workspace_id = $1 AND cursor < $2
    ORDER BY cursor LIMIT $3
) AS oldest WHERE occurred_at < $4
"""

DELETE = "DELETE FROM event WHERE workspace_id = $1 AND cursor <= $2"
MARK = "UPDATE event_head SET pruned = $2 WHERE workspace_id = $1 AND pruned < $2"


class EventRetention:
    """Prunes the events of every workspace; any number of processes may."""

    def __init__(self, database: Database, clock: Clock, *, keep_days: int) -> None:
        self._database = database
        self._clock = clock
        self._keep_us = keep_days * DAY_US

    async def prune(self) -> int:
        """Delete what is too old; return how many workspaces lost something."""
        cutoff = self._clock.now_us() - self._keep_us
        touched = 0
        for (workspace_id,) in await self._database.fetch("SELECT workspace_id FROM event_head"):
            touched += await self._prune(workspace_id, cutoff)
        return touched

    async def _prune(self, workspace_id: str, cutoff: int) -> bool:
        """Delete from the oldest on; runs that begin meanwhile have their events behind it."""
        rows = await self._database.fetch(AT_WORK, workspace_id)
        kept = rows[0][0] if rows[0][0] is not None else 2**62
        touched = False
        while True:
            rows = await self._database.fetch(BOUNDARY, workspace_id, kept, BATCH, cutoff)
            boundary = rows[0][0]
            if boundary is None:
                return touched
            await self._database.write(
                [
                    Statement(DELETE, (workspace_id, boundary)),
                    Statement(MARK, (workspace_id, boundary)),
                ]
            )
            touched = True
