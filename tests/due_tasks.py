"""Many tasks due at one moment, put into a database past the product."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias, cast

import asyncpg

from domain.kernel.ids import IdSource
from domain.tasks.schedule import Cron, next_due
from domain.tasks.schedule_spec import ScheduleSpec
from domain.tasks.spec import TaskSettings
from domain.tasks.writes import columns_of

EXPRESSIONS = 90
ZONES = ("UTC", "Europe/Berlin")
AFTERWARDS_US = 600_000_000
"""No task is due again before so long: what is looked at then is this one moment."""

Rows: TypeAlias = list[tuple[Any, ...]]
Fetch: TypeAlias = Callable[[str], Coroutine[Any, Any, Rows]]


def schedules(due_us: int) -> Sequence[Cron]:
    """Ninety expressions, each in two zones."""
    return list(islice(_schedules(due_us), EXPRESSIONS * len(ZONES)))


def _schedules(due_us: int) -> Iterator[Cron]:
    for number in range(24 * 60):
        hour, minute, step = number % 24, number * 7 % 60, 1 + number % 13
        expression = f"{minute}-59/{step} {hour},{(hour + 1) % 24} * * *"
        found = [Cron(expression=expression, timezone=zone) for zone in ZONES]
        if all((next_due(cron, after_us=due_us) or 0) > due_us + AFTERWARDS_US for cron in found):
            yield from found


async def add_tasks(
    url: str,
    count: int,
    *,
    due_us: int,
    new_id: IdSource,
    instruction: Callable[[int], str] = "report {}".format,
) -> None:
    """Insert so many tasks of the default agent, due then, in one transaction."""
    async with reading(url) as fetch:
        sql = "SELECT workspace_id, id FROM agent WHERE slug = 'default'"
        workspace_id, agent_id = (await fetch(sql))[0]
    common = {
        "workspace_id": workspace_id,
        "status": "ACTIVE",
        "next_run_at": due_us,
        "wake_at": due_us,
        "version": 1,
        "created_by": "test",
        "created_at": due_us,
        "updated_at": due_us,
    }
    kinds = [_columns(cron, agent_id) | common for cron in schedules(due_us)]
    rows = [
        {
            **kinds[number % len(kinds)],
            "id": new_id(),
            "name": f"task {number}",
            "instruction": instruction(number),
        }
        for number in range(count)
    ]
    names = list(rows[0])
    await _insert(url, names, [tuple(row[name] for name in names) for row in rows])


def _columns(cron: Cron, agent_id: str) -> dict[str, Any]:
    given = {
        "name": "task",
        "agent": {"id": agent_id},
        "instruction": "report",
        "schedule": ScheduleSpec.of(cron),
    }
    return columns_of(TaskSettings.model_validate(given), agent_id)


async def _insert(url: str, names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    if url.startswith("sqlite:///"):
        marks = ", ".join("?" * len(names))
        with closing(sqlite3.connect(sqlite_path(url), timeout=30)) as connection, connection:
            connection.executemany(
                f"INSERT INTO task ({', '.join(names)}) VALUES ({marks})",
                rows,
            )
        return
    # asyncpg ships without types.
    connection = await cast("Any", asyncpg).connect(url, timeout=30)
    try:
        await connection.copy_records_to_table("task", records=rows, columns=names, timeout=30)
        await connection.execute("ANALYZE task", timeout=30)
    finally:
        await connection.close(timeout=10)


@asynccontextmanager
async def reading(url: str) -> AsyncGenerator[Fetch, None]:
    """One connection on which statements are run, each committed at once."""
    if url.startswith("sqlite:///"):
        with closing(
            sqlite3.connect(
                sqlite_path(url), timeout=30, isolation_level=None, check_same_thread=False
            )
        ) as connection:

            async def fetch_sqlite(sql: str) -> Rows:
                return await asyncio.to_thread(lambda: connection.execute(sql).fetchall())

            yield fetch_sqlite
        return
    connection = await cast("Any", asyncpg).connect(url, timeout=30)
    try:

        async def fetch_postgres(sql: str) -> Rows:
            return [tuple(row) for row in await connection.fetch(sql, timeout=30)]

        yield fetch_postgres
    finally:
        await connection.close(timeout=10)


def sqlite_path(url: str) -> Path:
    """The file of `sqlite:////absolute`."""
    return Path(url.removeprefix("sqlite:///"))


async def pause(seconds: float) -> None:
    """Give way between two looks at a database that tells nobody of its changes."""
    loop = asyncio.get_running_loop()
    over = loop.create_future()
    handle = loop.call_later(seconds, over.set_result, None)
    try:
        await over
    finally:
        handle.cancel()
