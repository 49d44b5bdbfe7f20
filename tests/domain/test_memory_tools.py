"""The tools remember and recall: within the agent's scope and rights, and safe to repeat."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import JsonValue

from domain.access.scopes import Principal, Scope
from domain.kernel.database import Database, Statement
from domain.kernel.moments import EPOCH
from domain.memory.policy import MemoryKind, MemoryPolicy, MemoryScope
from domain.memory.tools import memory_tools
from domain.models.offline.matching import ToolIndex
from domain.models.offline.planner import Answer, PlannedCall, next_move
from domain.models.ports import ChatMessage
from domain.tools.calls import ToolContext, ToolResult
from domain.tools.manifest import SideEffect, to_spec
from domain.tools.registry import ToolRegistry
from tests.domain.memory_world import ADMIN, MemoryWorld, memory_world

RUN = "019aabcd-0001-7456-9abc-def012345678"
STEP = "019aabcd-0002-7456-9abc-def012345678"
AGENT = Principal(
    workspace_id="w1",
    key_id=None,
    name="nora",
    scopes=frozenset({Scope.MEMORY_READ, Scope.MEMORY_WRITE}),
)
CONTEXT = ToolContext(
    workspace_id="w1", run_id=RUN, step_id=STEP, agent_id="a1", conversation_id="c1", actor=AGENT
)


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[MemoryWorld, None]:
    async with memory_world(database) as opened:
        conversation = (
            "INSERT INTO conversation (id, workspace_id, title, metadata, created_at, updated_at)"
            " VALUES ($1, 'w1', '', '{}', 0, 0)"
        )
        rows = [Statement(conversation, (ident,)) for ident in ("c1", "c2")]
        await opened.database.write(rows)
        yield opened


def tools_of(world: MemoryWorld, **policy: Any) -> ToolRegistry:
    async def policy_of(_: ToolContext) -> MemoryPolicy:
        return MemoryPolicy(**policy)

    return ToolRegistry(memory_tools(world.service, policy_of))


async def remembered(
    tools: ToolRegistry, content: str, context: ToolContext = CONTEXT, **more: JsonValue
) -> ToolResult:
    context = replace(context, step_id=f"{content} {context.conversation_id}")
    return await tools.call("remember", {"content": content, **more}, context=context)


async def recalled(
    tools: ToolRegistry, query: str, context: ToolContext = CONTEXT, **more: JsonValue
) -> list[str]:
    result = await tools.call("recall", {"query": query, **more}, context=context)
    assert isinstance(result.value, dict), result
    return [memory["content"] for memory in result.value["memories"]]  # type: ignore[index,union-attr]


def described() -> ToolRegistry:
    """The tools as they describe themselves, with nothing behind them."""
    return ToolRegistry(memory_tools(None))  # type: ignore[arg-type]


def test_the_manifests_name_what_the_tools_do_and_need():
    remember, recall = (described().get(name) for name in ("remember", "recall"))

    assert remember is not None
    assert recall is not None
    assert (remember.manifest.side_effect, remember.manifest.capabilities) == (
        SideEffect.WRITE,
        ("memory.write",),
    )
    assert (recall.manifest.side_effect, recall.manifest.capabilities) == (
        SideEffect.READ,
        ("memory.read",),
    )
    assert remember.manifest.idempotent
    assert recall.manifest.idempotent


async def test_what_is_remembered_is_recalled_with_its_data(world: MemoryWorld):
    tools = tools_of(world)

    done = await remembered(tools, "The deploy runs on Friday", metadata={"team": "ops"})
    result = await tools.call("recall", {"query": "when is the deploy?"}, context=CONTEXT)

    assert done.value == {
        "kind": "USER_DATA",
        "content": "The deploy runs on Friday",
        "already_known": False,
    }
    assert result.value == {
        "memories": [
            {
                "kind": "USER_DATA",
                "content": "The deploy runs on Friday",
                "metadata": {"team": "ops"},
                "since": "2023-11-14T22:13:20Z",
            }
        ]
    }
    [row] = (await world.service.search(ADMIN, {"query": "deploy"})).hits
    assert (row.row.created_by, row.row.run_id, row.row.recall_count) == ("nora", RUN, 1)


async def test_a_repeated_step_remembers_once(world: MemoryWorld):
    tools = tools_of(world)
    call = {"content": "Tea at four", "kind": "FRAGMENT"}

    first = await tools.call("remember", call, context=CONTEXT)
    again = await tools.call("remember", call, context=CONTEXT)

    assert first == again
    assert await world.count("memory") == 1
    assert len(await world.events()) == 1


async def test_what_is_known_is_said_to_be(world: MemoryWorld):
    await world.save("Tea at four")

    done = await remembered(tools_of(world), "Tea at four")

    assert done.value == {"kind": "USER_DATA", "content": "Tea at four", "already_known": True}
    assert await world.count("memory") == 1


@pytest.mark.parametrize(
    ("scope", "belongs"),
    [
        (MemoryScope.WORKSPACE, (None, None)),
        (MemoryScope.AGENT, ("a1", None)),
        (MemoryScope.CONVERSATION, ("a1", "c1")),
    ],
)
async def test_a_memory_belongs_where_the_agents_scope_ends(
    world: MemoryWorld, scope: MemoryScope, belongs: tuple[str | None, str | None]
):
    tools = tools_of(world, scope=scope)

    await remembered(tools, "tea")

    [hit] = (await world.service.search(ADMIN, {"query": "tea"})).hits
    assert (hit.row.agent_id, hit.row.conversation_id) == belongs
    assert await recalled(tools, "tea") == ["tea"]


async def test_a_conversation_keeps_its_memory_to_itself(world: MemoryWorld):
    tools = tools_of(world, scope=MemoryScope.CONVERSATION)
    elsewhere = replace(CONTEXT, conversation_id="c2")
    nowhere = replace(CONTEXT, conversation_id=None)

    await remembered(tools, "tea")
    refused = await remembered(tools, "coffee", nowhere)

    assert await recalled(tools, "tea", elsewhere) == []
    assert await recalled(tools, "tea", nowhere) == []
    assert refused.content == (
        "REFUSED: This agent remembers within a conversation only, and this run has none."
    )
    assert await world.contents() == ["tea"]


async def test_an_agent_without_memory_neither_remembers_nor_recalls(world: MemoryWorld):
    tools = tools_of(world, scope=MemoryScope.NONE)
    await world.save("tea")

    refusals = [
        await remembered(tools, "coffee"),
        await tools.call("recall", {"query": "tea"}, context=CONTEXT),
    ]

    words = "REFUSED: This agent has no memory: its memory scope is NONE."
    assert [one.content for one in refusals] == [words, words]
    assert await world.contents() == ["tea"]


async def test_kinds_and_limit_narrow_what_the_policy_allows(world: MemoryWorld):
    for kind in ("USER_DATA", "FRAGMENT", "SOLUTION"):
        await world.save(f"tea {kind}", kind=kind)
    both = (MemoryKind.FRAGMENT, MemoryKind.SOLUTION)
    tools = tools_of(world, recall_kinds=both, recall_limit=2)

    assert set(await recalled(tools, "tea")) == {"tea FRAGMENT", "tea SOLUTION"}
    assert await recalled(tools, "tea", kinds=["SOLUTION", "USER_DATA"]) == ["tea SOLUTION"]
    assert await recalled(tools, "tea", kinds=["USER_DATA"]) == []
    assert len(await recalled(tools, "tea", limit=1)) == 1
    assert await recalled(tools_of(world, recall_limit=0), "tea") == []


async def test_a_tool_that_was_not_granted_memory_does_nothing(world: MemoryWorld):
    tools = tools_of(world)
    await world.save("tea")
    bare = replace(CONTEXT, actor=replace(AGENT, scopes=frozenset[Scope]()))
    unnamed = replace(CONTEXT, actor=None)

    results = [
        await tools.call(name, {field: "tea or coffee"}, context=context)
        for name, field in (("remember", "content"), ("recall", "query"))
        for context in (bare, unnamed)
    ]

    assert [one.failure.code for one in results if one.failure] == ["FORBIDDEN"] * 4
    assert await world.contents() == ["tea"]


async def test_what_cannot_be_saved_is_told_to_the_model(world: MemoryWorld):
    tools = tools_of(world)

    blank = await remembered(tools, " ")
    knowledge = await remembered(tools, "tea", kind="KNOWLEDGE")

    assert blank.content == "VALIDATION_FAILED: content: Give more than blanks."
    assert knowledge.failure is not None
    assert knowledge.failure.code == "INVALID_ARGUMENTS"
    assert await world.count("memory") == 0


async def test_recall_brings_no_more_than_a_model_can_read(world: MemoryWorld):
    for n in range(3):
        await world.save(f"tea {n} " + "x" * 15_000)

    result = await tools_of(world).call("recall", {"query": "tea"}, context=CONTEXT)

    assert not result.truncated
    assert isinstance(result.value, dict)
    assert len(result.value["memories"]) == 2  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "tool", "arguments"),
    [
        ('remember {"content": "Tea at four"}', "remember", '{"content": "Tea at four"}'),
        ("Remember: tea at four", "remember", '{"content": "tea at four"}'),
        ('remember "tea at four"', "remember", '{"content": "tea at four"}'),
        ('recall {"query": "tea"}', "recall", '{"query": "tea"}'),
        ("recall the tea", "recall", '{"query": "tea"}'),
    ],
)
def test_the_offline_planner_uses_them_when_told_so(words: str, tool: str, arguments: str):
    index = ToolIndex([to_spec(one.manifest) for one in described()])

    move = next_move([ChatMessage(role="user", content=words)], index, now=EPOCH)

    assert move == PlannedCall(tool=tool, arguments=arguments)


def test_the_offline_planner_remembers_nothing_unasked():
    index = ToolIndex([to_spec(one.manifest) for one in described()])

    move = next_move([ChatMessage(role="user", content="Tea is at four")], index, now=EPOCH)

    assert isinstance(move, Answer)
