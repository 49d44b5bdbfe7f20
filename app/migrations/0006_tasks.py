"""Tasks, their occurrences, and which runs belong to one."""

from tortoise.migrations import Migration
from tortoise.migrations.operations import RunSQL

UP = [
    """
    CREATE TABLE task (
        id TEXT PRIMARY KEY,
        workspace_id TEXT NOT NULL REFERENCES workspace (id),
        name TEXT NOT NULL,
        agent_id TEXT NOT NULL REFERENCES agent (id),
        instruction TEXT NOT NULL,
        inputs TEXT NOT NULL,
        metadata TEXT NOT NULL,
        schedule_kind TEXT NOT NULL,
        schedule TEXT NOT NULL,
        starts_at BIGINT,
        ends_at BIGINT,
        conversation_mode TEXT NOT NULL,
        conversation_id TEXT,
        retry TEXT NOT NULL,
        overlap_policy TEXT NOT NULL,
        missed_run_policy TEXT NOT NULL,
        grace_seconds INTEGER NOT NULL,
        timeout_seconds INTEGER NOT NULL,
        jitter_seconds INTEGER NOT NULL,
        max_concurrency INTEGER NOT NULL,
        priority INTEGER NOT NULL,
        pause_after_failures INTEGER,
        status TEXT NOT NULL,
        pause_reason TEXT,
        paused_until BIGINT,
        next_run_at BIGINT,
        wake_at BIGINT,
        consecutive_failures INTEGER NOT NULL DEFAULT 0,
        version INTEGER NOT NULL,
        created_by TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL,
        deleted_at BIGINT
    )
    """,
    "CREATE INDEX task_wake ON task (wake_at, id) WHERE wake_at IS NOT NULL",
    "CREATE INDEX task_next ON task (workspace_id, next_run_at, id) WHERE deleted_at IS NULL",
    "CREATE INDEX task_created ON task (workspace_id, created_at, id) WHERE deleted_at IS NULL",
    """
    CREATE TABLE occurrence (
        id TEXT PRIMARY KEY,
        workspace_id TEXT NOT NULL REFERENCES workspace (id),
        task_id TEXT NOT NULL REFERENCES task (id),
        trigger TEXT NOT NULL,
        scheduled_for BIGINT NOT NULL,
        status TEXT NOT NULL,
        reason TEXT,
        inputs TEXT,
        run_id TEXT,
        attempts INTEGER NOT NULL DEFAULT 0,
        due_at BIGINT,
        created_at BIGINT NOT NULL,
        finished_at BIGINT
    )
    """,
    # A due time has one row, however many look; only runTaskNow may start two at one moment.
    """
    CREATE UNIQUE INDEX occurrence_due ON occurrence (task_id, scheduled_for)
    WHERE trigger <> 'MANUAL'
    """,
    "CREATE INDEX occurrence_task ON occurrence (task_id, scheduled_for, id)",
    "CREATE INDEX occurrence_workspace ON occurrence (workspace_id, scheduled_for, id)",
    """
    CREATE INDEX occurrence_open ON occurrence (task_id, scheduled_for)
    WHERE status IN ('QUEUED', 'RUNNING')
    """,
    "ALTER TABLE run ADD COLUMN task_id TEXT",
    "ALTER TABLE run ADD COLUMN occurrence_id TEXT",
    "CREATE INDEX run_task ON run (task_id, created_at, id) WHERE task_id IS NOT NULL",
    """
    CREATE INDEX run_occurrence ON run (occurrence_id, created_at, id)
    WHERE occurrence_id IS NOT NULL
    """,
]

DOWN = [
    "DROP INDEX run_occurrence",
    "DROP INDEX run_task",
    "ALTER TABLE run DROP COLUMN occurrence_id",
    "ALTER TABLE run DROP COLUMN task_id",
    "DROP TABLE occurrence",
    "DROP TABLE task",
]


class Migration(Migration):
    dependencies = [("gob", "0005_behavior")]
    operations = [RunSQL(UP, reverse_sql=DOWN)]
