"""The audit log, read: pages for admins, and a check that finds whatever was changed."""

import hashlib
import itertools
from typing import Any

import pytest

from domain.access.audit import FIRST_HASH, AuditTrail, content_of
from domain.access.audit_log import BATCH, AuditFilter, AuditLog, Verification
from domain.access.scopes import Principal, Scope
from domain.kernel.database import Database, Statement
from domain.kernel.errors import BadCursor, Forbidden, ObjectRef, ValidationFailed
from domain.kernel.ids import IdSource
from domain.kernel.paging import PageRequest
from domain.kernel.redaction import Redactor
from tests.domain.agent_world import ADMIN, STRANGER, add_workspaces, principal_of
from tests.fakes import SteppedClock

ALL = PageRequest.of(first=100)
EVERYTHING = AuditFilter()
LINES = 4
TEXTS = ["id", "actor", "action", "target_kind", "target_id", "detail", "trace_id", "hash"]
CHANGES = [
    (
        "UPDATE audit SET seq = seq + 256 WHERE workspace_id = 'w1' AND seq = {seq}",
        "UPDATE audit SET seq = seq - 256 WHERE workspace_id = 'w1' AND seq = {seq} + 256",
    ),
    (
        "UPDATE audit SET created_at = created_at + 1 WHERE workspace_id = 'w1' AND seq = {seq}",
        "UPDATE audit SET created_at = created_at - 1 WHERE workspace_id = 'w1' AND seq = {seq}",
    ),
    (
        "UPDATE audit SET workspace_id = 'w2' WHERE workspace_id = 'w1' AND seq = {seq}",
        "UPDATE audit SET workspace_id = 'w1' WHERE workspace_id = 'w2' AND seq = {seq}",
    ),
]
RUN = ObjectRef(kind="Run", id="r1")
ASKED = [
    (EVERYTHING, [1, 2, 3, 4]),
    (AuditFilter(actor="ada"), [1, 2, 3, 4]),
    (AuditFilter(actor="bob"), []),
    (AuditFilter(actor="a\0"), []),
    (AuditFilter(action="run.started"), [1, 3]),
    (AuditFilter(action="run.*"), [1, 3]),
    (AuditFilter(action="runner.*"), [2, 4]),
    (AuditFilter(action="run_.*"), []),
    (AuditFilter(target_id="r1"), [1, 3]),
    (AuditFilter(trace_id=ADMIN.trace.trace_id), [1, 2, 3, 4]),
    (AuditFilter(trace_id="other"), []),
    (AuditFilter(since_us=1_700_000_001_000_000, until_us=1_700_000_003_000_000), [2, 3]),
]


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
async def trail(database: Database, clock: SteppedClock) -> AuditTrail:
    """Two workspaces; the first has four lines."""
    await add_workspaces(database)
    trail = AuditTrail(database, clock, IdSource(clock.now_us), Redactor())
    for n in range(1, LINES + 1):
        target = RUN if n % 2 else None
        action = "run.started" if n % 2 else "runner.hired"
        await database.write(trail.record(ADMIN, action, target=target, detail={"n": n}))
        clock.move(1)
    return trail


@pytest.fixture
def log(database: Database, trail: AuditTrail) -> AuditLog:
    return AuditLog(database)


async def change(database: Database, sql: str, *args: Any) -> None:
    await database.write([Statement(sql, args)])


async def head_of(database: Database) -> str:
    ((found,),) = await database.fetch("SELECT hash FROM audit_head WHERE workspace_id = 'w1'")
    return found


async def seqs(log: AuditLog, narrowing: AuditFilter, who: Principal = ADMIN) -> list[int]:
    page = await log.page(who, narrowing, ALL, newest_first=False)
    return [row.seq for row in page.items]


async def test_an_untouched_log_fits_and_says_where_it_ends(database: Database, log: AuditLog):
    found = await log.verify(ADMIN)

    assert found == Verification(checked=4, head_hash=await head_of(database))
    assert found.is_valid


async def test_a_log_without_lines_fits(log: AuditLog):
    found = await log.verify(STRANGER)

    assert found == Verification(checked=0, head_hash=None)


async def test_a_long_log_is_read_in_batches(database: Database, trail: AuditTrail, log: AuditLog):
    more = [part for _ in range(BATCH) for part in trail.record(ADMIN, "test.done")]
    await database.write(more)

    found = await log.verify(ADMIN)

    assert (found.is_valid, found.checked) == (True, LINES + BATCH)


