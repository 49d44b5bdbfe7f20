"""Memories as clients and agents find them: one, a page, by search, and their history."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from domain.access.scopes import Principal, Scope
from domain.kernel.condition_sql import Parameters
from domain.kernel.database import Database, Statement
from domain.kernel.errors import ValidationFailed
from domain.kernel.paging import Page, PageRequest, RowsWhere, fetch_page
from domain.kernel.ports import Clock
from domain.kernel.rows import fetch_rows
from domain.kernel.validation import validated
from domain.memory.filters import MemoryFilter, filter_sql, parse_filter
from domain.memory.reach import Reach, named_sql, present_sql
from domain.memory.rows import MemoryRow, MemoryVersionRow
from domain.memory.search import MemoryScore, MemorySearch, SearchRequest, within_budget
from domain.memory.specs import SearchSpec

CANDIDATES = 100
"""How many of the best may be tried to fill a budget of tokens."""


class MemoryOrder(StrEnum):
    """Sort order of memories."""

    CREATED_AT_DESC = "CREATED_AT_DESC"
    CREATED_AT_ASC = "CREATED_AT_ASC"
    LAST_RECALLED_AT_DESC = "LAST_RECALLED_AT_DESC"


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryHit:
    """A memory that answers; `rank` is its place from 1."""

    row: MemoryRow
    rank: int
    score: MemoryScore


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """Hits, best first, and what they come to; `hybrid` when embeddings took part."""

    hits: Sequence[MemoryHit]
    token_count: int
    duration_ms: int
    hybrid: bool = False


class MemoryQueries:
    """Reads memories of the caller's workspace."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._search = MemorySearch(database)

    async def memory(self, principal: Principal, memory_id: str) -> MemoryRow | None:
        """Return one memory, also a forgotten one; None when unknown."""
        principal.needs(Scope.MEMORY_READ)
        return (await self._rows(principal, [memory_id])).get(memory_id)

    async def by_ids(self, principal: Principal, ids: Iterable[str]) -> dict[str, MemoryRow]:
        """Return the memories that exist, by id."""
        principal.needs(Scope.MEMORY_READ)
        return await self._rows(principal, list(ids))

    async def memories(
        self,
        principal: Principal,
        narrowing: Mapping[str, Any] | None,
        order: MemoryOrder,
        page: PageRequest,
    ) -> Page[MemoryRow]:
        """List memories. Raises ValidationFailed for the filter, and BadCursor."""
        principal.needs(Scope.MEMORY_READ)
        parameters = Parameters([principal.workspace_id])
        wanted = parse_filter(narrowing)
        present = present_sql(
            wanted, parameters, self._database.dialect, now_us=self._clock.now_us()
        )
        by_recall = order is MemoryOrder.LAST_RECALLED_AT_DESC
        return await fetch_page(
            RowsWhere(
                model=MemoryRow,
                condition=f"workspace_id = $1 AND {present}",
                args=parameters.values,
            ),
            sort=("last_recalled_at" if by_recall else "created_at", "id"),
            descending=order is not MemoryOrder.CREATED_AT_ASC,
            request=page,
            database=self._database,
            within=principal.workspace_id,
        )

    async def search(self, principal: Principal, values: Mapping[str, Any]) -> SearchResult:
        """Answer a client's question. Raises ValidationFailed."""
        principal.needs(Scope.MEMORY_READ)
        given = {key: value for key, value in values.items() if value is not None}
        narrowing = parse_filter(given.pop("filter", None))
        spec = validated(SearchSpec, given)
        if spec.min_similarity is not None:
            message = "It needs embeddings, and this server has none; leave it out."
            raise ValidationFailed.of("minSimilarity", message)
        request = SearchRequest(
            workspace_id=principal.workspace_id,
            query=spec.query,
            now_us=self._clock.now_us(),
            narrowing=narrowing,
            as_of_us=spec.as_of,
            limit=spec.limit,
        )
        return await self._answer(request, max_tokens=spec.max_tokens)

    async def recall(
        self,
        principal: Principal,
        query: str,
        *,
        reach: Reach,
        narrowing: MemoryFilter,
        limit: int,
        max_tokens: int,
    ) -> SearchResult:
        """Answer an agent within its reach, and count for each memory that it was recalled."""
        principal.needs(Scope.MEMORY_READ)
        request = SearchRequest(
            workspace_id=principal.workspace_id,
            query=query,
            now_us=self._clock.now_us(),
            narrowing=narrowing,
            reach=reach,
            limit=limit,
        )
        result = await self._answer(request, max_tokens=max_tokens)
        recalled = [hit.row.id for hit in result.hits]
        if recalled:
            parameters = Parameters([principal.workspace_id, self._clock.now_us()])
            sql = (
                "UPDATE memory SET recall_count = recall_count + 1, last_recalled_at = $2"
                f" WHERE {named_sql(recalled, parameters, '$1')}"
            )
            await self._database.write([Statement(sql, parameters.values)])
        return result

    async def history(
        self, principal: Principal, memory_id: str, page: PageRequest
    ) -> Page[MemoryVersionRow]:
        """List every change of a memory, newest first. Raises BadCursor."""
        principal.needs(Scope.MEMORY_READ)
        return await fetch_page(
            RowsWhere(
                model=MemoryVersionRow,
                condition="workspace_id = $1 AND memory_id = $2",
                args=(principal.workspace_id, memory_id),
            ),
            sort=("version",),
            descending=True,
            request=page,
            database=self._database,
            within=memory_id,
        )

    async def fitting(
        self, principal: Principal, narrowing: MemoryFilter, ids: Sequence[str]
    ) -> set[str]:
        """Which of the memories fit a filter, whether forgotten and expired or not."""
        principal.needs(Scope.MEMORY_READ)
        parameters = Parameters([principal.workspace_id])
        wanted = filter_sql(narrowing, parameters, self._database.dialect)
        named = named_sql(ids, parameters, "$1")
        sql = f"SELECT id FROM memory WHERE {named} AND {wanted}"
        return {row[0] for row in await self._database.fetch(sql, *parameters.values)}

    async def _answer(self, request: SearchRequest, *, max_tokens: int | None) -> SearchResult:
        began = self._clock.monotonic()
        most = request.limit if max_tokens is None else CANDIDATES
        found = await self._search.find(replace(request, limit=most))
        kept = within_budget(found, max_tokens, request.limit)
        hits = [
            MemoryHit(row=one.row, rank=rank, score=one.score) for rank, one in enumerate(kept, 1)
        ]
        return SearchResult(
            hits=hits,
            token_count=sum(hit.row.token_count for hit in hits),
            duration_ms=round((self._clock.monotonic() - began) * 1000),
        )

    async def _rows(self, principal: Principal, ids: Sequence[str]) -> dict[str, MemoryRow]:
        if not ids:
            return {}
        parameters = Parameters([principal.workspace_id])
        condition = named_sql(ids, parameters, "$1")
        rows = await fetch_rows(self._database, MemoryRow, condition, *parameters.values)
        return {row.id: row for row in rows}
