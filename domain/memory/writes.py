"""Statements that save and change memories, each with the version that tells what was done."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import orjson

from domain.conversations.messages import estimate_tokens
from domain.kernel.changes import Change, changes_between
from domain.kernel.conditions import folded
from domain.kernel.database import Dialect, Statement, placeholders
from domain.memory.postings import Postings, counted, unindexed
from domain.memory.rows import MemoryRow


class MemoryAction(StrEnum):
    """What was done to a memory."""

    SAVED = "SAVED"
    UPDATED = "UPDATED"
    SUPERSEDED = "SUPERSEDED"
    FORGOTTEN = "FORGOTTEN"
    EXPIRED = "EXPIRED"
    RESTORED = "RESTORED"
    ERASED = "ERASED"


class Doing(NamedTuple):
    """Who does something, when and why."""

    actor: str
    now_us: int
    reason: str | None = None


_COLUMNS = (
    *("id", "workspace_id", "kind", "content", "metadata", "metadata_folded", "artifacts"),
    *("digest", "agent_id", "conversation_id", "message_id", "run_id", "derived_from"),
    *("trusted", "pinned", "valid_from", "expires_at", "token_count", "word_count"),
    *("created_by", "created_at", "updated_at"),
)
_INSERT = (
    f"INSERT INTO memory ({', '.join(_COLUMNS)}) SELECT {placeholders(1, len(_COLUMNS))}"
    " WHERE {conditions} RETURNING id"
)
_EXISTS = "EXISTS (SELECT 1 FROM {table} WHERE id = ${place} AND workspace_id = $2)"
_NO_EQUAL = """
NOT EXISTS (
    SELECT 1 FROM memory AS twin
    WHERE twin.workspace_id = $2 AND twin.digest = $8 AND {state}
)
"""
_VERSION = """
INSERT INTO memory_version (id, workspace_id, memory_id, version, action, changes, changed_by,
                            reason, created_at)
SELECT id || ':' || version, workspace_id, id, version, $1, $2, $3, $4, $5
FROM memory WHERE id IN ({ids})
"""
REFERENCES = (("agent", "agent_id"), ("conversation", "conversation_id"), ("message", "message_id"))
"""Tables that a memory may point at, by column."""


def dumped(value: Any) -> str:
    """JSON as it is stored."""
    return orjson.dumps(value).decode()


def folded_json(metadata: Mapping[str, Any]) -> str | None:
    """The same document with its texts folded; None where nothing differs."""
    text, low = dumped(metadata), dumped(_folded(metadata))
    return None if low == text else low


def _folded(value: Any) -> Any:
    if isinstance(value, str):
        return folded(value)
    if isinstance(value, Mapping):
        return {key: _folded(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType] - any JSON
    if isinstance(value, list):
        return [_folded(item) for item in value]  # pyright: ignore[reportUnknownVariableType] - any JSON
    return value


def digest_of_memory(row: MemoryRow, changed: Mapping[str, Any] | None = None) -> str:
    """What equal memories have in common, once the changed columns are in place."""
    named = ("kind", "content", "metadata", "artifacts", "agent_id", "conversation_id")
    parts = [(changed or {}).get(name, getattr(row, name)) for name in named]
    text = orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def twin_state(row: MemoryRow, *, now: str, expiry: str) -> str:
    """SQL that a memory equal to this one is in the same state, and in force; with placeholders."""
    pinned = "twin.pinned" if row.pinned else "NOT twin.pinned"
    lasts = "twin.expires_at IS NULL" if row.expires_at is None else f"twin.expires_at = {expiry}"
    return (
        "twin.forgotten_at IS NULL AND twin.superseded_by IS NULL AND twin.valid_to IS NULL"
        f" AND twin.valid_from <= {now} AND {pinned} AND {lasts}"
    )


def insert_memory(row: MemoryRow, *, may_repeat: bool) -> Statement:
    """Insert where all that the memory points at exists and, unless it may repeat, no twin does."""
    values = {
        **{column: getattr(row, column, None) for column in _COLUMNS},
        "metadata": dumped(row.metadata),
        "metadata_folded": folded_json(row.metadata),
        "artifacts": dumped(row.artifacts),
        "derived_from": dumped(row.derived_from),
        "digest": digest_of_memory(row),
    }
    place = {column: number for number, column in enumerate(_COLUMNS, 1)}
    conditions = [
        _EXISTS.format(table=table, place=place[column])
        for table, column in REFERENCES
        if values[column] is not None
    ]
    if not may_repeat:
        now, expiry = f"${place['created_at']}", f"${place['expires_at']}"
        conditions.append(_NO_EQUAL.format(state=twin_state(row, now=now, expiry=expiry)))
    sql = _INSERT.format(conditions=" AND ".join(conditions) or "TRUE")
    return Statement(sql, tuple(values.values()), must_match=True)


def versioned(
    memory_ids: Sequence[str], action: MemoryAction, changes: Sequence[Change], doing: Doing
) -> Statement:
    """Keep what was done to memories, as they are after the statements before."""
    told = [{"path": one.path, "before": one.before, "after": one.after} for one in changes]
    values = (action, dumped(told), doing.actor, doing.reason, doing.now_us)
    sql = _VERSION.format(ids=placeholders(len(values) + 1, len(memory_ids)))
    return Statement(sql, (*values, *memory_ids))


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A memory as it is, and what becomes of it."""

    row: MemoryRow
    changes: Sequence[Change]
    columns: Mapping[str, Any]
    action: MemoryAction


