"""What a run adds to its conversation when it ends."""

from domain.conversations.service import ConversationService
from domain.kernel.database import Statement
from domain.runs.work import Work


class EndMessages:
    """Statements for the ending commit; none where the run has no conversation."""

    def __init__(self, conversations: ConversationService) -> None:
        self._conversations = conversations

    def answer(self, work: Work, text: str) -> list[Statement]:
        """The assistant's answer."""
        conversation_id = work.claim.conversation_id
        if conversation_id is None:
            return []
        return self._conversations.message_statements(
            workspace_id=work.workspace_id,
            conversation_id=conversation_id,
            role="ASSISTANT",
            content=text,
            run_id=work.run_id,
        )

    def partial(self, work: Work) -> list[Statement]:
        """What was said before the run was stopped or failed, if anything."""
        return self.answer(work, work.partial) if work.partial else []
