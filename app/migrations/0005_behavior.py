"""Behavior profiles and their versions."""

from tortoise.migrations import Migration
from tortoise.migrations.operations import RunSQL

UP = [
    """
    CREATE TABLE behavior_profile (
        id TEXT PRIMARY KEY,
        workspace_id TEXT NOT NULL REFERENCES workspace (id),
        name TEXT NOT NULL,
        description TEXT NOT NULL,
        active BOOLEAN NOT NULL DEFAULT FALSE,
        version INTEGER NOT NULL,
        version_id TEXT,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL,
        UNIQUE (workspace_id, name)
    )
    """,
    "CREATE UNIQUE INDEX behavior_profile_active ON behavior_profile (workspace_id) WHERE active",
    """
    CREATE TABLE behavior_version (
        id TEXT PRIMARY KEY,
        workspace_id TEXT NOT NULL REFERENCES workspace (id),
        profile_id TEXT NOT NULL REFERENCES behavior_profile (id),
        version INTEGER NOT NULL,
        rules TEXT NOT NULL,
        restored_from INTEGER,
        comment TEXT,
        created_by TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        UNIQUE (profile_id, version)
    )
    """,
    "ALTER TABLE run_step ADD COLUMN behavior_version_id TEXT",
]
DOWN = [
    "ALTER TABLE run_step DROP COLUMN behavior_version_id",
    "DROP TABLE behavior_version",
    "DROP TABLE behavior_profile",
]


class Migration(Migration):
    dependencies = [("gob", "0004_memory")]
    operations = [RunSQL(UP, reverse_sql=DOWN)]
