"""Memories: saved once, and kept to their workspace."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from domain.access.scopes import Scope
from domain.kernel.database import Database, Statement
from domain.kernel.errors import (
    Conflict,
    ErrorCode,
    Forbidden,
    NotFound,
    ValidationFailed,
)
from domain.memory.service import Origin
from tests.domain.memory_world import (
    ADMIN,
    ALL,
    SECOND_US,
    STRANGER,
    MemoryWorld,
    memory_world,
    principal_of,
)

UNKNOWN = "019aabcd-ef12-7456-9abc-def012345678"


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[MemoryWorld, None]:
    async with memory_world(database) as opened:
        yield opened


async def nothing_was_written(world: MemoryWorld) -> bool:
    tables = ("memory", "memory_version", "memory_word", "audit", "event")
    return [await world.count(table) for table in tables] == [0] * len(tables)


async def test_a_new_memory_takes_defaults_for_what_is_absent_or_null(world: MemoryWorld):
    row = await world.save("The deploy runs on Friday", metadata=None, agentId=None)

    kept = await world.now(row.id)
    assert (kept.kind, kept.content, kept.metadata, kept.artifacts) == (
        "USER_DATA",
        "The deploy runs on Friday",
        {},
        [],
    )
    assert (kept.agent_id, kept.conversation_id, kept.message_id, kept.run_id) == (None,) * 4
    assert (kept.pinned, kept.recallable, kept.trusted, kept.derived_from) == (
        False,
        True,
        True,
        [],
    )
    assert (kept.valid_from, kept.valid_to, kept.expires_at, kept.forgotten_at) == (
        world.clock.now_us(),
        None,
        None,
        None,
    )
    assert (kept.token_count, kept.recall_count, kept.last_recalled_at, kept.version) == (
        7,
        0,
        0,
        1,
    )
    assert (kept.created_by, kept.created_at) == ("ada", world.clock.now_us())


async def test_a_memory_that_is_answered_is_the_one_that_is_kept(world: MemoryWorld):
    solution = {
        "kind": "SOLUTION",
        "metadata": {"tags": ["a", 1.5, None], "deep": {"er": True}},
        "pinned": True,
        "agentId": "a1",
        "expiresAt": world.clock.now_us() + 9 * SECOND_US,
        "validFrom": 5 * SECOND_US,
        "artifacts": [
            {
                "language": "python",
                "code": "def double(n): return 2 * n",
                "entryPoint": "double",
                "inputSchema": {"type": "object"},
                "tests": [{"name": "two", "arguments": {"n": 1}, "expected": 2}],
            }
        ],
    }

    answered = await world.save("Double a number", **solution)

    kept = await world.now(answered.id)
    assert {name: getattr(answered, name) for name in kept._meta.db_fields} == {
        name: getattr(kept, name) for name in kept._meta.db_fields
    }
    assert kept.artifacts == solution["artifacts"]


async def test_what_a_run_saves_names_the_run_and_what_it_is_made_of(world: MemoryWorld):
    first = await world.save("One")
    origin = Origin(run_id=UNKNOWN, derived_from=[first.id], trusted=False)

    saved = await world.service.save(ADMIN, {"content": "One and more"}, origin=origin)

    kept = await world.now(saved.row.id)
    assert (kept.run_id, kept.derived_from, kept.trusted) == (UNKNOWN, [first.id], False)


@pytest.mark.parametrize(
    ("given", "path", "message"),
    [
        ({}, "content", "Give a value; this field is required."),
        ({"content": " \n"}, "content", "Give more than blanks."),
        (
            {"content": "a" * 100_001},
            "content",
            "Use at most 100000 characters; this has 100001.",
        ),
        ({"content": "a\0"}, "content", "Leave out NUL characters and lone surrogates."),
        (
            {"content": "a", "kind": "KNOWLEDGE"},
            "kind",
            "KNOWLEDGE comes from documents only; save USER_DATA, FRAGMENT or SOLUTION.",
        ),
        ({"content": "a", "metadata": [1]}, "metadata", "Give a JSON object."),
        ({"content": "a", "metadata": "x"}, "metadata", "Give a JSON object."),
        (
            {"content": "a", "metadata": {"a": "b" * 70_000}},
            "metadata",
            "Use at most 65536 bytes as JSON; this has 70008.",
        ),
        ({"content": "a", "pinned": "yes"}, "pinned", "Give true or false."),
        ({"content": "a", "expiresAt": 1}, "expiresAt", "Give a moment in the future."),
        (
            {"content": "a", "artifacts": [{"language": "python", "code": "1"}]},
            "artifacts",
            "Only a SOLUTION carries code: say so in kind, or leave artifacts out.",
        ),
        (
            {"content": "a", "kind": "SOLUTION", "artifacts": [{"language": "python"}]},
            "artifacts.0.code",
            "Give a value; this field is required.",
        ),
        ({"content": "a", "meta": {}}, "meta", "There is no such field; did you mean metadata?"),
    ],
)
async def test_what_cannot_be_saved_is_named_and_changes_nothing(
    world: MemoryWorld, given: dict[str, Any], path: str, message: str
):
    with pytest.raises(ValidationFailed) as refused:
        await world.service.save(ADMIN, given)

    [problem] = refused.value.problems
    assert (".".join(problem.path), problem.message) == (path, message)
    assert await nothing_was_written(world)


@pytest.mark.parametrize(
    ("given", "noun", "path"),
    [
        ({"agentId": "a2"}, "agent", ("agentId",)),
        ({"conversationId": UNKNOWN}, "conversation", ("conversationId",)),
        ({"messageId": UNKNOWN}, "message", ("messageId",)),
        ({"supersedes": [UNKNOWN]}, "memory", ("supersedes", "0")),
    ],
)
async def test_what_a_memory_points_at_must_be_in_its_workspace(
    world: MemoryWorld, given: dict[str, Any], noun: str, path: tuple[str, ...]
):
    with pytest.raises(NotFound) as refused:
        await world.service.save(ADMIN, {"content": "a", **given})

    assert (refused.value.noun, refused.value.path) == (noun, path)
    assert await nothing_was_written(world)


async def test_each_scope_opens_its_half_and_no_other(world: MemoryWorld):
    row = await world.save("Known")
    reader = principal_of("w1", Scope.MEMORY_READ)
    writer = principal_of("w1", Scope.MEMORY_WRITE)

    with pytest.raises(Forbidden):
        await world.service.save(reader, {"content": "a"})
    with pytest.raises(Forbidden):
        await world.service.update(reader, {"memoryId": row.id, "content": "a"})
    with pytest.raises(Forbidden):
        await world.service.forget(reader, {"select": {"ids": [row.id]}})
    with pytest.raises(Forbidden):
        await world.service.restore(reader, {"select": {"ids": [row.id]}})
    with pytest.raises(Forbidden):
        await world.service.search(writer, {"query": "known"})
    with pytest.raises(Forbidden):
        await world.contents(by=writer)
    with pytest.raises(Forbidden):
        await world.service.memory(writer, row.id)
    with pytest.raises(Forbidden):
        await world.service.history(writer, row.id, ALL)
    assert (await world.now(row.id)).version == 1
    assert await world.count("memory") == 1


async def test_another_workspace_sees_and_changes_nothing(world: MemoryWorld):
    row = await world.save("The secret deploy", metadata={"tier": "gold"})
    alike = {"metadata": [{"path": "tier", "test": {"eq": "gold"}}]}

    assert await world.service.memory(STRANGER, row.id) is None
    assert await world.service.by_ids(STRANGER, [row.id]) == {}
    assert await world.contents(alike, by=STRANGER) == []
    assert await world.found("secret deploy", by=STRANGER) == []
    assert (await world.service.history(STRANGER, row.id, ALL)).items == []
    with pytest.raises(NotFound):
        await world.service.update(STRANGER, {"memoryId": row.id, "content": "Mine"})
    with pytest.raises(NotFound):
        await world.service.forget(STRANGER, {"select": {"ids": [row.id]}})
    with pytest.raises(NotFound):
        await world.service.forget(STRANGER, {"select": {"ids": [row.id]}, "erase": True})
    with pytest.raises(NotFound):
        await world.service.save(STRANGER, {"content": "New", "supersedes": [row.id]})
    wiped = await world.service.forget(STRANGER, {"select": {"filter": alike}, "erase": True})
    assert wiped.count == 0
    assert await world.actions(row.id) == [(1, "SAVED")]


async def test_the_same_text_in_another_workspace_is_a_memory_of_its_own(world: MemoryWorld):
    ours = await world.save("The deploy runs on Friday")

    theirs = await world.service.save(STRANGER, {"content": "The deploy runs on Friday"})

    assert (theirs.unchanged, theirs.row.id == ours.id) == (False, False)
    assert await world.found("deploy", by=STRANGER) == ["The deploy runs on Friday"]


async def test_an_equal_memory_is_found_and_not_saved_again(world: MemoryWorld):
    first = await world.save("Tea at four", metadata={"a": 1, "b": 2})

    again = await world.service.save(
        ADMIN, {"content": "Tea at four", "metadata": {"b": 2, "a": 1}}
    )

    assert (again.row.id, again.unchanged, again.replayed) == (first.id, True, False)
    assert await world.count("memory") == 1
    assert len(await world.events()) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"metadata": {"a": 1}},
        {"kind": "FRAGMENT"},
        {"agentId": "a1"},
        {"pinned": True},
        {"validFrom": 7},
    ],
)
async def test_a_memory_that_differs_in_anything_is_another_one(
    world: MemoryWorld, other: dict[str, Any]
):
    await world.save("Tea at four")

    saved = await world.service.save(ADMIN, {"content": "Tea at four", **other})

    assert not saved.unchanged
    assert await world.count("memory") == 2


async def test_what_will_be_true_one_day_does_not_stand_for_what_is_true_now(world: MemoryWorld):
    await world.save("Tea at four", validFrom=world.clock.now_us() + 60 * SECOND_US)

    saved = await world.service.save(ADMIN, {"content": "Tea at four"})

    assert not saved.unchanged
    assert await world.found("tea") == ["Tea at four"]


async def test_a_key_is_repeated_by_what_means_the_same(world: MemoryWorld):
    first = await world.service.save(ADMIN, {"content": "Tea", "idempotencyKey": "k1"})

    said_in_full = {"content": "Tea", "kind": "USER_DATA", "pinned": False, "metadata": None}
    again = await world.service.save(ADMIN, {**said_in_full, "idempotencyKey": "k1"})

    assert (again.row.id, again.replayed) == (first.row.id, True)


async def test_what_was_forgotten_can_be_saved_anew(world: MemoryWorld):
    first = await world.save("Tea at four")
    await world.service.forget(ADMIN, {"select": {"ids": [first.id]}})

    again = await world.save("Tea at four")

    assert again.id != first.id
    assert await world.contents() == ["Tea at four"]


async def test_a_repeated_key_gives_the_first_outcome_whatever_came_between(world: MemoryWorld):
    given = {"content": "Tea at four", "idempotencyKey": "k1"}
    first = (await world.service.save(ADMIN, given)).row
    await world.service.update(ADMIN, {"memoryId": first.id, "content": "Tea at five"})

    again = await world.service.save(ADMIN, given)

    assert (again.row.id, again.row.content, again.replayed) == (first.id, "Tea at five", True)
    assert await world.count("memory") == 1


async def test_a_key_that_met_an_equal_memory_goes_on_to_mean_it(world: MemoryWorld):
    first = await world.save("Tea at four")
    given = {"content": "Tea at four", "idempotencyKey": "k1"}
    await world.service.save(ADMIN, given)
    await world.service.forget(ADMIN, {"select": {"ids": [first.id]}})

    again = await world.service.save(ADMIN, given)

    assert (again.row.id, again.replayed) == (first.id, True)
    assert await world.count("memory") == 1


async def test_a_key_with_another_input_is_refused(world: MemoryWorld):
    await world.service.save(ADMIN, {"content": "Tea", "idempotencyKey": "k1"})

    with pytest.raises(Conflict) as refused:
        await world.service.save(ADMIN, {"content": "Milk", "idempotencyKey": "k1"})

    assert refused.value.reason is ErrorCode.IDEMPOTENCY_MISMATCH
    assert await world.contents() == ["Tea"]


async def test_one_of_many_equal_saves_at_once_is_kept_under_one_key(world: MemoryWorld):
    given = {"content": "Tea", "idempotencyKey": "k1"}

    saved = await asyncio.gather(*(world.service.save(ADMIN, given) for _ in range(8)))

    assert len({one.row.id for one in saved}) == 1
    assert sum(not one.unchanged for one in saved) == 1
    assert await world.count("memory") == 1


async def test_a_memory_outlives_its_conversation_and_stays_bound_to_it(world: MemoryWorld):
    conversation = (
        "INSERT INTO conversation (id, workspace_id, title, metadata, created_at, updated_at)"
        " VALUES ('c1', 'w1', '', '{}', 0, 0)"
    )
    await world.database.write([Statement(conversation)])
    row = await world.save("Said in private", conversationId="c1")

    await world.database.write([Statement("DELETE FROM conversation WHERE id = 'c1'")])

    assert (await world.now(row.id)).conversation_id == "c1"
