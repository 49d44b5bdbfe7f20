"""Starts and stops the worker of a process: inside the API process when embedded, alone else."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from dramatiq import Broker
from dramatiq.worker import Worker

Loop = Callable[[], Coroutine[Any, Any, None]]

POLL_MS = 100
STOP_MS = 5_000


@asynccontextmanager
async def running_worker(
    broker: Broker, loops: Mapping[str, Loop], *, threads: int
) -> AsyncGenerator[None, None]:
    """Work while the block runs, beside the loops such as the sweeper.

    Actors only start work and return, so few threads suffice.
    """
    worker = Worker(broker, worker_threads=threads, worker_timeout=POLL_MS)
    tasks = [asyncio.create_task(loop(), name=name) for name, loop in loops.items()]
    await asyncio.to_thread(worker.start)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
        await asyncio.to_thread(worker.stop, STOP_MS)
