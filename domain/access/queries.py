"""Workspaces and keys, as operators and the doors find them."""

from tortoise.queryset import QuerySet

from domain.access.rows import ApiKeyRow, WorkspaceRow
from domain.access.scopes import Principal, Scope
from domain.kernel.database import Database
from domain.kernel.errors import NotFound
from domain.kernel.paging import Page, PageRequest, paginate
from domain.kernel.ports import Clock


class AccessQueries:
    """Reads workspaces and keys."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

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

    async def workspace_named(self, slug: str) -> WorkspaceRow:
        """Return a workspace by its slug. Raises NotFound."""
        found = await self.workspace_by_slug(slug)
        if found is None:
            raise NotFound("workspace", slug, by="slug")
        return found

    async def api_keys(self, principal: Principal, page: PageRequest) -> Page[ApiKeyRow]:
        """List keys, newest first, those that work no more included. Raises BadCursor."""
        principal.needs(Scope.ADMIN)
        return await paginate(
            self._keys(principal.workspace_id),
            sort=("id",),
            descending=True,
            request=page,
            database=self._database,
            within=principal.workspace_id,
        )

    async def count_keys(self, principal: Principal) -> int:
        """Length of the whole list."""
        principal.needs(Scope.ADMIN)
        return await self._keys(principal.workspace_id).count()

    async def keys(self, workspace_id: str) -> list[ApiKeyRow]:
        """Every key of a workspace, newest first. For operators."""
        return await self._keys(workspace_id).order_by("-id")

    async def key(self, workspace_id: str, key_id: str) -> ApiKeyRow | None:
        """Return one key of a workspace."""
        return await self._keys(workspace_id).filter(id=key_id).first()

    async def has_keys(self) -> bool:
        """True when at least one key works."""
        now = self._clock.now_us()
        sql = (
            "SELECT 1 FROM api_key WHERE revoked_at IS NULL"
            " AND (expires_at IS NULL OR expires_at > $1) LIMIT 1"
        )
        return bool(await self._database.fetch(sql, now))

    def _keys(self, workspace_id: str) -> QuerySet[ApiKeyRow]:
        return ApiKeyRow.filter(workspace_id=workspace_id).using_db(self._database.reader)
