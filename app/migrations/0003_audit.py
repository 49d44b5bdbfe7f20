"""The audit log: one chain of hashes for each workspace."""

from tortoise.migrations import Migration
from tortoise.migrations.operations import RunSQL

UP = [
    """
    CREATE TABLE audit_head (
        workspace_id TEXT PRIMARY KEY REFERENCES workspace (id),
        seq BIGINT NOT NULL,
        hash TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE audit (
        workspace_id TEXT NOT NULL REFERENCES workspace (id),
        seq BIGINT NOT NULL,
        id TEXT NOT NULL UNIQUE,
        created_at BIGINT NOT NULL,
        actor TEXT NOT NULL,
        action TEXT NOT NULL,
        target_kind TEXT,
        target_id TEXT,
        detail TEXT NOT NULL,
        trace_id TEXT NOT NULL,
        hash TEXT NOT NULL,
        PRIMARY KEY (workspace_id, seq)
    )
    """,
    "CREATE INDEX audit_action ON audit (workspace_id, action, seq)",
    "CREATE INDEX audit_target ON audit (target_id, seq) WHERE target_id IS NOT NULL",
    "CREATE INDEX audit_trace ON audit (trace_id)",
]


class Migration(Migration):
    dependencies = [("gob", "0002_runs")]
    operations = [
        RunSQL(UP, reverse_sql=[f"DROP TABLE {table}" for table in ["audit", "audit_head"]])
    ]
