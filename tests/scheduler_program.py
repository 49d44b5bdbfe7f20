"""A process of the product that fires tasks and does nothing else: no door, no runs.

    python -m tests.scheduler_program worker        # settings as for `python -m app worker`

Runs are started and hinted, and stay queued: what is measured or killed is the scheduler alone.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

from dramatiq import Broker

from app import container
from app.server import work
from app.settings import load_settings
from workers.runtime import Loop


@asynccontextmanager
async def only_the_scheduler(
    broker: Broker, loops: Mapping[str, Loop], *, threads: int
) -> AsyncGenerator[None, None]:
    """Stand for a worker that takes no jobs; a loop that ends ends the process."""
    async with asyncio.TaskGroup() as group:
        firing = group.create_task(loops["scheduler"](), name="scheduler")
        yield
        firing.cancel()


def main() -> None:
    """Fire until told to stop."""
    container.running_worker = only_the_scheduler
    work(load_settings())


if __name__ == "__main__":
    main()
