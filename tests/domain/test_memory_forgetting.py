"""Forgetting, erasing and bringing back: by id or filter, counted first, all or nothing."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from domain.access.scopes import Scope
from domain.kernel.database import Database, Statement
from domain.kernel.errors import Conflict, Forbidden, NotFound, ValidationFailed
from tests.domain.memory_world import ADMIN, ALL, WRITER, MemoryWorld, memory_world

UNKNOWN = "019aabcd-ef12-7456-9abc-def012345678"
FRAGMENTS = {"filter": {"kinds": ["FRAGMENT"]}}


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[MemoryWorld, None]:
    async with memory_world(database) as opened:
        yield opened


async def test_forgetting_takes_out_of_lists_and_search_and_can_be_undone(world: MemoryWorld):
    row = await world.save("The deploy runs on Friday")
    await world.save("Tea at four")
    world.clock.move(1)
    moment = world.clock.now_us()

    gone = await world.service.forget(ADMIN, {"select": {"ids": [row.id]}, "reason": "Old."})
    forgotten = (await world.contents(), await world.found("deploy"), await world.now(row.id))
    back = await world.service.restore(ADMIN, {"select": {"ids": [row.id]}})

    assert (gone.count, gone.dry_run, [one.id for one in gone.sample]) == (1, False, [row.id])
    assert forgotten[:2] == (["Tea at four"], [])
    assert forgotten[2].forgotten_at == moment
    assert (back.count, [one.forgotten_at for one in back.sample]) == (1, [None])
    assert await world.found("deploy") == ["The deploy runs on Friday"]
    assert await world.contents() == ["Tea at four", "The deploy runs on Friday"]
    versions = (await world.service.history(ADMIN, row.id, ALL)).items
    assert [(one.version, one.action, one.reason, one.changes) for one in versions] == [
        (3, "RESTORED", None, [{"path": ["forgottenAt"], "before": moment, "after": None}]),
        (2, "FORGOTTEN", "Old.", [{"path": ["forgottenAt"], "before": None, "after": moment}]),
        (1, "SAVED", None, []),
    ]


async def test_a_filter_chooses_and_a_dry_run_only_counts(world: MemoryWorld):
    for n in range(12):
        await world.save(f"fragment {n}", kind="FRAGMENT")
    await world.save("fact")
    before = await world.count("event")

    counted = await world.service.forget(ADMIN, {"select": FRAGMENTS, "dryRun": True})
    untouched = await world.contents()
    done = await world.service.forget(ADMIN, {"select": FRAGMENTS, "dryRun": None})

    assert (counted.count, len(counted.sample), counted.dry_run) == (12, 10, True)
    assert len(untouched) == 13
    assert (done.count, len(done.sample), done.dry_run) == (12, 10, False)
    assert await world.contents() == ["fact"]
    assert await world.count("event") == before + 12
    assert (await world.audited())[-1] == ("memory.forgotten", None)


async def test_what_is_forgotten_already_is_left_alone(world: MemoryWorld):
    row = await world.save("Tea")
    select = {"select": {"ids": [row.id]}}
    await world.service.forget(ADMIN, select)

    again = await world.service.forget(ADMIN, select)
    await world.service.restore(ADMIN, select)
    back_again = await world.service.restore(ADMIN, select)

    assert (again.count, back_again.count) == (0, 0)
    assert await world.actions(row.id) == [(3, "RESTORED"), (2, "FORGOTTEN"), (1, "SAVED")]
    assert [action for action, _ in await world.events()] == ["SAVED", "FORGOTTEN", "RESTORED"]


async def test_a_filter_brings_back_only_what_is_forgotten(world: MemoryWorld):
    gone = await world.save("one", kind="FRAGMENT")
    kept = await world.save("two", kind="FRAGMENT")
    await world.service.forget(ADMIN, {"select": {"ids": [gone.id]}})

    back = await world.service.restore(ADMIN, {"select": FRAGMENTS})

    assert (back.count, [row.id for row in back.sample]) == (1, [gone.id])
    assert (await world.now(kept.id)).version == 1


async def test_erasing_leaves_nothing_of_content_history_and_index(world: MemoryWorld):
    row = await world.save("The secret deploy")
    other = await world.save("Tea at four")
    await world.service.update(ADMIN, {"memoryId": row.id, "content": "The secret launch"})

    gone = await world.service.forget(ADMIN, {"select": {"ids": [row.id]}, "erase": True})

    assert (gone.count, gone.sample) == (1, [])
    assert await world.service.memory(ADMIN, row.id) is None
    assert await world.actions(row.id) == []
    assert await world.found("secret launch deploy") == []
    words = await world.database.fetch(
        "SELECT COUNT(*) FROM memory_word WHERE num NOT IN (SELECT num FROM memory)"
    )
    assert words == [(0,)]
    totals = await world.database.fetch("SELECT memories, words FROM memory_total")
    assert totals == [(1, other.word_count)]
    assert (await world.events())[-1] == ("ERASED", row.id)
    assert (await world.audited())[-1] == ("memory.erased", row.id)
    with pytest.raises(NotFound):
        await world.service.restore(ADMIN, {"select": {"ids": [row.id]}})


async def test_erasing_needs_admin_even_to_count(world: MemoryWorld):
    row = await world.save("Tea")
    order = {"select": {"ids": [row.id]}, "erase": True, "dryRun": True}

    with pytest.raises(Forbidden) as refused:
        await world.service.forget(WRITER, order)

    assert refused.value.scope == Scope.ADMIN
    assert (await world.service.forget(ADMIN, order)).count == 1
    assert await world.contents() == ["Tea"]


async def test_a_forgotten_memory_can_be_erased(world: MemoryWorld):
    row = await world.save("Tea")
    select = {"select": {"ids": [row.id]}}
    await world.service.forget(ADMIN, select)

    assert (await world.service.forget(ADMIN, {**select, "erase": True})).count == 1
    assert await world.count("memory") == 0


async def test_what_replaced_an_erased_memory_stays_found(world: MemoryWorld):
    old = await world.save("Friday")
    new = await world.save("Monday", supersedes=[old.id])
    await world.service.forget(ADMIN, {"select": {"ids": [new.id]}, "erase": True})

    assert (await world.now(old.id)).superseded_by == new.id
    assert await world.found("monday") == []


@pytest.mark.parametrize(
    ("given", "path", "message"),
    [
        ({}, "select", "Give a value; this field is required."),
        ({"select": {}}, "select", "Give either ids or filter."),
        ({"select": {"ids": ["a"], "filter": {}}}, "select", "Give either ids or filter."),
        ({"select": {"ids": []}}, "select.ids", "Give at least 1 items, not 0."),
        ({"select": {"ids": ["a"] * 1001}}, "select.ids", "Give at most 1000 items."),
        ({"select": {"filter": {}}}, "select.filter", "This fits every memory."),
        ({"select": {"filter": {"and": []}}}, "select.filter", "This fits every memory."),
        ({"select": {"filter": {"not": {}}}}, "select.filter.not", "Give a condition to negate;"),
        (
            {"select": {"filter": {"or": [{"pinned": True}, {}]}}},
            "select.filter.or.1",
            "This fits every memory.",
        ),
        ({"select": {"filter": {"kinds": ["X"]}}}, "select.filter.kinds.0", "Use one of"),
    ],
)
async def test_a_selection_that_cannot_be_is_named_and_changes_nothing(
    world: MemoryWorld, given: dict[str, Any], path: str, message: str
):
    await world.save("Tea")

    for act in (world.service.forget, world.service.restore):
        with pytest.raises(ValidationFailed) as refused:
            await act(ADMIN, given)

        assert ".".join(refused.value.problems[0].path) == path
        assert refused.value.problems[0].message.startswith(message)
    assert await world.contents() == ["Tea"]
    assert len(await world.events()) == 1


async def test_an_unknown_id_is_named_and_none_is_forgotten(world: MemoryWorld):
    row = await world.save("Tea")

    with pytest.raises(NotFound) as refused:
        await world.service.forget(ADMIN, {"select": {"ids": [row.id, UNKNOWN]}})

    assert refused.value.path == ("select", "ids", "1")
    assert await world.contents() == ["Tea"]


async def test_more_than_a_call_may_forget_is_refused_with_a_cure(world: MemoryWorld):
    many = "INSERT INTO memory (id, {columns}) SELECT $1, {columns} FROM memory WHERE id = $2"
    columns = (
        "workspace_id, kind, content, metadata, artifacts, digest, derived_from, trusted, pinned,"
        " valid_from, token_count, word_count, created_by, created_at, updated_at"
    )
    row = await world.save("Tea", kind="FRAGMENT")
    copying = many.format(columns=columns)
    await world.database.write([Statement(copying, (f"m{n:04}", row.id)) for n in range(1000)])

    counted = await world.service.forget(ADMIN, {"select": FRAGMENTS, "dryRun": True})
    with pytest.raises(ValidationFailed) as refused:
        await world.service.forget(ADMIN, {"select": FRAGMENTS})
    untouched = await world.count("memory WHERE forgotten_at IS NOT NULL")
    await world.service.forget(ADMIN, {"select": {"ids": [row.id]}, "erase": True})
    done = await world.service.forget(ADMIN, {"select": FRAGMENTS})

    assert counted.count == 1001
    assert refused.value.path == ("select", "filter")
    assert refused.value.problems[0].message == (
        "This fits more than 1000 memories, the most for one call; narrow it, such as by created,"
        " and call again for the rest."
    )
    assert untouched == 0
    assert done.count == 1000
    assert [action for action, _ in await world.events()].count("FORGOTTEN") == 1000


async def test_a_forgotten_memory_is_not_edited(world: MemoryWorld):
    row = await world.save("Tea")
    await world.service.forget(ADMIN, {"select": {"ids": [row.id]}})

    with pytest.raises(Conflict) as refused:
        await world.service.update(ADMIN, {"memoryId": row.id, "content": "Milk"})

    assert refused.value.path == ("memoryId",)
    assert (await world.now(row.id)).content == "Tea"
