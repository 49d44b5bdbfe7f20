"""The line for a conversation: one run holds it, the others wait for their turn.

Whoever takes, queues for or gives up a conversation locks its row before looking who holds it, so
that no run is left waiting for a conversation that is free.
"""

from collections.abc import Callable, Sequence

from domain.conversations.messages import BYTES_PER_TOKEN
from domain.kernel.database import Database, Row, Statement
from domain.kernel.ids import IdSource
from domain.kernel.ports import Clock
from domain.runs.endings import EndWrites, RunEnd
from domain.runs.work import Work

FRONT = 0
"""A place before all who wait for their turn; among themselves the first stays first."""

HELD = "SELECT 1 FROM run WHERE conversation_id = {} AND holds_conversation"

# Until the last statement clears `line_at`, it marks the run whose turn it is in this write.
_PASS = f"""
UPDATE run SET holds_conversation = TRUE, waits_for = NULL, due_at = $2, hints = 0
WHERE id = (
    SELECT id FROM run
    WHERE conversation_id = $1 AND line_at IS NOT NULL AND waits_for = 'conversation'
        AND lease_owner IS NULL
    ORDER BY line_at, id LIMIT 1 {{lock}}
) AND NOT EXISTS ({HELD.format("$1")})
RETURNING id
"""
_SAY = f"""
INSERT INTO message (id, workspace_id, conversation_id, role, content, run_id, token_count,
                     created_at)
SELECT $1, workspace_id, conversation_id, 'USER', instruction, id,
    ({{size}} + {BYTES_PER_TOKEN - 1}) / {BYTES_PER_TOKEN}, $3
FROM run WHERE conversation_id = $2 AND holds_conversation AND line_at IS NOT NULL
"""
_TOUCH = """
UPDATE conversation
SET updated_at = CASE WHEN updated_at < $2 THEN $2 ELSE updated_at END,
    title = CASE WHEN title = '' THEN $3 ELSE title END
WHERE id = $1 AND EXISTS (
    SELECT 1 FROM run WHERE conversation_id = $1 AND holds_conversation AND line_at IS NOT NULL
)
"""
_BEGIN = """
UPDATE run SET line_at = NULL
WHERE conversation_id = $1 AND holds_conversation AND line_at IS NOT NULL
RETURNING id
"""
_SIZE = {"sqlite": "length(CAST(instruction AS BLOB))", "postgres": "octet_length(instruction)"}


class ConversationLine:
    """Statements for the writes of those who come, leave or go on."""

    def __init__(
        self, database: Database, hint: Callable[[str], None], *, clock: Clock, ids: IdSource
    ) -> None:
        self._hint = hint
        self._clock = clock
        self._ids = ids
        lock = "FOR UPDATE" if database.dialect == "postgres" else ""
        self._lock = f"SELECT id FROM conversation WHERE id = $1 AND workspace_id = $2 {lock}"
        self._pass = _PASS.format(lock=lock)
        self._say = _SAY.format(size=_SIZE[database.dialect])

    def lock(self, workspace_id: str, conversation_id: str) -> Statement:
        """Hold everybody else off the conversation; returns nothing when it is gone."""
        return Statement(self._lock, (conversation_id, workspace_id))

    def passing(self, conversation_id: str, *, title: str = "") -> list[Statement]:
        """Let the first in line begin, with its message, if nobody holds the conversation.

        After `lock` in the same write; `title` names a conversation that has none. The last
        statement returns the id of the run that may begin, which is due then, or nothing.
        """
        now_us = self._clock.now_us()
        return [
            Statement(self._pass, (conversation_id, now_us)),
            Statement(self._say, (self._ids(), conversation_id, now_us)),
            Statement(_TOUCH, (conversation_id, now_us, title)),
            Statement(_BEGIN, (conversation_id,)),
        ]

    def hint(self, passed: Sequence[Row]) -> None:
        """Tell a worker of the run whose turn it is."""
        for row in passed:
            self._hint(row[0])

    def at_end(self, work: Work, end: RunEnd, now_us: int) -> EndWrites | None:
        """Let the next in line begin in the commit that ends the run before it.

        Comes after features that start another run on the conversation.
        """
        del end, now_us
        conversation_id = work.claim.conversation_id
        if conversation_id is None or not work.claim.holds_conversation:
            return None
        locked = [self.lock(work.workspace_id, conversation_id)]
        return EndWrites(
            statements=[*locked, *self.passing(conversation_id)],
            drafts=[],
            committed=_nothing,
            answered=lambda results: self.hint(results[-1]),
        )


def _nothing() -> None:
    """All hints need to know who is next."""
