"""Memory through the API, over the real service."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from domain.access.scopes import Scope
from domain.memory.service import Origin
from schema.ids import Kind, decode_id, encode_id
from tests.api.api_world import ApiWorld, api_world

UUID = "019aabcd-ef12-7456-9abc-def012345678"
UNKNOWN = encode_id(Kind.MEMORY, UUID)
ERRORS = """
    __typename
    ... on Error { message code path }
    ... on ValidationFailed { fields { path message } }
    ... on NotFound { id }
    ... on Conflict { currentVersion conflicting { __typename id } }
    ... on Forbidden { requiredScope }
"""
SAVE = f"""
mutation ($input: SaveMemoryInput!) {{
  saveMemory(input: $input) {{
    ... on MemorySuccess {{ unchanged memory {{ id content version validTo }} }} {ERRORS}
  }}
}}
"""
UPDATE = f"""
mutation ($input: UpdateMemoryInput!) {{
  updateMemory(input: $input) {{
    ... on MemorySuccess {{ unchanged memory {{ content metadata pinned version }} }} {ERRORS}
  }}
}}
"""
SELECTED = """
    __typename
    ... on MemoriesSuccess { count dryRun sample { content forgottenAt } }
    ... on Error { code path message }
    ... on Forbidden { requiredScope }
