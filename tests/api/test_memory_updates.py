"""Changes of memories as subscribers get them: from a cursor, live, and only those that fit."""

from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.graphql.engine import SourceFailed
from domain.access.scopes import Scope
from domain.events.cursors import encode_cursor
from tests.api.api_world import TRACE, ApiWorld, api_world

SAVE = """mutation ($input: SaveMemoryInput!) { saveMemory(input: $input) {
    ... on MemorySuccess { memory { id } } } }"""
UPDATE = """mutation ($input: UpdateMemoryInput!) { updateMemory(input: $input) {
    ... on MemorySuccess { memory { id } } } }"""
FORGET = """mutation ($input: ForgetMemoriesInput!) { forgetMemories(input: $input) {
    ... on MemoriesSuccess { count } } }"""
UPDATES = """
subscription ($filter: MemoryFilter, $after: String) {
  memoryUpdates(filter: $filter, after: $after) {
    __typename
    ... on Event { cursor traceId occurredAt }
    ... on MemoryUpdate { action memoryId memory { content } }
  }
}
"""
EVENTS = """
subscription ($after: String) { events(after: $after, filter: { types: [MEMORY_UPDATE] }) {
  ... on MemoryUpdate { action memoryId }
} }
"""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[ApiWorld, None]:
    async with api_world(tmp_path) as opened:
        yield opened


async def saved(world: ApiWorld, content: str, **given: Any) -> str:
    done = await world.ask(SAVE, input={"content": content, **given})
    return done["saveMemory"]["memory"]["id"]


def start(world: ApiWorld) -> str:
    """The cursor before the first event of the workspace."""
    return encode_cursor(world.runs.principal.workspace_id, 0)


async def following(updates: AsyncIterator[dict[str, Any]]) -> dict[str, Any]:
    """The next item that is no heartbeat."""
    while True:
        item = (await anext(updates))["memoryUpdates"]
        if item["__typename"] != "Heartbeat":
            return item


async def test_changes_are_followed_from_a_cursor_and_live(world: ApiWorld):
    made = await saved(world, "Tea")

    async with world.following(UPDATES, after=start(world)) as updates:
        stored = await following(updates)
        await world.ask(UPDATE, input={"memoryId": made, "content": "Milk"})
        changed = await following(updates)
        await world.ask(FORGET, input={"select": {"ids": [made]}, "erase": True})
        erased = await following(updates)

    assert (stored["action"], stored["memoryId"], stored["traceId"]) == (
        "SAVED",
        made,
        TRACE.trace_id,
    )
    assert stored["memory"] == {"content": "Tea"}
    assert (changed["action"], changed["memory"]) == ("UPDATED", {"content": "Milk"})
    assert (erased["action"], erased["memoryId"], erased["memory"]) == ("ERASED", made, None)


async def test_a_stream_goes_on_after_the_last_cursor(world: ApiWorld):
    await saved(world, "one")
    await saved(world, "two")
    async with world.following(UPDATES, after=start(world)) as updates:
        first = await following(updates)

    async with world.following(UPDATES, after=first["cursor"]) as updates:
        second = await following(updates)

    assert (first["memory"], second["memory"]) == ({"content": "one"}, {"content": "two"})


async def test_only_memories_that_fit_are_told(world: ApiWorld):
    await saved(world, "unfit")
    fit = await saved(world, "fit", kind="FRAGMENT")
    await world.ask(FORGET, input={"select": {"ids": [fit]}})
    kinds = {"kinds": ["FRAGMENT"]}

    async with world.following(UPDATES, after=start(world), filter=kinds) as updates:
        told = [await following(updates), await following(updates)]

    assert [(item["action"], item["memoryId"]) for item in told] == [
        ("SAVED", fit),
        ("FORGOTTEN", fit),
    ]


async def test_an_erased_memory_is_told_whatever_the_filter(world: ApiWorld):
    made = await saved(world, "Tea")
    await world.ask(FORGET, input={"select": {"ids": [made]}, "erase": True})
    kinds = {"kinds": ["FRAGMENT"]}

    async with world.following(UPDATES, after=start(world), filter=kinds) as updates:
        told = await following(updates)

    assert (told["action"], told["memoryId"], told["memory"]) == ("ERASED", made, None)


async def test_the_stream_of_all_events_tells_of_memories_too(world: ApiWorld):
    made = await saved(world, "Tea")
    reader = world.caller(Scope.MEMORY_READ)

    async with world.following(EVENTS, caller=reader, after=start(world)) as events:
        event = (await anext(events))["events"]

    assert event == {"action": "SAVED", "memoryId": made}


@pytest.mark.parametrize(
    ("variables", "scope", "code"),
    [
        ({"after": "nonsense"}, Scope.MEMORY_READ, "BAD_CURSOR"),
        ({"filter": {"not": {}}}, Scope.MEMORY_READ, "VALIDATION_FAILED"),
        ({}, Scope.MEMORY_WRITE, "FORBIDDEN"),
    ],
)
async def test_a_stream_that_cannot_be_is_refused(
    world: ApiWorld, variables: dict[str, Any], scope: Scope, code: str
):
    caller = world.caller(scope)

    async with world.following(UPDATES, caller=caller, **variables) as updates:
        with pytest.raises(SourceFailed) as refused:
            await anext(updates)

    assert refused.value.body["extensions"]["code"] == code
