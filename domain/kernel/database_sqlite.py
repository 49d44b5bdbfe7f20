"""SQLite: one writing connection whose waiting writes share a commit, one read-only beside it."""

import asyncio
import hashlib
import math
import sqlite3
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

import aiosqlite
import orjson
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.backends.sqlite.client import SqliteClient, SqliteTransactionWrapper

from domain.kernel.background import start_detached
from domain.kernel.conditions import same
from domain.kernel.database import (
    Database,
    Dialect,
    Row,
    Statement,
    Transacting,
    Transaction,
    WriteRefusedError,
    numbered,
)
from domain.kernel.errors import Unavailable

OUTAGES = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
    }
)
"""Primary result codes of a database that another try may find in order."""

T = TypeVar("T")
Outcome = list[list[Row]] | Exception
REFUSALS = (WriteRefusedError, sqlite3.Error, ValueError, OverflowError)
"""What ends one write: a statement of ours, the database, or a value the driver cannot send."""


def _told(error: Exception) -> Exception:
    """An outage by its own name; errors of Python's own module carry no code."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if isinstance(error, sqlite3.OperationalError) and code in OUTAGES:
        return Unavailable(f"The database cannot be used now: {error}.")
    return error


class _Asked:
    """A read that waits for the next way to the reader's thread."""

    __slots__ = ("args", "done", "sql")

    def __init__(self, sql: str, args: Sequence[Any], done: asyncio.Future[list[Row]]) -> None:
        self.sql = sql
        self.args = args
        self.done = done


class _Pending:
    """A write that waits for the next shared commit."""

    __slots__ = ("done", "statements")

    def __init__(
        self, statements: Sequence[Statement], done: asyncio.Future[list[list[Row]]]
    ) -> None:
        self.statements = statements
        self.done = done


def _plain_cursor(connection: sqlite3.Connection) -> sqlite3.Cursor:
    """Make a cursor of plain tuples; Tortoise's connections make rows with names."""
    cursor = connection.cursor()
    cursor.row_factory = None
    return cursor


def _run(connection: sqlite3.Connection, statements: Sequence[Statement]) -> list[list[Row]]:
    results: list[list[Row]] = []
    cursor = _plain_cursor(connection)
    for statement in statements:
        rows = cursor.execute(numbered(statement.sql), statement.args).fetchall()
        if statement.must_match and not rows:
            raise WriteRefusedError(statement)
        results.append(rows)
    return results


def _read(connection: sqlite3.Connection, group: Sequence[_Asked]) -> list[list[Row] | Exception]:
    """Each read by itself: one that fails leaves the others alone."""
    found: list[list[Row] | Exception] = []
    cursor = _plain_cursor(connection)
    for asked in group:
        try:
            found.append(cursor.execute(numbered(asked.sql), asked.args).fetchall())
        except REFUSALS as error:
            found.append(error)
    return found


def _run_alone(connection: sqlite3.Connection, statements: Sequence[Statement]) -> list[list[Row]]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        results = _run(connection, statements)
        connection.execute("COMMIT")
    except BaseException:
        _roll_back(connection)
        raise
    return results


def _run_group(connection: sqlite3.Connection, group: Sequence[_Pending]) -> list[Outcome]:
    """Each write in a savepoint of its own, all under one commit and so one fsync."""
    outcomes: list[Outcome] = []
    connection.execute("BEGIN IMMEDIATE")
    try:
        for pending in group:
            connection.execute("SAVEPOINT one")
            try:
                outcomes.append(_run(connection, pending.statements))
            except REFUSALS as error:
                if not connection.in_transaction:
                    raise
                connection.execute("ROLLBACK TO one")
                outcomes.append(error)
            connection.execute("RELEASE one")
        connection.execute("COMMIT")
    except BaseException:
        _roll_back(connection)
        raise
    return outcomes


