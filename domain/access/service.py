"""Workspaces and keys: made, revoked, and asked at every door."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from domain.access.audit import AuditTrail
from domain.access.denials import KeyFault, KeyRefused
from domain.access.keys import MOST_KEYS, NewKey, insert_key, one_at_a_time, revoke_key
from domain.access.queries import AccessQueries
from domain.access.rows import ApiKeyRow, WorkspaceRow
from domain.access.scopes import SYSTEM, Principal, Scope, parse_scopes
from domain.access.secrets import PREFIX_LENGTH, digest_of, is_well_formed, mint
from domain.kernel.database import Database, Statement, WriteRefusedError
from domain.kernel.errors import (
    Conflict,
    ErrorCode,
    Forbidden,
    NotFound,
    ObjectRef,
    QuotaExceeded,
    Unavailable,
    ValidationFailed,
)
from domain.kernel.ids import IdSource
from domain.kernel.ports import Clock
from domain.kernel.validation import is_storable, validated

DEFAULT_WORKSPACE = "default"
MINUTE_US = 60_000_000
CACHE_S = 1.0
CACHE_SIZE = 4096
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

log = structlog.get_logger("domain.access.service")

_INSERT_WORKSPACE = """
INSERT INTO workspace (id, slug, name, created_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (slug) DO NOTHING RETURNING id
"""
_INSERT_HEAD = "INSERT INTO event_head (workspace_id) VALUES ($1)"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyMade:
    """A new key and its secret, which is never shown again."""

    row: ApiKeyRow
    secret: str


class AccessService(AccessQueries):
    """Answers who is calling. Keys that were just seen are remembered for a second."""

    def __init__(
        self, database: Database, clock: Clock, ids: IdSource, *, audit: AuditTrail | None = None
    ) -> None:
        super().__init__(database, clock)
        self._ids = ids
        self._audit = audit or AuditTrail(database, clock, ids)
        self._seen: dict[str, tuple[float, Principal]] = {}

    async def create_workspace(
        self, name: str, *, slug: str | None = None, created_by: str = SYSTEM
    ) -> WorkspaceRow:
        """Make a workspace. Raises ValidationFailed or Conflict (NAME_TAKEN)."""
        slug = slug or re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        if not name.strip() or len(name) > 200 or not is_storable(name):
            raise ValidationFailed.of("name", "Give a name of 1 to 200 characters.")
        if not SLUG.fullmatch(slug) or len(slug) > 63:
            raise ValidationFailed.of("slug", "Use a-z, 0-9 and single dashes, at most 63.")
        made = await self._insert_workspace(slug, name, created_by)
        if made is None:
            taken = await self.workspace_named(slug)
            raise Conflict(
                f"A workspace has the slug {slug!r} already.",
                code=ErrorCode.NAME_TAKEN,
                path=["slug"],
                conflicting=ObjectRef(kind="Workspace", id=taken.id),
            )
        return made

    async def ensure_default(self) -> WorkspaceRow:
        """Return the default workspace, making it on first use, also with many processes."""
        found = await self.workspace_by_slug(DEFAULT_WORKSPACE)
        if found is None:
            found = await self._insert_workspace(DEFAULT_WORKSPACE, "Default", SYSTEM)
        return found or await self.workspace_named(DEFAULT_WORKSPACE)

    async def _insert_workspace(self, slug: str, name: str, made_by: str) -> WorkspaceRow | None:
        """Make it and begin its logs; None where the slug is taken."""
        row = WorkspaceRow(id=self._ids(), slug=slug, name=name, created_at=self._clock.now_us())
        values = (row.id, slug, name, row.created_at)
        line = self._audit.record(
            Principal.of_house(row.id, made_by),
            "workspace.created",
            target=ObjectRef(kind="Workspace", id=row.id),
            detail={"slug": slug, "name": name},
        )
        inserting = Statement(_INSERT_WORKSPACE, values, must_match=True)
        try:
            await self._database.write([inserting, Statement(_INSERT_HEAD, (row.id,)), *line])
        except WriteRefusedError:
            return None
        return row

    async def create_key(
        self,
        workspace_id: str,
        *,
        name: str,
        scopes: list[str],
        created_by: str,
        expires_at: int | None = None,
    ) -> KeyMade:
        """Make a key for the server itself, whatever names there are. Raises ValidationFailed."""
        values = {"name": name, "scopes": scopes, "expiresAt": expires_at}
        actor = Principal.of_house(workspace_id, created_by)
        return await self._make_key(actor, values, unless_taken=False)

    async def create_api_key(self, principal: Principal, values: Mapping[str, Any]) -> KeyMade:
        """Make a key of `name`, `scopes` and perhaps `expiresAt`, never with more than the caller.

        The audit log names callers by their key, so a name that a working key has is taken.
        Raises ValidationFailed, Forbidden, Conflict (NAME_TAKEN) and QuotaExceeded.
        """
        principal.needs(Scope.ADMIN)
        return await self._make_key(principal, values, unless_taken=True)

    async def _make_key(
        self, actor: Principal, values: Mapping[str, Any], *, unless_taken: bool
    ) -> KeyMade:
        new = validated(NewKey, values)
        granted = parse_scopes(new.scopes)
        now = self._clock.now_us()
        if new.expires_at is not None and new.expires_at <= now:
            raise ValidationFailed.of("expiresAt", "Give a moment in the future.")
        for scope in sorted(granted):
            actor.needs(scope)
        minted = mint()
        row = ApiKeyRow(
            id=self._ids(),
            workspace_id=actor.workspace_id,
            name=new.name,
            prefix=minted.prefix,
            digest=minted.digest,
            scopes=sorted(granted),
            created_by=actor.name,
            created_at=now,
            expires_at=new.expires_at,
        )
        detail = {"name": row.name, "prefix": row.prefix, "scopes": row.scopes}
        try:
            await self._database.write(
                [
                    *one_at_a_time(self._database.dialect, row.workspace_id),
                    insert_key(row, unless_taken=unless_taken),
                    *self._line(actor, "key.created", row.id, detail),
                ]
            )
        except WriteRefusedError as refused:
            raise await self._no_room(row) from refused
        return KeyMade(row=row, secret=minted.secret)

    async def _no_room(self, row: ApiKeyRow) -> Conflict | QuotaExceeded:
        for other in await self.keys(row.workspace_id):
            if other.name == row.name and self._works(other):
                return Conflict(
                    f"A key that works has the name {row.name!r} already; choose another name,"
                    " or revoke that key first.",
                    code=ErrorCode.NAME_TAKEN,
                    path=["name"],
                    conflicting=ObjectRef(kind="ApiKey", id=other.id),
                )
        message = f"A workspace has {MOST_KEYS} working keys at most; revoke one first."
        return QuotaExceeded(message, quota="keys", limit=MOST_KEYS, retry_after_s=None)

    async def revoke_api_key(self, principal: Principal, key_id: str) -> ApiKeyRow:
        """End a key at once here, within a second in other processes; a repeat changes nothing.

        Raises NotFound, and Forbidden for the last working key of a workspace that is an admin's:
        only the command line, which can make another one, may revoke that.
        """
        principal.needs(Scope.ADMIN)
        return await self._revoke(principal, key_id, unless_last=True)

    async def revoke_key(
        self, workspace_id: str, key_id: str, *, revoked_by: str = SYSTEM
    ) -> ApiKeyRow:
        """End a key for the server itself or its operator, also the last one. Raises NotFound."""
        actor = Principal.of_house(workspace_id, revoked_by)
        return await self._revoke(actor, key_id, unless_last=False)

    async def _revoke(self, actor: Principal, key_id: str, *, unless_last: bool) -> ApiKeyRow:
        row = await self._key(actor, key_id)
        if row.revoked_at is not None:
            return row
        workspace_id, now = actor.workspace_id, self._clock.now_us()
        detail = {"name": row.name, "prefix": row.prefix}
        try:
            await self._database.write(
                [
                    *one_at_a_time(self._database.dialect, workspace_id),
                    revoke_key(workspace_id, key_id, now, unless_last=unless_last),
                    *self._line(actor, "key.revoked", key_id, detail),
                ]
            )
        except WriteRefusedError as refused:
            row = await self._key(actor, key_id)
            if row.revoked_at is None:
                message = (
                    f"{row.name!r} is the last key that may administer this workspace; make"
                    " another admin key first, or revoke this one with `gob keys revoke`."
                )
                raise Forbidden(message, scope=None) from refused
            return row
        finally:
            self._seen.clear()
        return await self._key(actor, key_id)

    async def _key(self, actor: Principal, key_id: str) -> ApiKeyRow:
        row = await self.key(actor.workspace_id, key_id)
        if row is None:
            raise NotFound("API key", key_id, path=["apiKeyId"])
        return row

    def _line(
        self, actor: Principal, action: str, key_id: str, detail: Mapping[str, Any]
    ) -> list[Statement]:
        target = ObjectRef(kind="ApiKey", id=key_id)
        return self._audit.record(actor, action, target=target, detail=detail)

    def _works(self, row: ApiKeyRow) -> bool:
        has_expired = row.expires_at is not None and row.expires_at <= self._clock.now_us()
        return row.revoked_at is None and not has_expired

    async def authenticate(self, secret: str) -> Principal:
        """Return who holds the key. Raises KeyRefused for any key that does not work."""
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
            raise KeyRefused(KeyFault.MALFORMED)
        row = await ApiKeyRow.filter(digest=digest).using_db(self._database.reader).first()
        now = self._clock.now_us()
        if row is None:
            raise KeyRefused(KeyFault.UNKNOWN, prefix=secret[:PREFIX_LENGTH])
        if row.revoked_at is not None:
            raise KeyRefused(KeyFault.REVOKED, prefix=row.prefix, row=row)
        if row.expires_at is not None and row.expires_at <= now:
            raise KeyRefused(KeyFault.EXPIRED, prefix=row.prefix, row=row)
        if row.last_used_at is None or now - row.last_used_at >= MINUTE_US:
            await self._note_use(row.id, now)
        return row

    async def _note_use(self, key_id: str, now_us: int) -> None:
        """Say when a key was used; a database that only reads, or a full disk, bars nobody."""
        sql = "UPDATE api_key SET last_used_at = $1 WHERE id = $2"
        try:
            await self._database.write([Statement(sql, (now_us, key_id))])
        except Unavailable as error:
            log.warning("key.use_not_noted", reason=error.message)
