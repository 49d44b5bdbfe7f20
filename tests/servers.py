"""Real PostgreSQL and Redis for tests, from the machine or from wheels, on free ports.

Fixtures: `postgres_url` (a fresh database per test), `redis_url` (an empty server per test)
and `redis_server` (a server of the test's own, to stop and start). A server that is missing
skips the test loudly; with CI=true it fails.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import asyncpg
import pytest
import redis

from tests.server_processes import PostgresServer, RedisServer, ServerMissing, find_server

T = TypeVar("T")
_STARTED = pytest.StashKey[dict[str, str]]()


@pytest.fixture(scope="session")
def postgres_server(pytestconfig: pytest.Config) -> Iterator[PostgresServer]:
    """One cluster for the whole session."""
    with PostgresServer(_server("postgres", pytestconfig)) as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of a fresh, empty database, dropped after the test."""
    name = f"test_{uuid4().hex}"
    create_database(postgres_server, name)
    yield postgres_server.url(name)
    drop_database(postgres_server, name)


def create_database(server: PostgresServer, name: str, template: str = "template0") -> None:
    """Make a database as a copy of one that nobody is connected to."""
    run_sql(server, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")


def drop_database(server: PostgresServer, name: str) -> None:
    """Remove a database, whoever is connected to it."""
    run_sql(server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def shared_redis(pytestconfig: pytest.Config) -> Iterator[RedisServer]:
    """One Redis for the whole session; tests take `redis_url`."""
    with RedisServer(_server("redis", pytestconfig)) as server:
        yield server


@pytest.fixture
def redis_url(shared_redis: RedisServer) -> str:
    """The address of a Redis that holds nothing."""
    with redis.Redis.from_url(shared_redis.url, socket_timeout=10) as client:
        client.flushall()
    return shared_redis.url


@pytest.fixture
def redis_server(pytestconfig: pytest.Config) -> Iterator[RedisServer]:
    """A running Redis that belongs to the test: `stop`, `kill` and `start` it as you like."""
    with RedisServer(_server("redis", pytestconfig)) as server:
        yield server


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say once which programs the tests talked to."""
    for role, place in config.stash.get(_STARTED, {}).items():
        terminalreporter.write_line(f"{role}: {place}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the process that reports what this one started, when tests run side by side."""
    told = getattr(session.config, "workeroutput", None)
    if told is not None:
        told["started"] = session.config.stash.get(_STARTED, {})


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Hear it."""
    told = getattr(node, "workeroutput", {})
    node.config.stash.setdefault(_STARTED, {}).update(told.get("started", {}))


def needed(role: str, config: pytest.Config, find: Callable[[], Path]) -> Path:
    """What a test needs of this machine; without it, skip for a user and fail for CI."""
    seen = config.stash.setdefault(_STARTED, {})
    try:
        place = find()
    except ServerMissing as missing:
        seen[role] = f"MISSING, its tests did not run. {missing}"
        if os.environ.get("CI") == "true":
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))
    seen[role] = str(place)
    return place


def _server(role: str, config: pytest.Config) -> str:
    return str(needed(role, config, lambda: find_server(role)))


def run_sql(server: PostgresServer, statement: str) -> None:
    """Run one statement."""

    async def run() -> None:
        connection = await asyncpg.connect(server.url("postgres"), timeout=30)
        try:
            await connection.execute(statement, timeout=30)
        finally:
            await connection.close(timeout=10)

    in_thread(run())


def in_thread(work: Coroutine[Any, Any, T]) -> T:
    """Await it in a thread, since a test's own loop may be current here."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
