"""What an operator does from the command line, with the database open for just that."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.adapters.clock import SystemClock
from app.database import DatabaseOptions, open_database
from app.settings import Settings
from domain.access.audit import AuditTrail
from domain.access.audit_log import AuditFilter, AuditLog, Verification
from domain.access.rows import ApiKeyRow, AuditRow, WorkspaceRow
from domain.access.scopes import COMMAND_LINE, Principal
from domain.access.service import DEFAULT_WORKSPACE, AccessService, KeyMade
from domain.agents.service import AgentService
from domain.kernel.idempotency import IdempotencyKeys
from domain.kernel.ids import IdSource
from domain.kernel.paging import PageRequest
from domain.kernel.redaction import Redactor

DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Office:
    """The services that an operator needs, acting in one workspace."""

    access: AccessService
    agents: AgentService
    audit_log: AuditLog
    workspace: WorkspaceRow

    @property
    def operator(self) -> Principal:
        """Who acts."""
        return Principal.of_house(self.workspace.id, COMMAND_LINE)


@asynccontextmanager
async def _office(
    settings: Settings, workspace: str = DEFAULT_WORKSPACE
) -> AsyncGenerator[_Office, None]:
    """Open it in a workspace by its slug. Raises NotFound."""
    options = DatabaseOptions(url=settings.db_url, migrates_at_start=settings.migrates_at_start)
    clock = SystemClock()
    ids = IdSource(clock.now_us)
    async with open_database(options) as database:
        audit = AuditTrail(database, clock, ids, Redactor(settings.secret_values()))
        access = AccessService(database, clock, ids, audit=audit)
        agents = AgentService(database, clock, ids, IdempotencyKeys(database, clock), audit=audit)
        await access.ensure_default()
        yield _Office(
            access=access,
            agents=agents,
            audit_log=AuditLog(database),
            workspace=await access.workspace_named(workspace),
        )


async def create_key(
    settings: Settings,
    name: str,
    scopes: Sequence[str],
    *,
    workspace: str = DEFAULT_WORKSPACE,
    expires_days: int | None = None,
) -> KeyMade:
    """Make a key. Raises ValidationFailed, NotFound, Conflict and QuotaExceeded."""
    expires_at = None
    if expires_days is not None:
        expires_at = SystemClock().now_us() + expires_days * DAY_US
    values = {"name": name, "scopes": list(scopes), "expiresAt": expires_at}
    async with _office(settings, workspace) as office:
        return await office.access.create_api_key(office.operator, values)


async def list_keys(settings: Settings, *, workspace: str = DEFAULT_WORKSPACE) -> list[ApiKeyRow]:
    """Keys of a workspace that still work. Raises NotFound."""
    now = SystemClock().now_us()
    async with _office(settings, workspace) as office:
        return [
            key
            for key in await office.access.keys(office.workspace.id)
            if key.revoked_at is None and (key.expires_at is None or key.expires_at > now)
        ]


async def revoke_key(
    settings: Settings, key_id: str, *, workspace: str = DEFAULT_WORKSPACE
) -> None:
    """Stop a key, also the last one, by its id or by the one the API shows. Raises NotFound."""
    if key_id.startswith("key_"):
        # It loads the GraphQL library, which no other command needs.
        from schema.ids import Kind, decode_id

        key_id = decode_id(Kind.API_KEY, key_id, path="keyId")
    async with _office(settings, workspace) as office:
        await office.access.revoke_key(office.workspace.id, key_id, revoked_by=COMMAND_LINE)


async def create_workspace(
    settings: Settings, name: str, *, slug: str | None = None
) -> WorkspaceRow:
    """Make a workspace with its default agent. Raises ValidationFailed and Conflict."""
    async with _office(settings) as office:
        made = await office.access.create_workspace(name, slug=slug, created_by=COMMAND_LINE)
        await office.agents.ensure_default(made.id)
        return made


async def list_workspaces(settings: Settings) -> list[WorkspaceRow]:
    """Every workspace."""
    async with _office(settings) as office:
        return await office.access.workspaces()


async def verify_audit(
    settings: Settings,
    *,
    workspace: str = DEFAULT_WORKSPACE,
    from_seq: int = 1,
    kept_hash: str | None = None,
) -> Verification:
    """Check the audit log of a workspace. Raises NotFound and ValidationFailed."""
    async with _office(settings, workspace) as office:
        return await office.audit_log.verify(
            office.operator, from_seq=from_seq, kept_hash=kept_hash
        )


async def list_audit(
    settings: Settings, narrowing: AuditFilter, *, workspace: str = DEFAULT_WORKSPACE, last: int
) -> list[AuditRow]:
    """Return the newest lines of a workspace's audit log, oldest of them first."""
    async with _office(settings, workspace) as office:
        page = PageRequest.of(first=last)
        found = await office.audit_log.page(office.operator, narrowing, page)
        return list(reversed(found.items))