async def test_one_altered_character_in_any_text_of_any_line_is_found(
    database: Database, log: AuditLog
):
    missed: list[tuple[str, int, int]] = []
    for column, seq in itertools.product(TEXTS, range(1, LINES + 1)):
        where = f"workspace_id = 'w1' AND seq = {seq}"
        ((told,),) = await database.fetch(f"SELECT {column} FROM audit WHERE {where}")
        text = told or " "
        for place in {0, len(text) // 2, len(text) - 1}:
            other = "y" if text[place] == "x" else "x"
            altered = f"{text[:place]}{other}{text[place + 1 :]}"
            await change(database, f"UPDATE audit SET {column} = $1 WHERE {where}", altered)
            found = await log.verify(ADMIN)
            await change(database, f"UPDATE audit SET {column} = $1 WHERE {where}", told)
            if (found.first_broken, found.checked) != (seq, seq - 1):
                missed.append((column, seq, place))

    assert missed == []
    assert (await log.verify(ADMIN)).is_valid


async def test_any_altered_number_and_workspace_of_any_line_is_found(
    database: Database, log: AuditLog
):
    missed: list[tuple[str, int]] = []
    for seq in range(1, LINES + 1):
        for there, back in CHANGES:
            await change(database, there.format(seq=seq))
            found = await log.verify(ADMIN)
            await change(database, back.format(seq=seq))
            if (found.first_broken, found.checked) != (seq, seq - 1):
                missed.append((there, seq))

    assert missed == []
    assert (await log.verify(ADMIN)).is_valid


async def test_a_line_moved_to_another_workspace_does_not_fit_there(
    database: Database, log: AuditLog
):
    await change(database, "UPDATE audit SET workspace_id = 'w2' WHERE seq = 1")

    assert (await log.verify(STRANGER)).first_broken == 1


@pytest.mark.parametrize("seq", [1, 3, LINES])
async def test_a_line_that_was_removed_is_missed(database: Database, log: AuditLog, seq: int):
    await change(database, "DELETE FROM audit WHERE workspace_id = 'w1' AND seq = $1", seq)

    found = await log.verify(ADMIN)

    assert found.first_broken == seq
    assert found.reason.startswith(f"Line {seq} is missing")


async def test_a_null_and_an_empty_text_are_not_the_same(database: Database, log: AuditLog):
    await change(database, "UPDATE audit SET target_id = '' WHERE target_id IS NULL AND seq = 2")

    assert (await log.verify(ADMIN)).first_broken == 2


async def test_a_line_behind_the_end_is_found_even_where_it_fits(
    database: Database, clock: SteppedClock, log: AuditLog
):
    line = ("i5", clock.now_us(), "eve", "run.started", None, None, "{}", "t")
    text = f"{await head_of(database)}|5|{content_of(line)}"
    forged = hashlib.sha256(text.encode()).hexdigest()
    await change(
        database,
        "INSERT INTO audit (id, created_at, actor, action, target_kind, target_id, detail,"
        " trace_id, workspace_id, seq, hash)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'w1', 5, $9)",
        *line,
        forged,
    )

    found = await log.verify(ADMIN)

    assert found.first_broken == 5
    assert found.reason == "Line 5 was added behind the chain's end."


async def test_a_line_before_the_first_is_found(database: Database, log: AuditLog):
    await change(
        database,
        "INSERT INTO audit (id, created_at, actor, action, detail, trace_id, workspace_id, seq,"
        " hash) VALUES ('i0', 0, 'eve', 'a', '{}', 't', 'w1', 0, $1)",
        FIRST_HASH,
    )

    assert (await log.verify(ADMIN)).first_broken == 0


@pytest.mark.parametrize(
    ("sql", "seq", "reason"),
    [
        ("UPDATE audit_head SET seq = 6", 5, "Line 5 is missing: the log had 6 lines."),
        ("UPDATE audit_head SET seq = 3", 4, "Line 4 was added behind the chain's end."),
        ("UPDATE audit_head SET hash = 'x'", 4, "The record of the chain's end does not fit."),
        ("DELETE FROM audit_head", 4, "The record of the chain's end is missing."),
    ],
)
async def test_an_end_that_does_not_fit_is_found(
    database: Database, log: AuditLog, sql: str, seq: int, reason: str
):
    await change(database, f"{sql} WHERE workspace_id = 'w1'")

    found = await log.verify(ADMIN)

    assert (found.first_broken, found.reason) == (seq, reason)


async def test_a_log_cut_off_with_its_end_is_known_by_the_hash_that_was_kept(
    database: Database, log: AuditLog
):
    kept = await head_of(database)
    await change(database, "DELETE FROM audit WHERE workspace_id = 'w1' AND seq > 2")
    await change(
        database,
        "UPDATE audit_head SET seq = 2, hash = (SELECT hash FROM audit WHERE workspace_id = 'w1'"
        " AND seq = 2) WHERE workspace_id = 'w1'",
    )

    assert (await log.verify(ADMIN)).is_valid
    assert (await log.verify(ADMIN, kept_hash=kept)).reason == (
        "No line has the hash that was kept: the log was cut off or written anew."
    )


async def test_a_kept_hash_fits_a_log_that_has_grown(
    database: Database, trail: AuditTrail, log: AuditLog
):
    kept = await head_of(database)
    await database.write(trail.record(ADMIN, "test.done"))

    assert (await log.verify(ADMIN, kept_hash=kept)).is_valid
    assert (await log.verify(ADMIN, from_seq=LINES + 1, kept_hash=kept)).checked == 1
    assert not (await log.verify(ADMIN, kept_hash="0" * 63 + "1")).is_valid


async def test_a_check_may_begin_further_on(database: Database, log: AuditLog):
    await change(database, "UPDATE audit SET actor = 'eve' WHERE workspace_id = 'w1' AND seq = 1")

    assert (await log.verify(ADMIN, from_seq=2)).checked == 3
    assert (await log.verify(ADMIN, from_seq=LINES + 1)).checked == 0
    assert (await log.verify(ADMIN)).first_broken == 1
    await change(database, "DELETE FROM audit WHERE workspace_id = 'w1' AND seq = 1")
    assert (await log.verify(ADMIN, from_seq=2)).first_broken == 1


async def test_a_check_begins_within_the_log(log: AuditLog):
    for from_seq in (-1, 0, LINES + 2):
        with pytest.raises(ValidationFailed) as refused:
            await log.verify(ADMIN, from_seq=from_seq)
        assert refused.value.message == "fromSeq: The log has 4 lines; begin at one of 1 to 5."


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_bytes_that_are_no_text_are_found_where_a_database_can_hold_them(
    database: Database, log: AuditLog
):
    found: list[int | None] = []
    for column in TEXTS:
        sql = f"UPDATE audit SET {column} = CAST(x'61ff' AS TEXT) WHERE seq = 3"
        await change(database, sql)
        found.append((await log.verify(ADMIN)).first_broken)

    assert found == [3] * len(TEXTS)


async def test_lines_are_found_by_what_is_asked(log: AuditLog):
    found = [await seqs(log, narrowing) for narrowing, _ in ASKED]

    assert found == [wanted for _, wanted in ASKED]


async def test_a_bad_action_is_named(log: AuditLog):
    for action in ["", "*", "run*", "run.started.", "Run.Started", "run.%"]:
        with pytest.raises(ValidationFailed) as refused:
            await log.page(ADMIN, AuditFilter(action=action), ALL)
        assert refused.value.path == ("filter", "action")


async def test_pages_go_from_the_newest_line_to_the_first(log: AuditLog):
    first = await log.page(ADMIN, EVERYTHING, PageRequest.of(first=3))
    after = PageRequest.of(first=3, after=first.cursors[-1])
    second = await log.page(ADMIN, EVERYTHING, after)

    assert [row.seq for row in first.items] == [4, 3, 2]
    assert [row.seq for row in second.items] == [1]
    assert (first.has_next, second.has_next) == (True, False)
    with pytest.raises(BadCursor):
        await log.page(STRANGER, EVERYTHING, after)


async def test_a_log_is_seen_by_admins_of_its_workspace_alone(database: Database, log: AuditLog):
    ((entry,),) = await database.fetch("SELECT id FROM audit WHERE seq = 1")
    everything_else = principal_of("w1", *(scope for scope in Scope if scope is not Scope.ADMIN))

    assert await seqs(log, EVERYTHING, STRANGER) == []
    assert await log.entry(STRANGER, entry) is None
    for refused in (
        log.page(everything_else, EVERYTHING, ALL),
        log.entry(everything_else, entry),
        log.verify(everything_else),
    ):
        with pytest.raises(Forbidden) as caught:
            await refused
        assert caught.value.scope == "admin"
