"""Agents and their versions, as clients find them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tortoise.expressions import Q
from tortoise.functions import Lower
from tortoise.queryset import QuerySet

from domain.access.scopes import Principal, Scope
from domain.agents.rows import AgentRow, AgentVersionRow
from domain.agents.settings import AgentSettings
from domain.kernel.database import Database
from domain.kernel.paging import Page, PageRequest, paginate
from domain.kernel.searching import contains, contains_all, words_of
from domain.memory.policy import MemoryPolicy


class AgentOrder(StrEnum):
    """Sort order of agents."""

    NAME_ASC = "NAME_ASC"
    UPDATED_AT_DESC = "UPDATED_AT_DESC"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentFilter:
    """Narrows a list: words in name, slug or description; archived agents or live ones."""

    search: str | None = None
    archived: bool = False


class AgentQueries:
    """Reads agents of the caller's workspace."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def agents(
        self, principal: Principal, narrowing: AgentFilter, order: AgentOrder, page: PageRequest
    ) -> Page[AgentRow]:
        """List agents. Raises ValidationFailed for the filter and BadCursor."""
        by_name = order is AgentOrder.NAME_ASC
        return await paginate(
            self._narrowed(principal, narrowing).annotate(sort_name=Lower("name")),
            sort=("sort_name" if by_name else "updated_at", "id"),
            descending=not by_name,
            request=page,
            database=self._database,
            within=principal.workspace_id,
        )

    async def count(self, principal: Principal, narrowing: AgentFilter) -> int:
        """Length of the whole list."""
        return await self._narrowed(principal, narrowing).count()

    async def agent(
        self, principal: Principal, *, agent_id: str | None = None, slug: str | None = None
    ) -> AgentRow | None:
        """Return one agent by its id or else its slug, None when unknown."""
        principal.needs(Scope.AGENTS_READ)
        rows = self._rows(principal.workspace_id)
        if agent_id is not None:
            return await rows.filter(id=agent_id).first()
        if slug is None or "\0" in slug:
            return None
        return await rows.filter(slug=slug).first()

    async def by_ids(self, principal: Principal, ids: Iterable[str]) -> dict[str, AgentRow]:
        """Return the agents that exist, by id."""
        principal.needs_any(
            Scope.AGENTS_READ, Scope.RUNS_READ, Scope.RUNS_EXECUTE, Scope.TASKS_READ
        )
        rows = await self._rows(principal.workspace_id).filter(id__in=list(ids))
        return {row.id: row for row in rows}

    async def memory_policy(self, workspace_id: str, agent_id: str | None) -> MemoryPolicy:
        """How much of memory an agent uses now; for its own calls, made by its runs."""
        row = None if agent_id is None else await self._rows(workspace_id).get_or_none(id=agent_id)
        if row is None:
            return MemoryPolicy()
        return AgentSettings.model_validate(row.settings).memory

    async def versions(
        self, principal: Principal, agent_id: str, page: PageRequest
    ) -> Page[AgentVersionRow]:
        """List the versions of an agent, newest first. Raises BadCursor."""
        principal.needs(Scope.AGENTS_READ)
        return await paginate(
            self._versions(principal).filter(agent_id=agent_id),
            sort=("version", "id"),
            descending=True,
            request=page,
            database=self._database,
            within=agent_id,
        )

    async def version(
        self, principal: Principal, agent_id: str, version: int
    ) -> AgentVersionRow | None:
        """Return an agent as it was saved once, None when it never had that version."""
        principal.needs(Scope.AGENTS_READ)
        return await self._versions(principal).filter(agent_id=agent_id, version=version).first()

    async def settings_at(
        self, principal: Principal, keys: Sequence[tuple[str, int]]
    ) -> dict[tuple[str, int], AgentSettings]:
        """Return settings by agent and version, without those that never were."""
        principal.needs_any(Scope.AGENTS_READ, Scope.RUNS_READ, Scope.RUNS_EXECUTE)
        if not keys:
            return {}
        wanted = Q(*(Q(agent_id=ident, version=n) for ident, n in keys), join_type=Q.OR)
        rows = await self._versions(principal).filter(wanted)
        return {
            (row.agent_id, row.version): AgentSettings.model_validate(row.settings) for row in rows
        }

    def _rows(self, workspace_id: str) -> QuerySet[AgentRow]:
        return AgentRow.filter(workspace_id=workspace_id).using_db(self._database.reader)

    def _versions(self, principal: Principal) -> QuerySet[AgentVersionRow]:
        rows = AgentVersionRow.filter(workspace_id=principal.workspace_id)
        return rows.using_db(self._database.reader)

    def _narrowed(self, principal: Principal, narrowing: AgentFilter) -> QuerySet[AgentRow]:
        principal.needs(Scope.AGENTS_READ)
        rows = self._rows(principal.workspace_id)
        rows = rows.filter(archived_at__isnull=not narrowing.archived)
        words = words_of(narrowing.search)
        named = ("name", "slug", "description")
        return rows.filter(contains_all(words, lambda word: contains(named, word)))
