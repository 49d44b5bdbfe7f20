"""Writes on SQLite: alone, and together under a shared commit (decision 2)."""

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from app.database import DatabaseOptions, open_database
from domain.kernel.database import Database, Statement
from tests.bench.figures import Figure, Section

WRITERS = 16
WRITES = 480
TABLE = "CREATE TABLE bench (id INTEGER PRIMARY KEY, name TEXT NOT NULL, payload TEXT NOT NULL)"
INSERT = "INSERT INTO bench (name, payload) VALUES ($1, $2) RETURNING id"
COUNT = "UPDATE bench SET payload = $1 WHERE id = 1 RETURNING id"
ROW = ("run.progress", "x" * 200)


async def measure_writes(*, rounds: int) -> Sequence[Section]:
    """A write of two statements by one writer, by sixteen, and by the driver itself."""
    alone: list[tuple[float, float]] = []
    together: list[tuple[float, float]] = []
    plain: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory(prefix="gob-bench-") as folder:
        address = f"sqlite:///{Path(folder) / 'ours.db'}"
        options = DatabaseOptions(url=address, migrates_at_start=True)
        async with open_database(options) as database:
            await database.write([Statement(TABLE)])
            for number in range(rounds):
                plain.append(_driver(Path(folder) / f"plain{number}.db"))
                alone.append(await _written(database, writers=1))
                together.append(await _written(database, writers=WRITERS))
    return [_section(plain, alone, together)]


def _section(
    plain: Sequence[tuple[float, float]],
    alone: Sequence[tuple[float, float]],
    together: Sequence[tuple[float, float]],
) -> Section:
    return Section(
        title="Writes on SQLite",
        words=(
            "A write of two statements with `synchronous=FULL`: one writer, and"
            f" {WRITERS} that wait at the same time and share a commit. The baseline is Python's"
            " own `sqlite3` in one thread, a commit to each write, without a server around it."
        ),
        figures=[
            _figure("time per write, 1 writer", plain, alone, 0),
            _figure(f"time per write, {WRITERS} writers", plain, together, 0),
            _figure("CPU per write, 1 writer", plain, alone, 1),
            _figure(f"CPU per write, {WRITERS} writers", plain, together, 1),
        ],
    )


def _figure(
    name: str,
    plain: Sequence[tuple[float, float]],
    ours: Sequence[tuple[float, float]],
    place: int,
) -> Figure:
    return Figure(
        name=name,
        unit="us",
        ours=[pair[place] for pair in ours],
        bare=[pair[place] for pair in plain],
        digits=0,
    )


def _statements() -> list[Statement]:
    return [Statement(INSERT, ROW, must_match=True), Statement(COUNT, (ROW[1],), must_match=True)]


async def _written(database: Database, *, writers: int) -> tuple[float, float]:
    """Microseconds and CPU microseconds of a write."""

    async def one() -> None:
        for _ in range(WRITES // writers):
            await database.write(_statements())

    began, cpu_s = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(writers):
            group.create_task(one())
    return _per_write(began, cpu_s)


def _driver(path: Path) -> tuple[float, float]:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(TABLE)
        began, cpu_s = time.perf_counter(), time.process_time()
        for _ in range(WRITES):
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(INSERT, ROW).fetchall()
            connection.execute(COUNT, (ROW[1],)).fetchall()
            connection.execute("COMMIT")
        return _per_write(began, cpu_s)
    finally:
        connection.close()


def _per_write(began: float, cpu_s: float) -> tuple[float, float]:
    took_s, used_s = time.perf_counter() - began, time.process_time() - cpu_s
    return took_s * 1e6 / WRITES, used_s * 1e6 / WRITES
