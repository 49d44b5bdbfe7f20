"""Approvals through the API: asked, listed, watched and decided."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from domain.access.scopes import Scope
from schema.ids import Kind, encode_id
from tests.api.api_world import ApiWorld, api_world
from tests.fakes import call, say

UNKNOWN = encode_id(Kind.APPROVAL, "019aabcd-ef12-7456-9abc-def012345678")
ADJUST = """
mutation ($input: AdjustBehaviorInput!) {
  adjustBehavior(input: $input) { __typename ... on Error { message } }
}
"""
EXECUTE = """
mutation ($input: ExecuteAgentInput!) {
  executeAgent(input: $input) { ... on RunSuccess { run { id } } ... on Error { message } }
}
"""
APPROVALS = """
query ($filter: ApprovalFilter, $order: TimeOrder = OLDEST_FIRST) {
  approvals(filter: $filter, orderBy: $order) {
    totalCount
    nodes {
      id status toolName arguments reason sideEffect expiresAt requestedAt decidedBy scope
      rule { statement priority } run { id status approvals { id } }
      step { id status toolName approval { id } }
    }
  }
}
"""
DECIDE = """
mutation ($input: DecideApprovalInput!) {
  decideApproval(input: $input) {
    __typename
    ... on DecideApprovalSuccess {
      approval { id status scope decidedBy decisionReason } rule { statement priority }
    }
    ... on Error { code message path }
    ... on ValidationFailed { fields { path message } }
    ... on Conflict { conflicting { __typename id } }
    ... on Forbidden { requiredScope }
    ... on NotFound { id }
  }
}
"""
REQUESTS = """
subscription ($after: String) {
  approvalRequests(after: $after) {
    __typename
    ... on ApprovalRequested { runId approval { toolName arguments } }
    ... on ApprovalResolved { runId approval { status decidedBy } }
  }
}
"""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[ApiWorld, None]:
    async with api_world(tmp_path) as built:
        rule = {"statement": "Ask before paying.", "priority": 60}
        asks = {"effect": {"tool": {"decision": "ASK", "tools": ["pay"]}}}
        await built.ask(ADJUST, input={"add": [{**rule, **asks}]})
        yield built


async def waiting(world: ApiWorld) -> str:
    """Start a run that asks, and return its id once it waits."""
    world.runs.model.script(call("pay", '{"amount": 5}'), say("done"))
    given = {"agent": {"slug": "default"}, "instruction": "pay"}
    run_id = (await world.ask(EXECUTE, input=given))["executeAgent"]["run"]["id"]
    await go_on(world)
    return run_id


async def go_on(world: ApiWorld) -> None:
    """Deliver the latest hint, as the queue would."""
    _, raw = world.runs.queue.hints[-1]
    await world.runs.work_off(world.runner, raw)


async def decide(world: ApiWorld, approval_id: str, **given: Any) -> dict[str, Any]:
    values = {"approvalId": approval_id, "decision": "APPROVE", **given}
    return (await world.ask(DECIDE, input=values))["decideApproval"]


async def pending(world: ApiWorld, **narrow: Any) -> dict[str, Any]:
    given = {"statuses": ["PENDING"], **narrow}
    return (await world.ask(APPROVALS, filter=given))["approvals"]


async def test_a_question_is_listed_with_its_run_its_call_and_its_rule(world: ApiWorld):
    run_id = await waiting(world)

    found = await pending(world, runId=run_id)

    assert found["totalCount"] == 1
    [node] = found["nodes"]
    assert (node["status"], node["toolName"], node["arguments"]) == (
        "PENDING",
        "pay",
        {"amount": 5},
    )
    assert node["reason"] == (
        "The rule 'Ask before paying.' (priority 60) asks a person before pay is called."
    )
    assert node["rule"] == {"statement": "Ask before paying.", "priority": 60}
    assert (node["sideEffect"], node["decidedBy"], node["scope"]) == ("WRITE", None, None)
    assert node["run"] == {
        "id": run_id,
        "status": "WAITING_APPROVAL",
        "approvals": [{"id": node["id"]}],
    }
    step = node["step"]
    assert (step["status"], step["toolName"]) == ("WAITING_APPROVAL", "pay")
    assert step["approval"] == {"id": node["id"]}


async def test_a_decision_lets_the_run_go_on(world: ApiWorld):
    await waiting(world)
    [node] = (await pending(world))["nodes"]

    decided = await decide(world, node["id"], reason="Fine.")
    await go_on(world)

    assert decided == {
        "__typename": "DecideApprovalSuccess",
        "approval": {
            "id": node["id"],
            "status": "APPROVED",
            "scope": "ONCE",
            "decidedBy": "tester",
            "decisionReason": "Fine.",
        },
        "rule": None,
    }
    assert world.runs.effects.done == ["pay 5"]
    assert (await pending(world))["totalCount"] == 0


async def test_always_answers_with_the_rule_that_was_added(world: ApiWorld):
    await waiting(world)
    [node] = (await pending(world))["nodes"]

    decided = await decide(world, node["id"], scope="ALWAYS")

    assert decided["rule"] == {"statement": "Call pay without asking.", "priority": 61}


async def test_a_second_decision_names_the_approval_that_stands_in_its_way(world: ApiWorld):
    await waiting(world)
    [node] = (await pending(world))["nodes"]
    await decide(world, node["id"], decision="DENY")

    refused = await decide(world, node["id"])

    assert refused == {
        "__typename": "Conflict",
        "code": "INVALID_STATE",
        "message": "The approval was denied already.",
        "path": ["approvalId"],
        "conflicting": {"__typename": "Approval", "id": node["id"]},
    }


async def test_arguments_that_the_tool_does_not_take_are_named_one_by_one(world: ApiWorld):
    await waiting(world)
    [node] = (await pending(world))["nodes"]

    refused = await decide(world, node["id"], arguments={"amount": "much", "amonut": 5})

    assert refused["__typename"] == "ValidationFailed"
    assert [field["path"] for field in refused["fields"]] == [
        ["arguments", "amount"],
        ["arguments", "amonut"],
    ]
    assert (await pending(world))["totalCount"] == 1


async def test_an_unknown_approval_is_not_found(world: ApiWorld):
    refused = await decide(world, UNKNOWN)

    assert (refused["__typename"], refused["id"]) == ("NotFound", UNKNOWN)


async def test_silence_shows_as_expired_before_the_run_knows(world: ApiWorld):
    await waiting(world)
    world.runs.clock.move(3600)

    found = (await world.ask(APPROVALS, filter={"statuses": ["EXPIRED"]}))["approvals"]

    assert [node["status"] for node in found["nodes"]] == ["EXPIRED"]
    assert (await pending(world))["totalCount"] == 0


async def test_the_order_is_by_the_time_asked(world: ApiWorld):
    first = await waiting(world)
    world.runs.clock.move(1)
    world.runs.model.scripts.clear()
    second = await waiting(world)

    oldest = (await world.ask(APPROVALS))["approvals"]["nodes"]
    newest = (await world.ask(APPROVALS, order="NEWEST_FIRST"))["approvals"]["nodes"]

    assert [node["run"]["id"] for node in oldest] == [first, second]
    assert newest == oldest[::-1]


async def test_questions_and_answers_are_streamed(world: ApiWorld):
    async with world.following(REQUESTS) as events:
        assert (await anext(events))["approvalRequests"]["__typename"] == "Heartbeat"
        run_id = await waiting(world)
        asked = (await anext(events))["approvalRequests"]
        [node] = (await pending(world))["nodes"]
        await decide(world, node["id"])
        await go_on(world)
        resolved = (await anext(events))["approvalRequests"]

    assert asked == {
        "__typename": "ApprovalRequested",
        "runId": run_id,
        "approval": {"toolName": "pay", "arguments": {"amount": 5}},
    }
    assert resolved == {
        "__typename": "ApprovalResolved",
        "runId": run_id,
        "approval": {"status": "APPROVED", "decidedBy": "tester"},
    }


async def test_deciding_needs_its_own_scope(world: ApiWorld):
    await waiting(world)
    [node] = (await pending(world))["nodes"]
    caller = world.caller(Scope.RUNS_READ, Scope.RUNS_EXECUTE)
    values = {"approvalId": node["id"], "decision": "APPROVE"}

    refused = (await world.ask(DECIDE, caller=caller, input=values))["decideApproval"]

    assert (refused["__typename"], refused["requiredScope"]) == ("Forbidden", "RUNS_APPROVE")


async def test_an_agent_is_not_shown_tools_that_a_rule_denies_it(world: ApiWorld):
    denies = {"effect": {"tool": {"decision": "DENY", "tools": ["n*"]}}}
    await world.ask(ADJUST, input={"add": [{"statement": "No notes.", **denies}]})

    shown = await world.ask(
        '{ agent(by: { slug: "default" }) { tools { totalCount nodes { name } } } }'
    )

    assert shown["agent"]["tools"]["nodes"] == [{"name": "pay"}]
    assert shown["agent"]["tools"]["totalCount"] == 1


async def test_a_tool_tells_what_happens_without_a_rule(world: ApiWorld):
    shown = await world.ask('{ tool(name: "pay") { approvalDefault } }')

    assert shown["tool"] == {"approvalDefault": "ALLOW"}
