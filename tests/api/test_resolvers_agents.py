"""Agents through the API, over the real service."""

import logging
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from domain.access.scopes import Scope
from schema.ids import Kind, encode_id
from tests.api.api_world import ApiWorld, api_world

UNKNOWN = encode_id(Kind.AGENT, "019aabcd-ef12-7456-9abc-def012345678")
RUN = encode_id(Kind.RUN, "019aabcd-ef12-7456-9abc-def012345678")
CREATE = """
mutation ($input: CreateAgentInput!) {
  createAgent(input: $input) {
    __typename
    ... on AgentSuccess { agent { id slug version } }
    ... on Error { message code path }
    ... on ValidationFailed { fields { path message } }
    ... on NotFound { id }
    ... on Conflict { currentVersion conflicting { __typename id } }
    ... on Forbidden { requiredScope }
  }
}
"""
UPDATE = """
mutation ($input: UpdateAgentInput!) {
  updateAgent(input: $input) {
    __typename
    ... on AgentSuccess { agent { name description version limits { maxSteps maxSeconds } } }
    ... on Error { code path }
    ... on Conflict { currentVersion }
  }
}
"""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[ApiWorld, None]:
    async with api_world(tmp_path) as opened:
        yield opened


async def created(world: ApiWorld, **given: Any) -> dict[str, Any]:
    done = await world.ask(CREATE, input={"name": "Nora", **given})
    return done["createAgent"]


async def slugs(world: ApiWorld) -> list[str]:
    data = await world.ask("{ agents { nodes { slug } } }")
    return [node["slug"] for node in data["agents"]["nodes"]]


async def test_an_agent_has_all_fields_that_it_was_created_with(world: ApiWorld):
    helper = (await created(world, name="Helper"))["agent"]
    given = {
        "slug": "nora",
        "description": "Looks after things.",
        "instructions": "Be brief.",
        "model": {"provider": "scripted", "name": "m2", "parameters": {"temperature": 0}},
        "fallbackModels": [{"provider": "scripted", "name": "m1"}],
        "allowedTools": ["note"],
        "delegateIds": [helper["id"]],
        "limits": {"maxSteps": 7, "maxTokens": 5_000_000_000, "maxCostUsd": 0.5},
        "memory": {"scope": "AGENT", "recallKinds": ["SOLUTION"], "recallLimit": 3},
        "metadata": {"team": [1, None, "a"]},
    }

    made = (await created(world, **given))["agent"]
    data = await world.ask(
        """
        query ($by: AgentRef!) { agent(by: $by) {
          id slug name description instructions
          model { provider name parameters } fallbackModels { provider name parameters }
          allowedTools tools { nodes { name } totalCount } delegates { slug }
          limits { maxSteps maxSeconds maxDelegationDepth maxParallelDelegations maxTokens
                   maxCostUsd }
          memory { scope recallKinds recallLimit memorize } metadata version
          createdAt updatedAt archivedAt
        } }
        """,
        by={"slug": "nora"},
    )

    assert data["agent"] == {
        "id": made["id"],
        "slug": "nora",
        "name": "Nora",
        "description": "Looks after things.",
        "instructions": "Be brief.",
        "model": {"provider": "scripted", "name": "m2", "parameters": {"temperature": 0}},
        "fallbackModels": [{"provider": "scripted", "name": "m1", "parameters": {}}],
        "allowedTools": ["note"],
        "tools": {"nodes": [{"name": "note"}], "totalCount": 1},
        "delegates": [{"slug": "helper"}],
        "limits": {
            "maxSteps": 7,
            "maxSeconds": 900,
            "maxDelegationDepth": 3,
            "maxParallelDelegations": 4,
            "maxTokens": 5_000_000_000,
            "maxCostUsd": 0.5,
        },
        "memory": {
            "scope": "AGENT",
            "recallKinds": ["SOLUTION"],
            "recallLimit": 3,
            "memorize": True,
        },
        "metadata": {"team": [1, None, "a"]},
        "version": 1,
        "createdAt": "2023-11-14T22:13:20.000Z",
        "updatedAt": "2023-11-14T22:13:20.000Z",
        "archivedAt": None,
    }


async def test_an_unacceptable_value_is_named_and_nothing_is_made(world: ApiWorld):
    answered = await created(world, limits={"maxSteps": 0}, slug="No Slug")

    assert answered["__typename"] == "ValidationFailed"
    assert [field["path"] for field in answered["fields"]] == [["slug"], ["limits", "maxSteps"]]
    assert await slugs(world) == ["default"]


