"""Rows of conversations and their messages."""

from typing import TYPE_CHECKING, Any

from tortoise import fields

from domain.kernel.rows import BaseRow, id_field, json_field, moment_field


class ConversationRow(BaseRow):
    """Thread of messages that runs read and add to."""

    if TYPE_CHECKING:
        workspace_id: str
        title: str
        agent_id: str | None
        metadata: dict[str, Any]
        branched_from_id: str | None
        updated_at: int
    else:
        workspace_id = id_field()
        title = fields.TextField()
        agent_id = id_field(null=True)
        metadata = json_field()
        branched_from_id = id_field(null=True)
        updated_at = moment_field()

    class Meta(BaseRow.Meta):
        """The table."""

        abstract = False
        table = "conversation"


class MessageRow(BaseRow):
    """One message; never changed once written."""

    if TYPE_CHECKING:
        workspace_id: str
        conversation_id: str
        role: str
        content: str
        run_id: str | None
        token_count: int
    else:
        workspace_id = id_field()
        conversation_id = id_field()
        role = fields.TextField()
        content = fields.TextField()
        run_id = id_field(null=True)
        token_count = fields.IntField()

    class Meta(BaseRow.Meta):
        """The table."""

        abstract = False
        table = "message"
