"""Opens the database that it is given, and brings its schema up to date."""

import asyncio
import fcntl
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import structlog
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.backends.base.config_generator import (
    expand_db_url,  # pyright: ignore[reportUnknownVariableType] - Tortoise leaves its dict bare
)
from tortoise.backends.sqlite.client import SqliteClient
from tortoise.context import TortoiseContext
from tortoise.exceptions import DBConnectionError, OperationalError
from tortoise.migrations.executor import MigrationExecutor

from app.failures import DATABASE_CURE
from domain.kernel.database import Database
from domain.kernel.database_sqlite import SqliteDatabase
from domain.kernel.errors import Unavailable

if TYPE_CHECKING:
    from tortoise.backends.asyncpg.client import AsyncpgDBClient

APP = "gob"
ROWS = [
    "domain.access.rows",
    "domain.agents.rows",
    "domain.behavior.rows",
    "domain.conversations.rows",
    "domain.memory.rows",
    "domain.runs.approval_rows",
    "domain.runs.rows",
    "domain.tasks.rows",
]
STATEMENT_S = 60.0
"""Longest wait for one statement: a network that swallows packets must not hang a process.

Migrations have no limit: an index on a great table takes what it takes.
"""
MIGRATION_LOCK = 0x676F62  # "gob": the key of PostgreSQL's advisory lock
SQLITE = "tortoise.backends.sqlite"

log = structlog.get_logger("app.database")


def _apps(writer: str) -> dict[str, Any]:
    return {
        APP: {"models": ROWS, "default_connection": writer, "migrations": "app.migrations"},
    }


class MigrationNeededError(Exception):
    """The database lacks revisions and may not be changed at start."""

    def __init__(self, missing: list[str]) -> None:
        super().__init__(
            f"The database lacks {len(missing)} revision(s): {', '.join(missing)}. "
            "Run `python -m app migrate` once, or set MIGRATE=auto."
        )
        self.missing = missing


def sqlite_path(url: str) -> Path:
    """Return the file of `sqlite:///relative` or `sqlite:////absolute`."""
    return Path(url.removeprefix("sqlite:///"))


def _sqlite_connection(path: Path, *, read_only: bool) -> dict[str, Any]:
    credentials = {
        "file_path": str(path),
        "synchronous": "FULL",
        "busy_timeout": 10_000,
        "journal_size_limit": 64 * 1024 * 1024,
        "foreign_keys": "ON",
        "temp_store": "MEMORY",
        "cache_size": -32_000,
    }
    if read_only:
        credentials["query_only"] = "ON"
    return {"engine": SQLITE, "credentials": credentials}


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseOptions:
    """Which database, and whether it may be changed at start."""

    url: str
    migrates_at_start: bool
    pool_size: int = 10
    statement_s: float | None = STATEMENT_S
    """Longest wait for one statement of PostgreSQL; None for no limit."""

    @property
    def writer(self) -> str:
        """Name of the writing connection: Tortoise keeps compiled SQL by this name."""
        return "sqlite" if self.url.startswith("sqlite") else "postgres"

    @property
    def name(self) -> str:
        """The address without its password, for messages; rather too little of it than one."""
        hidden = re.sub(r"://([^:/@]*):.*@", r"://\1:***@", self.url)
        return re.sub(r"(?i)([?&][^=&]*password=)[^&]*", r"\1***", hidden)


def _connections(options: DatabaseOptions) -> dict[str, Any]:
    if options.url.startswith("sqlite"):
        path = sqlite_path(options.url)
        path.parent.mkdir(parents=True, exist_ok=True)
        return {
            options.writer: _sqlite_connection(path, read_only=False),
            "reader": _sqlite_connection(path, read_only=True),
        }
    url = options.url.replace("postgresql://", "asyncpg://", 1)
    url = url.replace("postgres://", "asyncpg://", 1)
    config = cast("Callable[[str], dict[str, Any]]", expand_db_url)(url)
    config["credentials"] |= {
        "minsize": 0,
        "maxsize": options.pool_size,
        "timeout": 10,
        "command_timeout": options.statement_s,
        "reset": _keep,
    }
    return {options.writer: config}


async def _keep(_connection: object) -> None:
    """Give a connection back as it is: no code of ours leaves session state behind.

    asyncpg's own reset would cost a round trip for every statement outside a transaction.
    """


