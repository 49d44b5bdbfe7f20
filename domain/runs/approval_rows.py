"""Rows of approvals: one per call that a person was asked about."""

from typing import TYPE_CHECKING, Any

from tortoise import fields

from domain.kernel.rows import BaseRow, id_field, json_field, moment_field
from domain.runs.approval_state import ApprovalStatus


class ApprovalRow(BaseRow):
    """A question whether one call may go ahead, and what came of it.

    `call_hash` binds it to the call, `used_at` says when the approved call began: it counts once.
    """

    if TYPE_CHECKING:
        workspace_id: str
        run_id: str
        root_run_id: str
        agent_id: str
        step_id: str
        tool_name: str
        side_effect: str
        arguments: Any
        call_hash: str
        reason: str
        rule: dict[str, Any] | None
        behavior_versions: list[str]
        status: str
        scope: str | None
        edited: dict[str, Any] | None
        decided_by: str | None
        decision_reason: str | None
        decided_at: int | None
        expires_at: int
        used_at: int | None
        told_at: int | None
    else:
        workspace_id = id_field()
        run_id = id_field()
        root_run_id = id_field()
        agent_id = id_field()
        step_id = id_field()
        tool_name = fields.TextField()
        side_effect = fields.TextField()
        arguments = json_field()
        call_hash = fields.TextField()
        reason = fields.TextField()
        rule = json_field(null=True)
        behavior_versions = json_field()
        status = fields.TextField()
        scope = fields.TextField(null=True)
        edited = json_field(null=True)
        decided_by = fields.TextField(null=True)
        decision_reason = fields.TextField(null=True)
        decided_at = moment_field(null=True)
        expires_at = moment_field()
        used_at = moment_field(null=True)
        told_at = moment_field(null=True)

    class Meta(BaseRow.Meta):
        """The table."""

        abstract = False
        table = "approval"

    def status_at(self, now_us: int) -> ApprovalStatus:
        """State at a moment: silence beyond its time has expired, also before that is written."""
        if self.status == ApprovalStatus.PENDING and self.expires_at <= now_us:
            return ApprovalStatus.EXPIRED
        return ApprovalStatus(self.status)
