"""Rows of workspaces and API keys."""

from typing import TYPE_CHECKING, Any

from tortoise import fields

from domain.kernel.rows import BaseRow, id_field, json_field, moment_field


class WorkspaceRow(BaseRow):
    """Tenant that owns every other row."""

    if TYPE_CHECKING:
        slug: str
        name: str
    else:
        slug = fields.TextField()
        name = fields.TextField()

    class Meta(BaseRow.Meta):
        """The table."""

        abstract = False
        table = "workspace"


class ApiKeyRow(BaseRow):
    """A key; only a digest of its secret is kept."""

    if TYPE_CHECKING:
        workspace_id: str
        name: str
        prefix: str
        digest: str
        scopes: list[str]
        created_by: str
        expires_at: int | None
        last_used_at: int | None
        revoked_at: int | None
    else:
        workspace_id = id_field()
        name = fields.TextField()
        prefix = fields.TextField()
        digest = fields.TextField()
        scopes = json_field()
        created_by = fields.TextField()
        expires_at = moment_field(null=True)
        last_used_at = moment_field(null=True)
        revoked_at = moment_field(null=True)

    class Meta(BaseRow.Meta):
        """The table."""

        abstract = False
        table = "api_key"


class AuditRow(BaseRow):
    """A line of the audit log; `created_at` is when it happened."""

    if TYPE_CHECKING:
        workspace_id: str
        seq: int
        actor: str
        action: str
        target_kind: str | None
        target_id: str | None
        detail: Any
        trace_id: str
        hash: str
    else:
        workspace_id = id_field()
        seq = fields.BigIntField()
        actor = fields.TextField()
        action = fields.TextField()
        target_kind = fields.TextField(null=True)
        target_id = fields.TextField(null=True)
        detail = json_field()
        trace_id = fields.TextField()
        hash = fields.TextField()

    class Meta(BaseRow.Meta):
        """The table."""

        abstract = False
        table = "audit"
