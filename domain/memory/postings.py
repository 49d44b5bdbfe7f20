"""The index that search reads: which word stands how often in which memory.

Kept by the write that changes the memory. A word is known by a number made of the workspace and
the word, so that no workspace's search ever meets another's words.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import orjson

from domain.kernel.database import Dialect, Statement, placeholders
from domain.memory.words import words_of

_SQLITE_ADD = """
INSERT INTO memory_word (word, num, occurrences, length)
SELECT CAST(entry.key AS INTEGER), memory.num, entry.value, $3
FROM memory, json_each($2) AS entry WHERE memory.id = $1
"""
_POSTGRES_ADD = """
INSERT INTO memory_word (word, num, occurrences, length)
SELECT entry.word, memory.num, entry.occurrences, $4::int
FROM memory, unnest($2::bigint[], $3::int[]) AS entry (word, occurrences) WHERE memory.id = $1
"""
_COUNT = """
INSERT INTO memory_total (workspace_id, memories, words) VALUES ($1, $2, $3)
ON CONFLICT (workspace_id) DO UPDATE
SET memories = memory_total.memories + excluded.memories,
    words = memory_total.words + excluded.words
"""


@lru_cache(maxsize=50_000)
def word_key(workspace_id: str, word: str) -> int:
    """The number of a word in a workspace: 63 bits, in which a million words do not meet."""
    digest = hashlib.blake2b(f"{workspace_id}\0{word}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Postings:
    """The words of one text: how often each occurs, by its number, and how many there are."""

    workspace_id: str
    occurrences: Mapping[int, int]
    length: int

    @classmethod
    def of(cls, workspace_id: str, text: str) -> Self:
        """Read a text."""
        counted = Counter(words_of(text))
        return cls(
            workspace_id=workspace_id,
            occurrences={word_key(workspace_id, word): n for word, n in counted.items()},
            length=counted.total(),
        )

    def added(self, dialect: Dialect, memory_id: str) -> Statement:
        """Index a memory that is written already."""
        if dialect == "postgres":
            columns = (list(self.occurrences), list(self.occurrences.values()))
            return Statement(_POSTGRES_ADD, (memory_id, *columns, self.length))
        entries = orjson.dumps(self.occurrences, option=orjson.OPT_NON_STR_KEYS).decode()
        return Statement(_SQLITE_ADD, (memory_id, entries, self.length))


def unindexed(memory_ids: Sequence[str]) -> Statement:
    """Take memories that are still there out of the index."""
    named = placeholders(1, len(memory_ids))
    sql = f"DELETE FROM memory_word WHERE num IN (SELECT num FROM memory WHERE id IN ({named}))"
    return Statement(sql, memory_ids)


def counted(workspace_id: str, *, memories: int, words: int) -> Statement:
    """Move the totals of a workspace up or down; last of what is written to memory."""
    return Statement(_COUNT, (workspace_id, memories, words))