async def test_an_unknown_delegate_is_not_found_by_the_id_that_was_sent(world: ApiWorld):
    answered = await created(world, delegateIds=[UNKNOWN])

    assert answered["__typename"] == "NotFound"
    assert answered["id"] == UNKNOWN
    assert await slugs(world) == ["default"]


async def test_an_id_of_another_kind_is_not_found_at_its_field(world: ApiWorld):
    answered = await created(world, delegateIds=[RUN])

    assert answered["__typename"] == "NotFound"
    assert answered["path"] == ["delegateIds", "0"]
    assert answered["id"] == RUN


async def test_a_taken_slug_is_a_conflict_that_shows_who_has_it(world: ApiWorld):
    first = (await created(world, slug="nora"))["agent"]

    answered = await created(world, slug="nora")

    assert answered["__typename"] == "Conflict"
    assert answered["code"] == "NAME_TAKEN"
    assert answered["conflicting"] == {"__typename": "Agent", "id": first["id"]}
    assert await slugs(world) == ["default", "nora"]


async def test_a_key_without_the_scope_is_told_which_and_makes_nothing(world: ApiWorld):
    reader = world.caller(Scope.AGENTS_READ)

    done = await world.ask(CREATE, caller=reader, input={"name": "Nora"})

    assert done["createAgent"]["__typename"] == "Forbidden"
    assert done["createAgent"]["requiredScope"] == "AGENTS_WRITE"
    assert await slugs(world) == ["default"]


