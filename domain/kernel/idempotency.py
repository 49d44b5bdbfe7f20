"""Requests that may come twice: within a day, a repeat gets the first outcome.

The key is kept by the write that makes the outcome, so there is never one without the other:

    known = await keys.recall(workspace_id, "createAgent", key=key, digest=digest)
    keeping = keys.remember(workspace_id, "createAgent", key=key, digest=digest, result_id=new_id)
    try:
        await database.write([..., keeping])
    except WriteRefusedError as error:
        if error.statement is keeping:  # a twin was faster: recall gives its outcome
"""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any

import orjson
from pydantic import StringConstraints

from domain.kernel.database import Database, Statement
from domain.kernel.errors import Conflict, ErrorCode
from domain.kernel.ports import Clock
from domain.kernel.validation import Text

DAY_US = 24 * 60 * 60 * 1_000_000

LONGEST_KEY = 200
IdempotencyKey = Annotated[Text, StringConstraints(min_length=1, max_length=LONGEST_KEY)]
"""A key of the client's choice."""

_REMEMBER = """
INSERT INTO idempotency (workspace_id, operation, key, digest, result_id, created_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (workspace_id, operation, key) DO UPDATE
SET digest = excluded.digest, result_id = excluded.result_id, created_at = excluded.created_at
WHERE idempotency.created_at <= $7
RETURNING result_id
"""


def digest_of(values: Mapping[str, Any]) -> str:
    """SHA-256 of the values as canonical JSON: the order of fields does not matter."""
    return hashlib.sha256(orjson.dumps(values, option=orjson.OPT_SORT_KEYS)).hexdigest()


class IdempotencyKeys:
    """Outcomes of the last 24 hours by workspace, operation and key."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def recall(
        self, workspace_id: str, operation: str, *, key: str, digest: str
    ) -> str | None:
        """Return the id of the first outcome, None for a new key.

        Raises Conflict (IDEMPOTENCY_MISMATCH) when the key came with another input before.
        """
        sql = (
            "SELECT digest, result_id FROM idempotency"
            " WHERE workspace_id = $1 AND operation = $2 AND key = $3 AND created_at > $4"
        )
        rows = await self._database.fetch(sql, workspace_id, operation, key, self._cutoff())
        if not rows:
            return None
        first_digest, result_id = rows[0]
        if first_digest != digest:
            raise Conflict(
                f"The idempotency key {key!r} was used with a different input"
                " in the last 24 hours; use a new key for a new request.",
                code=ErrorCode.IDEMPOTENCY_MISMATCH,
                path=["idempotencyKey"],
            )
        return result_id

    def remember(
        self, workspace_id: str, operation: str, *, key: str, digest: str, result_id: str
    ) -> Statement:
        """Return what the write of the outcome adds; it refuses the write when a twin was first."""
        now = self._clock.now_us()
        values = (workspace_id, operation, key, digest, result_id, now, self._cutoff())
        return Statement(_REMEMBER, values, must_match=True)

    async def prune(self) -> int:
        """Delete keys older than 24 hours and return how many there were."""
        sql = "DELETE FROM idempotency WHERE created_at <= $1 RETURNING key"
        return len((await self._database.write([Statement(sql, (self._cutoff(),))]))[0])

    def _cutoff(self) -> int:
        return self._clock.now_us() - DAY_US
