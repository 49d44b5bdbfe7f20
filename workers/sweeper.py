"""Keeps the promise that what was accepted is done: hints again what was forgotten."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

from domain.kernel.errors import GobError
from domain.kernel.ports import Clock, JobQueue

BATCH = 500

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
        """Hint what is due and forgotten, at most BATCH rows; return how many."""
        try:
            found = await self._forgotten(BATCH)
        except GobError as error:
            log.warning("sweep.failed", reason=error.message)
            return 0
        for ident in found:
            self._queue.enqueue(self._job, ident)
        if found:
            log.info("sweep.hinted", job=self._job, count=len(found))
        return len(found)


class Housekeeper:
    """Runs small clean-ups now and then; one that fails is said and tried again next time."""

    def __init__(
        self,
        chores: Mapping[str, Callable[[], Awaitable[int]]],
        *,
        clock: Clock,
        interval_s: float,
    ) -> None:
        self._chores = chores
        self._clock = clock
        self._interval_s = interval_s

    async def run(self) -> None:
        """Clean up, wait, for ever; not at once, since a start has better things to do."""
        while True:
            await self._clock.sleep(self._interval_s)
            await self.clean()

    async def clean(self) -> None:
        """Do every chore once."""
        for name, chore in self._chores.items():
            try:
                count = await chore()
            except GobError as error:
                log.warning("chore.failed", chore=name, reason=error.message)
                continue
            if count:
                log.info("chore.done", chore=name, count=count)
