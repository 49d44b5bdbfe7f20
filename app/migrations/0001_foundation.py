"""Workspaces, keys, events, agents and conversations."""

from tortoise.migrations import Migration
from tortoise.migrations.operations import RunSQL

# One text for both databases: ids and JSON are TEXT, moments BIGINT microseconds.
UP = [
    """
    CREATE TABLE workspace (
        id TEXT PRIMARY KEY,
        slug TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        created_at BIGINT NOT NULL
    )
    """,
    """
    CREATE TABLE api_key (
        id TEXT PRIMARY KEY,
        workspace_id TEXT NOT NULL REFERENCES workspace (id),
        name TEXT NOT NULL,
        prefix TEXT NOT NULL,
        digest TEXT NOT NULL UNIQUE,
        scopes TEXT NOT NULL,
        created_by TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        expires_at BIGINT,
        last_used_at BIGINT,
        revoked_at BIGINT
    )
    """,
    "CREATE INDEX api_key_workspace ON api_key (workspace_id, id)",
    """
    CREATE TABLE event_head (
        workspace_id TEXT PRIMARY KEY REFERENCES workspace (id),
        cursor BIGINT NOT NULL DEFAULT 0,
        pruned BIGINT NOT NULL DEFAULT 0
    )
    """,
    """
    CREATE TABLE event (
        workspace_id TEXT NOT NULL REFERENCES workspace (id),
        cursor BIGINT NOT NULL,
        run_id TEXT,
        seq BIGINT,
        root_run_id TEXT,
        parent_run_id TEXT,
        depth INTEGER NOT NULL DEFAULT 0,
        type TEXT NOT NULL,
        data TEXT NOT NULL,
        trace_id TEXT NOT NULL,
        occurred_at BIGINT NOT NULL,
        PRIMARY KEY (workspace_id, cursor)
    )
    """,
    "CREATE UNIQUE INDEX event_run_seq ON event (run_id, seq)",
    # Only delegated runs: a run finds its own events by event_run_seq.
    "CREATE INDEX event_root ON event (root_run_id, cursor) WHERE root_run_id <> run_id",
    """
    CREATE TABLE agent (
        id TEXT PRIMARY KEY,
        workspace_id TEXT NOT NULL REFERENCES workspace (id),
        slug TEXT NOT NULL,
        name TEXT NOT NULL,
        description TEXT NOT NULL,
        settings TEXT NOT NULL,
        version INTEGER NOT NULL,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL,
        archived_at BIGINT,
        UNIQUE (workspace_id, slug)
    )
    """,
    "CREATE INDEX agent_name ON agent (workspace_id, name, id)",
    "CREATE INDEX agent_updated ON agent (workspace_id, updated_at, id)",
    """
    CREATE TABLE agent_version (
        id TEXT PRIMARY KEY,
        workspace_id TEXT NOT NULL REFERENCES workspace (id),
        agent_id TEXT NOT NULL REFERENCES agent (id),
        version INTEGER NOT NULL,
        settings TEXT NOT NULL,
        comment TEXT,
        created_by TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        UNIQUE (agent_id, version)
    )
    """,
    """
    CREATE TABLE conversation (
        id TEXT PRIMARY KEY,
        workspace_id TEXT NOT NULL REFERENCES workspace (id),
        title TEXT NOT NULL,
        agent_id TEXT REFERENCES agent (id),
        metadata TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL
    )
    """,
    "CREATE INDEX conversation_updated ON conversation (workspace_id, updated_at, id)",
    """
    CREATE TABLE message (
        id TEXT PRIMARY KEY,
        workspace_id TEXT NOT NULL REFERENCES workspace (id),
        conversation_id TEXT NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
        role TEXT NOT NULL,
        content TEXT NOT NULL,
        run_id TEXT,
        token_count INTEGER NOT NULL,
        created_at BIGINT NOT NULL
    )
    """,
    "CREATE INDEX message_conversation ON message (conversation_id, id)",
    """
    CREATE TABLE idempotency (
        workspace_id TEXT NOT NULL REFERENCES workspace (id),
        operation TEXT NOT NULL,
        key TEXT NOT NULL,
        digest TEXT NOT NULL,
        result_id TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        PRIMARY KEY (workspace_id, operation, key)
    )
    """,
    "CREATE INDEX idempotency_age ON idempotency (created_at)",
]

TABLES = [
    "idempotency",
    "message",
    "conversation",
    "agent_version",
    "agent",
    "event",
    "event_head",
    "api_key",
    "workspace",
]


class Migration(Migration):
    dependencies = []
    operations = [RunSQL(UP, reverse_sql=[f"DROP TABLE {table}" for table in TABLES])]
