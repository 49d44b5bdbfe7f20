"""Statements that save behavior: which version is in force and, beside it, each for good."""

from dataclasses import dataclass

from domain.kernel.database import Statement

DEFAULT_NAME = "default"

_INSERT_DEFAULT = """
INSERT INTO behavior_profile (id, workspace_id, name, description, active, version, created_at,
                              updated_at)
VALUES ($1, $2, $3, $4, TRUE, 0, $5, $5)
ON CONFLICT DO NOTHING
"""
_UPDATE = """
UPDATE behavior_profile SET version = version + 1, version_id = $4, updated_at = $5
WHERE id = $1 AND workspace_id = $2 AND version = $3
RETURNING version
"""
_INSERT_VERSION = """
INSERT INTO behavior_version (id, workspace_id, profile_id, version, rules, restored_from, comment,
                              created_by, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""


def version_in_force(workspace_id: str) -> str:
    """SQL for the id of the version that agents of a workspace follow, NULL when there is none.

    `workspace_id` is SQL too, such as `$2`.
    """
    return (
        f"(SELECT version_id FROM behavior_profile WHERE workspace_id = {workspace_id} AND active)"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """One save over version number `version - 1`: what, why, by whom and when."""

    version_id: str
    workspace_id: str
    profile_id: str
    version: int
    rules: str
    restored_from: int | None
    comment: str | None
    created_by: str
    now_us: int


def insert_default(ident: str, workspace_id: str, now_us: int) -> Statement:
    """Make the active profile of a workspace unless it is there."""
    description = "Followed by every agent of the workspace."
    return Statement(_INSERT_DEFAULT, (ident, workspace_id, DEFAULT_NAME, description, now_us))


def put_in_force(saving: Saving) -> Statement:
    """Point the profile at the new version; refused when it moved on."""
    values = (
        saving.profile_id,
        saving.workspace_id,
        saving.version - 1,
        saving.version_id,
        saving.now_us,
    )
    return Statement(_UPDATE, values, must_match=True)


def insert_version(saving: Saving) -> Statement:
    """Keep the rules for good."""
    values = (
        saving.version_id,
        saving.workspace_id,
        saving.profile_id,
        saving.version,
        saving.rules,
        saving.restored_from,
        saving.comment,
        saving.created_by,
        saving.now_us,
    )
    return Statement(_INSERT_VERSION, values)
