"""Copies of a conversation's messages, in their order, under ids of their own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from domain.kernel.database import Statement

LONGEST_TITLE = 200
BRANCH = " (branch)"
AT_ONCE = 1000
"""Messages that one statement copies."""

_COPY = """
WITH taken (old_id, new_id) AS (VALUES {taken})
INSERT INTO message (id, workspace_id, conversation_id, role, content, run_id, token_count,
                     created_at)
SELECT taken.new_id, workspace_id, $1, role, content, run_id, token_count, created_at
FROM message JOIN taken ON taken.old_id = message.id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageCopies:
    """What copies messages, and how many they are."""

    count: int
    statements: Sequence[Statement]

    @classmethod
    def of(
        cls, message_ids: Sequence[str], *, into: str, ids: Callable[[], str]
    ) -> "MessageCopies":
        """Copy messages, given oldest first, into a conversation."""
        statements: list[Statement] = []
        for start in range(0, len(message_ids), AT_ONCE):
            batch = message_ids[start : start + AT_ONCE]
            marks = ", ".join(f"(${2 * n}, ${2 * n + 1})" for n in range(1, len(batch) + 1))
            pairs = [ident for message_id in batch for ident in (message_id, ids())]
            statements.append(Statement(_COPY.format(taken=marks), (into, *pairs)))
        return cls(count=len(message_ids), statements=statements)


def title_of_branch(title: str) -> str:
    """Derive a branch's title from that of its source; nothing from nothing."""
    if not title or title.endswith(BRANCH):
        return title
    return title[: LONGEST_TITLE - len(BRANCH)] + BRANCH
