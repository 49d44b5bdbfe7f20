"""The audit log: who did what, written in the commit that did it, chained by hash.

Each workspace has one chain. A line's hash is SHA-256 over the hash before it, its number and its
content, so that a changed, removed or inserted line no longer fits (the construction of
hash-linked time stamps, Haber and Stornetta 1991). The database computes it in the statement that
writes the line: the head row's lock makes the order of lines the order of commits.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson

from domain.access.scopes import Principal
from domain.kernel.database import Database, Statement
from domain.kernel.errors import ObjectRef
from domain.kernel.ids import IdSource
from domain.kernel.ports import Clock
from domain.kernel.redaction import Redactor
from domain.kernel.validation import storable

FIRST_HASH = "0" * 64
"""What the first line of a chain is linked to."""
LARGEST_DETAIL = 4096
"""Most bytes of one line's particulars; longer ones are cut and say so."""

_COLUMNS = (
    "workspace_id, seq, id, created_at, actor, action, target_kind, target_id, detail, trace_id,"
    " hash"
)
_HASH = {
    "postgres": "encode(sha256(convert_to({}, 'UTF8')), 'hex')",
    "sqlite": "sha256_hex({})",
}


@lru_cache
def _raise_head(dialect: str) -> str:
    first = _HASH[dialect].format(f"'{FIRST_HASH}|1|' || $2")
    later = _HASH[dialect].format("audit_head.hash || '|' || (audit_head.seq + 1) || '|' || $2")
    return (
        f"INSERT INTO audit_head (workspace_id, seq, hash) VALUES ($1, 1, {first})"
        f" ON CONFLICT (workspace_id) DO UPDATE SET seq = audit_head.seq + 1, hash = {later}"
    )


@lru_cache
def _insert(dialect: str) -> str:
    values = "$1, head.seq, $3, $4, $5, $6, $7, $8, $9, $10, head.hash"
    if dialect == "postgres":
        return (
            f"WITH head AS ({_raise_head(dialect)} RETURNING seq, hash)"
            f" INSERT INTO audit ({_COLUMNS}) SELECT {values} FROM head"
        )
    # Parameters go by number: $2 was the head's.
    return (
        f"INSERT INTO audit ({_COLUMNS})"
        f" SELECT {values} FROM audit_head AS head WHERE head.workspace_id = $1"
    )


def content_of(line: Sequence[Any]) -> str:
    """The text that is hashed of a line: its columns from id to trace_id as one JSON list."""
    return orjson.dumps(list(line)).decode()


class AuditTrail:
    """Writes lines of the audit log as part of other writes."""

    def __init__(
        self, database: Database, clock: Clock, ids: IdSource, redactor: Redactor | None = None
    ) -> None:
        self._dialect = database.dialect
        self._clock = clock
        self._ids = ids
        self._redactor = redactor or Redactor()

    def record(
        self,
        principal: Principal,
        action: str,
        *,
        target: ObjectRef | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> list[Statement]:
        """Statements that add one line; put them last but for the events of the same commit.

        `action` is `noun.done`, such as `agent.updated`; `target` names the object concerned.
        """
        line = (
            self._ids(),
            self._clock.now_us(),
            storable(principal.name),
            action,
            target.kind if target else None,
            target.id if target else None,
            self._told(detail or {}),
            principal.trace.trace_id,
        )
        workspace_id = principal.workspace_id
        content = content_of(line)
        if self._dialect == "postgres":
            return [Statement(_insert("postgres"), (workspace_id, content, *line))]
        return [
            Statement(_raise_head("sqlite"), (workspace_id, content)),
            Statement(_insert("sqlite"), (workspace_id, content, *line)),
        ]

    def _told(self, detail: Mapping[str, Any]) -> str:
        text = orjson.dumps(self._redactor.fields(dict(detail))).decode()
        if len(text) <= LARGEST_DETAIL:
            return storable(text)
        cut = {"truncated": True, "beginning": text[: LARGEST_DETAIL // 2]}
        return storable(orjson.dumps(cut).decode())
