"""Rows that nobody could have saved, made with plain SQL beside the rules of the database."""

import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from typing import Any

from domain.kernel.database import Database


async def spoil(database: Database, table: str, ident: str, **columns: Any) -> None:
    """Put values into columns of a row, also ones that name rows which are not there."""
    names = ", ".join(f"{name} = ${place}" for place, name in enumerate(columns, 2))
    sql = f"UPDATE {table} SET {names} WHERE id = $1"
    await without_references(database, sql, ident, *columns.values())


async def without_references(database: Database, sql: str, *args: Any) -> None:
    """Run a statement while the database does not look at foreign keys."""
    if database.dialect == "postgres":
        async with database.transaction() as tx:
            await tx.fetch("SET LOCAL session_replication_role = replica")
            await tx.fetch(sql, *args)
        return
    path = (await database.fetch("PRAGMA database_list"))[0][2]
    with closing(sqlite3.connect(path, timeout=10)) as connection, connection:
        connection.execute(sql.replace("$", "?"), args)


@asynccontextmanager
async def writes_refused(
    database: Database, write: str, condition: str
) -> AsyncGenerator[None, None]:
    """Have the database refuse what is written to some rows, as a bug of ours might make it."""
    trigger = f"CREATE TRIGGER refused BEFORE {write}"
    if database.dialect == "sqlite":
        body = "BEGIN SELECT RAISE(ABORT, 'refused'); END"
        await without_references(database, f"{trigger} WHEN {condition} {body}")
        yield
        await without_references(database, "DROP TRIGGER refused")
        return
    await without_references(
        database,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'refused'; END $$",
    )
    body = "EXECUTE FUNCTION refuse()"
    await without_references(database, f"{trigger} FOR EACH ROW WHEN ({condition}) {body}")
    yield
    await without_references(database, "DROP FUNCTION refuse() CASCADE")


async def whole_row(database: Database, table: str, ident: str) -> dict[str, Any]:
    """Every column of a row as the database holds it."""
    names = await columns_of(database, table)
    rows = await database.fetch(f"SELECT {', '.join(names)} FROM {table} WHERE id = $1", ident)
    return dict(zip(names, rows[0], strict=True))


async def columns_of(database: Database, table: str) -> dict[str, tuple[str, bool]]:
    """Columns of a table with their types, and whether they may be empty."""
    if database.dialect == "postgres":
        sql = (
            "SELECT column_name, data_type, is_nullable = 'YES' FROM information_schema.columns"
            " WHERE table_name = $1 AND table_schema = 'public' ORDER BY ordinal_position"
        )
        return {name: (kind, empty) for name, kind, empty in await database.fetch(sql, table)}
    rows = await database.fetch(f"PRAGMA table_info({table})")
    return {row[1]: (row[2].lower(), not row[3]) for row in rows}
