"""Control of runs through the API: held, let go on, told more, stopped, tried again, in line."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from schema.ids import Kind, decode_id, encode_id
from tests.api.api_world import ApiWorld, api_world
from tests.fakes import Gate, call, say

UNKNOWN = encode_id(Kind.RUN, "019aabcd-ef12-7456-9abc-def012345678")
NO_STEP = encode_id(Kind.STEP, "019aabcd-ef12-7456-9abc-def012345678")
NO_MESSAGE = encode_id(Kind.MESSAGE, "019aabcd-ef12-7456-9abc-def012345678")
ORDER = """
mutation ($input: {kind}Input!) {{
  {name}(input: $input) {{
    __typename
    ... on RunSuccess {{ replayed run {{
      id status statusReason output queuePosition retryOf {{ id }} conversation {{ id }}
      steps {{ nodes {{ __typename status }} }}
    }} }}
    ... on Error {{ code message path }}
    ... on NotFound {{ id }}
    ... on Conflict {{ conflicting {{ id ... on Run {{ status }} }} }}
  }}
}}
"""
BRANCH = """
mutation ($input: BranchConversationInput!) {
  branchConversation(input: $input) {
    __typename
    ... on ConversationSuccess { conversation {
      id title branchedFrom { id content } messages { nodes { role content run { id } } }
    } }
    ... on Error { code path }
    ... on NotFound { id }
  }
}
"""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[ApiWorld, None]:
    async with api_world(tmp_path) as opened:
        yield opened


async def order(world: ApiWorld, name: str, **given: Any) -> dict[str, Any]:
    """Call one of the mutations that act on a run."""
    kind = f"{name[0].upper()}{name[1:]}"
    return (await world.ask(ORDER.format(kind=kind, name=name), input=given))[name]


async def accepted(world: ApiWorld, **given: Any) -> dict[str, Any]:
    """Start a run in the background."""
    values = {"agent": {"slug": "default"}, "instruction": "do it", **given}
    return await order(world, "executeAgent", **values)


async def begun(world: ApiWorld, gate: Gate, run: str) -> None:
    """Let this process take a run, and wait until its model is asked."""
    await world.runner.execute(raw(run))
    await gate.reached.wait()


def raw(run: str) -> str:
    """The id of the row."""
    return decode_id(Kind.RUN, run, path="id")


async def left(world: ApiWorld, run: str) -> dict[str, Any]:
    """The run once this process has done with it."""
    await world.runs.work_off(world.runner, raw(run))
    query = "query ($id: ID!) { run(id: $id) { status output } }"
    return (await world.ask(query, id=run))["run"]


async def conversation(world: ApiWorld) -> str:
    """A new conversation."""
    row = await world.runs.conversations.create(world.runs.principal, {})
    return encode_id(Kind.CONVERSATION, row.id)


async def test_a_run_is_held_and_goes_on(world: ApiWorld):
    gate = Gate()
    world.runs.model.script([gate, *call("note", '{"text": "milk"}')], say("done"))
    run = (await accepted(world))["run"]["id"]
    await begun(world, gate, run)

    held = await order(world, "pauseRun", runId=run, reason="lunch")
    gate.opened.set()
    await left(world, run)
    again = await order(world, "pauseRun", runId=run)
    resumed = await order(world, "resumeRun", runId=run)
    twice = await order(world, "resumeRun", runId=run)
    ended = await left(world, run)

    assert (held["replayed"], held["run"]["status"]) == (False, "RUNNING")
    assert again["replayed"] is True
    assert (again["run"]["status"], again["run"]["statusReason"]) == ("PAUSED", "lunch")
    assert (resumed["replayed"], twice["replayed"]) == (False, True)
    assert ended == {"status": "SUCCEEDED", "output": "done"}


async def test_a_run_is_told_more_and_its_stream_shows_one_end(world: ApiWorld):
    gate = Gate()
    world.runs.model.script([gate, *say("long story")], say("short"))
    run = (await accepted(world))["run"]["id"]
    await begun(world, gate, run)

    told = await order(world, "steerRun", runId=run, instruction="be brief", idempotencyKey="k")
    twin = await order(world, "steerRun", runId=run, instruction="be brief", idempotencyKey="k")
    gate.opened.set()
    ended = await left(world, run)
    events = await world.listen(
        "subscription ($id: ID!) { runEvents(runId: $id) { __typename ... on RunFinished {"
        " output } ... on RunEvent { seq } } }",
        id=run,
    )

    assert (told["replayed"], twin["replayed"]) == (False, True)
    assert ended == {"status": "SUCCEEDED", "output": "short"}
    shown = [event["runEvents"] for event in events]
    assert [event["seq"] for event in shown if "seq" in event][-1] == len(shown)
    assert [event["output"] for event in shown if event["__typename"] == "RunFinished"] == ["short"]


async def test_an_ended_run_is_tried_again_from_a_step(world: ApiWorld):
    first = await world.execute(call("pay", '{"amount": 5}'), say("meh"))
    steps = await world.ask(
        "query ($id: ID!) { run(id: $id) { steps { nodes { id } } } }", id=first["id"]
    )
    world.runs.model.script(say("better"))

    tried = await order(
        world, "retryRun", runId=first["id"], fromStepId=steps["run"]["steps"]["nodes"][2]["id"]
    )
    ended = await left(world, tried["run"]["id"])

    assert tried["run"]["retryOf"] == {"id": first["id"]}
    assert tried["run"]["steps"]["nodes"] == [
        {"__typename": "ModelCallStep", "status": "REUSED"},
        {"__typename": "ToolCallStep", "status": "REUSED"},
    ]
    assert ended == {"status": "SUCCEEDED", "output": "better"}
    assert world.runs.effects.done == ["pay 5"]


async def test_a_run_waits_in_line_or_takes_over(world: ApiWorld):
    talk = await conversation(world)
    gate = Gate()
    world.runs.model.script([gate, *say("1")])
    first = (await accepted(world, conversationId=talk))["run"]["id"]
    await begun(world, gate, first)

    refused = await accepted(world, conversationId=talk)
    second = await accepted(world, conversationId=talk, onBusy="QUEUE")
    third = await accepted(world, conversationId=talk, onBusy="QUEUE")
    urgent = await accepted(world, conversationId=talk, onBusy="INTERRUPT")

    assert (refused["__typename"], refused["code"], refused["path"]) == (
        "Conflict",
        "CONVERSATION_BUSY",
        ["conversationId"],
    )
    assert refused["conflicting"] == {"id": first, "status": "RUNNING"}
    places = [run["run"]["queuePosition"] for run in (second, third, urgent)]
    assert places == [0, 1, 0]
    assert (await left(world, first))["status"] == "CANCELLED"
    query = "query ($id: ID!) { conversation(id: $id) { activeRun { id } } }"
    active = await world.ask(query, id=talk)
    assert active["conversation"]["activeRun"] == {"id": urgent["run"]["id"]}


async def test_a_conversation_is_branched(world: ApiWorld):
    talk = await conversation(world)
    run = await world.execute(say("hello"), conversationId=talk)
    await world.execute(say("again"), conversationId=talk)
    query = "query ($id: ID!) { conversation(id: $id) { title messages { nodes { id } } } }"
    source = (await world.ask(query, id=talk))["conversation"]
    chosen = source["messages"]["nodes"][1]["id"]

    done = await world.ask(BRANCH, input={"messageId": chosen})
    unknown = await world.ask(BRANCH, input={"messageId": NO_MESSAGE})

    branch = done["branchConversation"]["conversation"]
    assert branch["id"] != talk
    assert branch["title"] == "do it (branch)"
    assert branch["branchedFrom"] == {"id": chosen, "content": "hello"}
    assert branch["messages"]["nodes"] == [
        {"role": "USER", "content": "do it", "run": {"id": run["id"]}},
        {"role": "ASSISTANT", "content": "hello", "run": {"id": run["id"]}},
    ]
    assert len(source["messages"]["nodes"]) == 4
    assert unknown["branchConversation"] == {
        "__typename": "NotFound",
        "code": "NOT_FOUND",
        "path": ["messageId"],
        "id": NO_MESSAGE,
    }


@pytest.mark.parametrize("name", ["pauseRun", "resumeRun", "steerRun", "cancelRun"])
async def test_an_ended_run_takes_no_orders(world: ApiWorld, name: str):
    run = await world.execute(say("done"))
    more = {"instruction": "more"} if name == "steerRun" else {}

    refused = await order(world, name, runId=run["id"], **more)

    assert (refused["__typename"], refused["path"]) == ("Conflict", ["runId"])
    assert refused["conflicting"] == {"id": run["id"], "status": "SUCCEEDED"}
    assert await world.runs.database.fetch("SELECT count(*) FROM run_order") == [(0,)]


@pytest.mark.parametrize(
    ("name", "given", "answered"),
    [
        ("pauseRun", {}, ("NotFound", ["runId"])),
        ("resumeRun", {}, ("NotFound", ["runId"])),
        ("retryRun", {}, ("NotFound", ["runId"])),
        ("steerRun", {"instruction": "more"}, ("NotFound", ["runId"])),
        ("steerRun", {"instruction": ""}, ("ValidationFailed", ["instruction"])),
        ("retryRun", {"waitSeconds": -1}, ("ValidationFailed", ["waitSeconds"])),
    ],
)
async def test_what_cannot_be_meant_is_answered_with_the_reason(
    world: ApiWorld, name: str, given: dict[str, Any], answered: tuple[str, list[str]]
):
    refused = await order(world, name, runId=UNKNOWN, **given)

    assert (refused["__typename"], refused["path"]) == answered
    assert await world.runs.database.fetch("SELECT count(*) FROM run") == [(0,)]


async def test_a_step_of_another_run_is_no_place_to_begin(world: ApiWorld):
    run = await world.execute(say("done"))

    refused = await order(world, "retryRun", runId=run["id"], fromStepId=NO_STEP)

    assert (refused["__typename"], refused["path"], refused["id"]) == (
        "NotFound",
        ["fromStepId"],
        NO_STEP,
    )
    assert await world.runs.database.fetch("SELECT count(*) FROM run") == [(1,)]