@asynccontextmanager
async def _context(options: DatabaseOptions) -> AsyncGenerator[TortoiseContext, None]:
    context = TortoiseContext()
    with context:
        await context.init(
            config={"connections": _connections(options), "apps": _apps(options.writer)}
        )
        try:
            yield context
        finally:
            await context.connections.close_all()


def _database(context: TortoiseContext, options: DatabaseOptions) -> Database:
    client: BaseDBAsyncClient = context.connections.get(options.writer)
    if isinstance(client, SqliteClient):
        return SqliteDatabase(client, cast("SqliteClient", context.connections.get("reader")))
    # PostgreSQL's driver is loaded only where it is used: it is 3 MB.
    from domain.kernel.database_postgres import PostgresDatabase

    return PostgresDatabase(cast("AsyncpgDBClient", client))


@asynccontextmanager
async def open_database(options: DatabaseOptions) -> AsyncGenerator[Database, None]:
    """Yield the database, its schema current.

    Raises Unavailable when it cannot be reached and MigrationNeededError when revisions are
    missing and MIGRATE is manual.
    """
    async with _context(options) as context:
        await _reach(context, options)
        missing = await _missing(context, options)
        if missing and options.migrates_at_start:
            await migrate(options)
        elif missing:
            raise MigrationNeededError(missing)
        yield _database(context, options)


async def migrate(options: DatabaseOptions) -> list[str]:
    """Apply the missing revisions under a lock and return their names."""
    options = replace(options, statement_s=None)
    async with _context(options) as context:
        await _reach(context, options)
        return await _apply(context, options)


async def missing_revisions(options: DatabaseOptions) -> list[str]:
    """Names of the revisions that the database lacks. Raises Unavailable."""
    async with _context(options) as context:
        await _reach(context, options)
        return await _missing(context, options)


async def _reach(context: TortoiseContext, options: DatabaseOptions) -> None:
    client = context.connections.get(options.writer)
    try:
        await asyncio.wait_for(client.create_connection(with_db=True), 15)
        if isinstance(client, SqliteClient):
            await context.connections.get("reader").create_connection(with_db=True)
        # The pool opens no connection before it is asked for one.
        await asyncio.wait_for(cast("Any", client).execute_query("SELECT 1"), 15)
    except _outages(options) as error:
        message = f"The database at {options.name} cannot be reached: {error}. {DATABASE_CURE}"
        raise Unavailable(message) from error


def _outages(options: DatabaseOptions) -> tuple[type[Exception], ...]:
    """What is raised by a database that cannot be reached."""
    of_all = (OSError, TimeoutError, DBConnectionError, OperationalError)
    if options.writer == "sqlite":
        return of_all
    import asyncpg

    return (*of_all, asyncpg.PostgresError, asyncpg.InterfaceError)


def _executor(context: TortoiseContext, options: DatabaseOptions) -> MigrationExecutor:
    connection, apps = context.connections.get(options.writer), _apps(options.writer)
    try:
        return MigrationExecutor(connection, apps)
    except SystemError:
        # Tortoise parses its own source here, which CPython 3.11 refuses when another thread
        # parses too (python/cpython#106905); may go with Python 3.11.
        return MigrationExecutor(connection, apps)


async def _missing(context: TortoiseContext, options: DatabaseOptions) -> list[str]:
    return [step.migration.name for step in await _executor(context, options).plan(None)]


async def _apply(context: TortoiseContext, options: DatabaseOptions) -> list[str]:
    async with _migration_lock(context, options):
        missing = await _missing(context, options)
        if missing:
            log.info("database.migrating", revisions=missing)
            await _executor(context, options).migrate(None, direction="forward")
            log.info("database.migrated", revisions=missing)
        return missing


@asynccontextmanager
async def _migration_lock(
    context: TortoiseContext, options: DatabaseOptions
) -> AsyncGenerator[None, None]:
    """Let one process migrate at a time; Tortoise takes no lock of its own."""
    client = context.connections.get(options.writer)
    if isinstance(client, SqliteClient):
        path = sqlite_path(options.url)
        with path.with_name(f"{path.name}.migrate.lock").open("w") as file:
            await asyncio.to_thread(fcntl.flock, file, fcntl.LOCK_EX)
            yield
        return
    async with cast("Any", client).acquire_connection() as held:
        await held.execute("SELECT pg_advisory_lock($1)", MIGRATION_LOCK)
        try:
            yield
        finally:
            await held.execute("SELECT pg_advisory_unlock($1)", MIGRATION_LOCK)
