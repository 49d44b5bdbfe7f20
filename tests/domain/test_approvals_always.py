"""Decisions for always: a rule of the agent's own profile, in the commit of the decision."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest

from domain.access.scopes import Scope
from domain.behavior.rules import Rule, ToolDecision, ToolEffect, read
from domain.kernel.database import Database
from domain.kernel.errors import Conflict, Forbidden
from tests.domain.approval_world import add_rules, asked, decide, risky_tools, tool_rule
from tests.fakes import call, say
from tests.run_world import RunWorld, run_world

ERASE = call("erase", '{"path": "a.txt"}')


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[RunWorld, None]:
    """A world on each database, whose tools ask."""
    async with run_world(database) as built:
        built.tools = risky_tools
        yield built


async def run_once(world: RunWorld, *, answer: Any = ERASE) -> tuple[str, str]:
    """Let the default agent erase; id and state of its run."""
    world.model.script(answer, say("done"))
    async with world.process() as runner:
        row = await world.work_off(runner, await world.accept())
    return row.id, row.status


async def go_on(world: RunWorld, run_id: str) -> str:
    """Let another process take the run up; its state afterwards."""
    async with world.process() as runner:
        return (await world.work_off(runner, run_id)).status


async def own_rules(world: RunWorld) -> tuple[str, list[Rule]]:
    """The name and the rules of the default agent's own profile."""
    agent = await world.agents.ensure_default(world.principal.workspace_id)
    profile = await world.behavior.profile(world.principal, agent.settings["behaviorProfileId"])
    assert profile is not None
    assert profile.version_id is not None
    version = await world.behavior.version(world.principal, profile.version_id)
    assert version is not None
    return profile.name, list(read(version.rules))


async def everything(world: RunWorld) -> list[Any]:
    """What a refused decision must not change."""
    tables = ("approval", "behavior_profile", "behavior_version", "agent", "agent_version", "audit")
    return [await world.database.fetch(f"SELECT * FROM {table} ORDER BY id") for table in tables]


async def test_approved_for_always_is_a_rule_of_a_profile_made_for_the_agent(world: RunWorld):
    run_id, _ = await run_once(world)
    [approval] = await asked(world, run_id)

    decided = await decide(world, approval, "APPROVE", scope="ALWAYS")

    name, [rule] = await own_rules(world)
    assert decided.rule == rule
    assert (name, rule.statement, rule.priority, rule.created_by) == (
        "Approvals of default",
        "Call erase without asking.",
        50,
        "tester",
    )
    assert rule.effect == ToolEffect(decision=ToolDecision.ALLOW, tools=("erase",))
    assert await go_on(world, run_id) == "SUCCEEDED"
    assert (await run_once(world))[1] == "SUCCEEDED"
    assert world.effects.done == ["erase a.txt"] * 2
    agent = await world.agents.ensure_default(world.principal.workspace_id)
    assert agent.version == 2


async def test_denied_for_always_is_a_rule_that_forbids(world: RunWorld):
    run_id, _ = await run_once(world)
    [approval] = await asked(world, run_id)

    await decide(world, approval, "DENY", scope="ALWAYS")

    _, [rule] = await own_rules(world)
    assert rule.effect == ToolEffect(decision=ToolDecision.DENY, tools=("erase",))
    assert await go_on(world, run_id) == "SUCCEEDED"
    later, status = await run_once(world)
    assert (status, world.effects.done) == ("SUCCEEDED", [])
    assert (await world.steps(later))[1].error_code == "POLICY_DENIED"


async def test_the_rule_stands_one_above_the_one_that_asks(world: RunWorld):
    await add_rules(world, tool_rule("ASK", "*", priority=70))
    run_id, _ = await run_once(world)
    [approval] = await asked(world, run_id)

    decided = await decide(world, approval, "APPROVE", scope="ALWAYS")

    assert await go_on(world, run_id) == "SUCCEEDED"
    assert decided.rule is not None
    assert decided.rule.priority == 71
    assert (await run_once(world))[1] == "SUCCEEDED"


