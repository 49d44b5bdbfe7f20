"""What tests of backfills share: a call of it, and the moments of the world's past."""

from typing import Any

from domain.tasks.backfill import Backfilled
from tests.domain.task_world import FIRST_US, MINUTE_US, TaskWorld


def minutes(first: int, last: int) -> list[int]:
    """Full minutes, counted from the first one that lies ahead when the world begins."""
    return [FIRST_US + minute * MINUTE_US for minute in range(first, last + 1)]


async def backfill(world: TaskWorld, task_id: str, **given: Any) -> Backfilled:
    """Run a task for the three minutes before the world began, or as asked for."""
    values = {"span": {"since": FIRST_US - 3 * MINUTE_US}, "dryRun": False, **given}
    return await world.service.backfill(world.runs.principal, {"taskId": task_id, **values})


async def rows_of(world: TaskWorld, table: str) -> list[Any]:
    """Every row of a table, to see that nothing has changed."""
    return await world.runs.database.fetch(f"SELECT * FROM {table}")
