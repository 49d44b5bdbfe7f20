"""A question to a person outlives the server, and its answer lets the run go on."""

from pathlib import Path
from typing import Any

from tests.e2e.gob_process import TRACEBACK, GobProcess
from tests.e2e.graphql_client import Client, numbers
from tests.e2e.stream_client import stream_of

ADJUST = """
mutation B($input: AdjustBehaviorInput!) { adjustBehavior(input: $input) { __typename } }
"""
PENDING = """
{ approvals(filter: { statuses: [PENDING] }) { nodes { id toolName arguments run { id } } } }
"""
DECIDE = """
mutation D($input: DecideApprovalInput!) { decideApproval(input: $input) {
  __typename ... on DecideApprovalSuccess { approval { status } } ... on Error { message } } }
"""
ASK = {
    "statement": "Ask before calculating.",
    "effect": {"tool": {"decision": "ASK", "tools": ["calc*"]}},
}
WANTED = '{"text": "done", "tool": {"name": "calculate", "arguments": {"expression": "2*21"}}}'


async def asked(client: Client) -> Any:
    """The one question that waits."""
    [node] = (await client.ask(PENDING))["approvals"]["nodes"]
    return node


async def test_a_question_asked_before_the_server_was_killed_is_answered_after_it(tmp_path: Path):
    with GobProcess(tmp_path, {"MODEL_PROVIDER": "simulated"}) as gob:
        async with Client.of(gob) as client, stream_of(gob) as stream:
            await client.ask(ADJUST, {"input": {"add": [ASK]}})
            await stream.subscribe("a", "approval.update")
            run = await client.execute(WANTED)
            [told] = await stream.until(lambda _: True)
            seen = await client.events_until(
                run["id"], lambda event: event["__typename"] == "RunStateChanged"
            )
            before = await asked(client)
        gob.kill()
        gob.start()
        async with Client.of(gob) as client, stream_of(gob) as stream:
            await stream.subscribe("a", "approval.update")
            node = await asked(client)
            given = {"approvalId": node["id"], "decision": "APPROVE"}
            decided = await client.ask(DECIDE, {"input": given})
            rest = await client.story(run["id"], seen[-1]["cursor"])
            ended = await client.run(run["id"])
            [resolved] = await stream.until(lambda _: True)

    assert (told["event"], told["data"]["type"]) == ("approval.update", "ApprovalRequested")
    assert told["data"]["approval"]["id"] == node["id"]
    assert node == before
    assert (node["toolName"], node["arguments"]) == ("calculate", {"expression": "2*21"})
    assert decided["decideApproval"]["approval"] == {"status": "APPROVED"}
    assert resolved["data"]["approval"]["status"] == "APPROVED"
    assert (ended["status"], ended["attempt"]) == ("SUCCEEDED", 1)
    assert numbers([*seen, *rest]) == list(range(1, rest[-1]["seq"] + 1))
    calls = [event for event in rest if event["__typename"] == "ToolCallFinished"]
    assert [(call["toolStatus"], call["result"]) for call in calls] == [
        ("SUCCEEDED", {"value": 42, "text": "42"})
    ]
    assert TRACEBACK not in gob.err
