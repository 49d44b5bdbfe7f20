"""Memories as JSON: as they are kept, listed and found."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field

from app.documents.base import (
    Document,
    MomentText,
    Reference,
    id_field,
    moment_text,
    reference,
)
from app.documents.pages import PageDocument, PageInfo
from domain.kernel.paging import Page
from domain.memory import queries
from domain.memory.policy import MemoryKind
from domain.memory.rows import MemoryRow
from domain.memory.search import MemoryScore as DomainScore
from schema.ids import Kind, encode_id
from schema.scalars import format_moment


class ArtifactTest(Document):
    """Call with a known result."""

    name: str
    arguments: Any
    expected: Any

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """Show what is stored."""
        return cls(
            name=stored["name"],
            arguments=stored["arguments"],
            expected=stored.get("expected"),
        )


class Artifact(Document):
    """Code that belongs to a solution."""

    language: str
    code: str
    entry_point: str | None
    input_schema: Any
    tests: list[ArtifactTest]

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """Show what is stored."""
        return cls(
            language=stored["language"],
            code=stored["code"],
            entry_point=stored.get("entryPoint"),
            input_schema=stored.get("inputSchema"),
            tests=[ArtifactTest.of(test) for test in stored["tests"]],
        )


class MemorySource(Document):
    """Where a memory comes from."""

    created_by: str
    run: Reference | None
    message: Reference | None
    derived_from: list[Reference]
    trusted: bool

    @classmethod
    def of(cls, row: MemoryRow) -> Self:
        """Show a row."""
        return cls(
            created_by=row.created_by,
            run=reference(Kind.RUN, row.run_id),
            message=reference(Kind.MESSAGE, row.message_id),
            derived_from=[Reference.of(Kind.MEMORY, raw) for raw in row.derived_from],
            trusted=row.trusted,
        )


class Memory(Document):
    """One remembered item."""

    id: Annotated[str, id_field(Kind.MEMORY)]
    kind: MemoryKind
    content: str
    metadata: dict[str, Any]
    agent: Reference | None
    conversation: Reference | None
    source: MemorySource
    artifacts: list[Artifact]
    pinned: bool
    recallable: bool
    valid_from: MomentText
    valid_to: MomentText | None
    superseded_by: Reference | None
    expires_at: MomentText | None
    forgotten_at: MomentText | None
    token_count: int
    recall_count: int
    last_recalled_at: MomentText | None
    version: int
    created_at: MomentText
    updated_at: MomentText

    @classmethod
    def of(cls, row: MemoryRow) -> Self:
        """Show a row."""
        return cls(
            id=encode_id(Kind.MEMORY, row.id),
            kind=MemoryKind(row.kind),
            content=row.content,
            metadata=row.metadata,
            agent=reference(Kind.AGENT, row.agent_id),
            conversation=reference(Kind.CONVERSATION, row.conversation_id),
            source=MemorySource.of(row),
            artifacts=[Artifact.of(stored) for stored in row.artifacts],
            pinned=row.pinned,
            recallable=row.recallable,
            valid_from=format_moment(row.valid_from),
            valid_to=moment_text(row.valid_to),
            superseded_by=reference(Kind.MEMORY, row.superseded_by),
            expires_at=moment_text(row.expires_at),
            forgotten_at=moment_text(row.forgotten_at),
            token_count=row.token_count,
            recall_count=row.recall_count,
            last_recalled_at=moment_text(row.last_recalled_at or None),
            version=row.version,
            created_at=format_moment(row.created_at),
            updated_at=format_moment(row.updated_at),
        )


class MemoryPage(PageDocument):
    """Page of memories, newest first."""

    nodes: list[Memory] = Field(description="The memories.")

    @classmethod
    def of(cls, page: Page[MemoryRow]) -> Self:
        """Show a page of rows."""
        return cls(nodes=[Memory.of(row) for row in page.items], page_info=PageInfo.of(page))


class ScoreBoost(Document):
    """Addition to a score."""

    name: str
    value: float


class MemoryScore(Document):
    """Parts of a score, so that a recall can be explained."""

    total: float
    lexical_rank: int | None
    matched_terms: list[str]
    vector_similarity: float | None
    boosts: list[ScoreBoost]

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


class MemoryHit(Document):
    """Memory found by a search or put before a model."""

    memory: Memory
    rank: int
    score: MemoryScore

    @classmethod
    def of(cls, hit: queries.MemoryHit) -> Self:
        """Show a hit."""
        return cls(memory=Memory.of(hit.row), rank=hit.rank, score=MemoryScore.of(hit.score))


class MemorySearchResult(Document):
    """Result of a memory search."""

    hits: list[MemoryHit]
    token_count: int
    hybrid: bool
    duration_ms: int

    @classmethod
    def of(cls, result: queries.SearchResult) -> Self:
        """Show a result."""
        return cls(
            hits=[MemoryHit.of(hit) for hit in result.hits],
            token_count=result.token_count,
            hybrid=result.hybrid,
            duration_ms=result.duration_ms,
        )
