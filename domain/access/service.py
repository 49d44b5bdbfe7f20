"""Workspaces and keys: made, listed, revoked, and asked at every door."""

import re
from dataclasses import dataclass

from domain.access.rows import ApiKeyRow, WorkspaceRow
from domain.access.scopes import Principal, Scope, parse_scopes
from domain.access.secrets import digest_of, is_well_formed, mint
from domain.kernel.database import Database, Statement
from domain.kernel.errors import (
    Conflict,
    ErrorCode,
    NotFound,
    ObjectRef,
    Unauthenticated,
    ValidationFailed,
)
from domain.kernel.ids import IdSource
from domain.kernel.ports import Clock

DEFAULT_WORKSPACE = "default"
MINUTE_US = 60_000_000
CACHE_S = 1.0
CACHE_SIZE = 4096
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyMade:
    """A new key and its secret, which is never shown again."""

    row: ApiKeyRow
    secret: str


class AccessService:
    """Answers who is calling. Keys that were just seen are remembered for a second."""

    def __init__(self, database: Database, clock: Clock, ids: IdSource) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._seen: dict[str, tuple[float, Principal]] = {}

    async def create_workspace(self, name: str, *, slug: str | None = None) -> WorkspaceRow:
        """Make a workspace. Raises ValidationFailed or Conflict (NAME_TAKEN)."""
        slug = slug or re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        if not name.strip() or len(name) > 200:
            raise ValidationFailed.of("name", "Give a name of 1 to 200 characters.")
        if not SLUG.fullmatch(slug) or len(slug) > 63:
            raise ValidationFailed.of("slug", "Use a-z, 0-9 and single dashes, at most 63.")
        row = WorkspaceRow(id=self._ids(), slug=slug, name=name, created_at=self._clock.now_us())
        async with self._database.transaction() as tx:
            taken = await WorkspaceRow.filter(slug=slug).using_db(tx.client).first()
            if taken is not None:
                raise Conflict(
                    f"A workspace has the slug {slug!r} already.",
                    code=ErrorCode.NAME_TAKEN,
                    path=["slug"],
                    conflicting=ObjectRef(kind="Workspace", id=taken.id),
                )
            await row.save(using_db=tx.client, force_create=True)
            await tx.fetch("INSERT INTO event_head (workspace_id) VALUES ($1)", row.id)
        return row

    async def ensure_default(self) -> WorkspaceRow:
        """Return the default workspace, making it on first use, also with many processes."""
        found = await self.workspace_by_slug(DEFAULT_WORKSPACE)
        if found is not None:
            return found
        now = self._clock.now_us()
        await self._database.write(
            [
                Statement(
                    "INSERT INTO workspace (id, slug, name, created_at)"
                    " VALUES ($1, $2, $3, $4) ON CONFLICT (slug) DO NOTHING",
                    (self._ids(), DEFAULT_WORKSPACE, "Default", now),
                ),
                Statement(
                    "INSERT INTO event_head (workspace_id)"
                    " SELECT id FROM workspace WHERE slug = $1"
                    " ON CONFLICT (workspace_id) DO NOTHING",
                    (DEFAULT_WORKSPACE,),
                ),
            ]
        )
        found = await self.workspace_by_slug(DEFAULT_WORKSPACE)
        if found is None:
            raise NotFound("workspace", DEFAULT_WORKSPACE)
        return found

    async def workspaces(self) -> list[WorkspaceRow]:
        """Every workspace, oldest first. For operators, not for callers of the API."""
        return await WorkspaceRow.all().using_db(self._database.reader).order_by("id")

    async def workspace(self, principal: Principal) -> WorkspaceRow:
        """Return the caller's workspace."""
        query = WorkspaceRow.filter(id=principal.workspace_id).using_db(self._database.reader)
        row = await query.first()
        if row is None:
            raise NotFound("workspace", principal.workspace_id)
        return row

    async def workspace_by_slug(self, slug: str) -> WorkspaceRow | None:
        """Return a workspace by its slug."""
        return await WorkspaceRow.filter(slug=slug).using_db(self._database.reader).first()

    async def create_key(
        self,
        workspace_id: str,
        *,
        name: str,
        scopes: list[str],
        created_by: str,
        expires_at: int | None = None,
    ) -> KeyMade:
        """Make a key. Raises ValidationFailed."""
        if not name.strip() or len(name) > 200:
            raise ValidationFailed.of("name", "Give a name of 1 to 200 characters.")
        now = self._clock.now_us()
        if expires_at is not None and expires_at <= now:
            raise ValidationFailed.of("expiresAt", "Give a moment in the future.")
        granted = parse_scopes(scopes)
        minted = mint()
        row = ApiKeyRow(
            id=self._ids(),
            workspace_id=workspace_id,
            name=name,
            prefix=minted.prefix,
            digest=minted.digest,
            scopes=sorted(granted),
            created_by=created_by,
            created_at=now,
            expires_at=expires_at,
        )
        async with self._database.transaction() as tx:
            await row.save(using_db=tx.client, force_create=True)
        return KeyMade(row=row, secret=minted.secret)

    async def keys(self, workspace_id: str) -> list[ApiKeyRow]:
        """Every key of a workspace, newest first."""
        query = ApiKeyRow.filter(workspace_id=workspace_id).using_db(self._database.reader)
        return await query.order_by("-id")

    async def key(self, workspace_id: str, key_id: str) -> ApiKeyRow | None:
        """Return one key of a workspace."""
        query = ApiKeyRow.filter(workspace_id=workspace_id, id=key_id)
        return await query.using_db(self._database.reader).first()

    async def revoke_key(self, workspace_id: str, key_id: str) -> None:
        """End a key at once here, within a second in other processes. Raises NotFound."""
        rows = await self._database.write(
            [
                Statement(
                    "UPDATE api_key SET revoked_at = COALESCE(revoked_at, $1)"
                    " WHERE id = $2 AND workspace_id = $3 RETURNING id",
                    (self._clock.now_us(), key_id, workspace_id),
                )
            ]
        )
        self._seen.clear()
        if not rows[0]:
            raise NotFound("API key", key_id)

    async def has_keys(self) -> bool:
        """True when at least one key works."""
        now = self._clock.now_us()
        sql = (
            "SELECT 1 FROM api_key WHERE revoked_at IS NULL"
            " AND (expires_at IS NULL OR expires_at > $1) LIMIT 1"
        )
        return bool(await self._database.fetch(sql, now))

    async def authenticate(self, secret: str) -> Principal:
        """Return who holds the key. Raises Unauthenticated for any key that does not work."""
        digest = digest_of(secret)
        seen = self._seen.get(digest)
        if seen is not None and seen[0] > self._clock.monotonic():
            return seen[1]
        row = await self._usable(secret, digest)
        principal = Principal(
            workspace_id=row.workspace_id,
            key_id=row.id,
            name=row.name,
            scopes=frozenset(Scope(scope) for scope in row.scopes),
        )
        if len(self._seen) >= CACHE_SIZE:
            self._seen.clear()
        self._seen[digest] = (self._clock.monotonic() + CACHE_S, principal)
        return principal

    async def _usable(self, secret: str, digest: str) -> ApiKeyRow:
        if not is_well_formed(secret):
            raise Unauthenticated("This is no key of GOB; keys start with gob_.")
        row = await ApiKeyRow.filter(digest=digest).using_db(self._database.reader).first()
        now = self._clock.now_us()
        if row is None:
            raise Unauthenticated("This key is unknown here.")
        if row.revoked_at is not None:
            raise Unauthenticated("This key was revoked.")
        if row.expires_at is not None and row.expires_at <= now:
            raise Unauthenticated("This key has expired.")
        if row.last_used_at is None or now - row.last_used_at >= MINUTE_US:
            await self._database.write(
                [Statement("UPDATE api_key SET last_used_at = $1 WHERE id = $2", (now, row.id))]
            )
        return row
