"""Work handed to other agents: begun, waited for without a slot, and taken back."""

from collections.abc import AsyncGenerator

import orjson
import pytest

from domain.kernel.database import Database
from tests.domain.delegation_world import Family, ask, delegate
from tests.fakes import call, say
from tests.run_world import run_world


@pytest.fixture
async def family(database: Database) -> AsyncGenerator[Family, None]:
    """A family on each database."""
    async with run_world(database) as world:
        yield Family(world=world)


async def test_work_is_handed_over_and_its_answer_comes_back(family: Family) -> None:
    await family.agent("writer", say("a ", "poem"), description="Writes poems.")
    boss = await family.agent(
        "boss", delegate(ask("writer", "write a poem")), say("Here it is."), asks=["writer"]
    )

    run = await family.run("boss")

    [child] = await family.children(run.id)
    assert (run.status, run.output) == ("SUCCEEDED", "Here it is.")
    assert (child.status, child.output, child.instruction) == (
        "SUCCEEDED",
        "a poem",
        "write a poem",
    )
    assert (child.root_run_id, child.depth, child.trace_id) == (run.id, 1, run.trace_id)
    assert (child.created_by, child.priority, child.conversation_id) == ("tester", 5, None)
    told = boss.requests[1].messages[-1]
    assert orjson.loads(told.content) == {
        "runId": child.id,
        "status": "SUCCEEDED",
        "output": "a poem",
    }
    assert not told.failed


async def test_the_model_reads_whom_it_may_ask(family: Family) -> None:
    await family.agent("writer", description="Writes\npoems.")
    await family.agent("checker", name="Anna", description="")
    await family.agent("gone")
    boss = await family.agent("boss", say("no"), asks=["writer", "checker", "gone"])
    await family.world.agents.archive(
        family.world.principal, family.agents["gone"].id, archived=True
    )

    await family.run("boss")

    spec = boss.requests[0].tools[-1]
    named = spec.input_schema["properties"]["agent"]
    assert (spec.name, named["enum"]) == ("delegate", ["writer", "checker"])
    assert named["description"].split("\n") == [
        "Whom to ask:",
        "- writer: Writes poems.",
        "- checker (Anna)",
    ]
    assert "delegate" not in [each.name for each in boss.requests[0].tools[:-1]]


async def test_an_agent_without_delegates_is_offered_none_and_has_none(family: Family) -> None:
    lone = await family.agent("lone", delegate(ask("lone")), say("alone"))

    run = await family.run("lone")

    assert "delegate" not in [spec.name for spec in lone.requests[0].tools]
    assert lone.requests[1].messages[-1].content.startswith("UNKNOWN_TOOL: ")
    assert run.output == "alone"
    assert await family.children(run.id) == []


async def test_its_story_tells_both_ways_and_the_step_is_of_its_own_kind(family: Family) -> None:
    await family.agent("writer", say("poem"))
    await family.agent("boss", delegate(ask("writer")), say("done"), asks=["writer"])

    run = await family.run("boss")

    [child] = await family.children(run.id)
    steps = await family.world.steps(run.id)
    told = {"stepId": steps[1].id, "childId": child.id, "agent": "writer"}
    events = {event.type: event.data for event in await family.world.events(run.id)}
    assert [(step.kind, step.status) for step in steps] == [
        ("MODEL_CALL", "SUCCEEDED"),
        ("DELEGATION", "SUCCEEDED"),
        ("MODEL_CALL", "SUCCEEDED"),
    ]
    assert child.parent_call_id == steps[1].id
    assert events["DelegationStarted"] == told
    assert events["DelegationFinished"] == {**told, "status": "SUCCEEDED"}
    assert "ToolCallStarted" not in events
    assert "ToolCallFinished" not in events


async def test_a_parent_that_waits_holds_neither_lease_nor_slot(family: Family) -> None:
    await family.agent("writer", say("poem"))
    await family.agent("boss", delegate(ask("writer")), say("done"), asks=["writer"])
    async with family.world.process(runs=1) as runner:
        run_id = await family.accept("boss")
        await family.world.work_off(runner, run_id)

        parked = await family.world.row(run_id)
        assert (parked.status, parked.waits_for, parked.lease_owner) == ("RUNNING", "calls", None)
        [child] = await family.children(run_id)
        assert (await family.world.work_off(runner, child.id)).status == "SUCCEEDED"
        assert (await family.world.work_off(runner, run_id)).output == "done"


async def test_the_use_of_children_is_counted_at_the_end(family: Family) -> None:
    await family.agent("writer", say("poem", tokens=4))
    await family.agent("boss", delegate(ask("writer"), tokens=6), say("done"), asks=["writer"])

    run = await family.run("boss")

    ended = (await family.world.events(run.id))[-1]
    assert ended.type == "RunFinished"
    assert ended.data["usage"]["inputTokens"] == 5 + 10 + 10
    assert ended.data["usage"]["outputTokens"] == 1 + 4 + 3
    assert ended.data["usage"]["modelCalls"] == 3
    assert (run.input_tokens, run.output_tokens, run.model_calls) == (15, 4, 2)


