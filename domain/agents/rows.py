"""Rows of agents and of every version they were saved as."""

from typing import TYPE_CHECKING, Any

from tortoise import fields

from domain.kernel.rows import BaseRow, id_field, json_field, moment_field


class AgentRow(BaseRow):
    """Worker that follows instructions; `settings` is the current version in full."""

    if TYPE_CHECKING:
        workspace_id: str
        slug: str
        name: str
        description: str
        settings: dict[str, Any]
        version: int
        updated_at: int
        archived_at: int | None
    else:
        workspace_id = id_field()
        slug = fields.TextField()
        name = fields.TextField()
        description = fields.TextField()
        settings = json_field()
        version = fields.IntField()
        updated_at = moment_field()
        archived_at = moment_field(null=True)

    class Meta(BaseRow.Meta):
        """The table."""

        abstract = False
        table = "agent"


class AgentVersionRow(BaseRow):
    """An agent as it was saved once."""

    if TYPE_CHECKING:
        workspace_id: str
        agent_id: str
        version: int
        settings: dict[str, Any]
        comment: str | None
        created_by: str
    else:
        workspace_id = id_field()
        agent_id = id_field()
        version = fields.IntField()
        settings = json_field()
        comment = fields.TextField(null=True)
        created_by = fields.TextField()

    class Meta(BaseRow.Meta):
        """The table."""

        abstract = False
        table = "agent_version"
