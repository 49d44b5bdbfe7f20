"""Fixtures of databases: each test that asks for `database` runs on SQLite and on PostgreSQL."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from app.adapters.clock import SystemClock
from app.database import DatabaseOptions, open_database
from domain.kernel.database import Database
from domain.kernel.ids import IdSource


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of a new empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'gob.db'}"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
async def database(database_url: str) -> AsyncGenerator[Database, None]:
    """A migrated database of each kind."""
    options = DatabaseOptions(url=database_url, migrates_at_start=True)
    async with open_database(options) as opened:
        yield opened


@pytest.fixture
def new_id() -> IdSource:
    """A source of ids."""
    return IdSource(SystemClock().now_us)