async def test_a_query_without_the_scope_is_an_error(world: ApiWorld):
    response = await world.answer("{ agents { nodes { id } } }", caller=world.caller())

    assert response["data"] is None
    assert response["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert response["errors"][0]["extensions"]["requiredScope"] == "agents:read"


async def test_in_an_update_absent_stays_and_null_clears(world: ApiWorld):
    made = (await created(world, description="Old.", limits={"maxSteps": 7, "maxSeconds": 8}))[
        "agent"
    ]

    done = await world.ask(
        UPDATE, input={"agentId": made["id"], "description": None, "limits": {"maxSteps": None}}
    )

    assert done["updateAgent"]["agent"] == {
        "name": "Nora",
        "description": "",
        "version": 2,
        "limits": {"maxSteps": 50, "maxSeconds": 8},
    }


async def test_an_update_of_an_old_version_is_a_conflict_and_changes_nothing(world: ApiWorld):
    made = (await created(world))["agent"]
    await world.ask(UPDATE, input={"agentId": made["id"], "name": "Nele"})

    done = await world.ask(
        UPDATE, input={"agentId": made["id"], "name": "Nils", "expectedVersion": 1}
    )

    assert done["updateAgent"] == {
        "__typename": "Conflict",
        "code": "VERSION_MISMATCH",
        "path": ["expectedVersion"],
        "currentVersion": 2,
    }
    data = await world.ask(
        "query ($id: ID!) { node(id: $id) { ... on Agent { name version } } }", id=made["id"]
    )
    assert data["node"] == {"name": "Nele", "version": 2}


async def test_versions_tell_what_changed_and_a_rollback_is_a_new_one(world: ApiWorld):
    helper = (await created(world, name="Helper"))["agent"]
    made = (await created(world, slug="nora"))["agent"]
    change = {"name": "Nele", "delegateIds": [helper["id"]], "comment": "A better name."}
    await world.ask(UPDATE, input={"agentId": made["id"], **change})

    done = await world.ask(
        """
        mutation ($input: RollbackAgentInput!) { rollbackAgent(input: $input) {
          ... on AgentSuccess { agent {
            name delegates { slug }
            versions { nodes { version comment createdBy settings
                               changes { path before after } } }
          } }
        } }
        """,
        input={"agentId": made["id"], "toVersion": 1, "comment": "Better before."},
    )

    agent = done["rollbackAgent"]["agent"]
    versions = agent["versions"]["nodes"]
    assert (agent["name"], agent["delegates"]) == ("Nora", [])
    assert [(one["version"], one["comment"]) for one in versions] == [
        (3, "Better before."),
        (2, "A better name."),
        (1, None),
    ]
    assert [one["createdBy"] for one in versions] == ["tester"] * 3
    assert versions[1]["changes"] == [
        {"path": ["name"], "before": "Nora", "after": "Nele"},
        {"path": ["delegateIds"], "before": [], "after": [helper["id"]]},
    ]
    assert versions[1]["settings"]["delegateIds"] == [helper["id"]]
    assert versions[2]["changes"] == []


async def test_an_archived_agent_is_listed_apart_and_comes_back(world: ApiWorld):
    made = (await created(world, slug="nora"))["agent"]
    archive = """
        mutation ($input: ArchiveAgentInput!) { archiveAgent(input: $input) {
          ... on AgentSuccess { agent { slug archivedAt } } ... on Error { code path }
        } }
    """

    gone = await world.ask(archive, input={"agentId": made["id"]})
    archived = await world.ask("{ agents(filter: { archived: true }) { nodes { slug } } }")
    live = await slugs(world)
    back = await world.ask(archive, input={"agentId": made["id"], "archived": False})

    assert gone["archiveAgent"]["agent"]["archivedAt"] == "2023-11-14T22:13:20.000Z"
    assert archived["agents"]["nodes"] == [{"slug": "nora"}]
    assert live == ["default"]
    assert back["archiveAgent"]["agent"] == {"slug": "nora", "archivedAt": None}


async def test_a_malformed_id_is_not_found_where_only_an_id_is_taken(world: ApiWorld):
    done = await world.ask(
        'mutation { archiveAgent(input: { agentId: "nonsense" }) {'
        " __typename ... on NotFound { id path } } }"
    )

    assert done["archiveAgent"] == {"__typename": "NotFound", "id": "nonsense", "path": ["agentId"]}


async def test_agents_are_read_page_by_page(world: ApiWorld):
    for name in ("Ada", "Bea", "Cora"):
        await created(world, name=name)
    query = """
        query ($first: Int, $after: String) { agents(first: $first, after: $after) {
          totalCount pageInfo { hasNextPage hasPreviousPage endCursor }
          edges { cursor node { name } } nodes { name }
        } }
    """

    first = (await world.ask(query, first=3))["agents"]
    second = (await world.ask(query, first=3, after=first["pageInfo"]["endCursor"]))["agents"]

    assert [node["name"] for node in first["nodes"]] == ["Ada", "Bea", "Cora"]
    assert first["edges"][2]["cursor"] == first["pageInfo"]["endCursor"]
    assert first["totalCount"] == 4
    assert [edge["node"]["name"] for edge in second["edges"]] == ["Default agent"]
    assert (second["pageInfo"]["hasPreviousPage"], second["pageInfo"]["hasNextPage"]) == (
        True,
        False,
    )


@pytest.mark.parametrize(
    ("arguments", "code", "path"),
    [
        ("first: 101", "VALIDATION_FAILED", ["first"]),
        ("first: 1, last: 1", "VALIDATION_FAILED", ["last"]),
        ('after: "nonsense"', "BAD_CURSOR", ["after"]),
    ],
)
async def test_a_page_that_cannot_be_is_refused_by_its_argument(
    world: ApiWorld, arguments: str, code: str, path: list[str]
):
    response = await world.answer(f"{{ agents({arguments}) {{ nodes {{ id }} }} }}")

    extensions = response["errors"][0]["extensions"]
    assert (extensions["code"], extensions["argumentPath"]) == (code, path)


@pytest.mark.parametrize("by", [{}, {"id": UNKNOWN, "slug": "default"}, {"slug": None}])
async def test_an_agent_is_picked_by_exactly_one_thing(world: ApiWorld, by: dict[str, Any]):
    query = "query ($by: AgentRef!) { agent(by: $by) { id } }"

    with pytest.raises(Exception, match="AgentRef"):
        await world.answer(query, by=by)


async def test_delegates_of_many_agents_are_read_by_one_query(
    world: ApiWorld, caplog: pytest.LogCaptureFixture
):
    helpers = [(await created(world, name=f"Helper {n}"))["agent"]["id"] for n in range(3)]
    for n in range(5):
        await created(world, name=f"Boss {n}", delegateIds=helpers)
    caplog.set_level(logging.DEBUG, logger="tortoise.db_client")
    caplog.clear()

    data = await world.ask("{ agents { nodes { delegates { slug } } } }")

    assert sum(len(node["delegates"]) for node in data["agents"]["nodes"]) == 15
    reads = [line for line in caplog.messages if line.startswith("SELECT")]
    assert len(reads) == 2
