"""Work handed from agent to agent, as clients of the API see it."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from domain.access.scopes import Scope
from tests.api.api_world import ApiWorld, api_world
from tests.domain.delegation_world import ask, delegate
from tests.fakes import say

CREATE = """
mutation ($input: CreateAgentInput!) {
  createAgent(input: $input) {
    ... on AgentSuccess { agent { id } }
    ... on Error { code message path }
    ... on ValidationFailed { fields { path message } }
  }
}
"""
UPDATE = """
mutation ($input: UpdateAgentInput!) {
  updateAgent(input: $input) {
    __typename
    ... on AgentSuccess { agent { delegates { slug } } }
    ... on Error { code message path }
  }
}
"""
RUN = """
query ($id: ID!) {
  run(id: $id) {
    status output depth parent { id }
    usage { outputTokens } totalUsage { outputTokens modelCalls }
    steps { nodes {
      __typename status error { code message }
      ... on ToolCallStep { toolName arguments }
      ... on DelegationStep { child { id output parent { id } } }
    } }
    children { nodes { id agent { slug } depth children { nodes { id agent { slug } depth } } } }
  }
}
"""
EVENTS = """
subscription ($runId: ID!, $after: String, $below: Boolean!) {
  runEvents(runId: $runId, after: $after, includeDescendants: $below) {
    __typename
    ... on Event { cursor }
    ... on RunEvent { seq runId parentRunId depth }
    ... on TokenDelta { text }
    ... on DelegationStarted { stepId child { agent { slug } } }
    ... on DelegationFinished { stepId child { agent { slug } status } }
    ... on RunFinished { usage { modelCalls } }
  }
}
"""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[ApiWorld, None]:
    """Three agents, each of which may ask the next; the hints reach the one process."""
    async with api_world(tmp_path) as opened:
        tasks: set[asyncio.Task[None]] = set()

        def deliver(run_id: str) -> None:
            task = asyncio.create_task(opened.runner.execute(run_id))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        asked: list[str] = []
        for slug in ("c", "b", "a"):
            asked = [await made(opened, slug, asked)]
        opened.runs.queue.deliver = deliver
        yield opened


async def made(world: ApiWorld, slug: str, asks: list[str]) -> str:
    """Make an agent and return its id."""
    values = {"name": slug, "slug": slug, "delegateIds": asks}
    return (await world.ask(CREATE, input=values))["createAgent"]["agent"]["id"]


THREE_LEVELS = (
    delegate(ask("b")),
    delegate(ask("c")),
    say("deep", tokens=1),
    say("middle", tokens=2),
    say("top", tokens=3),
)


async def test_a_run_shows_whom_it_asked_and_what_came_of_it(world: ApiWorld):
    run = await world.execute(*THREE_LEVELS, agent={"slug": "a"})

    shown = (await world.ask(RUN, id=run["id"]))["run"]

    [child] = shown["children"]["nodes"]
    [grandchild] = child["children"]["nodes"]
    assert (shown["status"], shown["output"], shown["parent"]) == ("SUCCEEDED", "top", None)
    assert [step["__typename"] for step in shown["steps"]["nodes"]] == [
        "ModelCallStep",
        "DelegationStep",
        "ModelCallStep",
    ]
    assert shown["steps"]["nodes"][1]["child"] == {
        "id": child["id"],
        "output": "middle",
        "parent": {"id": run["id"]},
    }
    assert (child["agent"]["slug"], child["depth"]) == ("b", 1)
    assert (grandchild["agent"]["slug"], grandchild["depth"]) == ("c", 2)
    assert shown["usage"] == {"outputTokens": 4}
    assert shown["totalUsage"] == {"outputTokens": 8, "modelCalls": 5}


async def test_a_call_that_began_no_run_is_the_call_of_a_tool(world: ApiWorld):
    run = await world.execute(delegate(ask("nobody")), say("alone"), agent={"slug": "a"})

    shown = (await world.ask(RUN, id=run["id"]))["run"]

    step = shown["steps"]["nodes"][1]
    assert (step["__typename"], step["toolName"]) == ("ToolCallStep", "delegate")
    assert step["arguments"] == {"agent": "nobody", "instruction": "do it"}
    assert (step["status"], step["error"]) == (
        "FAILED",
        {
            "code": "TOOL_FAILED",
            "message": "UNKNOWN_AGENT: The agent 'nobody' is not known. You can ask: b.",
        },
    )
    assert shown["children"]["nodes"] == []


async def test_a_call_that_waits_for_its_turn_has_no_run_yet(world: ApiWorld):
    world.runs.model.script(delegate(ask("b", "one"), ask("b", "two")))
    world.runs.queue.deliver = None
    given = {"agent": {"slug": "a"}, "limits": {"maxParallelDelegations": 1}, "waitSeconds": 0}
    run = await world.execute(**given)
    world.runs.model.script(say("one"), say("two"), say("both"))
    [(_, run_id)] = world.runs.queue.hints
    await world.runs.work_off(world.runner, run_id)

    shown = (await world.ask(RUN, id=run["id"]))["run"]

    assert [(step["__typename"], step["status"]) for step in shown["steps"]["nodes"]] == [
        ("ModelCallStep", "SUCCEEDED"),
        ("DelegationStep", "RUNNING"),
        ("ToolCallStep", "RUNNING"),
    ]
    assert len(shown["children"]["nodes"]) == 1


async def listened(
    world: ApiWorld, run_id: str, *, below: bool = True, after: str | None = None
) -> list[dict[str, Any]]:
    events = await world.listen(EVENTS, runId=run_id, below=below, after=after)
    return [event["runEvents"] for event in events]


async def test_a_stream_with_all_below_tells_the_same_live_and_replayed(world: ApiWorld):
    world.runs.queue.deliver, deliver = None, world.runs.queue.deliver
    run = await world.execute(*THREE_LEVELS, agent={"slug": "a"}, waitSeconds=0)
    listening = asyncio.create_task(listened(world, run["id"]))
    world.runs.queue.deliver = deliver
    assert deliver is not None
    deliver(world.runs.queue.hints[0][1])

    live = await listening
    replayed = await listened(world, run["id"])

    told = [(event["depth"], event["__typename"]) for event in replayed if "seq" in event]
    assert live == replayed
    assert [each for each in told if "Usage" not in each[1]] == [
        (0, "RunStarted"),
        (0, "DelegationStarted"),
        (1, "RunStarted"),
        (1, "DelegationStarted"),
        (2, "RunStarted"),
        (2, "TokenDelta"),
        (2, "RunFinished"),
        (1, "DelegationFinished"),
        (1, "TokenDelta"),
        (1, "RunFinished"),
        (0, "DelegationFinished"),
        (0, "TokenDelta"),
        (0, "RunFinished"),
    ]
    assert [event["usage"]["modelCalls"] for event in replayed if "usage" in event] == [1, 3, 5]
    after = live[5]["cursor"]
    assert await listened(world, run["id"], after=after) == live[6:]


async def test_a_stream_of_one_run_leaves_out_what_is_below(world: ApiWorld):
    run = await world.execute(*THREE_LEVELS, agent={"slug": "a"})

    events = await listened(world, run["id"], below=False)

    assert {event["runId"] for event in events} == {run["id"]}
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    begun = next(event for event in events if event["__typename"] == "DelegationStarted")
    ended = next(event for event in events if event["__typename"] == "DelegationFinished")
    assert begun["child"] == {"agent": {"slug": "b"}}
    assert ended["child"] == {"agent": {"slug": "b"}, "status": "SUCCEEDED"}
    assert begun["stepId"] == ended["stepId"]


async def test_what_is_below_is_found_among_all_runs_and_can_be_left_out(world: ApiWorld):
    run = await world.execute(*THREE_LEVELS, agent={"slug": "a"})
    document = "query ($f: RunFilter) { runs(filter: $f) { nodes { id depth } } }"

    everything = (await world.ask(document, f={}))["runs"]["nodes"]
    top = (await world.ask(document, f={"topLevel": True}))["runs"]["nodes"]

    assert sorted(node["depth"] for node in everything) == [0, 1, 2]
    assert top == [{"id": run["id"], "depth": 0}]


async def test_an_agent_is_no_delegate_of_its_own(world: ApiWorld):
    agents = await world.ask("{ agents { nodes { id slug delegates { slug } } } }")
    ids = {node["slug"]: node["id"] for node in agents["agents"]["nodes"]}
    values = {"agentId": ids["a"], "delegateIds": [ids["b"], ids["a"]]}

    refused = (await world.ask(UPDATE, input=values))["updateAgent"]

    assert refused == {
        "__typename": "ValidationFailed",
        "code": "VALIDATION_FAILED",
        "path": ["delegateIds", "1"],
        "message": "delegateIds.1: An agent cannot hand work to itself; leave it out.",
    }
    assert await world.ask("{ agents { nodes { id slug delegates { slug } } } }") == agents


async def test_who_may_not_see_runs_sees_no_child(world: ApiWorld):
    run = await world.execute(*THREE_LEVELS, agent={"slug": "a"})

    response = await world.answer(RUN, caller=world.caller(Scope.AGENTS_READ), id=run["id"])

    assert response["data"]["run"] is None
    assert response["errors"][0]["extensions"]["code"] == "FORBIDDEN"
