"""Memories that change: replaced by newer ones, edited, each change kept and told."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from domain.kernel.database import Database
from domain.kernel.errors import Conflict, ErrorCode, ObjectRef, ValidationFailed
from tests.domain.memory_world import ADMIN, ALL, SECOND_US, MemoryWorld, memory_world


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[MemoryWorld, None]:
    async with memory_world(database) as opened:
        yield opened


async def test_a_replaced_memory_ends_where_the_new_one_begins(world: MemoryWorld):
    old = await world.save("The deploy runs on Friday")
    since = world.clock.now_us() + 60 * SECOND_US

    new = await world.save("The deploy runs on Monday", supersedes=[old.id], validFrom=since)

    ended = await world.now(old.id)
    assert (ended.superseded_by, ended.valid_to, ended.version) == (new.id, since, 2)
    assert new.valid_from == since
    assert await world.actions(old.id) == [(2, "SUPERSEDED"), (1, "SAVED")]
    assert await world.events() == [
        ("SAVED", old.id),
        ("SAVED", new.id),
        ("SUPERSEDED", old.id),
    ]


async def test_a_memory_is_replaced_once(world: MemoryWorld):
    old = await world.save("Friday")
    new = await world.save("Monday", supersedes=[old.id])

    with pytest.raises(Conflict) as refused:
        await world.service.save(ADMIN, {"content": "Sunday", "supersedes": [old.id]})

    assert refused.value.path == ("supersedes", "0")
    assert refused.value.conflicting == ObjectRef(kind="Memory", id=new.id)
    assert await world.contents() == ["Monday", "Friday"]


async def test_of_two_that_replace_the_same_one_wins(world: MemoryWorld):
    old = await world.save("Friday")
    saves = (
        world.service.save(ADMIN, {"content": text, "supersedes": [old.id]})
        for text in ("Monday", "Sunday")
    )

    outcomes = await asyncio.gather(*saves, return_exceptions=True)

    assert sum(isinstance(one, Conflict) for one in outcomes) == 1
    assert await world.count("memory") == 2


async def test_an_old_memory_never_ends_before_it_began(world: MemoryWorld):
    old = await world.save("Friday")

    await world.save("Always Monday", supersedes=[old.id], validFrom=1)

    assert (await world.now(old.id)).valid_to == old.valid_from


async def test_in_an_update_absent_stays_and_null_clears(world: MemoryWorld):
    later = world.clock.now_us() + 9 * SECOND_US
    row = await world.save("Tea", metadata={"a": 1}, pinned=True, expiresAt=later)

    saved = await world.service.update(
        ADMIN, {"memoryId": row.id, "metadata": None, "expiresAt": None, "pinned": None}
    )

    changed = saved.row
    assert (changed.content, changed.metadata, changed.expires_at, changed.pinned) == (
        "Tea",
        {},
        None,
        False,
    )
    assert (changed.version, saved.unchanged) == (2, False)


async def test_each_change_is_kept_with_what_was_before(world: MemoryWorld):
    row = await world.save("Tea at four", metadata={"who": {"name": "Ada"}})
    await world.service.update(
        ADMIN,
        {
            "memoryId": row.id,
            "content": "Tea at five",
            "metadata": {"who": {"name": "Bea"}},
            "recallable": False,
            "reason": "It moved.",
        },
    )

    [last, first] = (await world.service.history(ADMIN, row.id, ALL)).items

    assert (last.version, last.action, last.changed_by, last.reason) == (
        2,
        "UPDATED",
        "ada",
        "It moved.",
    )
    assert last.changes == [
        {"path": ["content"], "before": "Tea at four", "after": "Tea at five"},
        {"path": ["metadata", "who", "name"], "before": "Ada", "after": "Bea"},
        {"path": ["recallable"], "before": True, "after": False},
    ]
    assert (first.version, first.action, first.changes) == (1, "SAVED", [])


async def test_an_update_without_a_change_writes_nothing(world: MemoryWorld):
    row = await world.save("Tea", metadata={"a": 1})

    saved = await world.service.update(
        ADMIN, {"memoryId": row.id, "content": "Tea", "metadata": {"a": 1}, "reason": "why not"}
    )

    assert (saved.unchanged, saved.row.version) == (True, 1)
    assert await world.actions(row.id) == [(1, "SAVED")]
    assert len(await world.events()) == 1


async def test_an_update_of_an_old_version_is_a_conflict_and_changes_nothing(world: MemoryWorld):
    row = await world.save("Tea")
    await world.service.update(ADMIN, {"memoryId": row.id, "content": "Milk"})

    with pytest.raises(Conflict) as refused:
        await world.service.update(
            ADMIN, {"memoryId": row.id, "content": "Water", "expectedVersion": 1}
        )

    assert (refused.value.reason, refused.value.current_version) == (ErrorCode.VERSION_MISMATCH, 2)
    assert (await world.now(row.id)).content == "Milk"


async def test_updates_at_once_are_all_kept(world: MemoryWorld):
    row = await world.save("Tea")
    updates = (
        world.service.update(ADMIN, {"memoryId": row.id, "metadata": {"n": n}}) for n in range(6)
    )

    await asyncio.gather(*updates)

    assert (await world.now(row.id)).version == 7
    assert [version for version, _ in await world.actions(row.id)] == [7, 6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    ("given", "path", "message"),
    [
        ({"content": None}, "content", "Give text."),
        ({"content": ""}, "content", "Give at least one character; this is empty."),
        ({"expiresAt": 1}, "expiresAt", "Give a moment in the future; forgetMemories takes it"),
        ({"validTo": 1}, "validTo", "Give a moment at or after its validFrom."),
        (
            {"artifacts": [{"language": "python", "code": "1"}]},
            "artifacts",
            "Only a SOLUTION carries code",
        ),
        ({"colour": 1}, "colour", "There is no such field; the fields here are content,"),
        ({"expectedVersion": 0}, "expectedVersion", "Give at least 1."),
    ],
)
async def test_what_cannot_become_of_a_memory_is_named_and_changes_nothing(
    world: MemoryWorld, given: dict[str, Any], path: str, message: str
):
    row = await world.save("Tea")

    with pytest.raises(ValidationFailed) as refused:
        await world.service.update(ADMIN, {"memoryId": row.id, **given})

    [problem] = refused.value.problems
    assert ".".join(problem.path) == path
    assert problem.message.startswith(message)
    assert await world.actions(row.id) == [(1, "SAVED")]


async def test_every_write_is_told_once_with_its_trace_and_audited(world: MemoryWorld):
    row = await world.save("Tea")
    await world.service.update(ADMIN, {"memoryId": row.id, "content": "Milk"})

    told = await world.database.fetch("SELECT cursor, type, trace_id, run_id FROM event")
    assert sorted(told) == [
        (1, "MemoryUpdate", ADMIN.trace.trace_id, None),
        (2, "MemoryUpdate", ADMIN.trace.trace_id, None),
    ]
    assert await world.audited() == [("memory.saved", row.id), ("memory.updated", row.id)]
