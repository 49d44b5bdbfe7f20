"""Starts and stops the worker of a process: inside the API process when embedded, alone else."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from dramatiq import Broker
from dramatiq.worker import Worker

from workers.sweeper import Sweeper

POLL_MS = 100
STOP_MS = 5_000


@asynccontextmanager
async def running_worker(
    broker: Broker, sweeper: Sweeper, *, threads: int
) -> AsyncGenerator[None, None]:
    """Work while the block runs. Actors only start work and return, so few threads suffice."""
    worker = Worker(broker, worker_threads=threads, worker_timeout=POLL_MS)
    sweeping = asyncio.create_task(sweeper.run(), name="sweeper")
    await asyncio.to_thread(worker.start)
    try:
        yield
    finally:
        sweeping.cancel()
        with suppress(asyncio.CancelledError):
            await sweeping
        await asyncio.to_thread(worker.stop, STOP_MS)
