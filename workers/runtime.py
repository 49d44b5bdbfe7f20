"""Starts and stops the worker of a process: inside the API process when embedded, alone else."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any

import structlog
from dramatiq import Broker
from dramatiq.worker import Worker

Loop = Callable[[], Coroutine[Any, Any, None]]

POLL_MS = 100
STOP_MS = 5_000
AGAIN_S = 1.0

log = structlog.get_logger("workers.runtime")


@asynccontextmanager
async def running_worker(
    broker: Broker, loops: Mapping[str, Loop], *, threads: int
) -> AsyncGenerator[None, None]:
    """Work while the block runs, beside the loops such as the sweeper.

    Actors only start work and return, so few threads suffice.
    """
    worker = Worker(broker, worker_threads=threads, worker_timeout=POLL_MS)
    await asyncio.to_thread(worker.start)
    tasks = [
        asyncio.create_task(_keep_going(name, loop), name=name) for name, loop in loops.items()
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(worker.stop, STOP_MS)


async def _keep_going(name: str, loop: Loop) -> None:
    """Begin a loop again that a fault of ours ended: a promise must not end with it."""
    while True:
        try:
            await loop()
        except Exception:  # the edge of a background loop
            log.exception("loop.crashed", loop=name)
        await asyncio.sleep(AGAIN_S)
