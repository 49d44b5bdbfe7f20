"""Fixtures of databases: each test that asks for `database` runs on SQLite and on PostgreSQL.

The revisions are applied once to a database of each kind; what a test is given is a copy of it.
"""

import sqlite3
from collections.abc import AsyncGenerator, Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from app.adapters.clock import SystemClock
from app.database import DatabaseOptions, migrate, open_database
from domain.kernel.database import Database
from domain.kernel.ids import IdSource
from tests.server_processes import PostgresServer
from tests.servers import create_database, in_thread
from tests.spare_databases import SpareDatabases

MIGRATED = "migrated"


def new_sqlite(folder: Path) -> str:
    """Put a new migrated database where DATA_DIR would have it; its address."""
    path = folder / "gob.db"
    path.write_bytes(_migrated_sqlite())
    return f"sqlite:///{path}"


@cache
def _migrated_sqlite() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "gob.db"
        _migrate(f"sqlite:///{path}")
        # The file alone may lack what is still in the log beside it.
        with closing(sqlite3.connect(path)) as connection:
            return connection.serialize()


def _migrate(url: str) -> None:
    in_thread(migrate(DatabaseOptions(url=url, migrates_at_start=True)))


@pytest.fixture(scope="session")
def spare_databases(postgres_server: PostgresServer) -> SpareDatabases:
    """Migrated databases of PostgreSQL."""
    create_database(postgres_server, MIGRATED)
    _migrate(postgres_server.url(MIGRATED))
    return SpareDatabases(postgres_server, MIGRATED)


@pytest.fixture
def migrated_postgres_url(spare_databases: SpareDatabases) -> Iterator[str]:
    """The address of a migrated database that holds no rows."""
    with spare_databases.one() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of a new database of each kind that holds nothing, not even tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'gob.db'}"
    return request.getfixturevalue("postgres_url")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of a new migrated database of each kind."""
    if request.param == "sqlite":
        return new_sqlite(tmp_path)
    return request.getfixturevalue("migrated_postgres_url")


@pytest.fixture
async def database(database_url: str) -> AsyncGenerator[Database, None]:
    """A migrated database of each kind."""
    options = DatabaseOptions(url=database_url, migrates_at_start=False)
    async with open_database(options) as opened:
        yield opened


@pytest.fixture
def new_id() -> IdSource:
    """A source of ids."""
    return IdSource(SystemClock().now_us)
