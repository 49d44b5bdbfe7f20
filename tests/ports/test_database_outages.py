"""Every way in which a database can be away is told by one name, Unavailable, and in time."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg
import pytest

from app.database import STATEMENT_S, DatabaseOptions, open_database
from domain.kernel.database import Database, Statement
from domain.kernel.database_sqlite import SqliteDatabase
from domain.kernel.errors import Unavailable
from tests.network_faults import wire_to

INSERT = "INSERT INTO workspace (id, slug, name, created_at) VALUES ($1, $1, $1, 0) RETURNING id"
POSTGRES = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
MIGRATION_LOCK = 0x676F62


async def transact(database: Database) -> None:
    """Insert a row in a transaction."""
    async with database.transaction() as tx:
        await tx.fetch(INSERT, uuid4().hex)


WAYS: dict[str, Callable[[Database], Awaitable[object]]] = {
    "fetch": lambda database: database.fetch("SELECT count(*) FROM workspace"),
    "write of one": lambda database: database.write([Statement(INSERT, (uuid4().hex,))]),
    "write of two": lambda database: database.write(
        [Statement(INSERT, (uuid4().hex,)), Statement(INSERT, (uuid4().hex,), must_match=True)]
    ),
    "transaction": transact,
}
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
every_write = pytest.mark.parametrize("way", list(WAYS.values())[1:], ids=list(WAYS)[1:])


@asynccontextmanager
async def admin(url: str) -> AsyncGenerator[asyncpg.Connection, None]:
    """A connection of an operator, past the product."""
    connection = await asyncpg.connect(url, timeout=30)
    try:
        yield connection
    finally:
        await connection.close(timeout=10)


async def ids(database: Database) -> int:
    """How many rows the ways left behind."""
    return (await database.fetch("SELECT count(*) FROM workspace"))[0][0]


def options(url: str, **more: float) -> DatabaseOptions:
    """Of a database that is migrated at start."""
    return DatabaseOptions(url=url, migrates_at_start=True, **more)


@pytest.mark.postgres
@every_way
async def test_a_network_that_swallows_packets_ends_each_call_in_time(
    postgres_url: str, way: Callable[[Database], Awaitable[object]]
) -> None:
    async with open_database(options(postgres_url)):
        pass
    async with (
        wire_to(postgres_url) as (wire, address),
        open_database(options(address, statement_s=0.3)) as database,
    ):
        await database.fetch("SELECT 1")

        wire.fall_silent()
        async with asyncio.timeout(30):
            with pytest.raises(Unavailable, match="cannot be reached"):
                await way(database)


@pytest.mark.postgres
async def test_a_statement_that_takes_too_long_ends_and_keeps_nothing(postgres_url: str) -> None:
    async with open_database(options(postgres_url)):
        pass
    slow = Statement("SELECT pg_sleep(60)")
    async with open_database(options(postgres_url, statement_s=0.3)) as database:
        async with asyncio.timeout(30):
            with pytest.raises(Unavailable):
                await database.write([Statement(INSERT, ("a",)), slow])
            with pytest.raises(Unavailable):
                await database.fetch("SELECT pg_sleep(60)")

        assert await ids(database) == 0


@pytest.mark.postgres
async def test_a_migration_may_take_longer_than_a_statement_may(postgres_url: str) -> None:
    async with admin(postgres_url) as other:
        held = asyncio.Event()

        async def hold_the_lock() -> None:
            async with other.transaction():
                await other.execute("SELECT pg_advisory_xact_lock($1)", MIGRATION_LOCK)
                held.set()
                await other.execute("SELECT pg_sleep(1.5)", timeout=30)

        holding = asyncio.create_task(hold_the_lock())
        await held.wait()
        async with open_database(options(postgres_url, statement_s=1.0)) as database:
            rows = await ids(database)
            was_free = holding.done()
        await holding

    assert (rows, was_free) == (0, True)
    assert STATEMENT_S == 60


@POSTGRES
@pytest.mark.postgres
@every_way
async def test_connections_that_postgresql_ended_are_replaced(
    database: Database, database_url: str, way: Callable[[Database], Awaitable[object]]
) -> None:
    await database.fetch("SELECT 1")
    async with admin(database_url) as other:
        ended = await other.fetch(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )

    await way(database)

    assert [row[0] for row in ended] == [True]


@POSTGRES
@pytest.mark.postgres
@pytest.mark.parametrize("end", ["pg_terminate_backend", "pg_cancel_backend"])
async def test_a_statement_that_an_operator_ends_is_an_outage(
    database: Database, database_url: str, end: str
) -> None:
    async with admin(database_url) as other, other.transaction():
        await other.execute("LOCK TABLE workspace IN ACCESS EXCLUSIVE MODE")
        waiting = asyncio.create_task(database.write([Statement(INSERT, ("a",))]))
        found: list[asyncpg.Record] = []
        async with asyncio.timeout(20):
            while not found:
                found = await other.fetch(
                    f"SELECT {end}(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                    " AND datname = current_database()"
                )
        with pytest.raises(Unavailable):
            await waiting

    assert await ids(database) == 0
    await database.write([Statement(INSERT, ("a",))])
    assert await ids(database) == 1


@POSTGRES
@pytest.mark.postgres
@every_way
async def test_too_many_connections_are_an_outage(
    database: Database, database_url: str, way: Callable[[Database], Awaitable[object]]
) -> None:
    role = f"role_{uuid4().hex}"
    async with admin(database_url) as other:
        await other.execute(f"CREATE ROLE {role} LOGIN")
        await other.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
        try:
            url = database_url.replace("gob@", f"{role}@")
            async with open_database(options(url)) as limited:
                await other.execute(f"ALTER ROLE {role} CONNECTION LIMIT 0")
                await other.fetch(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                    " WHERE usename = $1",
                    role,
                )

                with pytest.raises(Unavailable):
                    await way(limited)
        finally:
            await other.execute(f"DROP OWNED BY {role}")
            await other.execute(f"DROP ROLE {role}")

    assert await ids(database) == 0


@POSTGRES
@pytest.mark.postgres
@every_write
async def test_a_postgresql_that_only_reads_is_an_outage_for_writes(
    database: Database, database_url: str, way: Callable[[Database], Awaitable[object]]
) -> None:
    async with admin(database_url) as other:
        name = await other.fetchval("SELECT current_database()")
        await other.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    async with open_database(options(database_url)) as reading:
        with pytest.raises(Unavailable):
            await way(reading)
        with pytest.raises(Unavailable, match="only reads"):
            await reading.check_writes()

        assert await ids(reading) == 0


@SQLITE
@every_write
async def test_a_sqlite_that_only_reads_is_an_outage_for_writes(
    database: Database, way: Callable[[Database], Awaitable[object]]
) -> None:
    assert isinstance(database, SqliteDatabase)
    await database.on_writer(lambda connection: connection.execute("PRAGMA query_only = ON"))

    with pytest.raises(Unavailable, match="attempt to write a readonly database"):
        await way(database)
    with pytest.raises(Unavailable, match="attempt to write a readonly database"):
        await database.check_writes()

    assert await ids(database) == 0


@SQLITE
@pytest.mark.parametrize("count", [1, 3])
async def test_a_full_disk_is_told_as_such_and_keeps_nothing(
    database: Database, count: int
) -> None:
    assert isinstance(database, SqliteDatabase)

    def leave_two_pages(connection: sqlite3.Connection) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")

    await database.on_writer(leave_two_pages)
    writes = [[Statement(INSERT, (f"{number}" * 100_000,))] for number in range(count)]
    outcomes = await asyncio.gather(*map(database.write, writes), return_exceptions=True)

    assert [(type(one), str(one)) for one in outcomes] == [
        (Unavailable, "The database cannot be used now: database or disk is full.")
    ] * count
    assert await ids(database) == 0


async def test_a_database_that_takes_writes_passes_and_keeps_nothing_of_the_trial(
    database: Database,
) -> None:
    await database.check_writes()

    assert await ids(database) == 0


@SQLITE
async def test_a_fault_without_a_code_stays_what_it_is(database: Database) -> None:
    with pytest.raises(sqlite3.OperationalError, match="Could not decode"):
        await database.fetch("SELECT CAST(x'ff' AS TEXT)")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://gob:secret@db:5432/gob", "postgresql://gob:***@db:5432/gob"),
        ("postgresql://gob:se@cr@et@db/gob", "postgresql://gob:***@db/gob"),
        ("postgresql://gob:se/cr/et@db/gob", "postgresql://gob:***@db/gob"),
        ("postgresql://:secret@db/gob", "postgresql://:***@db/gob"),
        ("postgresql://gob@db:5432/gob", "postgresql://gob@db:5432/gob"),
        ("postgresql://db/gob?user=a&password=secret", "postgresql://db/gob?user=a&password=***"),
        (
            "postgresql://db/gob?sslpassword=secret&ssl=on",
            "postgresql://db/gob?sslpassword=***&ssl=on",
        ),
        ("sqlite:////data/gob.db", "sqlite:////data/gob.db"),
    ],
)
def test_the_name_of_a_database_never_shows_its_password(url: str, shown: str) -> None:
    assert options(url).name == shown
