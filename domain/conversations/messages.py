"""Messages as they are said: who speaks, how long they are, and the statements that add them."""

from dataclasses import dataclass
from enum import StrEnum

from domain.kernel.database import Statement
from domain.kernel.validation import storable

TITLE_LENGTH = 60
BYTES_PER_TOKEN = 4


class MessageRole(StrEnum):
    """Who speaks."""

    USER = "USER"
    ASSISTANT = "ASSISTANT"
    SYSTEM = "SYSTEM"
    TOOL = "TOOL"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """A message that is not written yet."""

    id: str
    workspace_id: str
    conversation_id: str
    role: MessageRole
    content: str
    run_id: str | None
    now_us: int


_TOUCH = """
UPDATE conversation
SET updated_at = CASE WHEN updated_at < $3 THEN $3 ELSE updated_at END,
    title = CASE WHEN title = '' THEN $4 ELSE title END
WHERE id = $1 AND workspace_id = $2
RETURNING id
"""
_INSERT = """
INSERT INTO message (id, workspace_id, conversation_id, role, content, run_id, token_count,
                     created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""


def estimate_tokens(text: str) -> int:
    """Guess the length in tokens: a quarter of the bytes, which fits most languages and code."""
    return -(-len(text.encode(errors="replace")) // BYTES_PER_TOKEN)


def title_of(content: str) -> str:
    """Return what a first message makes the title: its beginning on one line."""
    return " ".join(content.split())[:TITLE_LENGTH].rstrip()


def statements_of(message: NewMessage, *, opens: bool = False) -> list[Statement]:
    """Add the message and move its conversation up; refused when the conversation is gone.

    The conversation's row comes first: its lock puts writers of one conversation in line. A message
    that `opens` one, begun in the same write, has nothing to move.
    """
    content = storable(message.content)
    title = title_of(content) if message.role is MessageRole.USER else ""
    touched = (message.conversation_id, message.workspace_id, message.now_us, title)
    values = (
        message.id,
        message.workspace_id,
        message.conversation_id,
        message.role.value,
        content,
        message.run_id,
        estimate_tokens(content),
        message.now_us,
    )
    saying = Statement(_INSERT, values)
    return [saying] if opens else [Statement(_TOUCH, touched, must_match=True), saying]
