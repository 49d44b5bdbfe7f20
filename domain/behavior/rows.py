"""Rows of behavior profiles and of every version of their rules."""

from typing import TYPE_CHECKING

from tortoise import fields

from domain.kernel.rows import BaseRow, id_field, moment_field


class BehaviorProfileRow(BaseRow):
    """A set of rules by name; `version` is 0 and `version_id` None until it is adjusted.

    A deleted one stays for the runs that followed it, with its name beside.
    """

    if TYPE_CHECKING:
        workspace_id: str
        name: str
        description: str
        active: bool
        version: int
        version_id: str | None
        updated_at: int
        deleted_at: int | None
        deleted_name: str | None
    else:
        workspace_id = id_field()
        name = fields.TextField()
        description = fields.TextField()
        active = fields.BooleanField()
        version = fields.IntField()
        version_id = id_field(null=True)
        updated_at = moment_field()
        deleted_at = moment_field(null=True)
        deleted_name = fields.TextField(null=True)

    class Meta(BaseRow.Meta):
        """The table."""

        abstract = False
        table = "behavior_profile"

    @property
    def shown_name(self) -> str:
        """The name that people gave it."""
        return self.name if self.deleted_name is None else self.deleted_name


class BehaviorVersionRow(BaseRow):
    """The rules of a profile as they were saved once; `rules` is what `written` made of them."""

    if TYPE_CHECKING:
        workspace_id: str
        profile_id: str
        version: int
        rules: str
        restored_from: int | None
        comment: str | None
        created_by: str
    else:
        workspace_id = id_field()
        profile_id = id_field()
        version = fields.IntField()
        rules = fields.TextField()
        restored_from = fields.IntField(null=True)
        comment = fields.TextField(null=True)
        created_by = fields.TextField()

    class Meta(BaseRow.Meta):
        """The table."""

        abstract = False
        table = "behavior_version"
