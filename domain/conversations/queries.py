"""Conversations and their messages, as clients and the engine find them."""

from collections.abc import Iterable
from dataclasses import dataclass

from tortoise.expressions import Q, RawSQL, Subquery
from tortoise.queryset import QuerySet

from domain.access.scopes import Principal, Scope
from domain.conversations.rows import ConversationRow, MessageRow
from domain.kernel.database import Database
from domain.kernel.paging import Page, PageRequest, paginate
from domain.kernel.searching import contains, contains_all, words_of

HISTORY_CHUNK = 100
# The table belongs to the layer above; only its two columns are known here.
BUSY = (
    "EXISTS (SELECT 1 FROM run r"
    " WHERE r.conversation_id = conversation.id AND r.holds_conversation)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationFilter:
    """Narrows a list; moments in microseconds, `since_us` included and `until_us` not."""

    search: str | None = None
    agent_id: str | None = None
    busy: bool | None = None
    since_us: int | None = None
    until_us: int | None = None


class ConversationQueries:
    """Reads conversations of the caller's workspace."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def conversations(
        self,
        principal: Principal,
        narrowing: ConversationFilter,
        page: PageRequest,
        *,
        newest_first: bool = True,
    ) -> Page[ConversationRow]:
        """List conversations by last change. Raises ValidationFailed for the filter, BadCursor."""
        principal.needs(Scope.RUNS_READ)
        return await paginate(
            self._narrowed(principal, narrowing),
            sort=("updated_at", "id"),
            descending=newest_first,
            request=page,
            database=self._database,
            within=principal.workspace_id,
        )

    async def conversation(
        self, principal: Principal, conversation_id: str
    ) -> ConversationRow | None:
        """Return one conversation, None when unknown."""
        principal.needs(Scope.RUNS_READ)
        return await self._rows(principal).filter(id=conversation_id).first()

    async def by_ids(self, principal: Principal, ids: Iterable[str]) -> dict[str, ConversationRow]:
        """Return the conversations that exist, by id."""
        principal.needs(Scope.RUNS_READ)
        rows = await self._rows(principal).filter(id__in=list(ids))
        return {row.id: row for row in rows}

    async def messages(
        self, principal: Principal, conversation_id: str, page: PageRequest
    ) -> Page[MessageRow]:
        """List messages, oldest first. Raises BadCursor."""
        principal.needs(Scope.RUNS_READ)
        return await paginate(
            self._messages(principal).filter(conversation_id=conversation_id),
            sort=("id",),
            descending=False,
            request=page,
            database=self._database,
            within=conversation_id,
        )

    async def message(self, principal: Principal, message_id: str) -> MessageRow | None:
        """Return one message, None when unknown."""
        principal.needs(Scope.RUNS_READ)
        return await self._messages(principal).filter(id=message_id).first()

    async def history(self, conversation_id: str, *, limit_tokens: int) -> list[MessageRow]:
        """Return the newest messages that fit together, in order, and at least the newest one.

        For the engine, whose run names the conversation; nobody else asks without a principal.
        """
        kept: list[MessageRow] = []
        left = limit_tokens
        rows = MessageRow.filter(conversation_id=conversation_id).using_db(self._database.reader)
        while True:
            older = rows.filter(id__lt=kept[-1].id) if kept else rows
            found = await older.order_by("-id").limit(HISTORY_CHUNK)
            for row in found:
                left -= row.token_count
                if left < 0 and kept:
                    return kept[::-1]
                kept.append(row)
            if len(found) < HISTORY_CHUNK:
                return kept[::-1]

    def _rows(self, principal: Principal) -> QuerySet[ConversationRow]:
        rows = ConversationRow.filter(workspace_id=principal.workspace_id)
        return rows.using_db(self._database.reader)

    def _messages(self, principal: Principal) -> QuerySet[MessageRow]:
        rows = MessageRow.filter(workspace_id=principal.workspace_id)
        return rows.using_db(self._database.reader)

    def _narrowed(
        self, principal: Principal, narrowing: ConversationFilter
    ) -> QuerySet[ConversationRow]:
        rows = self._rows(principal)
        if narrowing.agent_id is not None:
            rows = rows.filter(agent_id=narrowing.agent_id)
        if narrowing.since_us is not None:
            rows = rows.filter(updated_at__gte=narrowing.since_us)
        if narrowing.until_us is not None:
            rows = rows.filter(updated_at__lt=narrowing.until_us)
        if narrowing.busy is not None:
            rows = rows.annotate(is_busy=RawSQL(BUSY)).filter(is_busy=narrowing.busy)
        words = words_of(narrowing.search)
        return rows.filter(contains_all(words, lambda word: self._says(principal, word)))

    def _says(self, principal: Principal, word: str) -> Q:
        said = self._messages(principal).filter(content__icontains=word)
        return contains(("title",), word) | Q(id__in=Subquery(said.values("conversation_id")))
