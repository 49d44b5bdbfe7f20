"""Ranking: which of the memories that may be found answer a question best, and why.

BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009, section 3.4) over the
index of words, computed in SQL alike on both databases. Scope and filter hold before anything is
ranked or cut off. Pinned memories get an addition in proportion to their score.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from domain.kernel.condition_sql import Parameters
from domain.kernel.database import Database, Row, placeholders
from domain.memory.filters import MemoryFilter
from domain.memory.postings import word_key
from domain.memory.reach import Reach, visible_sql
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
    """A memory that answers, by its id."""

    memory_id: str
    token_count: int
    score: MemoryScore


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """The words of a query that the workspace knows, with their weights."""

    keys: Sequence[int]
    written: Sequence[str]
    weights: Sequence[float]
    highest: float
    """The score of a memory that is about every word of the query and nothing else."""
    mean_length: float


class MemorySearch:
    """Finds memories by their words."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, request: SearchRequest) -> list[Found]:
        """Return the best, best first."""
        question = await self._question(request)
        if not question.keys:
            return []
        rows = await self._ranked(request, question, among=FIRST_LOOK)
        if not _is_settled(rows, request.limit):
            rows = await self._ranked(request, question, among=None)
        return [_found(row, question) for row in rows]

    async def _question(self, request: SearchRequest) -> _Question:
        asked = list(asked_words(request.query).items())[:MOST_WORDS]
        written = {word_key(request.workspace_id, word): text for word, text in asked}
        if not written:
            return _Question(keys=(), written=(), weights=(), highest=0.0, mean_length=1.0)
        sql = (
            "SELECT word, COUNT(*), 0 FROM memory_word"
            f" WHERE word IN ({placeholders(2, len(written))}) GROUP BY word"
            " UNION ALL SELECT -1, memories, words FROM memory_total WHERE workspace_id = $1"
        )
        rows = await self._database.fetch(sql, request.workspace_id, *written)
        spread = {key: count for key, count, _ in rows if key >= 0}
        total = next(((count, words) for key, count, words in rows if key < 0), (0, 0))
        weights = {key: _rarity(total[0], spread.get(key, 0)) for key in written}
        known = [key for key in written if key in spread]
        return _Question(
            keys=known,
            written=[written[key] for key in known],
            weights=[weights[key] for key in known],
            highest=sum(weights.values()),
            mean_length=max(1.0, total[1] / max(1, total[0])),
        )

    async def _ranked(
        self, request: SearchRequest, question: _Question, *, among: int | None
    ) -> list[Row]:
        parameters = Parameters()
        words = ", ".join(
            f"(CAST({parameters.add(key)} AS BIGINT),"
            f" CAST({parameters.add(weight)} AS DOUBLE PRECISION),"
            f" CAST({parameters.add(1 << place)} AS BIGINT))"
            for place, (key, weight) in enumerate(zip(question.keys, question.weights, strict=True))
        )
        base = parameters.add(SATURATION * (1 - LENGTH_WEIGHT))
        slope = parameters.add(SATURATION * LENGTH_WEIGHT / question.mean_length)
        cut = "" if among is None else f"ORDER BY lexical DESC LIMIT {among}"
        workspace = parameters.add(request.workspace_id)
        visible = visible_sql(request, parameters, self._database.dialect)
        sql = f"""
            WITH asked (key, weight, bit) AS (VALUES {words}),
            scored AS (
                SELECT entry.num,
                    SUM(asked.weight * entry.occurrences / (entry.occurrences
                        + CAST({base} AS DOUBLE PRECISION)
                        + CAST({slope} AS DOUBLE PRECISION) * entry.length)) AS lexical,
                    CAST(SUM(asked.bit) AS BIGINT) AS matched
                FROM asked CROSS JOIN memory_word AS entry
                WHERE entry.word = asked.key
                GROUP BY entry.num
                {cut}
            ),
            visible AS (
                SELECT memory.id, memory.token_count, scored.matched, scored.lexical,
                    scored.lexical * CASE WHEN memory.pinned THEN {1 + PINNED_WORTH} ELSE 1.0 END
                        AS total,
                    ROW_NUMBER() OVER (
                        ORDER BY scored.lexical DESC, memory.created_at DESC, memory.id DESC
                    ) AS place
                FROM scored CROSS JOIN memory
                WHERE memory.num = scored.num AND memory.workspace_id = {workspace} AND {visible}
            )
            SELECT id, token_count, matched, lexical, total, place,
                (SELECT COUNT(*) FROM scored), (SELECT MIN(lexical) FROM scored)
            FROM visible ORDER BY total DESC, place LIMIT {request.limit}
        """
        return await self._database.fetch(sql, *parameters.values)


def within_budget(found: Sequence[Found], max_tokens: int | None, limit: int) -> list[Found]:
    """Keep the best that fit together into a budget of tokens."""
    if max_tokens is None:
        return list(found[:limit])
    kept: list[Found] = []
    left = max_tokens
    for one in found:
        if one.token_count <= left and len(kept) < limit:
            kept.append(one)
            left -= one.token_count
    return kept


def _rarity(memories: int, holding: int) -> float:
    others = max(0, memories - holding)
    return math.log(1 + (others + 0.5) / (holding + 0.5))


def _is_settled(rows: Sequence[Row], limit: int) -> bool:
    """True when no memory below the first look could still come among the rows."""
    if not rows:
        return False
    looked_at, lowest = rows[0][6], rows[0][7]
    if looked_at < FIRST_LOOK:
        return True
    return len(rows) == limit and rows[-1][4] > lowest * (1 + PINNED_WORTH)


def _found(row: Row, question: _Question) -> Found:
    memory_id, token_count, matched, lexical, total = row[:5]
    whole = min(1.0, total / question.highest)
    boost = whole - lexical / question.highest
    boosts = [ScoreBoost(name="pinned", value=boost)] if total > lexical else []
    terms = [text for place, text in enumerate(question.written) if matched >> place & 1]
    score = MemoryScore(total=whole, lexical_rank=row[5], matched_terms=terms, boosts=boosts)
    return Found(memory_id=memory_id, token_count=token_count, score=score)
