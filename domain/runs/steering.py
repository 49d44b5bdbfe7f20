"""Instructions that are added to a run at work: seen before its next model call, and kept there."""

from collections.abc import Sequence
from typing import NamedTuple

from domain.conversations.service import ConversationService
from domain.kernel.database import Database, Statement, placeholders
from domain.kernel.ports import Clock
from domain.models.ports import ChatMessage
from domain.runs.work import Work

NONE_OPEN = """
SELECT 1 WHERE NOT EXISTS (
    SELECT 1 FROM run_order WHERE run_id = $1 AND kind = 'steer' AND taken_at IS NULL
)
"""
_OPEN = """
SELECT id, detail FROM run_order
WHERE run_id = $1 AND kind = 'steer' AND taken_at IS NULL ORDER BY id
"""
_SEEN = """
SELECT position, detail FROM run_order
WHERE run_id = $1 AND kind = 'steer' AND position IS NOT NULL ORDER BY position, id
"""
_TAKE = "UPDATE run_order SET taken_at = $1, position = $2 WHERE id IN ({ids})"


class Steer(NamedTuple):
    """An instruction that its run has not seen."""

    id: str
    instruction: str


class SeenSteer(NamedTuple):
    """An instruction, and the model step that saw it first."""

    position: int
    instruction: str

    def message(self) -> ChatMessage:
        """The instruction as the model reads it."""
        return ChatMessage(role="user", content=self.instruction)


class Steering:
    """Finds instructions and says what is written when a step takes them."""

    def __init__(
        self, database: Database, conversations: ConversationService, clock: Clock
    ) -> None:
        self._database = database
        self._conversations = conversations
        self._clock = clock

    async def found(self, work: Work) -> list[Steer]:
        """Return what the run has not seen; asks nobody unless something came."""
        if not work.is_steered:
            return []
        work.is_steered = False
        return [Steer(*row) for row in await self._database.fetch(_OPEN, work.run_id)]

    def taken(self, work: Work, steers: Sequence[Steer], position: int) -> list[Statement]:
        """Mark them as seen by a step, and say them in the conversation."""
        if not steers:
            return []
        ids = [steer.id for steer in steers]
        sql = _TAKE.format(ids=placeholders(3, len(ids)))
        statements = [Statement(sql, (self._clock.now_us(), position, *ids))]
        conversation_id = work.claim.conversation_id
        if conversation_id is None:
            return statements
        for steer in steers:
            statements += self._conversations.message_statements(
                workspace_id=work.workspace_id,
                conversation_id=conversation_id,
                role="USER",
                content=steer.instruction,
                run_id=work.run_id,
            )
        return statements


async def seen_steers(database: Database, run_id: str) -> list[SeenSteer]:
    """Return what a run was told while at work, in the order in which it saw it."""
    return [SeenSteer(*row) for row in await database.fetch(_SEEN, run_id)]
