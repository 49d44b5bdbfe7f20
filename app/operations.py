"""What an operator does from the command line, with the database open for just that."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from app.adapters.clock import SystemClock
from app.database import DatabaseOptions, open_database
from app.settings import Settings
from domain.access.rows import ApiKeyRow, WorkspaceRow
from domain.access.service import AccessService, KeyMade
from domain.kernel.ids import IdSource

DAY_US = 86_400_000_000
CREATED_BY = "command line"


@asynccontextmanager
async def _access(settings: Settings) -> AsyncGenerator[tuple[AccessService, WorkspaceRow], None]:
    options = DatabaseOptions(url=settings.db_url, migrates_at_start=settings.migrates_at_start)
    clock = SystemClock()
    async with open_database(options) as database:
        access = AccessService(database, clock, IdSource(clock.now_us))
        yield access, await access.ensure_default()


async def create_key(
    settings: Settings, name: str, scopes: list[str], expires_days: int | None
) -> KeyMade:
    """Make a key of the default workspace. Raises ValidationFailed."""
    expires_at = None
    if expires_days is not None:
        expires_at = SystemClock().now_us() + expires_days * DAY_US
    async with _access(settings) as (access, workspace):
        return await access.create_key(
            workspace.id, name=name, scopes=scopes, created_by=CREATED_BY, expires_at=expires_at
        )


async def list_keys(settings: Settings) -> list[ApiKeyRow]:
    """Keys of the default workspace that still work."""
    now = SystemClock().now_us()
    async with _access(settings) as (access, workspace):
        return [
            key
            for key in await access.keys(workspace.id)
            if key.revoked_at is None and (key.expires_at is None or key.expires_at > now)
        ]


async def revoke_key(settings: Settings, key_id: str) -> None:
    """Stop a key. Raises NotFound."""
    async with _access(settings) as (access, workspace):
        await access.revoke_key(workspace.id, key_id)


async def create_workspace(settings: Settings, name: str) -> WorkspaceRow:
    """Make a workspace. Raises ValidationFailed and Conflict."""
    async with _access(settings) as (access, _):
        return await access.create_workspace(name)


async def list_workspaces(settings: Settings) -> list[WorkspaceRow]:
    """Every workspace."""
    async with _access(settings) as (access, _):
        return await access.workspaces()
