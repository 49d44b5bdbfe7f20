"""`gob doctor`: looks at everything the server needs and names a cure for what is wrong."""

import asyncio
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from app.failures import DATABASE_CURE, REDIS_CURE
from app.settings import ModelProvider, Settings

TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing looked at; `cure` is empty when all is well."""

    name: str
    found: str
    cure: str = ""

    @property
    def is_ok(self) -> bool:
        """True when nothing needs to be done."""
        return not self.cure


async def examine(settings: Settings) -> Sequence[Check]:
    """Look at everything at once; each look takes a few seconds at most."""
    looks: dict[str, Callable[[Settings], Awaitable[Check]]] = {
        "data folder": _data_folder,
        "database": _database,
        "redis": _redis,
        "model": _model,
    }
    checks = await asyncio.gather(*(_bounded(name, look(settings)) for name, look in looks.items()))
    return [_settings(settings), *checks]


async def _bounded(name: str, look: Awaitable[Check]) -> Check:
    try:
        return await asyncio.wait_for(look, TIMEOUT_S + 1)
    except TimeoutError:
        return Check(name=name, found="no answer", cure="Look at the network and try again.")


def _settings(settings: Settings) -> Check:
    if settings.notices:
        return Check(name="settings", found=" ".join(settings.notices), cure="Correct the key.")
    mode = "embedded, one process" if settings.is_embedded else "server, with Redis"
    return Check(name="settings", found=mode)


async def _data_folder(settings: Settings) -> Check:
    return await asyncio.to_thread(_written, settings.data_dir)


def _written(folder: Path) -> Check:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"x")
    except OSError as error:
        found = f"{folder} cannot be written: {error.strerror}"
        cure = "Give this user the folder, or set DATA_DIR to another one."
        return Check(name="data folder", found=found, cure=cure)
    return Check(name="data folder", found=f"{folder} can be written")


async def _database(settings: Settings) -> Check:
    path = settings.sqlite_path
    if path is not None and not path.exists():
        return Check(name="database", found=f"SQLite {path}, made at the first start")
    if path is not None:
        reached = await asyncio.to_thread(_sqlite, path)
    else:
        reached = await _postgres(settings.db_url)
    return await _with_revisions(settings, reached) if reached.is_ok else reached


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
    return replace(reached, found=found, cure="Run `gob migrate` once, or set MIGRATE=auto.")


def _sqlite(path: Path) -> Check:
    try:
        address = f"{path.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, timeout=TIMEOUT_S, uri=True)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        return Check(name="database", found=f"SQLite {path}: {error}", cure=DATABASE_CURE)
    return Check(name="database", found=f"SQLite {sqlite3.sqlite_version}, {path}")


async def _postgres(address: str) -> Check:
    import asyncpg

    # asyncpg carries no types.
    connect = cast("Callable[..., Awaitable[Any]]", asyncpg.connect)
    try:
        connection = await connect(address, timeout=TIMEOUT_S)
        version = connection.get_server_version()
        await connection.close(timeout=TIMEOUT_S)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError) as error:
        found = f"PostgreSQL: {error or type(error).__name__}"
        return Check(name="database", found=found, cure=DATABASE_CURE)
    return Check(name="database", found=f"PostgreSQL {version.major}.{version.minor}")


async def _redis(settings: Settings) -> Check:
    if settings.is_embedded:
        return Check(name="redis", found="not used")
    from redis import RedisError
    from redis.asyncio import Redis

    client = Redis.from_url(  # pyright: ignore[reportUnknownMemberType] redis types its options loosely
        settings.redis_url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
    )
    async with client:
        try:
            await client.execute_command("PING")  # pyright: ignore[reportUnknownMemberType] as above
        except (OSError, RedisError) as error:
            return Check(name="redis", found=f"Redis: {error}", cure=REDIS_CURE)
    return Check(name="redis", found="answers")


async def _model(settings: Settings) -> Check:
    if settings.model_provider is not ModelProvider.OPENAI:
        found = f"{settings.model_provider}, no language model"
        return Check(name="model", found=found)
    return await _openai(settings)


async def _openai(settings: Settings) -> Check:
    import httpx

    key = settings.openai_api_key.get_secret_value()
    headers = {"authorization": f"Bearer {key}"} if key else {}
    place = settings.openai_base_url
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as client:
            answer = await client.get(f"{place}/models", headers=headers)
    except httpx.HTTPError as error:
        found = f"{place}: {error or type(error).__name__}"
        cure = "Check OPENAI_BASE_URL and that the model server runs."
        return Check(name="model", found=found, cure=cure)
    return _openai_answered(place, answer.status_code, settings.default_model)


def _openai_answered(place: str, status: int, model: str) -> Check:
    if status in {401, 403}:
        found = f"{place} refuses the key ({status})"
        return Check(name="model", found=found, cure="Check OPENAI_API_KEY.")
    if status >= 500:
        found = f"{place} answers {status}"
        return Check(name="model", found=found, cure="Look at the model server, or try later.")
    return Check(name="model", found=f"openai at {place}, model {model}")
