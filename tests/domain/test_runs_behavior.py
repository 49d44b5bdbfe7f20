"""Behavior in runs: in the words of the next model call, and recorded on each step."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import orjson
import pytest

from domain.behavior.rows import BehaviorProfileRow
from domain.behavior.rules import read
from domain.behavior.service import Adjusted
from domain.kernel.database import Database, Statement
from domain.models.ports import TextDelta
from domain.runs.guidance import MOST_KEPT, OPENING, Guidance
from tests.domain.approval_world import add_rules, tool_rule
from tests.domain.behavior_world import HOUR_US
from tests.fakes import Gate, call, say
from tests.run_world import LEASE_S, RunWorld, run_world


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[RunWorld, None]:
    """A world on each database."""
    async with run_world(database) as built:
        yield built


async def adjust(world: RunWorld, *statements: str, **more: Any) -> Adjusted:
    rules = [{"statement": statement, **more} for statement in statements]
    return await world.behavior.adjust(world.principal, {"add": rules})


async def version_id(world: RunWorld) -> str | None:
    profile = await world.behavior.profile(world.principal)
    assert profile is not None
    return profile.version_id


def system_of(world: RunWorld, request: int) -> str:
    """The system message of a request; there is never more than one, and it comes first."""
    first, *others = world.model.requests[request].messages
    assert "system" not in {message.role for message in others}
    return first.content if first.role == "system" else ""


async def recorded(world: RunWorld, run_id: str) -> list[str | None]:
    return [step.behavior_version_id for step in await world.steps(run_id)]


async def test_rules_are_added_to_the_standing_instructions_strongest_first(
    world: RunWorld,
) -> None:
    await adjust(world, "Be brief.", "Say\nwhy.")
    await adjust(world, "Ask before you pay.", priority=90)
    world.model.script(say("ok"))
    run_id = await world.accept()

    async with world.process() as runner:
        await world.work_off(runner, run_id)

    standing, _, rules = system_of(world, 0).partition("\n\n")
    assert standing.startswith("Carry out the instruction.")
    assert rules == f"{OPENING}\n- Ask before you pay.\n- Be brief.\n- Say\n  why."
    assert await recorded(world, run_id) == [await version_id(world)]


async def test_an_agent_without_instructions_is_given_the_rules_alone(world: RunWorld) -> None:
    await adjust(world, "Be brief.")
    await world.agents.create(world.principal, {"name": "Bare", "slug": "bare"})
    world.model.script(say("ok"))
    run_id = await world.accept(agent={"slug": "bare"})

    async with world.process() as runner:
        await world.work_off(runner, run_id)

    assert system_of(world, 0) == f"{OPENING}\n- Be brief."


async def test_without_rules_nothing_is_added_and_no_version_recorded(world: RunWorld) -> None:
    world.model.script(say("ok"))
    run_id = await world.accept()

    async with world.process() as runner:
        await world.work_off(runner, run_id)

    assert system_of(world, 0).endswith("what you could not do.")
    assert await recorded(world, run_id) == [None]


async def test_rules_adjusted_during_a_call_are_in_the_next_step(world: RunWorld) -> None:
    await adjust(world, "Be brief.")
    before = await version_id(world)
    gate = world.effects.gate = Gate()
    world.model.script(call("note", '{"text": "a"}'), say("done"))
    run_id = await world.accept()

    async with world.process() as runner:
        await runner.execute(run_id)
        async with asyncio.timeout(20):
            await gate.reached.wait()
        await adjust(world, "Rhyme.")
        gate.opened.set()
        row = await world.work_off(runner, run_id)

    assert row.status == "SUCCEEDED"
    assert system_of(world, 0).endswith(f"\n\n{OPENING}\n- Be brief.")
    assert system_of(world, 1).endswith(f"\n\n{OPENING}\n- Be brief.\n- Rhyme.")
    after = await version_id(world)
    assert after != before
    assert await recorded(world, run_id) == [before, before, after]


async def test_a_run_begun_for_a_caller_has_the_rules_in_its_first_step(world: RunWorld) -> None:
    await adjust(world, "Be brief.")
    world.model.script(say("ok"))

    async with world.process() as runner:
        values = {"agent": {"slug": "default"}, "instruction": "go", "waitSeconds": 10}
        done = await world.service(runner).execute(world.principal, values)

    assert done.row.status == "SUCCEEDED"
    assert system_of(world, 0).endswith("- Be brief.")
    assert await recorded(world, done.row.id) == [await version_id(world)]


async def test_a_step_that_is_repeated_follows_the_rules_of_its_repetition(
    world: RunWorld,
) -> None:
    await adjust(world, "Be brief.")
    before = await version_id(world)
    gate = Gate()
    world.model.script([TextDelta("lost"), gate], say("kept"))
    async with world.process(stalled=True) as first, world.process() as second:
        run_id = await world.accept()
        await first.execute(run_id)
        async with asyncio.timeout(20):
            await gate.reached.wait()

        await adjust(world, "Rhyme.")
        world.clock.move(LEASE_S + 1)
        expired = "UPDATE run SET lease_until = 1 WHERE id = $1"
        await world.database.write([Statement(expired, (run_id,))])
        row = await world.work_off(second, run_id)

    assert row.output == "kept"
    assert system_of(world, 1).endswith("- Be brief.\n- Rhyme.")
    assert await recorded(world, run_id) == [before, await version_id(world)]


async def test_a_rule_that_expires_during_a_run_is_left_out_of_its_next_step(
    world: RunWorld,
) -> None:
    await adjust(world, "Be quick today.", expiresAt=world.clock.now_us() + HOUR_US)
    await adjust(world, "Be brief.", priority=10)
    gate = world.effects.gate = Gate()
    world.model.script(call("note", '{"text": "a"}'), call("note", '{"text": "b"}'), say("done"))
    agent = await world.agents.create(
        world.principal, {"name": "Patient", "limits": {"maxSeconds": 86_400}}
    )
    run_id = await world.accept(agent={"id": agent.id})

    async with world.process() as runner:
        await runner.execute(run_id)
        async with asyncio.timeout(20):
            await gate.reached.wait()
        world.effects.gate = None
        world.clock.move(3600)
        gate.opened.set()
        row = await world.work_off(runner, run_id)

    assert row.status == "SUCCEEDED"
    assert system_of(world, 0) == f"{OPENING}\n- Be quick today.\n- Be brief."
    assert system_of(world, 1) == system_of(world, 2) == f"{OPENING}\n- Be brief."
    assert len(set(await recorded(world, run_id))) == 1


async def test_rules_that_were_taken_back_are_gone_from_the_next_run(world: RunWorld) -> None:
    await adjust(world, "Be brief.")
    await world.behavior.rollback(world.principal, {"toVersion": 0})
    world.model.script(say("ok"))
    run_id = await world.accept()

    async with world.process() as runner:
        await world.work_off(runner, run_id)

    assert OPENING not in system_of(world, 0)
    version = await world.behavior.version(world.principal, (await version_id(world)) or "")
    assert version is not None
    assert read(version.rules) == ()
    assert await recorded(world, run_id) == [version.id]


async def test_only_the_latest_versions_are_kept_at_hand(world: RunWorld) -> None:
    guidance = Guidance(world.database, world.clock)
    versions: list[str] = []
    for number in range(MOST_KEPT + 2):
        done = await adjust(world, f"rule {number}")
        assert done.version_row is not None
        versions.append(done.version_row.id)

    words = [await guidance.words(version) for version in versions]
    again = await guidance.words(versions[0])

    assert again == words[0] == f"{OPENING}\n- rule 0"
    assert len(guidance._known) == MOST_KEPT


async def own_profile(world: RunWorld, *rules: dict[str, Any]) -> BehaviorProfileRow:
    """Make a profile of these rules, and the agent `careful` that has it."""
    made = await world.behavior.create(world.principal, {"name": "careful"})
    values = {"name": "Careful", "slug": "careful", "behaviorProfileId": made.id}
    await world.agents.create(world.principal, values)
    patch = {"profileId": made.id, "add": list(rules)}
    return (await world.behavior.adjust(world.principal, patch)).profile_row


async def both_recorded(world: RunWorld, run_id: str) -> list[tuple[str | None, str | None]]:
    return [
        (step.behavior_version_id, step.agent_behavior_version_id)
        for step in await world.steps(run_id)
    ]


async def test_an_agent_is_told_the_rules_of_its_own_profile_beside_the_workspaces(
    world: RunWorld,
) -> None:
    await adjust(world, "Be brief.", "Say why.")
    deny = {"tool": {"decision": "DENY", "tools": ["mail_*"]}}
    own = await own_profile(
        world,
        {"statement": "Rhyme.", "priority": 70},
        {"statement": "No mail.", "effect": deny},
        {"statement": "Sing."},
    )
    world.model.script(call("note", '{"text": "a"}'), say("done"), say("other"))
    run_id = await world.accept(agent={"slug": "careful"})
    other_id = await world.accept()

    async with world.process() as runner:
        await world.work_off(runner, run_id)
        await world.work_off(runner, other_id)

    ours = await version_id(world)
    assert system_of(world, 0) == (
        f"{OPENING}\n- Rhyme.\n- No mail. (enforced)\n- Be brief.\n- Say why.\n- Sing."
    )
    assert system_of(world, 1) == system_of(world, 0)
    assert system_of(world, 2).endswith(f"{OPENING}\n- Be brief.\n- Say why.")
    assert await both_recorded(world, run_id) == [(ours, own.version_id)] * 3
    assert await both_recorded(world, other_id) == [(ours, None)]
    followed = await world.service(None).behavior_of(world.principal, [run_id, other_id])
    assert followed == {run_id: (ours, own.version_id), other_id: (ours,)}


async def test_a_run_begun_for_a_caller_has_its_agents_rules_in_its_first_step(
    world: RunWorld,
) -> None:
    own = await own_profile(world, {"statement": "Rhyme."})
    world.model.script(say("ok"))

    async with world.process() as runner:
        values = {"agent": {"slug": "careful"}, "instruction": "go", "waitSeconds": 10}
        done = await world.service(runner).execute(world.principal, values)

    assert system_of(world, 0) == f"{OPENING}\n- Rhyme."
    assert await both_recorded(world, done.row.id) == [(None, own.version_id)]


async def test_a_profile_that_is_the_workspaces_too_counts_once(world: RunWorld) -> None:
    own = await own_profile(world, {"statement": "Rhyme."})
    await world.behavior.activate(world.principal, own.id)
    world.model.script(say("ok"))
    run_id = await world.accept(agent={"slug": "careful"})

    async with world.process() as runner:
        await world.work_off(runner, run_id)

    assert system_of(world, 0) == f"{OPENING}\n- Rhyme."
    assert await both_recorded(world, run_id) == [(own.version_id, None)]


async def test_what_is_put_in_force_or_adjusted_during_a_call_is_in_the_next_step(
    world: RunWorld,
) -> None:
    await adjust(world, "Be brief.")
    before = await version_id(world)
    own = await own_profile(world, {"statement": "Rhyme."})
    gate = world.effects.gate = Gate()
    world.model.script(call("note", '{"text": "a"}'), say("done"))
    run_id = await world.accept(agent={"slug": "careful"})

    async with world.process() as runner:
        await runner.execute(run_id)
        async with asyncio.timeout(20):
            await gate.reached.wait()
        other = await world.behavior.create(world.principal, {"name": "other"})
        patch = {"profileId": other.id, "add": [{"statement": "Be long."}]}
        await world.behavior.adjust(world.principal, patch)
        now = await world.behavior.activate(world.principal, other.id)
        patch = {"profileId": own.id, "add": [{"statement": "Sing."}]}
        sung = (await world.behavior.adjust(world.principal, patch)).profile_row
        gate.opened.set()
        await world.work_off(runner, run_id)

    assert system_of(world, 0) == f"{OPENING}\n- Be brief.\n- Rhyme."
    assert system_of(world, 1) == f"{OPENING}\n- Be long.\n- Rhyme.\n- Sing."
    assert await both_recorded(world, run_id) == [
        (before, own.version_id),
        (before, own.version_id),
        (now.version_id, sung.version_id),
    ]


@pytest.mark.parametrize("with_workspace", [True, False])
async def test_a_pinned_run_follows_the_versions_it_is_pinned_to(
    world: RunWorld, with_workspace: bool
) -> None:
    await adjust(world, "Be brief.")
    ours = await version_id(world) if with_workspace else None
    own = await own_profile(world, {"statement": "Rhyme."})
    await adjust(world, "Later.")
    patch = {"profileId": own.id, "add": [{"statement": "Later too."}]}
    await world.behavior.adjust(world.principal, patch)
    world.model.script(call("note", '{"text": "a"}'), say("done"))
    run_id = await world.accept(agent={"slug": "careful"})
    pin = orjson.dumps([ours, own.version_id]).decode()
    sql = "UPDATE run SET behavior_pin = $2 WHERE id = $1"
    await world.database.write([Statement(sql, (run_id, pin))])

    async with world.process() as runner:
        await world.work_off(runner, run_id)

    first = "\n- Be brief." if with_workspace else ""
    assert system_of(world, 0) == system_of(world, 1) == f"{OPENING}{first}\n- Rhyme."
    assert await both_recorded(world, run_id) == [(ours, own.version_id)] * 3


async def test_a_run_is_bound_by_its_agents_profile_also_when_that_is_deleted_meanwhile(
    world: RunWorld,
) -> None:
    own = await own_profile(world, {"statement": "Rhyme."})
    world.model.script(say("ok"))
    run_id = await world.accept(agent={"slug": "careful"})
    agent = await world.agents.agent(world.principal, slug="careful")
    assert agent is not None
    await world.agents.update(world.principal, agent.id, {"behaviorProfileId": None})
    await world.behavior.delete(world.principal, own.id)

    async with world.process() as runner:
        await world.work_off(runner, run_id)

    assert system_of(world, 0) == f"{OPENING}\n- Rhyme."
    assert await both_recorded(world, run_id) == [(None, own.version_id)]


async def test_a_run_at_work_obeys_a_new_denial_at_its_next_call(world: RunWorld) -> None:
    gate = Gate()
    pay = call("pay", '{"amount": 5}')
    world.model.script(pay, [gate, *pay], say("done"))
    async with world.process() as runner:
        run_id = await world.accept()
        await runner.execute(run_id)
        await gate.reached.wait()
        held = runner.held(run_id)
        assert held is not None

        await add_rules(world, tool_rule("DENY", "pay"))
        gate.opened.set()
        await held.done.wait()

    steps = await world.steps(run_id)
    assert [(step.name, step.status) for step in steps if step.kind == "TOOL_CALL"] == [
        ("pay", "SUCCEEDED"),
        ("pay", "DENIED"),
    ]
    assert world.effects.done == ["pay 5"]
    assert (await world.row(run_id)).status == "SUCCEEDED"
