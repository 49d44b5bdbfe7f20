"""Runs, their steps, and the orders that other processes leave for them."""

from tortoise.migrations import Migration
from tortoise.migrations.operations import RunSQL

UP = [
    """
    CREATE TABLE run (
        id TEXT PRIMARY KEY,
        workspace_id TEXT NOT NULL REFERENCES workspace (id),
        agent_id TEXT NOT NULL REFERENCES agent (id),
        agent_version INTEGER NOT NULL,
        conversation_id TEXT,
        holds_conversation BOOLEAN NOT NULL DEFAULT FALSE,
        root_run_id TEXT NOT NULL,
        parent_run_id TEXT,
        parent_call_id TEXT,
        retry_of TEXT,
        depth INTEGER NOT NULL DEFAULT 0,
        attempt INTEGER NOT NULL DEFAULT 1,
        status TEXT NOT NULL,
        status_reason TEXT,
        instruction TEXT NOT NULL,
        inputs TEXT NOT NULL,
        spec TEXT NOT NULL,
        output TEXT,
        output_data TEXT,
        error_code TEXT,
        error_message TEXT,
        error_retryable BOOLEAN,
        input_tokens BIGINT NOT NULL DEFAULT 0,
        output_tokens BIGINT NOT NULL DEFAULT 0,
        cached_tokens BIGINT NOT NULL DEFAULT 0,
        reasoning_tokens BIGINT NOT NULL DEFAULT 0,
        model_calls INTEGER NOT NULL DEFAULT 0,
        tool_calls INTEGER NOT NULL DEFAULT 0,
        offline BOOLEAN NOT NULL DEFAULT FALSE,
        priority INTEGER NOT NULL DEFAULT 5,
        metadata TEXT NOT NULL,
        trace_id TEXT NOT NULL,
        span_id TEXT NOT NULL,
        created_by TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        started_at BIGINT,
        finished_at BIGINT,
        due_at BIGINT,
        hints INTEGER NOT NULL DEFAULT 0,
        lease_owner TEXT,
        lease_until BIGINT,
        fence BIGINT NOT NULL DEFAULT 0,
        losses INTEGER NOT NULL DEFAULT 0
    )
    """,
    "CREATE INDEX run_created ON run (workspace_id, created_at, id)",
    "CREATE INDEX run_agent ON run (agent_id, created_at, id)",
    "CREATE INDEX run_conversation ON run (conversation_id, created_at, id)",
    "CREATE INDEX run_trace ON run (trace_id)",
    """
    CREATE INDEX run_parent ON run (parent_run_id, created_at, id)
    WHERE parent_run_id IS NOT NULL
    """,
    "CREATE INDEX run_due ON run (due_at) WHERE due_at IS NOT NULL",
    "CREATE INDEX run_leased ON run (lease_until) WHERE lease_until IS NOT NULL",
    "CREATE UNIQUE INDEX run_holds ON run (conversation_id) WHERE holds_conversation",
    """
    CREATE UNIQUE INDEX run_parent_call ON run (parent_run_id, parent_call_id)
    WHERE parent_call_id IS NOT NULL
    """,
    """
    CREATE TABLE run_step (
        id TEXT PRIMARY KEY,
        workspace_id TEXT NOT NULL REFERENCES workspace (id),
        run_id TEXT NOT NULL REFERENCES run (id),
        position INTEGER NOT NULL,
        kind TEXT NOT NULL,
        status TEXT NOT NULL,
        provider TEXT,
        name TEXT NOT NULL,
        text TEXT,
        reasoning TEXT,
        calls TEXT,
        call_id TEXT,
        arguments TEXT,
        result TEXT,
        error_code TEXT,
        error_message TEXT,
        error_retryable BOOLEAN,
        usage TEXT,
        trace_id TEXT NOT NULL,
        started_at BIGINT NOT NULL,
        finished_at BIGINT,
        UNIQUE (run_id, position)
    )
    """,
    """
    CREATE TABLE run_order (
        id TEXT PRIMARY KEY,
        workspace_id TEXT NOT NULL REFERENCES workspace (id),
        run_id TEXT NOT NULL REFERENCES run (id),
        kind TEXT NOT NULL,
        reason TEXT,
        created_by TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        taken_at BIGINT
    )
    """,
    "CREATE INDEX run_order_open ON run_order (run_id) WHERE taken_at IS NULL",
]


class Migration(Migration):
    dependencies = [("gob", "0001_foundation")]
    operations = [
        RunSQL(
            UP, reverse_sql=[f"DROP TABLE {table}" for table in ["run_order", "run_step", "run"]]
        )
    ]
