"""Conversations through the API, over the real service."""

import logging
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from domain.access.scopes import Scope
from schema.ids import Kind, encode_id
from tests.api.api_world import ApiWorld, api_world
from tests.fakes import say

UNKNOWN = encode_id(Kind.CONVERSATION, "019aabcd-ef12-7456-9abc-def012345678")
AGENT = encode_id(Kind.AGENT, "019aabcd-ef12-7456-9abc-def012345678")
SHOWN = "id title agent { slug } metadata activeRun { id } createdAt updatedAt"
CREATE = f"""
mutation ($input: CreateConversationInput!) {{ createConversation(input: $input) {{
  __typename
  ... on ConversationSuccess {{ conversation {{ {SHOWN} }} }}
  ... on Error {{ code path }}
  ... on NotFound {{ id }}
}} }}
"""
UPDATE = CREATE.replace("createConversation", "updateConversation").replace(
    "CreateConversationInput", "UpdateConversationInput"
)
DELETE = """
mutation ($input: DeleteConversationInput!) { deleteConversation(input: $input) {
  __typename
  ... on DeleteSuccess { deletedId }
  ... on Error { code path }
  ... on Conflict { conflicting { id ... on Run { status } } }
} }
"""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[ApiWorld, None]:
    async with api_world(tmp_path) as opened:
        yield opened


async def created(world: ApiWorld, **given: Any) -> dict[str, Any]:
    return (await world.ask(CREATE, input=given))["createConversation"]


async def default_agent(world: ApiWorld) -> str:
    data = await world.ask('{ agent(by: { slug: "default" }) { id } }')
    return data["agent"]["id"]


async def titles(world: ApiWorld, arguments: str = "") -> list[str]:
    data = await world.ask(f"{{ conversations{arguments} {{ nodes {{ title }} }} }}")
    return [node["title"] for node in data["conversations"]["nodes"]]


async def test_a_conversation_has_what_it_was_created_with(world: ApiWorld):
    made = await created(
        world, title="Plans", agentId=await default_agent(world), metadata={"a": [1]}
    )

    conversation = made["conversation"]
    again = await world.ask(
        f"query ($id: ID!) {{ conversation(id: $id) {{ {SHOWN} }} }}", id=conversation["id"]
    )
    assert again["conversation"] == conversation
    conversation.pop("id")
    assert conversation == {
        "title": "Plans",
        "agent": {"slug": "default"},
        "metadata": {"a": [1]},
        "activeRun": None,
        "createdAt": "2023-11-14T22:13:20.000Z",
        "updatedAt": "2023-11-14T22:13:20.000Z",
    }


async def test_a_conversation_with_an_unknown_agent_is_not_made(world: ApiWorld):
    answered = await created(world, agentId=AGENT)

    assert answered == {
        "__typename": "NotFound",
        "code": "NOT_FOUND",
        "path": ["agentId"],
        "id": AGENT,
    }
    assert await titles(world) == []


async def test_in_an_update_absent_stays_and_null_clears(world: ApiWorld):
    made = await created(
        world, title="Plans", agentId=await default_agent(world), metadata={"a": 1}
    )
    ident = made["conversation"]["id"]

    done = await world.ask(UPDATE, input={"conversationId": ident, "agentId": None})

    conversation = done["updateConversation"]["conversation"]
    assert (conversation["title"], conversation["agent"], conversation["metadata"]) == (
        "Plans",
        None,
        {"a": 1},
    )


async def test_messages_of_a_run_are_read_with_their_run(world: ApiWorld):
    ident = (await created(world))["conversation"]["id"]
    run = await world.execute(say("Hello."), conversationId=ident, instruction="Hi there")

    data = await world.ask(
        """
        query ($id: ID!) { conversation(id: $id) {
          title runs { nodes { id conversation { id } } }
          messages { nodes { id role content tokenCount run { id } conversation { id } } }
        } }
        """,
        id=ident,
    )

    conversation = data["conversation"]
    messages = conversation["messages"]["nodes"]
    assert conversation["title"] == "Hi there"
    assert conversation["runs"]["nodes"] == [{"id": run["id"], "conversation": {"id": ident}}]
    assert [(one["role"], one["content"]) for one in messages] == [
        ("USER", "Hi there"),
        ("ASSISTANT", "Hello."),
    ]
    assert [one["run"] for one in messages] == [{"id": run["id"]}] * 2
    assert [one["conversation"] for one in messages] == [{"id": ident}] * 2
    found = await world.ask(
        "query ($id: ID!) { node(id: $id) { ... on Message { content } } }", id=messages[1]["id"]
    )
    assert found["node"] == {"content": "Hello."}