async def test_decisions_for_always_gather_in_one_profile(world: RunWorld):
    await add_rules(world, tool_rule("ASK", "pay"))
    first, _ = await run_once(world)
    await decide(world, (await asked(world, first))[0], "APPROVE", scope="ALWAYS")
    await go_on(world, first)
    second, _ = await run_once(world, answer=call("pay", '{"amount": 5}'))

    await decide(world, (await asked(world, second))[0], "APPROVE", scope="ALWAYS")

    _, rules = await own_rules(world)
    assert [(rule.priority, rule.statement) for rule in rules] == [
        (51, "Call pay without asking."),
        (50, "Call erase without asking."),
    ]
    assert len(await world.behavior.profiles(world.principal)) == 2


async def test_above_the_highest_priority_no_rule_can_allow(world: RunWorld):
    await add_rules(world, tool_rule("ASK", "erase", priority=100))
    run_id, _ = await run_once(world)
    [approval] = await asked(world, run_id)
    before = await everything(world)

    with pytest.raises(Conflict, match="highest priority") as refused:
        await decide(world, approval, "APPROVE", scope="ALWAYS")

    assert refused.value.path == ("scope",)
    assert await everything(world) == before


async def test_a_decision_for_always_lifts_no_rule_that_denies_some_calls(world: RunWorld):
    dear = [{"path": "amount", "test": {"gt": 100}}]
    await add_rules(world, tool_rule("ASK", "pay"), tool_rule("DENY", "pay", when=dear))
    run_id, _ = await run_once(world, answer=call("pay", '{"amount": 5}'))
    [approval] = await asked(world, run_id)
    before = await everything(world)

    with pytest.raises(Conflict, match="give that one a priority above 50 first") as refused:
        await decide(world, approval, "APPROVE", scope="ALWAYS")

    assert refused.value.path == ("scope",)
    assert await everything(world) == before


async def test_a_tool_that_asks_by_itself_is_allowed_below_the_rules_that_deny(world: RunWorld):
    kept = [{"path": "path", "test": {"contains": "keep"}}]
    await add_rules(world, tool_rule("DENY", "erase", when=kept, priority=30))
    run_id, _ = await run_once(world)
    [approval] = await asked(world, run_id)

    decided = await decide(world, approval, "APPROVE", scope="ALWAYS")

    assert decided.rule is not None
    assert decided.rule.priority == 30
    assert await go_on(world, run_id) == "SUCCEEDED"
    later, _ = await run_once(world, answer=call("erase", '{"path": "keep.txt"}'))
    assert (await world.steps(later))[1].error_code == "POLICY_DENIED"
    assert world.effects.done == ["erase a.txt"]


async def test_denied_for_always_stands_above_what_allows_the_tool(world: RunWorld):
    await add_rules(world, tool_rule("ALLOW", "s*", priority=80))
    fetch, send = call("fetch", '{"page": "p"}'), call("send", '{"text": "k"}', ident="call_2")
    world.model.script(fetch, send, say("done"))
    async with world.process() as runner:
        row = await world.work_off(runner, await world.accept())
    [approval] = await asked(world, row.id)

    decided = await decide(world, approval, "DENY", scope="ALWAYS")

    assert decided.rule is not None
    assert decided.rule.priority == 80
    assert await go_on(world, row.id) == "SUCCEEDED"
    later, _ = await run_once(world, answer=send)
    assert (await world.steps(later))[1].error_code == "POLICY_DENIED"
    assert world.effects.done == ["fetch p"]


async def test_who_may_not_change_behavior_decides_nothing_for_always(world: RunWorld):
    run_id, _ = await run_once(world)
    [approval] = await asked(world, run_id)
    scopes = frozenset({Scope.RUNS_READ, Scope.RUNS_APPROVE})
    approver = replace(world.principal, scopes=scopes)
    before = await everything(world)
    values = {"approvalId": approval.id, "decision": "APPROVE"}

    with pytest.raises(Forbidden) as refused:
        await world.approvals().decide(approver, {**values, "scope": "ALWAYS"})

    assert refused.value.scope == "behavior:write"
    assert await everything(world) == before
    assert (await world.approvals().decide(approver, values)).row.status == "APPROVED"


async def test_who_only_starts_runs_approves_nothing(world: RunWorld):
    run_id, _ = await run_once(world)
    [approval] = await asked(world, run_id)
    starter = replace(world.principal, scopes=frozenset({Scope.RUNS_READ, Scope.RUNS_EXECUTE}))

    with pytest.raises(Forbidden) as refused:
        await world.approvals().decide(starter, {"approvalId": approval.id, "decision": "APPROVE"})

    assert refused.value.scope == "runs:approve"
    assert (await asked(world, run_id))[0].status == "PENDING"
