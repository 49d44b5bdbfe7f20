"""Rows of memories and of every change of them."""

from typing import TYPE_CHECKING, Any

from tortoise import fields

from domain.kernel.rows import BaseRow, id_field, json_field, moment_field


class MemoryRow(BaseRow):
    """One remembered item; `last_recalled_at` is 0 before the first recall."""

    if TYPE_CHECKING:
        workspace_id: str
        kind: str
        content: str
        metadata: dict[str, Any]
        artifacts: list[dict[str, Any]]
        agent_id: str | None
        conversation_id: str | None
        message_id: str | None
        run_id: str | None
        derived_from: list[str]
        trusted: bool
        pinned: bool
        recallable: bool
        valid_from: int
        valid_to: int | None
        superseded_by: str | None
        expires_at: int | None
        forgotten_at: int | None
        token_count: int
        word_count: int
        recall_count: int
        last_recalled_at: int
        version: int
        created_by: str
        updated_at: int
    else:
        workspace_id = id_field()
        kind = fields.TextField()
        content = fields.TextField()
        metadata = json_field()
        artifacts = json_field()
        agent_id = id_field(null=True)
        conversation_id = id_field(null=True)
        message_id = id_field(null=True)
        run_id = id_field(null=True)
        derived_from = json_field()
        trusted = fields.BooleanField()
        pinned = fields.BooleanField()
        recallable = fields.BooleanField()
        valid_from = moment_field()
        valid_to = moment_field(null=True)
        superseded_by = id_field(null=True)
        expires_at = moment_field(null=True)
        forgotten_at = moment_field(null=True)
        token_count = fields.IntField()
        word_count = fields.IntField()
        recall_count = fields.IntField()
        last_recalled_at = moment_field()
        version = fields.IntField()
        created_by = fields.TextField()
        updated_at = moment_field()

    class Meta(BaseRow.Meta):
        """The table."""

        abstract = False
        table = "memory"


class MemoryVersionRow(BaseRow):
    """One change of a memory."""

    if TYPE_CHECKING:
        workspace_id: str
        memory_id: str
        version: int
        action: str
        changes: list[dict[str, Any]]
        changed_by: str
        reason: str | None
    else:
        workspace_id = id_field()
        memory_id = id_field()
        version = fields.IntField()
        action = fields.TextField()
        changes = json_field()
        changed_by = fields.TextField()
        reason = fields.TextField(null=True)

    class Meta(BaseRow.Meta):
        """The table."""

        abstract = False
        table = "memory_version"
