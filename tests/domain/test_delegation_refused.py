"""Work that is not handed over, or comes back undone: the model is told why, and goes on."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from domain.kernel.database import Database, Statement
from domain.models.ports import ModelError, ModelErrorKind, TextDelta
from tests.domain.delegation_world import Family, ask, delegate
from tests.fakes import Gate, call, say
from tests.run_world import run_world


@pytest.fixture
async def family(database: Database) -> AsyncGenerator[Family, None]:
    """A family on each database."""
    async with run_world(database) as world:
        yield Family(world=world)


async def told(family: Family, *arguments: str, **run: object) -> list[str]:
    """What the boss is told of calls that all are refused; no run was begun."""
    boss = family.models["boss"]
    boss.script(delegate(*arguments), say("alone"))

    row = await family.run("boss", **run)

    assert (row.status, row.output) == ("SUCCEEDED", "alone")
    assert await family.children(row.id) == []
    steps = await family.world.steps(row.id)
    assert [step.status for step in steps[1:-1]] == ["FAILED"] * len(arguments)
    results = [message for message in boss.requests[-1].messages if message.role == "tool"]
    assert all(message.failed for message in results)
    return [message.content for message in results]


REFUSED = {
    ask("plumber"): "UNKNOWN_AGENT: The agent 'plumber' is not known. You can ask: writer.",
    ask("default"): "NOT_ALLOWED: The agent 'default' may not be asked by this agent."
    " You can ask: writer.",
    "[]": "INVALID_ARGUMENTS: The arguments must be one JSON object.",
    '{"agent": "writer"': "INVALID_ARGUMENTS: The arguments must be one JSON object.",
    '{"agent": "writer"}': "INVALID_ARGUMENTS: instruction: Give a value",
    ask("writer", ""): "INVALID_ARGUMENTS: instruction: ",
    ask("writer", limits={"maxTokens": 0}): "BUDGET: limits.maxTokens: ",
    ask("writer", limits={"maxCostUsd": -1}): "BUDGET: limits.maxCostUsd: ",
    ask("writer", limits={"maxSeconds": "9"}): "BUDGET: limits.maxSeconds: ",
    ask("writer", limits={"maxSeconds": 901}): "BUDGET: 901 seconds are asked for, and only 900"
    " are left to give (limits.maxSeconds); ask for less, or leave it out for an equal share.",
    ask("writer", limits={"maxTokens": 995}): "BUDGET: 995 tokens are asked for, and only 994"
    " are left to give (limits.maxTokens);",
}


async def test_a_call_that_cannot_be_is_refused_in_words(family: Family) -> None:
    await family.agent("writer")
    await family.agent("boss", asks=["writer"])

    found = await told(family, *REFUSED, limits={"maxTokens": 1000})

    assert [
        words
        for words, start in zip(found, REFUSED.values(), strict=True)
        if not words.startswith(start)
    ] == []


async def test_an_archived_agent_is_not_asked(family: Family) -> None:
    await family.agent("writer")
    await family.agent("other")
    await family.agent("boss", asks=["writer", "other"])
    principal = family.world.principal
    await family.world.agents.archive(principal, family.agents["writer"].id, archived=True)

    [found] = await told(family, ask("writer"))

    assert found == "ARCHIVED: The agent 'writer' is archived. You can ask: other."


async def test_an_agent_at_work_above_is_not_asked_again(family: Family) -> None:
    await family.agent("boss")
    await family.agent("middle", asks=["boss"])
    await family.agent("last", asks=["middle", "boss"])
    await family.change("boss", delegateIds=[family.agents["middle"].id])
    await family.change("middle", delegateIds=[family.agents["last"].id])
    family.models["boss"].script(delegate(ask("middle")), say("top"))
    family.models["middle"].script(delegate(ask("last")), say("middle"))
    last = family.models["last"]
    last.script(delegate(ask("middle"), ask("boss")), say("alone"))

    row = await family.run("boss")

    results = [message.content for message in last.requests[1].messages if message.role == "tool"]
    assert row.output == "top"
    assert [each.split(".")[0] for each in results] == [
        f"CYCLE: The agent {slug!r} is at work above already and would wait for itself"
        for slug in ("middle", "boss")
    ]
    assert "delegate" not in [spec.name for spec in last.requests[0].tools]


async def test_a_chain_ends_at_its_depth(family: Family) -> None:
    await family.agent("c", say("deep"))
    b = await family.agent("b", delegate(ask("c")), say("middle"), asks=["c"])
    await family.agent("a", delegate(ask("b")), say("top"), asks=["b"])

    row = await family.run("a", limits={"maxDelegationDepth": 1})

    [middle] = await family.children(row.id)
    assert middle.spec["limits"]["maxDelegationDepth"] == 0
    assert await family.children(middle.id) == []
    assert b.requests[1].messages[-1].content == (
        "DEPTH: No deeper chain of delegations is allowed here (maxDelegationDepth);"
        " do it yourself."
    )


async def test_a_refused_call_is_told_as_the_call_of_a_tool(family: Family) -> None:
    await family.agent("writer")
    boss = await family.agent("boss", asks=["writer"])
    boss.script(delegate(ask("nobody")), say("alone"))

    row = await family.run("boss")

    events = [event for event in await family.world.events(row.id) if "ToolCall" in event.type]
    assert [event.type for event in events] == ["ToolCallStarted", "ToolCallFinished"]
    assert events[0].data["arguments"] == {"agent": "nobody", "instruction": "do it"}
    assert (events[1].data["status"], events[1].data["error"]["code"]) == ("FAILED", "TOOL_FAILED")


async def test_a_child_that_fails_is_a_failed_result(family: Family) -> None:
    await family.agent("writer", [ModelError(ModelErrorKind.UNAVAILABLE, "Down.")])
    boss = await family.agent("boss", delegate(ask("writer")), say("without"), asks=["writer"])

    row = await family.run("boss")

    [child] = await family.children(row.id)
    step = (await family.world.steps(row.id))[1]
    finished = next(
        event for event in await family.world.events(row.id) if event.type == "DelegationFinished"
    )
    assert (row.status, row.output, child.status) == ("SUCCEEDED", "without", "FAILED")
    assert (step.status, step.error_code, finished.data["status"]) == (
        "FAILED",
        "TOOL_FAILED",
        "FAILED",
    )
    assert boss.requests[1].messages[-1].content == (
        f"CHILD_FAILED: The run {child.id} of writer failed with MODEL_UNAVAILABLE: Down."
    )


async def test_a_child_that_is_cancelled_alone_is_a_failed_result(family: Family) -> None:
    await family.agent("writer")
    boss = await family.agent("boss", delegate(ask("writer")), say("without"), asks=["writer"])
    async with family.world.process() as runner:
        run_id = await family.accept("boss")
        await family.world.work_off(runner, run_id)
        [child] = await family.children(run_id)
        service = family.world.service(runner)
        await service.cancel(family.world.principal, child.id, "Not needed.")

        row = await family.world.work_off(runner, run_id)

    assert (row.status, row.output) == ("SUCCEEDED", "without")
    assert boss.requests[1].messages[-1].content == (
        f"CHILD_CANCELLED: The run {child.id} of writer cancelled: Not needed."
    )


async def test_a_cancelled_run_takes_all_below_along(family: Family) -> None:
    gate, world = Gate(), family.world
    await family.agent("deep", [TextDelta("So far"), gate])
    await family.agent("writer", delegate(ask("deep")), asks=["deep"])
    await family.agent("boss", delegate(ask("writer")), asks=["writer"])
    async with family.process() as runner:
        run_id = await family.accept("boss")
        async with asyncio.timeout(20):
            await gate.reached.wait()

        ended = await world.service(runner).cancel(world.principal, run_id, "Enough.")
        [writer] = await family.children(run_id)
        [deep] = await family.children(writer.id)
        rows = [await family.end_of(each.id) for each in (writer, deep)]

    assert [row.status for row in (ended, *rows)] == ["CANCELLED"] * 3
    assert [row.status_reason for row in (ended, *rows)] == ["Enough."] * 3
    assert rows[1].output == "So far"


async def test_a_run_that_ends_otherwise_stops_what_it_left_at_work(family: Family) -> None:
    await family.agent("deep")
    await family.agent("writer", delegate(ask("deep")), asks=["deep"])
    await family.agent("boss", delegate(ask("writer")), asks=["writer"])
    world = family.world
    async with world.process() as runner:
        run_id = await family.accept("boss")
        await world.work_off(runner, run_id)
        [writer] = await family.children(run_id)
        await world.work_off(runner, writer.id)
        [deep] = await family.children(writer.id)
        lost = Statement("UPDATE run SET losses = 3, due_at = 1 WHERE id = $1", (run_id,))
        await world.database.write([lost])

        row = await world.work_off(runner, run_id)
        ended = [await world.work_off(runner, each.id) for each in (writer, deep)]

    assert (row.status, row.error_code) == ("FAILED", "WORKER_LOST")
    assert [(each.status, each.status_reason) for each in ended] == [
        ("CANCELLED", "The run that asked for it has ended.")
    ] * 2


async def test_time_in_which_a_child_waits_for_people_is_not_the_parents(family: Family) -> None:
    await family.agent("deep", say("deep"))
    await family.agent("writer", delegate(ask("deep")), say("poem"), asks=["deep"])
    await family.agent("boss", delegate(ask("writer")), say("done"), asks=["writer"])
    world = family.world
    async with world.process() as runner:
        run_id = await family.accept("boss", limits={"maxSeconds": 60})
        await world.work_off(runner, run_id)
        [writer] = await family.children(run_id)
        await world.work_off(runner, writer.id)
        [deep] = await family.children(writer.id)
        await asked_about(family, deep.id)
        world.clock.move(3600)
        for parent_id in (writer.id, run_id):
            await due(family, parent_id)
            assert (await world.work_off(runner, parent_id)).status == "RUNNING"

        await due(family, deep.id)
        for each in (deep.id, writer.id, run_id):
            row = await world.work_off(runner, each)

    assert (row.status, row.output) == ("SUCCEEDED", "done")


async def asked_about(family: Family, run_id: str) -> None:
    """Make a queued run look as if a person was asked about a call of it."""
    sql = (
        "UPDATE run SET status = 'WAITING_APPROVAL', waits_for = 'calls', due_at = NULL,"
        " parked_at = $2, started_at = $2 WHERE id = $1"
    )
    await family.world.database.write([Statement(sql, (run_id, family.world.clock.now_us()))])


async def due(family: Family, run_id: str) -> None:
    """Make a run due by any clock."""
    await family.world.database.write(
        [Statement("UPDATE run SET due_at = 1 WHERE id = $1", (run_id,))]
    )


async def test_a_failed_call_beside_a_delegation_does_not_end_it(family: Family) -> None:
    await family.agent("writer", say("poem"))
    both = [*call("nothing", "{}", ident="call_0")[:1], *delegate(ask("writer"), ask("nobody"))]
    boss = await family.agent("boss", both, say("done"), asks=["writer"])

    row = await family.run("boss")

    results = [message for message in boss.requests[1].messages if message.role == "tool"]
    assert row.output == "done"
    assert [message.failed for message in results] == [True, False, True]
    assert [message.tool_call_id for message in results] == ["call_0", "call_1", "call_2"]
