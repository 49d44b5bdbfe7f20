"""The filter language of memories: what fits, what is refused, and what would fit everything."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from domain.kernel.database import Database
from domain.kernel.errors import BadCursor, ValidationFailed
from domain.kernel.paging import PageRequest
from domain.memory.filters import check_narrows, parse_filter
from domain.memory.queries import MemoryOrder
from tests.domain.memory_world import ADMIN, ALL, NEWEST, SECOND_US, MemoryWorld, memory_world

GOLD = {"metadata": [{"path": "tier", "test": {"eq": "gold"}}]}
TEA = {"metadata": [{"path": "drink", "test": {"eq": "tea"}}]}


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[MemoryWorld, None]:
    async with memory_world(database) as opened:
        yield opened


async def saved(world: MemoryWorld) -> None:
    """Three memories, a second apart."""
    await world.save("ann", metadata={"tier": "gold", "drink": "tea"}, agentId="a1", pinned=True)
    await world.save("bob", metadata={"tier": "gold"}, kind="FRAGMENT")
    await world.save("cat", metadata={"drink": "tea"}, kind="SOLUTION")


@pytest.mark.parametrize(
    ("narrowing", "expected"),
    [
        (None, ["cat", "bob", "ann"]),
        ({}, ["cat", "bob", "ann"]),
        ({"and": []}, ["cat", "bob", "ann"]),
        ({"and": [{}]}, ["cat", "bob", "ann"]),
        ({"created": {}}, ["cat", "bob", "ann"]),
        ({"pinned": None, "kinds": None}, ["cat", "bob", "ann"]),
        ({"kinds": ["FRAGMENT", "SOLUTION"]}, ["cat", "bob"]),
        ({"agentId": "a1"}, ["ann"]),
        ({"not": {"agentId": "a1"}}, ["cat", "bob"]),
        ({"agentId": "a2"}, []),
        ({"conversationId": "c"}, []),
        ({"runId": "r"}, []),
        ({"not": {"runId": "r"}}, ["cat", "bob", "ann"]),
        ({"pinned": True}, ["ann"]),
        ({"pinned": False}, ["cat", "bob"]),
        ({"recallable": False}, []),
        ({"superseded": False, "forgotten": False}, ["cat", "bob", "ann"]),
        (GOLD, ["bob", "ann"]),
        ({**GOLD, "and": [TEA]}, ["ann"]),
        ({"or": [GOLD, TEA]}, ["cat", "bob", "ann"]),
        ({"not": GOLD}, ["cat"]),
        ({"not": {"or": [{"kinds": ["SOLUTION"]}, {"pinned": True}]}}, ["bob"]),
        ({"and": [{"or": [{"not": GOLD}, {"not": TEA}]}]}, ["cat", "bob"]),
        ({"metadata": [{"path": "drink", "test": {"ne": "tea"}}]}, ["bob"]),
    ],
)
async def test_a_filter_keeps_what_fits(
    world: MemoryWorld, narrowing: dict[str, Any] | None, expected: list[str]
):
    await saved(world)

    assert await world.contents(narrowing) == expected


async def test_a_span_of_time_holds_its_beginning_and_not_its_end(world: MemoryWorld):
    began = world.clock.now_us()
    await saved(world)
    span = {"since": began + 2 * SECOND_US, "until": began + 3 * SECOND_US}

    assert await world.contents({"created": span}) == ["bob"]
    assert await world.contents({"created": {"until": began + 2 * SECOND_US}}) == ["ann"]


async def test_forgotten_and_expired_ones_are_left_out_unless_asked_for(world: MemoryWorld):
    soon = world.clock.now_us() + 7 * SECOND_US
    await saved(world)
    gone = await world.save("dan")
    await world.save("eve", expiresAt=soon)
    await world.save("fay", expiresAt=soon, pinned=True)
    await world.service.forget(ADMIN, {"select": {"ids": [gone.id]}})
    world.clock.move(1)

    assert await world.contents({}) == ["fay", "cat", "bob", "ann"]
    assert await world.contents({"forgotten": True}) == ["dan"]
    assert await world.contents({"not": {"forgotten": False}}) == ["dan"]
    assert await world.contents({"or": [{"forgotten": True}, {"pinned": True}]}) == [
        "fay",
        "dan",
        "ann",
    ]


async def test_replaced_ones_are_told_apart(world: MemoryWorld):
    old = await world.save("old")
    await world.save("new", supersedes=[old.id])

    assert await world.contents({"superseded": True}) == ["old"]
    assert await world.contents({"superseded": False}) == ["new"]


def nested(depth: int) -> dict[str, Any]:
    return {"pinned": True} if depth == 1 else {"and": [nested(depth - 1)]}


@pytest.mark.parametrize(
    ("narrowing", "path", "message"),
    [
        ({"or": []}, "filter.or", "Give at least 1 items, not 0."),
        ({"kinds": []}, "filter.kinds", "Give at least 1 items, not 0."),
        ({"not": {}}, "filter.not", "Give a condition to negate; this one is empty."),
        ({"and": [{"not": {"and": []}}]}, "filter.and.0.not", "Give a condition to negate;"),
        ({"kinds": ["FACT"]}, "filter.kinds.0", "Use one of USER_DATA, FRAGMENT,"),
        ({"kind": "FRAGMENT"}, "filter.kind", "There is no such field; did you mean kinds?"),
        ({"and": {"pinned": True}}, "filter.and", "Give a list."),
        ({"pinned": 1}, "filter.pinned", "Give true or false."),
        ("pinned", "filter", "Give a JSON object."),
        (
            {"and": [{"metadata": [{"path": "a..b", "test": {"eq": 1}}]}]},
            "filter.and.0.metadata.0.path",
            "Name keys and places in lists",
        ),
        (nested(6), "filter.and.0.and.0.and.0.and.0.and.0", "Nest at most 5 levels of filters."),
        ({"or": [{"pinned": True}] * 51}, "filter", "Use at most 50 conditions."),
        (
            {"metadata": [{"path": "a", "test": {"eq": 1}}] * 51},
            "filter",
            "Use at most 50 conditions.",
        ),
    ],
)
async def test_a_filter_that_cannot_be_is_refused_at_its_part(
    world: MemoryWorld, narrowing: Any, path: str, message: str
):
    with pytest.raises(ValidationFailed) as refused:
        await world.service.memories(ADMIN, narrowing, NEWEST, ALL)

    assert ".".join(refused.value.problems[0].path) == path
    assert refused.value.problems[0].message.startswith(message)


def test_the_deepest_filter_is_taken():
    assert parse_filter(nested(5)).all_of is not None


def test_a_filter_of_any_depth_is_refused_without_harm():
    with pytest.raises(ValidationFailed, match="Nest at most 5 levels"):
        parse_filter(nested(900))


@pytest.mark.parametrize(
    ("narrowing", "path"),
    [
        ({}, "at"),
        ({"and": []}, "at"),
        ({"and": [{}, {"and": [{}]}]}, "at.and.0"),
        ({"or": [{"pinned": True}, {}]}, "at.or.1"),
        ({"forgotten": False}, "at"),
        ({"not": {"forgotten": True}}, "at.not"),
        ({"created": {"since": None}}, "at"),
        ({"metadata": []}, "at"),
    ],
)
def test_a_filter_that_fits_everything_is_found_out(narrowing: dict[str, Any], path: str):
    with pytest.raises(ValidationFailed) as refused:
        check_narrows(parse_filter(narrowing), at=("at",))

    assert ".".join(refused.value.problems[0].path) == path
    assert refused.value.problems[0].message.startswith("This fits every memory. Give a condition")


@pytest.mark.parametrize(
    "narrowing",
    [
        {"pinned": False},
        {"and": [{}, {"kinds": ["SOLUTION"]}]},
        {"or": [{"pinned": True}, {"and": [{}, GOLD]}]},
        {"or": [{}, {"pinned": True}], "runId": "r"},
        {"not": {"kinds": ["SOLUTION"]}},
        {"forgotten": True, "created": {"until": 1}},
    ],
)
def test_a_filter_that_leaves_something_out_may_act(narrowing: dict[str, Any]):
    check_narrows(parse_filter(narrowing), at=("at",))


async def test_a_list_is_read_page_by_page_in_every_order(world: MemoryWorld):
    await saved(world)
    recalled = "UPDATE memory SET last_recalled_at = 5 WHERE content = 'bob' RETURNING id"
    async with world.database.transaction() as tx:
        await tx.fetch(recalled)
    seen: dict[MemoryOrder, list[str]] = {}

    for order in MemoryOrder:
        first = await world.service.memories(ADMIN, {}, order, PageRequest.of(first=2))
        after = PageRequest.of(first=2, after=first.cursors[-1])
        second = await world.service.memories(ADMIN, {}, order, after)
        before = PageRequest.of(last=2, before=second.cursors[0])
        back = await world.service.memories(ADMIN, {}, order, before)
        seen[order] = [row.content for row in (*first.items, *second.items)]
        assert [row.content for row in back.items] == [row.content for row in first.items]
        assert (first.has_next, second.has_next, second.has_previous) == (True, False, True)

    assert seen == {
        MemoryOrder.CREATED_AT_DESC: ["cat", "bob", "ann"],
        MemoryOrder.CREATED_AT_ASC: ["ann", "bob", "cat"],
        MemoryOrder.LAST_RECALLED_AT_DESC: ["bob", "cat", "ann"],
    }


async def test_a_cursor_of_another_order_is_refused(world: MemoryWorld):
    await saved(world)
    page = await world.service.memories(ADMIN, {}, NEWEST, PageRequest.of(first=1))
    after = PageRequest.of(after=page.cursors[0])

    with pytest.raises(BadCursor) as refused:
        await world.service.memories(ADMIN, {}, MemoryOrder.CREATED_AT_ASC, after)

    assert refused.value.path == ("after",)
