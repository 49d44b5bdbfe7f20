"""Statements that save agents: the current state and, beside it, each version for good."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from domain.agents.settings import AgentSettings
from domain.kernel.database import Dialect, Statement

_INSERT = """
INSERT INTO agent (id, workspace_id, slug, name, description, settings, version, created_at,
                   updated_at)
VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $7)
ON CONFLICT (workspace_id, slug) DO NOTHING
RETURNING id
"""
_INSERT_VERSION = """
INSERT INTO agent_version (id, workspace_id, agent_id, version, settings, comment, created_by,
                           created_at)
SELECT $1, workspace_id, id, version, settings, $3, $4, $5 FROM agent WHERE id = $2
"""
_UPDATE = """
UPDATE agent
SET slug = $4, name = $5, description = $6, settings = $7, version = version + 1, updated_at = $8
WHERE id = $1 AND workspace_id = $2 AND version = $3
  AND NOT EXISTS (SELECT 1 FROM agent o WHERE o.workspace_id = $2 AND o.slug = $4 AND o.id <> $1)
RETURNING version
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """One save: which agent, as what, by whom and when."""

    agent_id: str
    version_id: str
    workspace_id: str
    slug: str
    settings: AgentSettings
    created_by: str
    now_us: int
    comment: str | None = None

    @property
    def stored(self) -> Mapping[str, Any]:
        """The settings as they are kept, the slug filled in."""
        return {**self.settings.stored(), "slug": self.slug}

    @property
    def columns(self) -> tuple[str, str, str, str]:
        """Slug, name, description and settings."""
        text = orjson.dumps(self.stored).decode()
        return (self.slug, self.settings.name, self.settings.description, text)


def insert_agent(saving: Saving) -> Statement:
    """Insert; refused where the slug is taken."""
    values = (saving.agent_id, saving.workspace_id, *saving.columns, saving.now_us)
    return Statement(_INSERT, values, must_match=True)


def insert_version(saving: Saving) -> Statement:
    """Keep the agent as it is after the statements before; nothing where it is not."""
    values = (
        saving.version_id,
        saving.agent_id,
        saving.comment,
        saving.created_by,
        saving.now_us,
    )
    return Statement(_INSERT_VERSION, values)


def update_agent(saving: Saving, *, version: int) -> Statement:
    """Save over `version`; refused when the agent moved on or its slug is another's."""
    values = (saving.agent_id, saving.workspace_id, version, *saving.columns, saving.now_us)
    return Statement(_UPDATE, values, must_match=True)


def claim_slugs(dialect: Dialect, workspace_id: str) -> list[Statement]:
    """Let one writer at a time give slugs of the workspace to agents.

    SQLite has one writer in any case; on PostgreSQL the check for a taken slug needs it.
    """
    if dialect == "sqlite":
        return []
    sql = "SELECT id FROM workspace WHERE id = $1 FOR NO KEY UPDATE"
    return [Statement(sql, (workspace_id,))]
