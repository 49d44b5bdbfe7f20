"""Who is calling, what the server is, any object by id, and the tools."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from domain.access.scopes import Principal, Scope
from domain.helpers.catalog import HELPERS
from schema.ids import Kind, encode_id
from tests.api.api_world import ApiWorld, api_world
from tests.fakes import call, say

NODE = "query ($id: ID!) { node(id: $id) { __typename id } }"
UNKNOWN = "019aabcd-ef12-7456-9abc-def012345678"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[ApiWorld, None]:
    async with api_world(tmp_path) as opened:
        yield opened


async def with_key(world: ApiWorld, *scopes: Scope) -> Principal:
    """Make a key of the workspace and be its holder."""
    caller = world.caller(*scopes)
    made = await world.services.access.create_key(
        caller.workspace_id, name="Nora's key", scopes=list(scopes), created_by="tester"
    )
    return replace(caller, key_id=made.row.id, name=made.row.name)


async def test_the_viewer_is_the_key_and_its_workspace(world: ApiWorld):
    caller = await with_key(world, Scope.RUNS_READ, Scope.AGENTS_READ)

    data = await world.ask(
        "{ viewer { workspace { name } scopes"
        " apiKey { name scopes createdBy expiresAt revokedAt } } }",
        caller=caller,
    )

    assert data["viewer"] == {
        "workspace": {"name": "Default"},
        "scopes": ["AGENTS_READ", "RUNS_READ"],
        "apiKey": {
            "name": "Nora's key",
            "scopes": ["AGENTS_READ", "RUNS_READ"],
            "createdBy": "tester",
            "expiresAt": None,
            "revokedAt": None,
        },
    }


async def test_a_caller_without_a_key_is_shown_without_one(world: ApiWorld):
    data = await world.ask("{ viewer { apiKey { id } scopes } }")

    assert data["viewer"] == {"apiKey": None, "scopes": ["ADMIN"]}


async def test_the_server_says_what_it_is_and_how_it_is(world: ApiWorld):
    data = await world.ask(
        """
        {
          serverInfo { version now database eventBus offline eventRetentionSeconds hint
                       modelProviders { name configured models } }
          health { status checks { name status detail durationMs } }
        }
        """,
        caller=world.caller(),
    )

    assert data == {
        "serverInfo": {
            "version": "1.2.3",
            "now": "2023-11-14T22:13:20.000Z",
            "database": "SQLITE",
            "eventBus": "LOCAL",
            "offline": False,
            "eventRetentionSeconds": 86400,
            "hint": None,
            "modelProviders": [{"name": "scripted", "configured": True, "models": ["m1"]}],
        },
        "health": {
            "status": "OK",
            "checks": [{"name": "database", "status": "PASSED", "detail": None, "durationMs": 1}],
        },
    }


async def test_every_kind_of_object_is_found_by_its_id(world: ApiWorld):
    caller = await with_key(world, Scope.ADMIN)
    start = await world.ask(
        'mutation { createConversation(input: { title: "Plans" }) {'
        " ... on ConversationSuccess { conversation { id } } } }"
    )
    conversation = start["createConversation"]["conversation"]["id"]
    run = await world.execute(
        call("note", '{"text": "milk"}'), say("Noted."), conversationId=conversation
    )
    data = await world.ask(
        """
        query ($id: ID!, $conversation: ID!) {
          viewer { workspace { id } apiKey { id } }
          agent(by: { slug: "default" }) { id }
          conversation(id: $conversation) { id messages { nodes { id } } }
          run(id: $id) { id steps { nodes { id } } }
          tool(name: "note") { id }
        }
        """,
        caller=caller,
        id=run["id"],
        conversation=conversation,
    )
    ids = {
        data["viewer"]["workspace"]["id"]: "Workspace",
        data["viewer"]["apiKey"]["id"]: "ApiKey",
        data["agent"]["id"]: "Agent",
        conversation: "Conversation",
        data["conversation"]["messages"]["nodes"][0]["id"]: "Message",
        run["id"]: "Run",
        data["run"]["steps"]["nodes"][0]["id"]: "ModelCallStep",
        data["run"]["steps"]["nodes"][1]["id"]: "ToolCallStep",
        data["tool"]["id"]: "Tool",
    }

    found = await world.ask(
        "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }", caller=caller, ids=list(ids)
    )

    assert found["nodes"] == [{"__typename": kind, "id": ident} for ident, kind in ids.items()]


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.TOOL])
async def test_an_unknown_object_is_null(world: ApiWorld, kind: Kind):
    data = await world.ask(NODE, id=encode_id(kind, UNKNOWN))

    assert data["node"] is None


async def test_what_a_key_may_not_see_is_null(world: ApiWorld):
    run = await world.execute(say("Done."))
    stranger = replace(world.runs.principal, workspace_id=UNKNOWN)

    for caller in (world.caller(Scope.AGENTS_READ), stranger):
        data = await world.ask(NODE, caller=caller, id=run["id"])
        assert data["node"] is None


async def test_a_key_sees_itself_and_only_an_admin_sees_others(world: ApiWorld):
    caller = await with_key(world, Scope.RUNS_READ)
    ident = encode_id(Kind.API_KEY, caller.key_id or "")

    own = await world.ask(NODE, caller=caller, id=ident)
    other = await world.ask(NODE, caller=world.caller(Scope.RUNS_READ), id=ident)

    assert own["node"] == {"__typename": "ApiKey", "id": ident}
    assert other["node"] is None


async def test_a_malformed_id_is_refused_by_its_place(world: ApiWorld):
    known = encode_id(Kind.RUN, UNKNOWN)

    response = await world.answer(
        "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=[known, "nonsense"]
    )

    extensions = response["errors"][0]["extensions"]
    assert extensions["code"] == "VALIDATION_FAILED"
    assert extensions["argumentPath"] == ["ids", "1"]


async def test_more_objects_than_a_hundred_are_refused(world: ApiWorld):
    ids = [encode_id(Kind.RUN, UNKNOWN)] * 101

    response = await world.answer("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=ids)

    assert response["errors"][0]["extensions"]["argumentPath"] == ["ids"]


async def test_tools_are_listed_by_name_and_narrowed(world: ApiWorld):
    query = "query ($filter: ToolFilter) { tools(filter: $filter) { totalCount nodes { name } } }"

    every = await world.ask(query)
    harmless = await world.ask(query, filter={"sideEffects": ["NONE", "READ"]})
    words = await world.ask(query, filter={"search": "AMOUNT pay", "domain": "test"})

    assert every["tools"] == {"totalCount": 2, "nodes": [{"name": "note"}, {"name": "pay"}]}
    assert harmless["tools"] == {"totalCount": 1, "nodes": [{"name": "note"}]}
    assert words["tools"] == {"totalCount": 1, "nodes": [{"name": "pay"}]}


async def test_a_tool_shows_what_models_and_policies_know_of_it(world: ApiWorld):
    data = await world.ask(
        '{ tool(name: "pay") { name domain version description inputSchema outputSchema'
        " sideEffect idempotent capabilities timeoutSeconds } }"
    )

    tool = data["tool"]
    assert tool.pop("inputSchema")["required"] == ["amount"]
    assert tool == {
        "name": "pay",
        "domain": "test",
        "version": "1",
        "description": "Pay an amount.",
        "outputSchema": {"type": "string"},
        "sideEffect": "WRITE",
        "idempotent": False,
        "capabilities": [],
        "timeoutSeconds": 10,
    }


async def test_an_unknown_tool_is_null(world: ApiWorld):
    data = await world.ask('{ tool(name: "nothing") { id } }')

    assert data["tool"] is None


async def test_helpers_are_listed_by_name_and_narrowed(world: ApiWorld):
    query = "query ($theme: String, $search: String) {"
    query += " helpers(theme: $theme, search: $search) { name theme signature doc } }"

    every = (await world.ask(query))["helpers"]
    tables = (await world.ask(query, theme="tables"))["helpers"]
    found = (await world.ask(query, search="csv_read"))["helpers"]

    assert [one["name"] for one in every] == sorted(helper.name for helper in HELPERS)
    assert [one["name"] for one in tables] == ["csv_read", "csv_write"]
    assert [one["name"] for one in found] == ["csv_read"]
    assert found[0]["signature"].startswith("csv_read(text: str")
    assert found[0]["doc"]


@pytest.mark.parametrize(
    "field", ["tools { totalCount }", "helpers { name }", 'tool(name: "pay") { id }']
)
async def test_tools_need_a_scope(world: ApiWorld, field: str):
    response = await world.answer(f"{{ {field} }}", caller=world.caller(Scope.AGENTS_READ))

    assert response["errors"][0]["extensions"]["requiredScope"] == "tools:read"
