"""Statements that save behavior: which version is in force and, beside it, each for good."""

from dataclasses import dataclass
from typing import Any

from domain.kernel.database import Dialect, Statement

DEFAULT_NAME = "default"
MOST_PROFILES = 100
"""Most profiles of a workspace, for a list that has no pages."""

_INSERT_DEFAULT = """
INSERT INTO behavior_profile (id, workspace_id, name, description, active, version, created_at,
                              updated_at)
VALUES ($1, $2, $3, $4, TRUE, 0, $5, $5)
ON CONFLICT DO NOTHING
"""
_INSERT_PROFILE = f"""
INSERT INTO behavior_profile (id, workspace_id, name, description, active, version, created_at,
                              updated_at)
SELECT $1, $2, $3, $4, FALSE, 0, $5, $5 WHERE {MOST_PROFILES} > (
    SELECT count(*) FROM behavior_profile WHERE workspace_id = $2 AND deleted_at IS NULL
)
ON CONFLICT (workspace_id, name) DO NOTHING
RETURNING id
"""
_UPDATE = """
UPDATE behavior_profile SET version = version + 1, version_id = $4, updated_at = $5
WHERE id = $1 AND workspace_id = $2 AND version = $3 AND deleted_at IS NULL
RETURNING version
"""
_DEACTIVATE = """
UPDATE behavior_profile SET active = FALSE, updated_at = $2 WHERE workspace_id = $1 AND active
"""
_ACTIVATE = """
UPDATE behavior_profile SET active = TRUE, updated_at = $4
WHERE id = $1 AND workspace_id = $2 AND version = $3 AND NOT active AND deleted_at IS NULL
RETURNING id
"""
# No client can give a name that begins with a blank.
_DELETE = """
UPDATE behavior_profile
SET deleted_at = $3, updated_at = $3, deleted_name = name, name = ' ' || id
WHERE id = $1 AND workspace_id = $2
"""
PROFILE = """
SELECT name, active FROM behavior_profile
WHERE id = $1 AND workspace_id = $2 AND deleted_at IS NULL
"""
# The settings of an agent are JSON text; whoever asks looks into what is found.
AGENTS_WITH = """
SELECT id, name, settings FROM agent WHERE workspace_id = $1 AND settings LIKE $2
ORDER BY name, id
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


def version_of_profile(workspace_id: str, profile_id: str) -> str:
    """SQL for the version in force of an agent's own profile; both arguments are SQL too.

    NULL when it is the workspace's, whose rules count once. One that was deleted since goes on
    to bind the runs whose agent had it when they began.
    """
    return (
        f"(SELECT version_id FROM behavior_profile WHERE workspace_id = {workspace_id}"
        f" AND id = {profile_id} AND NOT active)"
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


def named_profile(workspace_id: str, profile_id: str) -> Statement:
    """Find a profile that was not deleted; refused when there is none."""
    sql = (
        "SELECT id FROM behavior_profile WHERE id = $1 AND workspace_id = $2 AND deleted_at IS NULL"
    )
    return Statement(sql, (profile_id, workspace_id), must_match=True)


def insert_default(ident: str, workspace_id: str, now_us: int) -> Statement:
    """Make the active profile of a workspace unless it is there."""
    description = "Followed by every agent of the workspace."
    return Statement(_INSERT_DEFAULT, (ident, workspace_id, DEFAULT_NAME, description, now_us))


def insert_profile(row: tuple[str, str, str, str, int]) -> Statement:
    """Make a profile of id, workspace, name, description and moment; refused without room."""
    return Statement(_INSERT_PROFILE, row, must_match=True)


def deactivate(workspace_id: str, now_us: int) -> Statement:
    """Let no profile of a workspace be in force; the same commit puts another one there."""
    return Statement(_DEACTIVATE, (workspace_id, now_us))


def activate(workspace_id: str, profile_id: str, *, version: int, now_us: int) -> Statement:
    """Put a profile in force; refused when it is, when it moved on and when it was deleted."""
    return Statement(_ACTIVATE, (profile_id, workspace_id, version, now_us), must_match=True)


def mark_deleted(workspace_id: str, profile_id: str, now_us: int) -> Statement:
    """Delete a profile and set its name free."""
    return Statement(_DELETE, (profile_id, workspace_id, now_us))


def agents_with(workspace_id: str, profile_id: str) -> tuple[Any, ...]:
    """Read agents whose settings name a profile: id, name, settings."""
    return (AGENTS_WITH, workspace_id, f'%"{profile_id}"%')


def claim_profiles(dialect: Dialect, workspace_id: str) -> list[Statement]:
    """Let one writer at a time put profiles of the workspace in force, name and delete them.

    SQLite has one writer in any case. Saves of agents claim the same row.
    """
    if dialect == "sqlite":
        return []
    sql = "SELECT id FROM workspace WHERE id = $1 FOR NO KEY UPDATE"
    return [Statement(sql, (workspace_id,))]


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
