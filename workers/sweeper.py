"""Keeps the promise that what was accepted is done: hints again what was forgotten."""

from collections.abc import Awaitable, Callable, Sequence

import structlog

from domain.kernel.errors import GobError
from domain.kernel.ports import Clock, JobQueue

BATCH = 200

log = structlog.get_logger("workers.sweeper")


class Sweeper:
    """Any number may sweep at once; a doubled hint changes nothing (I4)."""

    def __init__(
        self,
        *,
        forgotten: Callable[[int], Awaitable[Sequence[str]]],
        job: str,
        queue: JobQueue,
        clock: Clock,
        interval_s: float,
    ) -> None:
        self._forgotten = forgotten
        self._job = job
        self._queue = queue
        self._clock = clock
        self._interval_s = interval_s

    async def run(self) -> None:
        """Sweep at once, so that a restart takes up what was left, then for ever."""
        while True:
            await self.sweep()
            await self._clock.sleep(self._interval_s)

    async def sweep(self) -> int:
        """Hint what is due and forgotten; return how many."""
        total = 0
        try:
            while found := await self._forgotten(BATCH):
                for ident in found:
                    self._queue.enqueue(self._job, ident)
                total += len(found)
                if len(found) < BATCH:
                    break
        except GobError as error:
            log.warning("sweep.failed", reason=error.message)
        if total:
            log.info("sweep.hinted", job=self._job, count=total)
        return total