_PUBLIC = {
    "content": "content",
    "metadata": "metadata",
    "artifacts": "artifacts",
    "pinned": "pinned",
    "recallable": "recallable",
    "valid_to": "validTo",
    "expires_at": "expiresAt",
    "superseded_by": "supersededBy",
}
_STORED = frozenset({"metadata", "artifacts"})


def edit_of(row: MemoryRow, given: Mapping[str, Any], action: MemoryAction) -> Edit:
    """Compare a memory with new values of some of its columns."""
    before = {_PUBLIC[column]: getattr(row, column) for column in given}
    after = {_PUBLIC[column]: value for column, value in given.items()}
    columns = {
        column: dumped(value) if column in _STORED else value for column, value in given.items()
    }
    return Edit(
        row=row,
        changes=changes_between(before, after),
        columns={**columns, **_derived(row, given)},
        action=action,
    )


def _derived(row: MemoryRow, given: Mapping[str, Any]) -> dict[str, Any]:
    """Columns that follow from others."""
    derived: dict[str, Any] = {}
    if "metadata" in given:
        derived["metadata_folded"] = folded_json(given["metadata"])
    if "content" in given:
        derived["token_count"] = estimate_tokens(given["content"])
    if not given.keys().isdisjoint({"content", "metadata", "artifacts"}):
        derived["digest"] = digest_of_memory(row, given)
    return derived


def update_memory(edit: Edit, doing: Doing) -> list[Statement]:
    """Save over the version that was read; refused when the memory moved on."""
    columns = {**edit.columns, "updated_at": doing.now_us}
    named = ", ".join(f"{column} = ${place}" for place, column in enumerate(columns, 4))
    sql = (
        f"UPDATE memory SET {named}, version = version + 1"
        " WHERE id = $1 AND workspace_id = $2 AND version = $3 RETURNING version"
    )
    row = edit.row
    values = (row.id, row.workspace_id, row.version, *columns.values())
    return [
        Statement(sql, values, must_match=True),
        versioned([row.id], edit.action, edit.changes, doing),
    ]


def reindexed(row: MemoryRow, postings: Postings, dialect: Dialect) -> list[Statement]:
    """Let search read another text of a memory."""
    more = postings.length - row.word_count
    return [
        Statement("UPDATE memory SET word_count = $2 WHERE id = $1", (row.id, postings.length)),
        unindexed([row.id]),
        postings.added(dialect, row.id),
        counted(row.workspace_id, memories=0, words=more),
    ]
