"""Fires tasks when they are due: waits for the nearest moment, or for a hint that one is nearer."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from domain.kernel.errors import GobError
from domain.kernel.ports import Clock, EventBus

AGAIN_S = 1.0

log = structlog.get_logger("workers.scheduler")


class Scheduler:
    """Any number may run at once, in any process: due tasks are claimed (DESIGN, I8)."""

    def __init__(
        self,
        *,
        fire_due: Callable[[], Awaitable[float]],
        bus: EventBus,
        channel: str,
        clock: Clock,
    ) -> None:
        self._fire_due = fire_due
        self._bus = bus
        self._channel = channel
        self._clock = clock
        self._hinted = asyncio.Event()

    async def run(self) -> None:
        """Fire at once, so that a restart finds what was due meanwhile, then for ever."""
        listener = self._bus.listen(self._channel, lambda _: self._hinted.set())
        try:
            while True:
                self._hinted.clear()
                await self._wait(await self.tick())
        finally:
            listener.close()

    async def tick(self) -> float:
        """Fire what is due; return the seconds until something may be."""
        try:
            return await self._fire_due()
        except GobError as error:
            log.warning("tasks.not_fired", reason=error.message)
        except Exception:  # the edge of a background loop: the next tick tries again
            log.exception("tasks.not_fired")
        return AGAIN_S

    async def _wait(self, seconds: float) -> None:
        if seconds <= 0:
            return
        waits = [
            asyncio.create_task(self._clock.sleep(seconds), name="scheduler-sleep"),
            asyncio.create_task(self._hear(), name="scheduler-hint"),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiting in waits:
                waiting.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _hear(self) -> None:
        await self._hinted.wait()