"""
FORGET = (
    f"mutation ($input: ForgetMemoriesInput!) {{ forgetMemories(input: $input) {{ {SELECTED} }} }}"
)
RESTORE = (
    "mutation ($input: RestoreMemoriesInput!) { restoreMemories(input: $input)"
    f" {{ {SELECTED} }} }}"
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[ApiWorld, None]:
    async with api_world(tmp_path) as opened:
        yield opened


async def saved(world: ApiWorld, content: str = "Tea at four", **given: Any) -> dict[str, Any]:
    done = await world.ask(SAVE, input={"content": content, **given})
    return done["saveMemory"]


async def listed(world: ApiWorld, narrowing: dict[str, Any] | None = None) -> list[str]:
    query = "query ($filter: MemoryFilter) { memories(filter: $filter) { nodes { content } } }"
    data = await world.ask(query, filter=narrowing)
    return [node["content"] for node in data["memories"]["nodes"]]


async def test_a_memory_has_all_fields_that_it_was_saved_with(world: ApiWorld):
    agents = await world.ask("{ agents { nodes { id } } }")
    agent = agents["agents"]["nodes"][0]["id"]
    artifact = {
        "language": "python",
        "code": "def double(n): return 2 * n",
        "entryPoint": "double",
        "inputSchema": {"type": "object"},
        "tests": [{"name": "two", "arguments": {"n": 1}, "expected": 2}],
    }
    given = {
        "kind": "SOLUTION",
        "metadata": {"team": [1, None, "a"]},
        "agentId": agent,
        "artifacts": [artifact],
        "pinned": True,
        "validFrom": "2020-01-01T00:00:00Z",
        "expiresAt": "2030-01-01T00:00:00Z",
    }

    made = (await saved(world, "Double a number", **given))["memory"]
    data = await world.ask(
        """
        query ($id: ID!) { memory(id: $id) {
          id kind content metadata agent { id } conversation { id }
          source { createdBy run { id } message { id } derivedFrom { id } trusted }
          artifacts { language code entryPoint inputSchema tests { name arguments expected } }
          pinned recallable validFrom validTo supersededBy { id } expiresAt forgottenAt
          tokenCount recallCount lastRecalledAt version createdAt updatedAt
          history { nodes { version action changes { path } changedBy changedAt reason } }
        } }
        """,
        id=made["id"],
    )

    assert data["memory"] == {
        "id": made["id"],
        "kind": "SOLUTION",
        "content": "Double a number",
        "metadata": {"team": [1, None, "a"]},
        "agent": {"id": agent},
        "conversation": None,
        "source": {
            "createdBy": "tester",
            "run": None,
            "message": None,
            "derivedFrom": [],
            "trusted": True,
        },
        "artifacts": [artifact],
        "pinned": True,
        "recallable": True,
        "validFrom": "2020-01-01T00:00:00.000Z",
        "validTo": None,
        "supersededBy": None,
        "expiresAt": "2030-01-01T00:00:00.000Z",
        "forgottenAt": None,
        "tokenCount": 4,
        "recallCount": 0,
        "lastRecalledAt": None,
        "version": 1,
        "createdAt": "2023-11-14T22:13:20.000Z",
        "updatedAt": "2023-11-14T22:13:20.000Z",
        "history": {
            "nodes": [
                {
                    "version": 1,
                    "action": "SAVED",
                    "changes": [],
                    "changedBy": "tester",
                    "changedAt": "2023-11-14T22:13:20.000Z",
                    "reason": None,
                }
            ]
        },
    }


async def test_where_a_memory_comes_from_can_be_followed(world: ApiWorld):
    run = await world.execute([])
    first = (await saved(world, "One"))["memory"]
    origin = Origin(
        run_id=decode_id(Kind.RUN, run["id"], path="id"),
        derived_from=[decode_id(Kind.MEMORY, first["id"], path="id")],
        trusted=False,
    )
    service, principal = world.services.memory, world.runs.principal
    made = await service.save(principal, {"content": "One and more"}, origin=origin)

    data = await world.ask(
        "query ($id: ID!) { node(id: $id) { ... on Memory { source {"
        " run { id } derivedFrom { content } trusted } } } }",
        id=encode_id(Kind.MEMORY, made.row.id),
    )

    assert data["node"]["source"] == {
        "run": {"id": run["id"]},
        "derivedFrom": [{"content": "One"}],
        "trusted": False,
    }


@pytest.mark.parametrize(
    ("given", "typename", "path"),
    [
        ({"content": " "}, "ValidationFailed", ["content"]),
        ({"kind": "KNOWLEDGE"}, "ValidationFailed", ["kind"]),
        ({"metadata": [1]}, "ValidationFailed", ["metadata"]),
        ({"agentId": "nonsense"}, "ValidationFailed", ["agentId"]),
        ({"agentId": encode_id(Kind.AGENT, UUID)}, "NotFound", ["agentId"]),
        ({"agentId": UNKNOWN}, "NotFound", ["agentId"]),
        ({"conversationId": encode_id(Kind.CONVERSATION, UUID)}, "NotFound", ["conversationId"]),
        ({"messageId": encode_id(Kind.MESSAGE, UUID)}, "NotFound", ["messageId"]),
        ({"supersedes": [UNKNOWN]}, "NotFound", ["supersedes", "0"]),
    ],
)
async def test_what_cannot_be_saved_is_named_and_nothing_is_saved(
    world: ApiWorld, given: dict[str, Any], typename: str, path: list[str]
):
    answered = await saved(world, **given)

    assert (answered["__typename"], answered["path"]) == (typename, path)
    assert await listed(world) == []


async def test_what_was_not_found_is_named_by_the_id_that_was_sent(world: ApiWorld):
    answered = await saved(world, supersedes=[UNKNOWN])

    assert answered["id"] == UNKNOWN


async def test_an_equal_memory_and_a_repeated_key_change_nothing(world: ApiWorld):
    first = await saved(world, idempotencyKey="k1")

    again = await saved(world, idempotencyKey="k1")
    equal = await saved(world)

    assert (first["unchanged"], again["unchanged"], equal["unchanged"]) == (False, True, True)
    assert len({one["memory"]["id"] for one in (first, again, equal)}) == 1


async def test_a_replaced_memory_shows_what_replaced_it_and_stands_in_the_way(world: ApiWorld):
    old = (await saved(world, "Friday"))["memory"]
    new = (await saved(world, "Monday", supersedes=[old["id"]]))["memory"]

    again = await saved(world, "Sunday", supersedes=[old["id"]])
    data = await world.ask(
        "query ($id: ID!) { memory(id: $id) { supersededBy { content }"
        " history { nodes { action changes { path before after } } } } }",
        id=old["id"],
    )

    assert again["__typename"] == "Conflict"
    assert again["conflicting"] == {"__typename": "Memory", "id": new["id"]}
    assert data["memory"]["supersededBy"] == {"content": "Monday"}
    assert data["memory"]["history"]["nodes"][0] == {
        "action": "SUPERSEDED",
        "changes": [
            {"path": ["supersededBy"], "before": None, "after": new["id"]},
            {"path": ["validTo"], "before": None, "after": "2023-11-14T22:13:20.000Z"},
        ],
    }


async def test_in_an_update_absent_stays_null_clears_and_an_old_version_is_refused(
    world: ApiWorld,
):
    made = (await saved(world, metadata={"a": 1}, pinned=True))["memory"]

    done = await world.ask(
        UPDATE,
        input={"memoryId": made["id"], "metadata": None, "expectedVersion": 1, "reason": "Moved."},
    )
    late = await world.ask(
        UPDATE, input={"memoryId": made["id"], "content": "Milk", "expectedVersion": 1}
    )

    assert done["updateMemory"]["memory"] == {
        "content": "Tea at four",
        "metadata": {},
        "pinned": True,
        "version": 2,
    }
    assert late["updateMemory"]["__typename"] == "Conflict"
    assert (late["updateMemory"]["code"], late["updateMemory"]["currentVersion"]) == (
        "VERSION_MISMATCH",
        2,
    )


async def test_memories_are_forgotten_counted_and_brought_back(world: ApiWorld):
    for n in range(3):
        await saved(world, f"fragment {n}", kind="FRAGMENT", metadata={"n": n})
    select = {"filter": {"metadata": [{"path": "n", "test": {"in": [0, 1]}}]}}

    counted = await world.ask(FORGET, input={"select": select, "dryRun": True})
    done = await world.ask(FORGET, input={"select": select})
    left = await listed(world)
    back = await world.ask(RESTORE, input={"select": select})

    assert (counted["forgetMemories"]["count"], counted["forgetMemories"]["dryRun"]) == (2, True)
    assert done["forgetMemories"]["count"] == 2
    assert {one["forgottenAt"] for one in done["forgetMemories"]["sample"]} == {
        "2023-11-14T22:13:20.000Z"
    }
    assert left == ["fragment 2"]
    assert back["restoreMemories"]["count"] == 2
    assert len(await listed(world)) == 3


@pytest.mark.parametrize(
    ("narrowing", "path"),
    [
        ({}, ["select", "filter"]),
        ({"and": []}, ["select", "filter"]),
        ({"not": {}}, ["select", "filter", "not"]),
        ({"or": [{"pinned": True}, {}]}, ["select", "filter", "or", "1"]),
    ],
)
async def test_a_filter_on_nothing_forgets_nothing(
    world: ApiWorld, narrowing: dict[str, Any], path: list[str]
):
    await saved(world)

    for mutation, name in ((FORGET, "forgetMemories"), (RESTORE, "restoreMemories")):
        done = await world.ask(mutation, input={"select": {"filter": narrowing}})
        assert (done[name]["__typename"], done[name]["path"]) == ("ValidationFailed", path)

    assert await listed(world) == ["Tea at four"]


async def test_erasing_needs_admin(world: ApiWorld):
    made = (await saved(world))["memory"]
    writer = world.caller(Scope.MEMORY_WRITE)
    order = {"select": {"ids": [made["id"]]}, "erase": True}

    refused = await world.ask(FORGET, caller=writer, input=order)
    kept = await listed(world)
    done = await world.ask(FORGET, input=order)

    assert refused["forgetMemories"]["__typename"] == "Forbidden"
    assert refused["forgetMemories"]["requiredScope"] == "ADMIN"
    assert kept == ["Tea at four"]
    assert done["forgetMemories"] == {
        "__typename": "MemoriesSuccess",
        "count": 1,
        "dryRun": False,
        "sample": [],
    }
    query = "query ($id: ID!) { memory(id: $id) { id } }"
    assert await world.ask(query, id=made["id"]) == {"memory": None}


async def test_each_scope_is_needed_and_named(world: ApiWorld):
    made = (await saved(world))["memory"]
    reader, writer = world.caller(Scope.MEMORY_READ), world.caller(Scope.MEMORY_WRITE)

    unsaved = await world.ask(SAVE, caller=reader, input={"content": "Milk"})
    unlisted = await world.answer("{ memories { nodes { id } } }", caller=writer)
    unseen = await world.ask(
        "query ($id: ID!) { node(id: $id) { id } }", caller=writer, id=made["id"]
    )

    assert unsaved["saveMemory"]["requiredScope"] == "MEMORY_WRITE"
    assert unlisted["errors"][0]["extensions"]["requiredScope"] == "memory:read"
    assert unseen == {"node": None}
    assert await listed(world) == ["Tea at four"]
