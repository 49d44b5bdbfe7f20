"""Runs that wait, hand work on, ask before they act, and what they used."""

from tortoise.migrations import Migration
from tortoise.migrations.operations import RunSQL

RUN = [
    ("waits_for", "TEXT"),
    ("parked_at", "BIGINT"),
    ("waited_us", "BIGINT NOT NULL DEFAULT 0"),
    ("line_at", "BIGINT"),
    ("bounds", "TEXT"),
    ("tainted", "BOOLEAN NOT NULL DEFAULT FALSE"),
    ("behavior_pin", "TEXT"),
]
STEP = [
    ("agent_behavior_version_id", "TEXT"),
    ("input_tokens", "BIGINT"),
    ("output_tokens", "BIGINT"),
    ("cached_tokens", "BIGINT"),
    ("reasoning_tokens", "BIGINT"),
    ("cost_pico_usd", "BIGINT"),
]
ORDER = [("detail", "TEXT"), ("position", "INTEGER")]


def _added(table: str, columns: list[tuple[str, str]]) -> list[str]:
    return [f"ALTER TABLE {table} ADD COLUMN {name} {kind}" for name, kind in columns]


def _dropped(table: str, columns: list[tuple[str, str]]) -> list[str]:
    return [f"ALTER TABLE {table} DROP COLUMN {name}" for name, _ in reversed(columns)]


UP = [
    *_added("run", RUN),
    *_added("run_step", STEP),
    *_added("run_order", ORDER),
    "ALTER TABLE conversation ADD COLUMN branched_from_id TEXT",
    "CREATE INDEX run_line ON run (conversation_id, line_at, id) WHERE line_at IS NOT NULL",
    "CREATE INDEX run_root ON run (root_run_id, id) WHERE parent_run_id IS NOT NULL",
    "CREATE INDEX run_step_time ON run_step (workspace_id, started_at)",
    """
    CREATE TABLE approval (
        id TEXT PRIMARY KEY,
        workspace_id TEXT NOT NULL REFERENCES workspace (id),
        run_id TEXT NOT NULL REFERENCES run (id),
        root_run_id TEXT NOT NULL,
        agent_id TEXT NOT NULL,
        step_id TEXT NOT NULL UNIQUE REFERENCES run_step (id),
        tool_name TEXT NOT NULL,
        side_effect TEXT NOT NULL,
        arguments TEXT NOT NULL,
        call_hash TEXT NOT NULL,
        reason TEXT NOT NULL,
        rule TEXT,
        behavior_versions TEXT NOT NULL,
        status TEXT NOT NULL,
        scope TEXT,
        edited TEXT,
        decided_by TEXT,
        decision_reason TEXT,
        decided_at BIGINT,
        expires_at BIGINT NOT NULL,
        used_at BIGINT,
        told_at BIGINT,
        created_at BIGINT NOT NULL
    )
    """,
    "CREATE INDEX approval_created ON approval (workspace_id, created_at, id)",
    "CREATE INDEX approval_run ON approval (run_id, created_at, id)",
    "CREATE INDEX approval_open ON approval (workspace_id, expires_at) WHERE status = 'PENDING'",
]
DOWN = [
    "DROP TABLE approval",
    "DROP INDEX run_step_time",
    "DROP INDEX run_root",
    "DROP INDEX run_line",
    "ALTER TABLE conversation DROP COLUMN branched_from_id",
    *_dropped("run_order", ORDER),
    *_dropped("run_step", STEP),
    *_dropped("run", RUN),
]


class Migration(Migration):
    dependencies = [("gob", "0008_run_costs")]
    operations = [RunSQL(UP, reverse_sql=DOWN)]
