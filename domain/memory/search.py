"""Ranking: which of the memories that may be found answer a question best, and why.

BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009, section 3.4) over the
index of words, computed in SQL alike on both databases. Scope and filter hold before anything is
ranked or cut off. Pinned memories get an addition in proportion to their score.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from domain.kernel.condition_sql import Parameters
from domain.kernel.database import Database, Row
from domain.kernel.rows import columns_of, row_of
from domain.memory.filters import MemoryFilter
from domain.memory.postings import word_key
from domain.memory.reach import Reach, visible_sql
from domain.memory.rows import MemoryRow
from domain.memory.words import asked_words

MOST_WORDS = 48
"""Most different words of a query that count."""
SATURATION = 0.9
LENGTH_WEIGHT = 0.4
"""k1 and b, as they suit short passages."""
PINNED_WORTH = 0.15
FIRST_LOOK = 256
"""How many of the best by words are tried before all that match are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRequest:
    """A question, and which memories may answer it."""

    workspace_id: str
    query: str
    now_us: int
    narrowing: MemoryFilter = field(default_factory=MemoryFilter)
    reach: Reach | None = None
    """Bounds of an agent; None for a caller who sees the whole workspace."""
    as_of_us: int | None = None
    limit: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreBoost:
    """Addition to a score."""

    name: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryScore:
    """Parts of a score; `total` is 0 to 1 and comparable within one result only."""

    total: float
    lexical_rank: int | None
    matched_terms: Sequence[str]
    boosts: Sequence[ScoreBoost] = ()
    vector_similarity: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A memory that answers."""

    row: MemoryRow
    score: MemoryScore


class MemorySearch:
    """Finds memories by their words."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, request: SearchRequest) -> list[Found]:
        """Return the best, best first."""
        asked = dict(list(asked_words(request.query).items())[:MOST_WORDS])
        if not asked:
            return []
        rows = await self._ranked(request, list(asked), among=FIRST_LOOK)
        if not _is_settled(rows, request.limit):
            rows = await self._ranked(request, list(asked), among=None)
        return [_found(row, list(asked.values())) for row in rows]

    async def _ranked(
        self, request: SearchRequest, asked: Sequence[str], *, among: int | None
    ) -> list[Row]:
        """Rank in one statement: weigh the words, score, keep what is visible, take the best."""
        parameters = Parameters()
        words = ", ".join(
            f"(CAST({parameters.add(word_key(request.workspace_id, word))} AS BIGINT),"
            f" CAST({1 << place} AS BIGINT))"
            for place, word in enumerate(asked)
        )
        workspace = parameters.add(request.workspace_id)
        sql = _RANK.format(
            words=words,
            workspace=workspace,
            visible=visible_sql(request, parameters, self._database.dialect),
            cut="" if among is None else f"ORDER BY lexical DESC LIMIT {among}",
            columns=", ".join(f"memory.{column}" for column in columns_of(MemoryRow)),
            limit=request.limit,
        )
        return await self._database.fetch(sql, *parameters.values)


_RANK = f"""
WITH asked (key, bit) AS (VALUES {{words}}),
spread AS MATERIALIZED (
    SELECT asked.key, asked.bit,
        (SELECT COUNT(*) FROM memory_word AS entry WHERE entry.word = asked.key) AS holding
    FROM asked
),
weighted AS MATERIALIZED (
    SELECT asked.key, asked.bit, asked.holding,
        LN(CAST(1 + (CASE WHEN total.memories > asked.holding THEN total.memories - asked.holding
            ELSE 0 END + 0.5) / (asked.holding + 0.5) AS DOUBLE PRECISION)) AS weight,
        {SATURATION * LENGTH_WEIGHT} * total.memories
            / CASE WHEN total.words > 0 THEN total.words ELSE 1 END AS slope
    FROM memory_total AS total CROSS JOIN spread AS asked
    WHERE total.workspace_id = {{workspace}}
),
scored AS MATERIALIZED (
    SELECT entry.num,
        SUM(asked.weight * entry.occurrences / (entry.occurrences
            + {SATURATION * (1 - LENGTH_WEIGHT)} + asked.slope * entry.length)) AS lexical,
        CAST(SUM(asked.bit) AS BIGINT) AS matched
    FROM weighted AS asked CROSS JOIN memory_word AS entry
    WHERE entry.word = asked.key
    GROUP BY entry.num
    {{cut}}
),
visible AS (
    SELECT memory.num, scored.matched, scored.lexical,
        scored.lexical * CASE WHEN memory.pinned THEN {1 + PINNED_WORTH} ELSE 1.0 END AS total,
        ROW_NUMBER() OVER (
            ORDER BY scored.lexical DESC, memory.created_at DESC, memory.id DESC
        ) AS place
    FROM scored CROSS JOIN memory
    WHERE memory.num = scored.num AND memory.workspace_id = {{workspace}} AND {{visible}}
)
SELECT best.matched, best.lexical, best.total, best.place, (SELECT COUNT(*) FROM scored),
    (SELECT MIN(lexical) FROM scored), (SELECT SUM(weight) FROM weighted), {{columns}}
FROM (SELECT * FROM visible ORDER BY total DESC, place LIMIT {{limit}}) AS best CROSS JOIN memory
WHERE memory.num = best.num
ORDER BY best.total DESC, best.place
"""


class _Rank(NamedTuple):
    """What stands before the memory's own columns."""

    matched: int
    lexical: float
    total: float
    place: int
    looked_at: int
    lowest: float
    highest: float
    """The score of a memory that is about every word of the query and nothing else."""


def _is_settled(rows: Sequence[Row], limit: int) -> bool:
    """True when no memory below the first look could still come among the rows."""
    if not rows:
        return False
    last = _rank_of(rows[-1])
    if last.looked_at < FIRST_LOOK:
        return True
    return len(rows) == limit and last.total > last.lowest * (1 + PINNED_WORTH)


def _rank_of(row: Row) -> _Rank:
    return _Rank(*row[: len(_Rank._fields)])


def _found(row: Row, asked: Sequence[str]) -> Found:
    rank = _rank_of(row)
    total = min(1.0, rank.total / rank.highest)
    boost = total - rank.lexical / rank.highest
    score = MemoryScore(
        total=total,
        lexical_rank=rank.place,
        matched_terms=[word for place, word in enumerate(asked) if rank.matched >> place & 1],
        boosts=[ScoreBoost(name="pinned", value=boost)] if rank.total > rank.lexical else [],
    )
    return Found(row=row_of(MemoryRow, row[len(rank) :]), score=score)


def within_budget(found: Sequence[Found], max_tokens: int | None, limit: int) -> list[Found]:
    """Keep the best that fit together into a budget of tokens."""
    if max_tokens is None:
        return list(found[:limit])
    kept: list[Found] = []
    left = max_tokens
    for one in found:
        if one.row.token_count <= left and len(kept) < limit:
            kept.append(one)
            left -= one.row.token_count
    return kept