async def test_inputs_and_an_output_schema_go_with_the_work(family: Family) -> None:
    schema = {"type": "object"}
    writer = await family.agent("writer", say("{}"))
    arguments = ask("writer", inputs={"topic": "rain"}, outputSchema=schema)
    await family.agent("boss", delegate(arguments), say("done"), asks=["writer"])

    run = await family.run("boss")

    [child] = await family.children(run.id)
    assert child.inputs == {"topic": "rain"}
    assert child.spec["outputSchema"] == schema
    assert '"topic": "rain"' in writer.requests[0].messages[-1].content


async def test_tools_beside_a_delegation_run_while_it_waits(family: Family) -> None:
    await family.agent("writer", say("poem"))
    both = [*call("note", '{"text": "a"}', ident="call_0")[:1], *delegate(ask("writer"))]
    boss = await family.agent("boss", both, say("done"), asks=["writer"])

    run = await family.run("boss")

    results = [message.content for message in boss.requests[1].messages if message.role == "tool"]
    assert results[0] == "noted a"
    assert orjson.loads(results[1])["output"] == "poem"
    assert (run.output, family.world.effects.done) == ("done", ["note a"])


async def test_three_levels_end_from_the_bottom_up(family: Family) -> None:
    await family.agent("c", say("deep"))
    await family.agent("b", delegate(ask("c")), say("middle"), asks=["c"])
    await family.agent("a", delegate(ask("b")), say("top"), asks=["b"])

    run = await family.run("a")

    [middle] = await family.children(run.id)
    [deep] = await family.children(middle.id)
    assert [row.output for row in (run, middle, deep)] == ["top", "middle", "deep"]
    assert [row.depth for row in (run, middle, deep)] == [0, 1, 2]
    assert {row.root_run_id for row in (run, middle, deep)} == {run.id}
    assert run.finished_at is not None
    assert (await family.world.events(run.id))[-1].data["usage"]["modelCalls"] == 5


async def test_a_child_reaches_no_further_than_its_parent(family: Family) -> None:
    await family.agent("c", say("deep"))
    b = await family.agent(
        "b", delegate(ask("c")), say("middle"), asks=["c"], allowedTools=["note", "pay"]
    )
    await family.agent("a", delegate(ask("b")), say("top"), asks=["b"], allowedTools=["no*"])

    run = await family.run("a", allowedTools=["note", "delegate"])

    [middle] = await family.children(run.id)
    [deep] = await family.children(middle.id)
    ids = {slug: agent.id for slug, agent in family.agents.items()}
    assert middle.bounds == {
        "tools": [["no*"], ["note", "delegate"]],
        "profiles": [],
        "agents": [ids["a"]],
    }
    assert deep.bounds == {
        "tools": [["no*"], ["note", "delegate"], ["note", "pay"]],
        "profiles": [],
        "agents": [ids["a"], ids["b"]],
    }
    assert [spec.name for spec in b.requests[0].tools] == ["note", "delegate"]
    assert [spec.name for spec in family.models["c"].requests[0].tools] == ["note"]


async def test_a_run_whose_tools_leave_delegation_out_has_none(family: Family) -> None:
    await family.agent("writer", say("poem"))
    boss = await family.agent("boss", delegate(ask("writer")), say("alone"), asks=["writer"])

    run = await family.run("boss", allowedTools=["note"])

    assert [spec.name for spec in boss.requests[0].tools] == ["note"]
    assert boss.requests[1].messages[-1].content.startswith("UNKNOWN_TOOL: ")
    assert await family.children(run.id) == []


async def test_a_child_of_a_tainted_run_is_tainted_and_taints_with_its_result(
    family: Family,
) -> None:
    await family.agent("reader", say("read"))
    await family.agent("clean", say("clean"))
    calls = [delegate(ask("clean")), delegate(ask("reader")), delegate(ask("clean")), say("done")]
    await family.agent("boss", *calls, asks=["reader", "clean"])
    family.models["clean"].script(say("again"))
    async with family.world.process() as runner:
        run_id = await family.accept("boss")
        await family.world.work_off(runner, run_id)
        [clean] = await family.children(run_id)
        await family.world.work_off(runner, clean.id)
        assert (await family.world.work_off(runner, run_id)).tainted in (False, 0)
        reader = (await family.children(run_id))[1]
        await family.world.taint(reader.id)
        await family.world.work_off(runner, reader.id)
        parent = await family.world.work_off(runner, run_id)

        last = (await family.children(run_id))[2]
        assert [bool(row.tainted) for row in (clean, parent, last)] == [False, True, True]
