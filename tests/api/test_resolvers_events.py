"""Everything that happens in a workspace, as far as a key's scopes reach."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from app.graphql.engine import SourceFailed
from domain.access.scopes import Scope
from domain.events.cursors import encode_cursor
from domain.runs.state import EventType as RunEventType
from schema.event_inputs import EventType
from schema.ids import Kind, encode_id
from schema.workspace_events import workspace_event_types
from tests.api.api_world import TRACE, ApiWorld, api_world
from tests.fakes import say

SOME = "019aabcd-ef12-7456-9abc-def012345678"
EVENTS = """
subscription ($filter: EventFilter, $after: String) { events(filter: $filter, after: $after) {
  __typename cursor traceId
  ... on RunEvent { runId seq }
  ... on BehaviorUpdate { version { version rules { statement } profile { name } } }
} }
"""
ADJUST = "mutation ($input: AdjustBehaviorInput!) { adjustBehavior(input: $input) { __typename } }"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[ApiWorld, None]:
    async with api_world(tmp_path) as opened:
        yield opened


def start(world: ApiWorld) -> str:
    """The cursor before the first event of the workspace."""
    return encode_cursor(world.runs.principal.workspace_id, 0)


async def adjust(world: ApiWorld, statement: str) -> None:
    await world.ask(ADJUST, input={"add": [{"statement": statement}]})


async def heard(world: ApiWorld, count: int, **given: Any) -> list[dict[str, Any]]:
    """The first events of the workspace that a subscriber gets."""
    variables = {"after": start(world), **given}
    async with world.following(EVENTS, **variables) as events:
        return [(await anext(events))["events"] for _ in range(count)]


async def names(world: ApiWorld, count: int, **given: Any) -> list[str]:
    return [event["__typename"] for event in await heard(world, count, **given)]


async def test_events_of_runs_and_of_the_workspace_come_in_one_order(world: ApiWorld):
    await adjust(world, "Be kind.")
    run = await world.execute(say("Do", "ne."))
    await adjust(world, "Be brief.")

    events = await heard(world, 5)

    assert [event["__typename"] for event in events] == [
        "BehaviorUpdate",
        "RunStarted",
        "UsageUpdated",
        "RunFinished",
        "BehaviorUpdate",
    ]
    assert {event["traceId"] for event in events} == {TRACE.trace_id}
    assert {event["runId"] for event in events[1:4]} == {run["id"]}
    assert events[0]["version"] == {
        "version": 1,
        "rules": [{"statement": "Be kind."}],
        "profile": {"name": "default"},
    }


async def test_what_happens_after_joining_comes_live_and_the_stream_goes_on_from_a_cursor(
    world: ApiWorld,
):
    await adjust(world, "one")
    async with world.following(EVENTS, after=start(world)) as events:
        first = (await anext(events))["events"]
        await adjust(world, "two")
        second = (await anext(events))["events"]
        await adjust(world, "three")
        third = (await anext(events))["events"]

    versions = [event["version"]["version"] for event in (first, second, third)]
    assert versions == [1, 2, 3]
    assert await heard(world, 2, after=first["cursor"]) == [second, third]


async def test_chosen_types_come_alone_and_deltas_when_they_are_asked_for(world: ApiWorld):
    await world.execute(say("Done."))
    await adjust(world, "Be kind.")

    chosen = {"types": ["TOKEN_DELTA", "RUN_FINISHED", "BEHAVIOR_UPDATE"]}

    assert await names(world, 3, filter=chosen) == ["TokenDelta", "RunFinished", "BehaviorUpdate"]


@pytest.mark.parametrize(
    ("scope", "seen"),
    [
        (Scope.RUNS_READ, ["RunStarted", "UsageUpdated", "RunFinished", "RunStarted"]),
        (Scope.BEHAVIOR_READ, ["BehaviorUpdate", "BehaviorUpdate"]),
    ],
)
async def test_a_key_hears_as_far_as_its_scopes_reach(
    world: ApiWorld, scope: Scope, seen: list[str]
):
    for statement in ("a", "b"):
        await world.execute(say("Done."))
        await adjust(world, statement)

    assert await names(world, len(seen), caller=world.caller(scope)) == seen


@pytest.mark.parametrize(
    ("scope", "given", "code"),
    [
        (Scope.TOOLS_READ, None, "FORBIDDEN"),
        (Scope.RUNS_READ, {"types": ["BEHAVIOR_UPDATE"]}, "FORBIDDEN"),
        (Scope.ADMIN, {"types": []}, "VALIDATION_FAILED"),
        (Scope.ADMIN, {"agentId": "nonsense"}, "VALIDATION_FAILED"),
        (Scope.ADMIN, {"agentId": encode_id(Kind.AGENT, SOME)}, "NOT_FOUND"),
        (Scope.ADMIN, {"conversationId": encode_id(Kind.CONVERSATION, SOME)}, "NOT_FOUND"),
        (Scope.ADMIN, {"conversationId": encode_id(Kind.AGENT, SOME)}, "NOT_FOUND"),
    ],
)
async def test_a_stream_of_nothing_is_refused(
    world: ApiWorld, scope: Scope, given: dict[str, Any] | None, code: str
):
    with pytest.raises(SourceFailed) as refused:
        await heard(world, 1, caller=world.caller(scope), filter=given)

    extensions = refused.value.body["extensions"]
    assert extensions["code"] == code
    if given is not None and code != "FORBIDDEN":
        assert extensions["argumentPath"] == ["filter", *given]


async def test_only_runs_of_an_agent_or_of_a_conversation_are_heard(world: ApiWorld):
    made = await world.ask(
        'mutation { createAgent(input: {name: "Nora"}) { ... on AgentSuccess {'
        " agent { id slug } } }"
        ' createConversation(input: {title: "Talk"}) { ... on ConversationSuccess {'
        " conversation { id } } } }"
    )
    nora = made["createAgent"]["agent"]
    talk = made["createConversation"]["conversation"]["id"]
    await adjust(world, "a")
    other = await world.execute(say("Done."))
    mine = await world.execute(say("Done."), agent={"slug": nora["slug"]})
    held = await world.execute(say("Done."), conversationId=talk)
    both = await world.execute(say("Done."), agent={"slug": nora["slug"]}, conversationId=talk)

    async def runs(count: int, **narrow: Any) -> list[str]:
        found = await heard(world, count, filter={"types": ["RUN_FINISHED"], **narrow})
        return [event["runId"] for event in found]

    assert await runs(4) == [run["id"] for run in (other, mine, held, both)]
    assert await runs(2, agentId=nora["id"]) == [mine["id"], both["id"]]
    assert await runs(2, conversationId=talk) == [held["id"], both["id"]]
    assert await runs(1, agentId=nora["id"], conversationId=talk) == [both["id"]]


def test_every_event_that_is_shown_can_be_chosen():
    carriers = {kind.carrier for kind in EventType}

    assert carriers == {kind.value for kind in RunEventType} | workspace_event_types()


def test_every_event_asks_for_the_scope_of_its_noun():
    scopes = {kind.carrier: kind.scope.name for kind in EventType}

    of_runs = {kind.value for kind in RunEventType}
    assert {scopes.pop(name) for name in of_runs} == {"RUNS_READ"}
    assert scopes == {
        "BehaviorUpdate": "BEHAVIOR_READ",
        "MemoryUpdate": "MEMORY_READ",
        "TaskUpdate": "TASKS_READ",
    }
