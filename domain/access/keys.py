"""API keys: what one may be, and the statements that make and end it."""

from typing import Annotated

import orjson
from pydantic import AfterValidator, StringConstraints

from domain.access.rows import ApiKeyRow
from domain.access.scopes import HOUSE_NAMES
from domain.kernel.database import Dialect, Statement
from domain.kernel.validation import ClientModel, Text, Whole, refusal

MOST_KEYS = 1000
"""Most keys of a workspace that work at a time."""

# Both of them name a key `k` at the moment `$n`; scopes are kept as JSON text.
_WORKS = "(k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > ${n}))"
_COLUMNS = "id, workspace_id, name, prefix, digest, scopes, created_by, created_at, expires_at"
_INSERT = f"""
INSERT INTO api_key ({_COLUMNS}) SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9
"""
_UNLESS_TAKEN = f"""
WHERE NOT EXISTS (
    SELECT 1 FROM api_key k WHERE k.workspace_id = $2 AND k.name = $3 AND {_WORKS.format(n=8)})
  AND {MOST_KEYS} > (
    SELECT count(*) FROM api_key k WHERE k.workspace_id = $2 AND {_WORKS.format(n=8)})
"""
_REVOKE = """
UPDATE api_key SET revoked_at = $3 WHERE id = $1 AND workspace_id = $2 AND revoked_at IS NULL
"""
_UNLESS_LAST = f"""
AND (scopes NOT LIKE '%"admin"%' OR expires_at <= $3 OR EXISTS (
    SELECT 1 FROM api_key k WHERE k.workspace_id = $2 AND k.id <> $1
      AND k.scopes LIKE '%"admin"%' AND {_WORKS.format(n=3)}))
"""


def _telling(name: str) -> str:
    if not name.strip():
        raise refusal("Give a name of 1 to 200 characters.")
    if name in HOUSE_NAMES:
        raise refusal(f"{name!r} stands for the server itself; choose another name.")
    return name


class NewKey(ClientModel):
    """What is asked of a new key; scopes as people write them."""

    name: Annotated[Text, StringConstraints(max_length=200), AfterValidator(_telling)]
    scopes: tuple[Text, ...]
    expires_at: Whole | None = None


def insert_key(row: ApiKeyRow, *, unless_taken: bool) -> Statement:
    """Keep a key; with `unless_taken` refused where its name is taken or keys are too many."""
    values = (
        row.id,
        row.workspace_id,
        row.name,
        row.prefix,
        row.digest,
        orjson.dumps(row.scopes).decode(),
        row.created_by,
        row.created_at,
        row.expires_at,
    )
    condition = _UNLESS_TAKEN if unless_taken else ""
    return Statement(f"{_INSERT}{condition}RETURNING id", values, must_match=True)


def revoke_key(workspace_id: str, key_id: str, now_us: int, *, unless_last: bool) -> Statement:
    """End a key that is not revoked yet; with `unless_last` not the last admin key that works."""
    condition = _UNLESS_LAST if unless_last else ""
    values = (key_id, workspace_id, now_us)
    return Statement(f"{_REVOKE}{condition}RETURNING id", values, must_match=True)


def one_at_a_time(dialect: Dialect, workspace_id: str) -> list[Statement]:
    """Let one writer at a time change the keys of a workspace; SQLite has only one in any case."""
    if dialect == "sqlite":
        return []
    sql = "SELECT id FROM workspace WHERE id = $1 FOR NO KEY UPDATE"
    return [Statement(sql, (workspace_id,))]