def _sha256_hex(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _json_same(one: object, other: str) -> bool:
    """Compare lists and objects; SQLite may ask before it has looked what kind of value it has."""
    if not isinstance(one, str) or not one.startswith(("[", "{")):
        return False
    try:
        return same(orjson.loads(one), orjson.loads(other))
    except orjson.JSONDecodeError:
        return False


def _roll_back(connection: sqlite3.Connection) -> None:
    """A full disk, for one, has ended the transaction already."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")


class _SqliteTransaction(Transaction):
    def __init__(self, database: "SqliteDatabase", client: SqliteTransactionWrapper) -> None:
        self._database = database
        self.client = client

    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        return await self._database.on_writer(
            lambda connection: _plain_cursor(connection).execute(numbered(sql), args).fetchall()
        )

    async def run(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """Run statements in order, in one hop to the writer's thread. Raises WriteRefusedError."""
        return await self._database.on_writer(lambda connection: _run(connection, statements))


class SqliteDatabase(Database):
    """Built on two Tortoise clients: `writer` and, with `PRAGMA query_only`, `reader`."""

    dialect: Dialect = "sqlite"

    def __init__(self, writer: SqliteClient, reader: SqliteClient) -> None:
        self._writer = writer
        self.reader: BaseDBAsyncClient = reader
        self._reader = reader
        self._turn = asyncio.Lock()
        self._pending: list[_Pending] = []
        self._flushing: asyncio.Task[None] | None = None
        self._asked: list[_Asked] = []
        self._reading: asyncio.Task[None] | None = None
        self._prepared: list[sqlite3.Connection] = []

    def transaction(self) -> Transacting:
        """Open a transaction that commits at its end and rolls back on any exception."""
        return self._transaction()

    @asynccontextmanager
    async def _transaction(self) -> AsyncGenerator[Transaction, None]:
        async with self._turn:
            client = SqliteTransactionWrapper(self._writer)
            try:
                await self.on_writer(lambda connection: connection.execute("BEGIN IMMEDIATE"))
                yield _SqliteTransaction(self, client)
                await asyncio.shield(self.on_writer(lambda c: c.execute("COMMIT")))
            except BaseException:
                await asyncio.shield(self.on_writer(_roll_back))
                raise

    async def write(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """Run statements as one transaction; writes that wait together share one commit."""
        done: asyncio.Future[list[list[Row]]] = asyncio.get_running_loop().create_future()
        self._pending.append(_Pending(statements, done))
        if self._flushing is None:
            self._flushing = start_detached(self._flush(), name="sqlite-writer")
        return await done

    async def _flush(self) -> None:
        try:
            async with self._turn:
                while self._pending:
                    group, self._pending = self._pending, []
                    await self._flush_group(group)
        finally:
            self._flushing = None
            for pending in self._pending:
                pending.done.cancel()

    async def _flush_group(self, group: list[_Pending]) -> None:
        try:
            if len(group) == 1:
                outcomes = [await self.on_writer(lambda c: _run_alone(c, group[0].statements))]
            else:
                outcomes = await self.on_writer(lambda c: _run_group(c, group))
        except (*REFUSALS, Unavailable) as error:
            outcomes = [error] * len(group)
        except BaseException:
            for pending in group:
                pending.done.cancel()
            raise
        for pending, outcome in zip(group, outcomes, strict=True):
            if pending.done.done():
                continue
            if isinstance(outcome, Exception):
                pending.done.set_exception(_told(outcome))
            else:
                pending.done.set_result(outcome)

    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        """Read outside transactions, from what is committed.

        Reads that wait at the same time share the way to the reader's thread and back, which
        costs more than most of them.
        """
        done: asyncio.Future[list[Row]] = asyncio.get_running_loop().create_future()
        self._asked.append(_Asked(sql, args, done))
        if self._reading is None:
            self._reading = start_detached(self._read_waiting(), name="sqlite-reader")
        return await done

    async def _read_waiting(self) -> None:
        try:
            while self._asked:
                group, self._asked = self._asked, []
                await self._read_group(group)
        finally:
            self._reading = None
            for asked in self._asked:
                asked.done.cancel()

    async def _read_group(self, group: list[_Asked]) -> None:
        try:
            found = await self._on(self._reader, lambda c: _read(self._ready(c), group))
        except (*REFUSALS, Unavailable) as error:
            found = [error] * len(group)
        except BaseException:
            for asked in group:
                asked.done.cancel()
            raise
        for asked, rows in zip(group, found, strict=True):
            if asked.done.done():
                continue
            if isinstance(rows, Exception):
                asked.done.set_exception(_told(rows))
            else:
                asked.done.set_result(rows)

    async def check_writes(self) -> None:
        """Write a page: only what goes to the disk shows that it is full or read-only."""
        # The header's number for applications, which stays what it is, is in no table.
        await self.write([Statement("PRAGMA user_version = 0")])

    def is_duplicate(self, error: Exception) -> bool:
        """Tell whether a write failed because a row of its key exists already."""
        return isinstance(error, sqlite3.IntegrityError)

    def now_sql(self, given: int) -> str:
        """SQL for the moment now: the caller's."""
        return f"${given}"

    async def on_writer(self, action: Callable[[sqlite3.Connection], T]) -> T:
        """Run `action` in the writer's thread, in one hop whatever it does."""
        return await self._on(self._writer, lambda connection: action(self._ready(connection)))

    def _ready(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        """Give a connection the functions that PostgreSQL has of its own."""
        if not any(connection is known for known in self._prepared):
            connection.create_function("sha256_hex", 1, _sha256_hex, deterministic=True)
            connection.create_function("json_same", 2, _json_same, deterministic=True)
            connection.create_function("ln", 1, math.log, deterministic=True)
            self._prepared = [connection, *self._prepared[:1]]
        return connection

    async def _on(self, client: SqliteClient, action: Callable[[sqlite3.Connection], T]) -> T:
        connection = client._connection  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - no public way to the driver
        if connection is None:
            await client.create_connection(with_db=True)
            connection = client._connection  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - as above
        driver = cast("aiosqlite.Connection", connection)
        try:
            return await self._in_thread(driver, action)
        except sqlite3.OperationalError as error:
            raise _told(error) from error

    @staticmethod
    async def _in_thread(
        driver: aiosqlite.Connection, action: Callable[[sqlite3.Connection], T]
    ) -> T:
        # aiosqlite's own queue takes any function; its public calls are one statement a hop.
        return await driver._execute(action, driver._conn)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage, reportUnknownMemberType]
