"""The database interface: grouped commits, refused writes, readers that do not wait."""

import asyncio
import threading
from collections.abc import Sequence

import pytest
from tortoise.exceptions import IntegrityError

from app.adapters.clock import SystemClock
from domain.access.rows import WorkspaceRow
from domain.kernel.database import (
    Database,
    Statement,
    WriteRefusedError,
    numbered,
    placeholders,
)
from domain.kernel.database_sqlite import SqliteDatabase
from domain.kernel.ids import IdSource

INSERT = "INSERT INTO workspace (id, slug, name, created_at) VALUES ($1, $1, $1, $2) RETURNING id"
RENAME = "UPDATE workspace SET name = $2 WHERE id = $1 RETURNING id"
COUNT_UP = "UPDATE workspace SET created_at = created_at + 1 WHERE id = $1"


def _insert(ident: str, moment: int = 0) -> Statement:
    return Statement(INSERT, (ident, moment))


def _rename(ident: str, name: str = "new", *, must_match: bool = True) -> Statement:
    return Statement(RENAME, (ident, name), must_match=must_match)


async def _ids(database: Database) -> list[str]:
    return [row[0] for row in await database.fetch("SELECT id FROM workspace ORDER BY id")]


async def _outcomes(
    database: Database, writes: Sequence[Sequence[Statement]]
) -> list[list[list[tuple[object, ...]]] | BaseException]:
    return await asyncio.gather(
        *(database.write(statements) for statements in writes), return_exceptions=True
    )


async def test_a_write_returns_the_rows_of_each_statement(database: Database) -> None:
    results = await database.write(
        [_insert("a"), _rename("nobody", must_match=False), _rename("a")]
    )

    assert results == [[("a",)], [], [("a",)]]


async def test_ids_are_text_and_moments_whole_microseconds(database: Database) -> None:
    ident, moment = "0192f0c1-2a3b-7c4d-8e5f-0123456789ab", 1_790_000_000_123_456

    await database.write([_insert(ident, moment)])
    raw = await database.fetch("SELECT id, created_at FROM workspace WHERE id = $1", ident)
    row = await WorkspaceRow.get(id=ident, using_db=database.reader)

    assert raw == [(ident, moment)]
    assert (row.id, row.created_at) == (ident, moment)


async def test_a_statement_that_must_match_refuses_its_whole_write(database: Database) -> None:
    refusing = _rename("nobody")

    with pytest.raises(WriteRefusedError) as refused:
        await database.write([_insert("a"), refusing])

    assert refused.value.statement is refusing
    assert await _ids(database) == []


async def test_a_refused_write_does_not_touch_those_beside_it(database: Database) -> None:
    writes = [[_insert("a")], [_insert("b"), _rename("nobody")], [_insert("c")]]

    outcomes = await _outcomes(database, writes)

    assert [type(outcome) for outcome in outcomes] == [list, WriteRefusedError, list]
    assert await _ids(database) == ["a", "c"]


async def test_a_write_against_a_constraint_does_not_touch_those_beside_it(
    database: Database,
) -> None:
    await database.write([_insert("a")])

    outcomes = await _outcomes(database, [[_insert("b")], [_insert("a")], [_insert("c")]])

    assert [isinstance(outcome, Exception) for outcome in outcomes] == [False, True, False]
    assert await _ids(database) == ["a", "b", "c"]


@pytest.mark.parametrize("value", ["\ud800", 2**70], ids=["surrogate", "too great"])
async def test_a_value_that_the_driver_cannot_send_fails_its_write_alone(
    database: Database, value: object
) -> None:
    bad = Statement("UPDATE workspace SET name = $1 WHERE created_at = $2", (value, value))

    async with asyncio.timeout(10):
        outcomes = await _outcomes(database, [[_insert("a")], [bad], [_insert("b")]])
        alone = await _outcomes(database, [[bad]])

    assert [isinstance(outcome, Exception) for outcome in outcomes] == [False, True, False]
    assert [isinstance(outcome, Exception) for outcome in alone] == [True]
    assert await _ids(database) == ["a", "b"]


