"""The scheduler's loop: waits as long as it was told, wakes on a hint, outlives an outage."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import pytest
from structlog.testing import capture_logs

from app.adapters.events_local import LocalEventBus
from domain.kernel.errors import Unavailable
from tests.fakes import SteppedClock
from workers.scheduler import Scheduler


class Due:
    """Says when to come again, and tells the test that it was asked."""

    def __init__(self, wait_s: float) -> None:
        self.wait_s = wait_s
        self.failure: Exception | None = None
        self.asked: asyncio.Queue[None] = asyncio.Queue()

    async def __call__(self) -> float:
        self.asked.put_nowait(None)
        if self.failure is not None:
            raise self.failure
        return self.wait_s

    async def next(self) -> None:
        """Wait until it was asked once more, and for what follows."""
        async with asyncio.timeout(20):
            await self.asked.get()
        for _ in range(3):
            await asyncio.sleep(0)


@asynccontextmanager
async def running(due: Due, bus: LocalEventBus, clock: SteppedClock) -> AsyncGenerator[None, None]:
    """A scheduler at work."""
    loop = Scheduler(fire_due=due, bus=bus, channel="tasks", clock=clock)
    task = asyncio.create_task(loop.run())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_it_looks_at_once_and_again_when_the_time_has_come() -> None:
    due, clock = Due(0.5), SteppedClock()
    async with running(due, LocalEventBus(), clock):
        await due.next()
        clock.move(0.4)
        await asyncio.sleep(0)
        assert due.asked.empty()

        clock.move(0.1)

        await due.next()


async def test_a_hint_wakes_it_before_the_time_has_come() -> None:
    due, bus = Due(1.0), LocalEventBus()
    async with running(due, bus, SteppedClock()):
        await due.next()

        bus.publish("tasks", b"")

        await due.next()


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (
            Unavailable("The database cannot be reached."),
            {"reason": "The database cannot be reached.", "log_level": "warning"},
        ),
        (OSError("Too many open files"), {"exc_info": True, "log_level": "error"}),
    ],
    ids=["away", "unexpected"],
)
async def test_it_goes_on_after_a_tick_that_failed(
    failure: Exception, told: dict[str, object]
) -> None:
    due, clock = Due(0.5), SteppedClock()
    due.failure = failure
    with capture_logs() as logs:
        async with running(due, LocalEventBus(), clock):
            await due.next()
            due.failure = None

            clock.move(1)

            await due.next()

    assert logs == [{"event": "tasks.not_fired", **told}]
