"""What an agent that is handed work may do without a question: no more than who handed it on."""

from collections.abc import AsyncGenerator

import pytest

from domain.kernel.database import Database
from domain.kernel.errors import ValidationFailed
from tests.domain.approval_world import add_rules, asked, decide, risky_tools, told, tool_rule
from tests.domain.delegation_world import Family, ask, delegate
from tests.fakes import call, say
from tests.run_world import run_world

SEND = call("send", '{"text": "keys"}')


@pytest.fixture
async def family(database: Database) -> AsyncGenerator[Family, None]:
    """A boss, and a mailer whose own profile lets it send without a question."""
    async with run_world(database) as world:
        world.tools = risky_tools
        built = Family(world=world)
        profile = await world.behavior.create(world.principal, {"name": "mailer"})
        rule = tool_rule("ALLOW", "send", priority=90)
        await add_rules(world, rule, profileId=profile.id)
        await built.agent("mailer", SEND, say("sent"), behaviorProfileId=profile.id)
        yield built


async def test_an_agent_that_may_send_is_asked_about_where_who_asked_it_is_not_trusted(
    family: Family,
) -> None:
    fetch = call("fetch", '{"page": "p"}')
    await family.agent("boss", fetch, delegate(ask("mailer")), asks=["mailer"])
    async with family.world.process() as runner:
        run_id = await family.accept("boss")
        await family.world.work_off(runner, run_id)
        [child] = await family.children(run_id)
        child = await family.world.work_off(runner, child.id)

    assert (child.status, bool(child.tainted)) == ("WAITING_APPROVAL", True)
    assert family.world.effects.done == ["fetch p"]


async def test_a_delegated_run_that_is_tried_again_asks_as_it_did_before(family: Family) -> None:
    world = family.world
    await add_rules(world, tool_rule("ASK", "send"))
    await family.agent("boss", delegate(ask("mailer")), say("done"), asks=["mailer"])
    family.models["mailer"].script(SEND, say("sent"))
    async with world.process() as runner:
        run_id = await family.accept("boss")
        await world.work_off(runner, run_id)
        [child] = await family.children(run_id)
        await world.work_off(runner, child.id)
        await decide(world, (await asked(world, child.id))[0], "DENY")
        assert (await world.work_off(runner, child.id)).status == "SUCCEEDED"
        again = await world.service(None).retry(world.principal, child.id, {})

        row = await world.work_off(runner, again.row.id)

    assert (row.status, row.depth, world.effects.done) == ("WAITING_APPROVAL", 0, [])


async def test_work_that_waits_for_its_turn_obeys_a_rule_made_meanwhile(family: Family) -> None:
    world = family.world
    two = delegate(ask("mailer"), ask("mailer"))
    await family.agent(
        "boss", two, say("done"), asks=["mailer"], limits={"maxParallelDelegations": 1}
    )
    async with world.process() as runner:
        run_id = await family.accept("boss")
        await world.work_off(runner, run_id)
        await add_rules(world, tool_rule("DENY", "delegate"))
        [child] = await family.children(run_id)
        await world.work_off(runner, child.id)

        row = await world.work_off(runner, run_id)

    assert (row.status, len(await family.children(run_id))) == ("SUCCEEDED", 1)
    steps = await world.steps(run_id)
    assert [(step.status, step.error_code) for step in steps[1:3]] == [
        ("SUCCEEDED", None),
        ("DENIED", "POLICY_DENIED"),
    ]
    assert await told(world, run_id, "ToolCallFinished", "DelegationFinished") == [
        "DelegationFinished",
        "ToolCallFinished",
    ]


async def test_who_is_asked_about_a_delegation_may_change_what_is_asked_for(
    family: Family,
) -> None:
    world = family.world
    await add_rules(world, tool_rule("ASK", "delegate"))
    await family.agent("boss", delegate(ask("mailer")), say("done"), asks=["mailer"])
    async with world.process() as runner:
        run_id = await family.accept("boss")
        await world.work_off(runner, run_id)
        [approval] = await asked(world, run_id)
        with pytest.raises(ValidationFailed) as refused:
            await decide(world, approval, "APPROVE", arguments={"agent": "mailer"})
        assert [each.path for each in refused.value.problems] == [("arguments",)]
        assert (await asked(world, run_id))[0].status == "PENDING"

        edited = {"agent": "mailer", "instruction": "send nothing"}
        await decide(world, approval, "APPROVE", arguments=edited)
        await world.work_off(runner, run_id)

    [child] = await family.children(run_id)
    assert child.instruction == "send nothing"
