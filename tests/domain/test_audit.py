"""The audit log: its lines are chained, in the order of their commits."""

import asyncio
import hashlib

from domain.access.audit import FIRST_HASH, LARGEST_DETAIL, AuditTrail, content_of
from domain.access.scopes import Principal
from domain.kernel.database import Database, Statement
from domain.kernel.errors import ObjectRef
from domain.kernel.ids import IdSource
from tests.domain.agent_world import add_workspaces
from tests.fakes import SteppedClock

LINES = """
    SELECT seq, hash, id, created_at, actor, action, target_kind, target_id, detail, trace_id
    FROM audit WHERE workspace_id = $1 ORDER BY seq
"""


async def make(database: Database) -> tuple[AuditTrail, Principal]:
    clock = SteppedClock()
    ids = IdSource(clock.now_us)
    await add_workspaces(database)
    ada = Principal(workspace_id="w1", key_id=None, name="ada", scopes=frozenset())
    return AuditTrail(database, clock, ids), ada


def linked(before: str, line: tuple) -> str:
    text = f"{before}|{line[0]}|{content_of(line[2:])}"
    return hashlib.sha256(text.encode()).hexdigest()


async def test_each_line_is_linked_to_the_one_before(database: Database):
    trail, ada = await make(database)

    await database.write(trail.record(ada, "agent.created", detail={"slug": "münchen"}))
    target = ObjectRef(kind="Agent", id="a1")
    await database.write(trail.record(ada, "agent.updated", target=target))

    first, second = await database.fetch(LINES, ada.workspace_id)
    assert (first[0], first[4:9]) == (1, ("ada", "agent.created", None, None, '{"slug":"münchen"}'))
    assert (second[0], second[4:9]) == (2, ("ada", "agent.updated", "Agent", "a1", "{}"))
    assert first[9] == ada.trace.trace_id
    assert first[1] == linked(FIRST_HASH, first)
    assert second[1] == linked(first[1], second)


async def test_writers_at_the_same_time_make_one_chain(database: Database):
    trail, ada = await make(database)

    writes = [database.write(trail.record(ada, f"test.{n}")) for n in range(20)]
    await asyncio.gather(*writes)

    before = FIRST_HASH
    lines = await database.fetch(LINES, ada.workspace_id)
    assert [line[0] for line in lines] == list(range(1, 21))
    for line in lines:
        assert line[1] == linked(before, line)
        before = line[1]


async def test_a_line_of_a_write_that_fails_is_not_kept(database: Database):
    trail, ada = await make(database)
    refused = Statement("UPDATE workspace SET name = name WHERE id = 'none' RETURNING id", (), True)

    results = await asyncio.gather(
        database.write([*trail.record(ada, "test.kept")]),
        database.write([*trail.record(ada, "test.lost"), refused]),
        return_exceptions=True,
    )

    assert isinstance(results[1], Exception)
    lines = await database.fetch(LINES, ada.workspace_id)
    assert [(line[0], line[5]) for line in lines] == [(1, "test.kept")]


async def test_secrets_are_masked_and_long_particulars_cut(database: Database):
    trail, ada = await make(database)

    detail = {"password": "hunter22", "text": "x" * 2 * LARGEST_DETAIL}
    await database.write(trail.record(ada, "test.done", detail=detail))

    (line,) = await database.fetch(LINES, ada.workspace_id)
    assert "hunter22" not in line[8]
    assert line[8].startswith('{"truncated":true,"beginning":"{')
    assert len(line[8]) < LARGEST_DETAIL
