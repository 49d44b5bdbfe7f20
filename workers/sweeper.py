"""Keeps the promise that what was accepted is done: hints again what was forgotten."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

import structlog

from domain.kernel.errors import GobError
from domain.kernel.ports import Clock, JobQueue

BATCH = 500

Reads: TypeAlias = Callable[[int], Awaitable[Sequence[str]]]
"""Reads the ids of at most so many rows."""

log = structlog.get_logger("workers.sweeper")


class Sweeper:
    """Any number may sweep at once; a doubled hint changes nothing (I4)."""

    def __init__(
        self,
        *,
        due: Reads,
        forgotten: Reads,
        job: str,
        queue: JobQueue,
        clock: Clock,
        interval_s: float,
    ) -> None:
        self._due = due
        self._forgotten = forgotten
        self._job = job
        self._queue = queue
        self._clock = clock
        self._interval_s = interval_s

    async def run(self) -> None:
        """Hint all that is due, since who was told of it may be gone; then sweep for ever."""
        await self._hint(self._due)
        while True:
            await self.sweep()
            await self._clock.sleep(self._interval_s)

    async def sweep(self) -> int:
        """Hint what is due and forgotten, at most BATCH rows; return how many."""
        return await self._hint(self._forgotten)

    async def _hint(self, reads: Reads) -> int:
        try:
            found = await reads(BATCH)
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
