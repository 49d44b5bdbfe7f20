"""The barest claim there can be: an occurrence row and the next time, with the plain driver.

    python -m tests.bench.claiming sqlite:////tmp/bare.db

Batches of 500, a transaction to each. Nothing is checked, started or told.
"""

import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from functools import lru_cache
from typing import Any, cast

import asyncpg
import uvloop

from domain.kernel.database import numbered
from domain.tasks.schedule import Cron, next_due
from tests.bench.processes import Measured
from tests.due_tasks import pause, schedules, sqlite_path

BATCH = 500
BARE_IDLE_S = 0.2
"""Longest sleep before the next look."""
READY = "The claims begin."
TABLES = (
    "CREATE TABLE task (id BIGINT PRIMARY KEY, expression TEXT, timezone TEXT, next_at BIGINT)",
    "CREATE INDEX task_due ON task (next_at)",
    "CREATE TABLE occurrence (task_id BIGINT, due BIGINT, PRIMARY KEY (task_id, due))",
)
DUE = "SELECT id, expression, timezone, next_at FROM task WHERE next_at <= $1 LIMIT $2"
INSERT = "INSERT INTO occurrence VALUES ($1, $2)"
MOVE = "UPDATE task SET next_at = $2 WHERE id = $1"
POSTGRES_CLAIM = """
WITH moved AS (
    UPDATE task SET next_at = e.following
    FROM unnest($1::bigint[], $2::bigint[]) AS e (id, following) WHERE task.id = e.id
)
INSERT INTO occurrence SELECT id, due
FROM unnest($1::bigint[], $3::bigint[]) AS e (id, due)
"""
NEAREST = "SELECT min(next_at) FROM task"

Tick = Callable[[], Awaitable[int]]
Nearest = Callable[[], Awaitable[int | None]]


class BareClaims(Measured):
    """A process that claims what is due in a database of its own."""

    ready = READY

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def command(self) -> Sequence[str]:
        """This module."""
        return self.program({}, "-m", "tests.bench.claiming", self._url)


async def make_tables(url: str) -> None:
    """Make the two tables in an empty database."""
    if url.startswith("sqlite:///"):
        with closing(sqlite3.connect(sqlite_path(url), isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            for sql in TABLES:
                connection.execute(sql)
        return
    connection = await _connected(url)
    try:
        for sql in TABLES:
            await connection.execute(sql, timeout=30)
    finally:
        await connection.close(timeout=10)


async def fill_tables(url: str, count: int, *, due_us: int) -> None:
    """Put as many tasks of the same expressions in the place of those before."""
    crons = schedules(due_us)
    found = [crons[number % len(crons)] for number in range(count)]
    rows = [(n, cron.expression, cron.timezone, due_us) for n, cron in enumerate(found)]
    clear = ("DELETE FROM occurrence", "DELETE FROM task")
    if url.startswith("sqlite:///"):
        with closing(sqlite3.connect(sqlite_path(url), timeout=30)) as connection, connection:
            for sql in clear:
                connection.execute(sql)
            connection.executemany("INSERT INTO task VALUES (?, ?, ?, ?)", rows)
        return
    connection = await _connected(url)
    try:
        for sql in clear:
            await connection.execute(sql, timeout=30)
        await connection.copy_records_to_table("task", records=rows, timeout=30)
        await connection.execute("ANALYZE task", timeout=30)
    finally:
        await connection.close(timeout=10)


@lru_cache(maxsize=4096)
def _following(expression: str, timezone: str, after_us: int) -> int | None:
    return next_due(Cron(expression=expression, timezone=timezone), after_us=after_us)


async def _connected(url: str) -> Any:
    # asyncpg ships without types.
    return await cast("Any", asyncpg).connect(url, timeout=30)


async def _on_sqlite(url: str) -> None:
    with closing(sqlite3.connect(sqlite_path(url), timeout=30, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=FULL")

        async def tick() -> int:
            connection.execute("BEGIN IMMEDIATE")
            due = connection.execute(numbered(DUE), (_now_us(), BATCH)).fetchall()
            connection.executemany(numbered(INSERT), [(row[0], row[3]) for row in due])
            connection.executemany(numbered(MOVE), [(row[0], _following(*row[1:])) for row in due])
            connection.execute("COMMIT")
            return len(due)

        async def nearest() -> int | None:
            return connection.execute(NEAREST).fetchone()[0]

        await _for_ever(tick, nearest)


async def _on_postgres(url: str) -> None:
    connection = await _connected(url)

    async def tick() -> int:
        async with connection.transaction():
            due = await connection.fetch(f"{DUE} FOR UPDATE SKIP LOCKED", _now_us(), BATCH)
            ids, following = [row[0] for row in due], [_following(*row[1:]) for row in due]
            await connection.execute(POSTGRES_CLAIM, ids, following, [row[3] for row in due])
        return len(due)

    async def nearest() -> int | None:
        return await connection.fetchval(NEAREST)

    try:
        await _for_ever(tick, nearest)
    finally:
        await connection.close(timeout=10)


async def _for_ever(tick: Tick, nearest: Nearest) -> None:
    print(READY, flush=True)  # noqa: T201 the parent waits for it
    while True:
        moment = await nearest()
        rest_s = BARE_IDLE_S if moment is None else (moment - _now_us()) / 1e6
        if rest_s > 0:
            await pause(min(rest_s, BARE_IDLE_S))
        elif not await tick():
            await pause(0.01)


def _now_us() -> int:
    return time.time_ns() // 1000


def main(url: str) -> None:
    """Claim until killed."""
    uvloop.run(_on_sqlite(url) if url.startswith("sqlite:///") else _on_postgres(url))


if __name__ == "__main__":
    main(sys.argv[1])
