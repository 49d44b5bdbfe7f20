"""What a database holds, read past the product."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg

from tests.server_processes import PostgresServer

TABLES = ("agent", "agent_version", "conversation", "message", "run", "run_step", "event")


async def rows(url: str, sql: str) -> Sequence[tuple[Any, ...]]:
    """Run one statement on `sqlite:///...` or `postgresql://...` and return its rows."""
    if url.startswith("sqlite:///"):
        return await asyncio.to_thread(_sqlite_rows, Path(url.removeprefix("sqlite:///")), sql)
    connection = await asyncpg.connect(url, timeout=30)
    try:
        return [tuple(row) for row in await connection.fetch(sql, timeout=30)]
    finally:
        await connection.close(timeout=10)


@asynccontextmanager
async def new_database(server: PostgresServer) -> AsyncGenerator[str, None]:
    """Make a database that outlives a test; the address of it."""
    name, own = f"module_{uuid4().hex}", server.url("postgres")
    await rows(own, f"CREATE DATABASE {name}")
    yield server.url(name)
    await rows(own, f"DROP DATABASE {name} WITH (FORCE)")


async def counts(url: str) -> Mapping[str, int]:
    """How many rows each table has that a client can add to."""
    found = {}
    for table in TABLES:
        found[table] = (await rows(url, f"SELECT count(*) FROM {table}"))[0][0]
    return found


async def stories(url: str) -> Mapping[str, Sequence[tuple[int, str]]]:
    """The (seq, type) of every event, by run, in order."""
    found: dict[str, list[tuple[int, str]]] = {}
    sql = "SELECT run_id, seq, type FROM event WHERE run_id IS NOT NULL ORDER BY run_id, seq"
    for run_id, seq, kind in await rows(url, sql):
        found.setdefault(run_id, []).append((seq, kind))
    return found


def _sqlite_rows(path: Path, sql: str) -> Sequence[tuple[Any, ...]]:
    with closing(sqlite3.connect(path, timeout=30)) as connection, connection:
        return connection.execute(sql).fetchall()