async def test_a_caller_that_goes_away_does_not_stop_the_writes_beside_it(
    database: Database,
) -> None:
    leaving = asyncio.create_task(database.write([_insert("a")]))
    staying = asyncio.create_task(database.write([_insert("b")]))
    await asyncio.sleep(0)

    leaving.cancel()
    await asyncio.wait([leaving, staying])

    assert "b" in await _ids(database)
    assert leaving.cancelled()


async def test_writers_at_the_same_time_lose_nothing(database: Database) -> None:
    await database.write([_insert("a")])

    async def transact() -> None:
        async with database.transaction() as tx:
            await tx.fetch(COUNT_UP, "a")

    await asyncio.gather(
        *(database.write([Statement(COUNT_UP, ("a",))]) for _ in range(100)),
        *(transact() for _ in range(20)),
    )

    assert await database.fetch("SELECT created_at FROM workspace") == [(120,)]


async def test_a_transaction_commits_at_its_end(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.run([_insert("a")])
        row = WorkspaceRow(id="b", slug="b", name="b", created_at=0)
        await row.save(using_db=tx.client, force_create=True)
        inside = await WorkspaceRow.all().using_db(tx.client).count()
        outside = await _ids(database)

    assert (inside, outside) == (2, [])
    assert await _ids(database) == ["a", "b"]


async def test_a_transaction_that_raises_keeps_nothing(database: Database) -> None:
    async def work() -> None:
        async with database.transaction() as tx:
            await tx.fetch(INSERT, "a", 0)
            raise LookupError

    with pytest.raises(LookupError):
        await work()

    assert await _ids(database) == []
    await database.write([_insert("b")])
    assert await _ids(database) == ["b"]


async def test_a_refused_statement_in_a_transaction_keeps_nothing(database: Database) -> None:
    async def work() -> None:
        async with database.transaction() as tx:
            await tx.run([_insert("a"), _rename("nobody")])

    with pytest.raises(WriteRefusedError):
        await work()

    assert await _ids(database) == []


async def test_a_row_that_exists_fails_its_transaction(database: Database) -> None:
    await database.write([_insert("a")])
    row = WorkspaceRow(id="a", slug="x", name="x", created_at=0)

    async def work() -> None:
        async with database.transaction() as tx:
            await tx.fetch(INSERT, "b", 0)
            await row.save(using_db=tx.client, force_create=True)

    with pytest.raises(IntegrityError):
        await work()

    assert await _ids(database) == ["a"]


async def test_a_transaction_that_is_cancelled_keeps_nothing(database: Database) -> None:
    inserted = asyncio.Event()

    async def work() -> None:
        async with database.transaction() as tx:
            await tx.fetch(INSERT, "a", 0)
            inserted.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await inserted.wait()
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()
    await database.write([_insert("b")])
    assert await _ids(database) == ["b"]


async def test_a_cancellation_at_any_moment_leaves_the_database_usable(
    database: Database,
) -> None:
    async def work() -> None:
        async with database.transaction() as tx:
            await tx.fetch(COUNT_UP, "nobody")

    for turns in range(40):
        task = asyncio.create_task(work())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await database.write([_insert(f"{turns:02}")])

    assert await _ids(database) == [f"{turns:02}" for turns in range(40)]


async def test_a_reader_sees_what_is_committed_while_a_writer_is_at_work(
    database: Database,
) -> None:
    await database.write([_insert("a")])

    async with database.transaction() as tx:
        await tx.run([_rename("a", "changed")])
        raw = await database.fetch("SELECT name FROM workspace")
        row = await WorkspaceRow.get(id="a", using_db=database.reader)

    assert (raw, row.name) == ([("a",)], "a")
    assert await database.fetch("SELECT name FROM workspace") == [("changed",)]


async def test_first_reads_at_the_same_time_all_get_an_answer(database: Database) -> None:
    before = threading.active_count()

    answers = await asyncio.gather(*(database.fetch("SELECT 1") for _ in range(8)))

    assert answers == [[(1,)]] * 8
    # SQLite's reader is one connection, and each connection is a thread.
    opened = threading.active_count() - before
    assert opened <= 1


async def test_a_read_that_fails_does_not_touch_those_beside_it(database: Database) -> None:
    reads = [
        database.fetch("SELECT 1"),
        database.fetch("SELECT nothing"),
        database.fetch("SELECT 2"),
    ]

    answers = await asyncio.gather(*reads, return_exceptions=True)

    assert [answers[0], answers[2]] == [[(1,)], [(2,)]]
    assert isinstance(answers[1], Exception)


async def test_a_caller_that_goes_away_does_not_stop_the_reads_beside_it(
    database: Database,
) -> None:
    leaving = asyncio.create_task(database.fetch("SELECT 1"))
    staying = asyncio.create_task(database.fetch("SELECT 2"))
    await asyncio.sleep(0)

    leaving.cancel()
    await asyncio.wait([leaving, staying])

    assert staying.result() == [(2,)]
    assert leaving.cancelled()
    assert await database.fetch("SELECT 3") == [(3,)]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_time_on_sqlite_is_the_callers(database: Database) -> None:
    answers = await database.fetch(f"SELECT {database.now_sql(1)}", 5)

    assert answers == [(5,)]


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_the_time_on_postgresql_is_its_own(database: Database) -> None:
    clock = SystemClock()

    before = clock.now_us()
    ((moment,),) = await database.fetch(f"SELECT {database.now_sql(1)}", 5)
    after = clock.now_us()

    assert before <= moment <= after


async def _watch(database: SqliteDatabase) -> list[str]:
    """Every commit that SQLite sees from now on."""
    commits: list[str] = []

    def note(sql: str) -> None:
        if sql == "COMMIT":
            commits.append(sql)

    await database.on_writer(lambda connection: connection.set_trace_callback(note))
    return commits


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_writes_that_wait_together_share_a_commit_on_sqlite(database: Database) -> None:
    assert isinstance(database, SqliteDatabase)
    commits = await _watch(database)

    outcomes = await _outcomes(database, [[_insert(f"{n:02}")] for n in range(50)])

    assert outcomes == [[[(f"{n:02}",)]] for n in range(50)]
    assert commits == ["COMMIT"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_writes_wait_for_an_open_transaction_on_sqlite(database: Database) -> None:
    await database.write([_insert("a")])
    async with database.transaction() as tx:
        waiting = asyncio.create_task(database.write([_rename("a", "second")]))
        await tx.run([_rename("a", "first")])
        assert not waiting.done()
    await waiting

    assert await database.fetch("SELECT name FROM workspace") == [("second",)]


def test_ids_grow_strictly_though_the_clock_stands_or_steps_back() -> None:
    moments = iter([5_000, 5_000, 4_000, 9_000, 1_000])
    ids = IdSource(lambda: next(moments))

    made = [ids() for _ in range(5)]

    assert made == sorted(set(made))


def test_ids_grow_strictly_beyond_what_one_millisecond_counts() -> None:
    ids = IdSource(lambda: 1_700_000_000_000_000)

    made = [ids() for _ in range(10_000)]

    assert made == sorted(set(made))


def test_an_id_is_a_uuid_of_version_7_that_begins_with_its_moment() -> None:
    ident = IdSource(lambda: 0x0192F0C12A3B * 1000 + 999)()

    assert ident[:15] == "0192f0c1-2a3b-7"
    assert ident[19] in "89ab"
    assert [len(part) for part in ident.split("-")] == [8, 4, 4, 4, 12]


def test_placeholders_are_numbered_for_either_database() -> None:
    assert placeholders(3, 3) == "$3, $4, $5"
    assert numbered("a = $1 AND b = $12 AND c = $1") == "a = ?1 AND b = ?12 AND c = ?1"
