"""What tests of backfills share: a call of it, and the moments of the world's past."""

from typing import Any

from domain.tasks.backfill import Backfilled
from tests.domain.task_world import FIRST_US, MINUTE_US, TaskWorld

TABLES = ("task", "occurrence", "run", "event", "audit", "idempotency")


def minutes(first: int, last: int) -> list[int]:
    """Full minutes, counted from the first one that lies ahead when the world begins."""
    return [FIRST_US + minute * MINUTE_US for minute in range(first, last + 1)]


async def backfill(world: TaskWorld, task_id: str, **given: Any) -> Backfilled:
    """Run a task for the three minutes before the world began, or as asked for."""
    values = {"span": {"since": FIRST_US - 3 * MINUTE_US}, "dryRun": False, **given}
    return await world.service.backfill(world.runs.principal, {"taskId": task_id, **values})


async def kept(world: TaskWorld) -> list[list[Any]]:
    """Everything that a backfill could change, to see that it has not."""
    return [await world.runs.database.fetch(f"SELECT * FROM {table}") for table in TABLES]