async def test_a_busy_conversation_is_neither_deleted_nor_used_twice(world: ApiWorld):
    ident = (await created(world, title="Busy"))["conversation"]["id"]
    start = (
        "mutation ($input: ExecuteAgentInput!) { executeAgent(input: $input) {"
        " __typename ... on RunSuccess { run { id } }"
        " ... on Conflict { code conflicting { id } } } }"
    )
    given = {"agent": {"slug": "default"}, "instruction": "Go", "conversationId": ident}
    run = (await world.ask(start, input=given))["executeAgent"]["run"]

    second = await world.ask(start, input=given)
    deleted = await world.ask(DELETE, input={"conversationId": ident})

    assert second["executeAgent"] == {
        "__typename": "Conflict",
        "code": "CONVERSATION_BUSY",
        "conflicting": {"id": run["id"]},
    }
    assert deleted["deleteConversation"] == {
        "__typename": "Conflict",
        "code": "CONVERSATION_BUSY",
        "path": ["conversationId"],
        "conflicting": {"id": run["id"], "status": "QUEUED"},
    }
    assert await titles(world) == ["Busy"]
    active = await world.ask("{ conversations { nodes { activeRun { id } } } }")
    assert active["conversations"]["nodes"] == [{"activeRun": {"id": run["id"]}}]


async def test_a_deleted_conversation_is_gone_and_its_runs_are_kept(world: ApiWorld):
    ident = (await created(world))["conversation"]["id"]
    run = await world.execute(say("Hello."), conversationId=ident)

    done = await world.ask(DELETE, input={"conversationId": ident})

    assert done["deleteConversation"] == {"__typename": "DeleteSuccess", "deletedId": ident}
    assert await titles(world) == []
    kept = await world.ask(
        "query ($id: ID!) { run(id: $id) { status conversation { id } } }", id=run["id"]
    )
    assert kept["run"] == {"status": "SUCCEEDED", "conversation": None}


async def test_a_key_that_may_only_read_deletes_nothing(world: ApiWorld):
    ident = (await created(world, title="Mine"))["conversation"]["id"]
    reader = world.caller(Scope.RUNS_READ)

    done = await world.ask(DELETE, caller=reader, input={"conversationId": ident})

    assert done["deleteConversation"]["__typename"] == "Forbidden"
    assert await titles(world) == ["Mine"]


async def test_conversations_are_narrowed_and_ordered(world: ApiWorld):
    await created(world, title="Old plans")
    world.runs.clock.move(60)
    await created(world, title="New plans", agentId=await default_agent(world))
    agent = await default_agent(world)

    assert await titles(world) == ["New plans", "Old plans"]
    assert await titles(world, "(orderBy: OLDEST_FIRST)") == ["Old plans", "New plans"]
    assert await titles(world, '(filter: { search: "old" })') == ["Old plans"]
    assert await titles(world, f'(filter: {{ agentId: "{agent}" }})') == ["New plans"]
    assert await titles(world, "(filter: { busy: true })") == []
    early = '(filter: { updated: { until: "2023-11-14T22:13:21Z" } })'
    assert await titles(world, early) == ["Old plans"]


async def test_an_unknown_conversation_is_null(world: ApiWorld):
    data = await world.ask("query ($id: ID!) { conversation(id: $id) { id } }", id=UNKNOWN)

    assert data["conversation"] is None


async def test_relations_of_many_conversations_are_read_by_one_query_each(
    world: ApiWorld, caplog: pytest.LogCaptureFixture
):
    agent = await default_agent(world)
    for n in range(6):
        await created(world, title=f"Number {n}", agentId=agent)
    caplog.set_level(logging.DEBUG, logger="tortoise.db_client")
    caplog.clear()

    data = await world.ask("{ conversations { nodes { agent { slug } activeRun { id } } } }")

    assert len(data["conversations"]["nodes"]) == 6
    assert len([line for line in caplog.messages if line.startswith("SELECT")]) == 3
