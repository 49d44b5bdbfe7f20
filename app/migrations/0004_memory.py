"""Memories, their history and what search reads."""

from tortoise.migrations import Migration

from app.migration_sql import DialectSQL

# Search joins by a short number that the database gives out and never gives out again.
NUMBER = {
    "sqlite": "INTEGER PRIMARY KEY AUTOINCREMENT",
    "postgres": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
}
# Words are read in the order of their key, with all that a score needs beside it.
POSTINGS = {
    "sqlite": "PRIMARY KEY (word, num)) WITHOUT ROWID",
    "postgres": "PRIMARY KEY (word, num) INCLUDE (occurrences, length))",
}


def up(dialect: str) -> list[str]:
    return [
        f"""
        CREATE TABLE memory (
            num {NUMBER[dialect]},
            id TEXT NOT NULL UNIQUE,
            workspace_id TEXT NOT NULL REFERENCES workspace (id),
            kind TEXT NOT NULL,
            content TEXT NOT NULL,
            metadata TEXT NOT NULL,
            metadata_folded TEXT,
            artifacts TEXT NOT NULL,
            digest TEXT NOT NULL,
            agent_id TEXT,
            conversation_id TEXT,
            message_id TEXT,
            run_id TEXT,
            derived_from TEXT NOT NULL,
            trusted BOOLEAN NOT NULL,
            pinned BOOLEAN NOT NULL,
            recallable BOOLEAN NOT NULL DEFAULT TRUE,
            valid_from BIGINT NOT NULL,
            valid_to BIGINT,
            superseded_by TEXT,
            expires_at BIGINT,
            forgotten_at BIGINT,
            token_count INTEGER NOT NULL,
            word_count INTEGER NOT NULL,
            recall_count INTEGER NOT NULL DEFAULT 0,
            last_recalled_at BIGINT NOT NULL DEFAULT 0,
            version INTEGER NOT NULL DEFAULT 1,
            created_by TEXT NOT NULL,
            created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL
        )
        """,
        "CREATE INDEX memory_created ON memory (workspace_id, created_at, id)",
        "CREATE INDEX memory_recalled ON memory (workspace_id, last_recalled_at, id)",
        "CREATE INDEX memory_digest ON memory (workspace_id, digest)",
        "CREATE INDEX memory_agent ON memory (agent_id, created_at) WHERE agent_id IS NOT NULL",
        """
        CREATE INDEX memory_conversation ON memory (conversation_id, created_at)
        WHERE conversation_id IS NOT NULL
        """,
        "CREATE INDEX memory_run ON memory (run_id) WHERE run_id IS NOT NULL",
        """
        CREATE TABLE memory_version (
            id TEXT PRIMARY KEY,
            workspace_id TEXT NOT NULL REFERENCES workspace (id),
            memory_id TEXT NOT NULL REFERENCES memory (id) ON DELETE CASCADE,
            version INTEGER NOT NULL,
            action TEXT NOT NULL,
            changes TEXT NOT NULL,
            changed_by TEXT NOT NULL,
            reason TEXT,
            created_at BIGINT NOT NULL,
            UNIQUE (memory_id, version)
        )
        """,
        f"""
        CREATE TABLE memory_word (
            word BIGINT NOT NULL,
            num BIGINT NOT NULL,
            occurrences INTEGER NOT NULL,
            length INTEGER NOT NULL,
            {POSTINGS[dialect]}
        """,
        # What is erased leaves the index whatever its words were when they were read.
        "CREATE INDEX memory_word_num ON memory_word (num)",
        """
        CREATE TABLE memory_total (
            workspace_id TEXT PRIMARY KEY REFERENCES workspace (id),
            memories BIGINT NOT NULL,
            words BIGINT NOT NULL
        )
        """,
    ]


TABLES = ["memory_total", "memory_word", "memory_version", "memory"]
DOWN = [f"DROP TABLE {table}" for table in TABLES]


class Migration(Migration):
    dependencies = [("gob", "0003_audit")]
    operations = [
        DialectSQL(
            {dialect: up(dialect) for dialect in NUMBER},
            reverse_sql=dict.fromkeys(NUMBER, DOWN),
        )
    ]
