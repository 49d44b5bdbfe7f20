"""Migrated databases of PostgreSQL that tests hand on, emptied in between.

To empty one takes two milliseconds, to make one a hundred.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import asyncpg

from tests.server_processes import PostgresServer
from tests.servers import create_database, drop_database, in_thread

CONNECT_S = 30

SHAPE = """
SELECT md5(concat(
    (SELECT string_agg(concat(relname, relkind, relacl), ',' ORDER BY relname) FROM pg_class
     WHERE relnamespace = 'public'::regnamespace),
    (SELECT string_agg(concat(relname, attname, atttypid, attnotnull), ',' ORDER BY relname, attnum)
     FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
     WHERE relnamespace = 'public'::regnamespace),
    (SELECT string_agg(conname, ',' ORDER BY conname) FROM pg_constraint),
    (SELECT count(*) FROM pg_proc), (SELECT count(*) FROM pg_trigger),
    (SELECT count(*) FROM pg_db_role_setting JOIN pg_database ON pg_database.oid = setdatabase
     WHERE datname = current_database())
))
"""
"""What tests leave alone, as a rule: tables, columns, rights, rules and settings."""

LEAVE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""

EMPTY = """
DO $$ DECLARE name text; BEGIN
    SET LOCAL session_replication_role = replica;
    FOR name IN SELECT tablename FROM pg_tables
        WHERE schemaname = 'public' AND tablename <> 'tortoise_migrations'
    LOOP EXECUTE format('DELETE FROM %I', name); END LOOP;
    FOR name IN SELECT sequencename FROM pg_sequences
        WHERE schemaname = 'public' AND sequencename <> 'tortoise_migrations_id_seq'
    LOOP PERFORM setval(name::regclass, 1, false); END LOOP;
END $$
"""


class SpareDatabases:
    """Copies of one migrated database; those that nobody uses wait for the next test."""

    def __init__(self, server: PostgresServer, template: str) -> None:
        self._server = server
        self._template = template
        self._spare: list[str] = []
        self._shape: str | None = None

    @contextmanager
    def one(self) -> Iterator[str]:
        """Lend a database that holds nothing but its tables; its address."""
        name = self._spare.pop() if self._spare else self._new()
        yield self._server.url(name)
        if in_thread(self._emptied(name)):
            self._spare.append(name)
        else:
            drop_database(self._server, name)

    def _new(self) -> str:
        name = f"spare_{uuid4().hex}"
        create_database(self._server, name, self._template)
        if self._shape is None:
            self._shape = in_thread(self._shape_of(name))
        return name

    async def _shape_of(self, name: str) -> str:
        connection = await asyncpg.connect(self._server.url(name), timeout=CONNECT_S)
        try:
            return await connection.fetchval(SHAPE, timeout=CONNECT_S)
        finally:
            await connection.close(timeout=CONNECT_S)

    async def _emptied(self, name: str) -> bool:
        """Empty it and say so, or leave it as it is where a test changed more than rows."""
        connection = await asyncpg.connect(self._server.url(name), timeout=CONNECT_S)
        try:
            await connection.execute(LEAVE, timeout=CONNECT_S)
            if await connection.fetchval(SHAPE, timeout=CONNECT_S) != self._shape:
                return False
            await connection.execute(EMPTY, timeout=CONNECT_S)
        finally:
            await connection.close(timeout=CONNECT_S)
        return True
