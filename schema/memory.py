"""Memories: what is remembered, where it comes from, how it changed, and how it was found."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Annotated, Any, Self

import strawberry
from strawberry import ID, Private, field

from domain.kernel.changes import Change as DomainChange
from domain.kernel.paging import Page, PageRequest
from domain.memory.forgetting import Selected
from domain.memory.queries import MemoryHit as DomainHit
from domain.memory.queries import SearchResult
from domain.memory.rows import MemoryRow, MemoryVersionRow
from domain.memory.search import MemoryScore as DomainScore
from domain.memory.service import MemorySaved
from schema.agents import Agent, MemoryKind
from schema.context import Info
from schema.conversations import Conversation, Message
from schema.declare import api_enum, api_type
from schema.ids import Kind, encode_id
from schema.relay import Change, Connection, Edge, Node, Paged
from schema.runs import Run
from schema.scalars import Json, Moment, format_moment, moment


@api_type
class ArtifactTest:
    """Call with a known result."""

    name: str = field(description="Name of the test.")
    arguments: Json = field(description="Arguments of the call.")
    expected: Json | None = field(description="Result it must return.")

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """Show what is stored."""
        return cls(
            name=stored["name"],
            arguments=Json(stored["arguments"]),
            expected=_json(stored.get("expected")),
        )


@api_type
class Artifact:
    """Code that belongs to a solution."""

    language: str = field(description="Language, such as python or bash.")
    code: str = field(description="Source text.")
    entry_point: str | None = field(
        description="Function or file to start; null runs the whole text."
    )
    input_schema: Json | None = field(
        description="JSON Schema of the arguments; null when it takes none."
    )
    tests: list[ArtifactTest] = field(description="Tests that must pass before it becomes a tool.")

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """Show what is stored."""
        return cls(
            language=stored["language"],
            code=stored["code"],
            entry_point=stored.get("entryPoint"),
            input_schema=_json(stored.get("inputSchema")),
            tests=[ArtifactTest.of(test) for test in stored["tests"]],
        )


@api_type
class MemorySource:
    """Where a memory comes from."""

    created_by: str = field(description="Who wrote it: a key's name, an agent's slug or system.")
    trusted: bool = field(
        description="False when it stems from untrusted text, such as a web page."
    )

    row: Private[MemoryRow]

    @classmethod
    def of(cls, row: MemoryRow) -> Self:
        """Show a row."""
        return cls(created_by=row.created_by, trusted=row.trusted, row=row)

    @field(description="Run that wrote it; null when none did.")
    async def run(self, info: Info) -> Run | None:
        """Load it."""
        if self.row.run_id is None:
            return None
        row = await info.context.loaders.run(self.row.run_id)
        return None if row is None else Run.of(row)

    @field(description="Message it was taken from; null when none.")
    async def message(self, info: Info) -> Message | None:
        """Load it."""
        if self.row.message_id is None:
            return None
        row = await info.context.loaders.message(self.row.message_id)
        return None if row is None else Message.of(row)

    @field(description="Memories it sums up or merges.")
    async def derived_from(
        self, info: Info
    ) -> list[Annotated["Memory", strawberry.lazy("schema.memory")]]:
        """Load them."""
        if not self.row.derived_from:
            return []
        rows = await info.context.loaders.memories(self.row.derived_from)
        return [Memory.of(row) for row in rows]


@api_enum
class MemoryAction(Enum):
    """What was done to a memory."""

    SAVED = "Saved for the first time."
    UPDATED = "Changed."
    SUPERSEDED = "Replaced by a newer memory."
    FORGOTTEN = "Forgotten."
    EXPIRED = "Expired."
    RESTORED = "Brought back."
    ERASED = "Erased for good; content and history are gone."


@api_type
class MemoryVersion:
    """Memory as it was at one time."""

    version: int = field(description="Number of the version.")
    action: MemoryAction = field(description="What was done.")
    changes: list[Change] = field(description="What changed against the version before.")
    changed_by: str = field(description="Who did it.")
    changed_at: Moment = field(description="When it was done.")
    reason: str | None = field(description="Why, as given.")

    @classmethod
    def of(cls, row: MemoryVersionRow) -> Self:
        """Show a row."""
        return cls(
            version=row.version,
            action=MemoryAction[row.action],
            changes=[_change(stored) for stored in row.changes],
            changed_by=row.changed_by,
            changed_at=Moment(row.created_at),
            reason=row.reason,
        )


@api_type
class MemoryVersionEdge(Edge[MemoryVersion]):
    """Place of one memory version in a page."""


@api_type
class MemoryVersionConnection(Connection[MemoryVersion, MemoryVersionEdge]):
    """Page of memory versions."""

    @classmethod
    def of(cls, page: Page[MemoryVersionRow]) -> Self:
        """Show a page of rows."""
        nodes = [MemoryVersion.of(row) for row in page.items]
        return cls.over(page, nodes, MemoryVersionEdge)


@api_type
class Memory(Node):
    """One remembered item."""

    id: ID = field(description="Opaque global id.")
    kind: MemoryKind = field(description="Kind.")
    content: str = field(description="What is remembered.")
    metadata: Json = field(description="Data to filter by.")
    source: MemorySource = field(description="Where it comes from.")
    artifacts: list[Artifact] = field(
        description="Code that a solution carries; empty for other kinds."
    )
    pinned: bool = field(description="True keeps it from retention rules and expiry.")
    recallable: bool = field(
        description="False keeps it from being recalled; it can still be read."
    )
    valid_from: Moment = field(description="Since when it is true.")
    valid_to: Moment | None = field(description="Until when it was true; null while it is.")
    expires_at: Moment | None = field(description="When it expires; null for never.")
    forgotten_at: Moment | None = field(
        description="When it was forgotten; null while it is not. It can be restored."
    )
    token_count: int = field(description="Length in tokens, estimated.")
    recall_count: int = field(description="How often it was recalled.")
    last_recalled_at: Moment | None = field(description="Last recall; null before the first.")
    version: int = field(description="Counts changes; send it back as expectedVersion.")
    created_at: Moment = field(description="When it was created.")
    updated_at: Moment = field(description="When it last changed.")

    row: Private[MemoryRow]

    @classmethod
    def of(cls, row: MemoryRow) -> Self:
        """Show a row."""
        return cls(
            id=encode_id(Kind.MEMORY, row.id),
            kind=MemoryKind[row.kind],
            content=row.content,
            metadata=Json(row.metadata),
            source=MemorySource.of(row),
            artifacts=[Artifact.of(stored) for stored in row.artifacts],
            pinned=row.pinned,
            recallable=row.recallable,
            valid_from=Moment(row.valid_from),
            valid_to=moment(row.valid_to),
            expires_at=moment(row.expires_at),
            forgotten_at=moment(row.forgotten_at),
            token_count=row.token_count,
            recall_count=row.recall_count,
            last_recalled_at=moment(row.last_recalled_at or None),
            version=row.version,
            created_at=Moment(row.created_at),
            updated_at=Moment(row.updated_at),
            row=row,
        )

    @field(description="Agent it belongs to; null for the whole workspace.")
    async def agent(self, info: Info) -> Agent | None:
        """Load it."""
        if self.row.agent_id is None:
            return None
        row = await info.context.loaders.agent(self.row.agent_id)
        return None if row is None else Agent.of(row)

    @field(description="Conversation it belongs to; null for all.")
    async def conversation(self, info: Info) -> Conversation | None:
        """Load it."""
        if self.row.conversation_id is None:
            return None
        row = await info.context.loaders.conversation(self.row.conversation_id)
        return None if row is None else Conversation.of(row)

    @field(description="Memory that replaced it; null while current.")
    async def superseded_by(self, info: Info) -> "Memory | None":
        """Load it."""
        if self.row.superseded_by is None:
            return None
        row = await info.context.loaders.memory(self.row.superseded_by)
        return None if row is None else Memory.of(row)

    @field(description="Every change, newest first.", extensions=[Paged()])
    async def history(self, info: Info, page: PageRequest) -> MemoryVersionConnection:
        """List them."""
        found = await info.context.loaders.memory_history(self.row.id, page)
        return MemoryVersionConnection.of(found)


@api_type
class MemoryEdge(Edge[Memory]):
    """Place of one memory in a page."""


@api_type
class MemoryConnection(Connection[Memory, MemoryEdge]):
    """Page of memories."""

    @classmethod
    def of(cls, page: Page[MemoryRow]) -> Self:
        """Show a page of rows."""
        return cls.over(page, [Memory.of(row) for row in page.items], MemoryEdge)


@api_type
class ScoreBoost:
    """Addition to a score."""

    name: str = field(description="What it is for, such as date, speaker or pinned.")
    value: float = field(description="How much it added to the total.")


@api_type
class MemoryScore:
    """Parts of a score, so that a recall can be explained."""

    total: float = field(description="Final score, 0 to 1, comparable within one result only.")
    lexical_rank: int | None = field(
        description="Rank by words, from 1; null when no word matched."
    )
    matched_terms: list[str] = field(description="Query words that matched.")
    vector_similarity: float | None = field(
        description="Cosine to the query, -1 to 1; null without embeddings."
    )
    boosts: list[ScoreBoost] = field(
        description="Additions, such as for a matching date or speaker."
    )

    @classmethod
    def of(cls, score: DomainScore) -> Self:
        """Show a score."""
        return cls(
            total=score.total,
            lexical_rank=score.lexical_rank,
            matched_terms=list(score.matched_terms),
            vector_similarity=score.vector_similarity,
            boosts=[ScoreBoost(name=boost.name, value=boost.value) for boost in score.boosts],
        )


@api_type
class MemoryHit:
    """Memory found by a search or put before a model."""

    memory: Memory = field(description="The memory.")
    rank: int = field(description="Place in the result, from 1.")
    score: MemoryScore = field(description="Why it was found.")

    @classmethod
    def of(cls, hit: DomainHit) -> Self:
        """Show a hit."""
        return cls(memory=Memory.of(hit.row), rank=hit.rank, score=MemoryScore.of(hit.score))


@api_type
class MemorySearchResult:
    """Result of a memory search."""

    hits: list[MemoryHit] = field(description="Hits, best first.")
    token_count: int = field(description="Tokens of all hits together, estimated.")
    hybrid: bool = field(description="True when embeddings took part, false for words alone.")
    duration_ms: int = field(description="Time taken.")

    @classmethod
    def of(cls, result: SearchResult) -> Self:
        """Show a result."""
        return cls(
            hits=[MemoryHit.of(hit) for hit in result.hits],
            token_count=result.token_count,
            hybrid=result.hybrid,
            duration_ms=result.duration_ms,
        )


@api_type
class MemorySuccess:
    """The memory as saved."""

    memory: Memory = field(description="The memory.")
    unchanged: bool = field(
        description="True when an equal memory existed and nothing was changed."
    )

    @classmethod
    def of(cls, saved: MemorySaved) -> Self:
        """Show what was saved."""
        return cls(memory=Memory.of(saved.row), unchanged=saved.unchanged)


@api_type
class MemoriesSuccess:
    """Memories forgotten or brought back."""

    count: int = field(description="How many are concerned.")
    sample: list[Memory] = field(description="Up to ten of them; empty once erased.")
    dry_run: bool = field(description="True when nothing was changed.")

    @classmethod
    def of(cls, selected: Selected) -> Self:
        """Show what was done."""
        sample = [Memory.of(row) for row in selected.sample]
        return cls(count=selected.count, sample=sample, dry_run=selected.dry_run)


_MOMENTS = frozenset({"validTo", "expiresAt", "forgottenAt"})


def _change(stored: Mapping[str, Any]) -> Change:
    path: Sequence[str] = stored["path"]
    before, after = (_shown(path[0], stored[side]) for side in ("before", "after"))
    return Change.of(DomainChange(path=tuple(path), before=before, after=after))


def _shown(name: str, value: Any) -> Any:
    """A stored value as clients know it."""
    if value is None:
        return None
    if name in _MOMENTS:
        return format_moment(value)
    return encode_id(Kind.MEMORY, value) if name == "supersededBy" else value


def _json(value: object) -> Json | None:
    return None if value is None else Json(value)
