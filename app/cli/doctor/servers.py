"""The database and Redis: do they answer, and are they at the right revision."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from app.cli.doctor.checks import Check, Status, failed, fine
from app.failures import CHECK_DATABASE, REDIS_CURE
from app.settings import Settings

DATABASE, REDIS = "database", "redis"
TIMEOUT_S = 5.0


async def look_at_database(settings: Settings) -> Check:
    """Can the database be used."""
    path = settings.sqlite_path
    if path is not None and not path.exists():
        return fine(DATABASE, f"SQLite {path}, made at the first start")
    if path is not None:
        reached = await asyncio.to_thread(_sqlite, path)
    else:
        reached = await _postgres(settings.db_url)
    return await _with_revisions(settings, reached) if reached.status is Status.OK else reached


async def look_at_redis(settings: Settings) -> Check:
    """Does Redis answer, where it is used."""
    if settings.is_embedded:
        return fine(REDIS, "not used")
    from redis import RedisError

    try:
        await redis_now(settings.redis_url)
    except (OSError, RedisError) as error:
        return failed(REDIS, f"Redis: {error}", REDIS_CURE)
    return fine(REDIS, "answers")


async def redis_now(address: str) -> float:
    """Seconds since 1970 by the clock of Redis. Raises OSError and RedisError."""
    from redis.asyncio import Redis

    client = Redis.from_url(  # pyright: ignore[reportUnknownMemberType] redis types its options loosely
        address, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
    )
    async with client:
        seconds, microseconds = cast(
            "tuple[int, int]",
            await client.execute_command("TIME"),  # pyright: ignore[reportUnknownMemberType] as above
        )
        return int(seconds) + int(microseconds) / 1_000_000


async def postgres_now(address: str) -> float:
    """Seconds since 1970 by the clock of PostgreSQL. Raises what asyncpg raises."""
    connection = await _connected(address)
    try:
        asked = connection.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8")
        return float(await asyncio.wait_for(asked, TIMEOUT_S))
    finally:
        await connection.close(timeout=TIMEOUT_S)


async def _connected(address: str) -> Any:
    import asyncpg

    # asyncpg carries no types.
    connect = cast("Callable[..., Awaitable[Any]]", asyncpg.connect)
    return await connect(address, timeout=TIMEOUT_S)


async def _with_revisions(settings: Settings, reached: Check) -> Check:
    """Tell of revisions that the database lacks: without them the server does not start."""
    from app.database import DatabaseOptions, missing_revisions

    options = DatabaseOptions(url=settings.db_url, migrates_at_start=settings.migrates_at_start)
    missing = await missing_revisions(options)
    if not missing:
        return reached
    found = f"{reached.found}; lacks {len(missing)} revision(s): {', '.join(missing)}"
    if settings.migrates_at_start:
        return replace(reached, found=f"{found}, applied at the next start")
    return failed(DATABASE, found, "Run `gob migrate` once, or set MIGRATE=auto.")


def _sqlite(path: Path) -> Check:
    try:
        address = f"{path.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, timeout=TIMEOUT_S, uri=True)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        return failed(DATABASE, f"SQLite {path}: {error}", CHECK_DATABASE)
    return fine(DATABASE, f"SQLite {sqlite3.sqlite_version}, {path}")


async def _postgres(address: str) -> Check:
    import asyncpg

    try:
        connection = await _connected(address)
        version = connection.get_server_version()
        await connection.close(timeout=TIMEOUT_S)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError) as error:
        return failed(DATABASE, f"PostgreSQL: {str(error) or type(error).__name__}", CHECK_DATABASE)
    return fine(DATABASE, f"PostgreSQL {version.major}.{version.minor}")
