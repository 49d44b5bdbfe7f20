"""Runs over REST: the twins of executeAgent, run, runEvents and cancelRun."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest

from schema.ids import Kind, encode_id
from tests.api.rest_world import ROOT, RestWorld, events_of, fields_of, problem_of, rest_world
from tests.fakes import Gate, call, say

UNKNOWN = encode_id(Kind.RUN, "019aabcd-ef12-7456-9abc-def012345678")
CONVERSATION = encode_id(Kind.CONVERSATION, "019aabcd-ef12-7456-9abc-def012345678")
STREAM = {"accept": "text/event-stream"}
RUN = """
query ($id: ID!) { run(id: $id) {
  id agent { id } agentVersion conversation { id } parent { id } retryOf { id } status
  statusReason instruction inputs output outputData error { code message retryable } depth attempt
  usage { inputTokens outputTokens cachedTokens reasoningTokens modelCalls toolCalls costUsd }
  offline traceId metadata createdBy createdAt startedAt finishedAt
} }
"""
EVENTS = """
subscription ($id: ID!) { runEvents(runId: $id) {
  type: __typename
  ... on Event { cursor traceId occurredAt }
  ... on RunEvent { seq runId parentRunId depth }
  ... on TokenDelta { fromSeq stepId text }
  ... on ToolCallStarted { stepId toolName arguments }
  ... on ToolCallFinished { stepId toolName toolStatus: status result
                            error { code message retryable } durationMs }
  ... on UsageUpdated { usage { ...counts } }
  ... on RunFinished { runStatus: status output usage { ...counts } }
} }
fragment counts on Usage {
  inputTokens outputTokens cachedTokens reasoningTokens modelCalls toolCalls costUsd
}
"""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[RestWorld, None]:
    async with rest_world(tmp_path) as opened:
        yield opened


async def background(world: RestWorld, **given: object) -> httpx.Response:
    return await world.execute(waitSeconds=0, **given)


async def test_a_caller_waits_for_the_answer_without_being_told_to(world: RestWorld):
    response = await world.execute(say("Hello ", "there"), metadata={"ticket": 7})

    run = response.json()
    assert response.status_code == 200
    assert (run["status"], run["output"], run["metadata"]) == (
        "SUCCEEDED",
        "Hello there",
        {"ticket": 7},
    )
    assert response.headers["location"] == f"{ROOT}/runs/{run['id']}"
    assert "idempotent-replayed" not in response.headers


async def test_a_run_reads_as_graphql_shows_it(world: RestWorld):
    made = (await world.execute(call("note", '{"text": "x"}'), say("done"), inputs={"a": 1})).json()

    response = await world.client.get(f"{ROOT}/runs/{made['id']}")

    assert response.json() == (await world.api.ask(RUN, id=made["id"]))["run"]
    assert response.json() == made


async def test_a_failed_run_says_why(world: RestWorld):
    response = await world.execute(say("half")[:1])

    run = response.json()
    assert response.status_code == 200
    assert (run["status"], run["output"]) == ("FAILED", "half")
    assert run["error"]["code"] == "MODEL_BAD_RESPONSE"
    assert run == (await world.api.ask(RUN, id=run["id"]))["run"]


async def test_a_run_in_the_background_is_accepted(world: RestWorld):
    response = await background(world)

    run = response.json()
    assert (response.status_code, run["status"], run["output"]) == (202, "QUEUED", None)
    assert response.headers["location"] == f"{ROOT}/runs/{run['id']}"
    assert (await world.client.get(response.headers["location"])).json() == run


async def test_a_wait_that_runs_out_tells_how_far_the_run_is(world: RestWorld):
    gate = Gate()

    response = await world.execute([gate, *say("late")], waitSeconds=1)

    assert (response.status_code, response.json()["status"]) == (202, "RUNNING")
    gate.opened.set()


async def test_the_events_of_an_instruction_are_streamed_to_the_last(world: RestWorld):
    world.api.runs.model.script(say("Hello ", "there"))
    body = {"agent": {"slug": "default"}, "instruction": "do it"}
    hinted: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    world.api.runs.queue.deliver = hinted.set_result

    async with asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(
            world.client.post(f"{ROOT}/agents/execute", json=body, headers=STREAM)
        )
        await world.api.runner.execute(await hinted)

    response = asked.result()
    events = events_of(response)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert [events[0]["type"], events[-1]["type"]] == ["RunStarted", "RunFinished"]
    assert "".join(one["text"] for one in events if one["type"] == "TokenDelta") == "Hello there"
    assert response.headers["location"] == f"{ROOT}/runs/{events[0]['runId']}"


async def test_events_read_as_graphql_shows_them(world: RestWorld):
    run = (await world.execute(call("note", '{"text": "x"}'), say("done"))).json()

    response = await world.client.get(f"{ROOT}/runs/{run['id']}/events")

    told = [one["runEvents"] for one in await world.api.listen(EVENTS, id=run["id"])]
    for event in told:
        for alias in ("toolStatus", "runStatus"):
            if alias in event:
                event["status"] = event.pop(alias)
    assert events_of(response) == told
    assert [one["seq"] for one in told] == list(range(1, len(told) + 1))


@pytest.mark.parametrize("by_header", [True, False])
async def test_a_stream_goes_on_behind_a_cursor(world: RestWorld, by_header: bool):
    run = (await world.execute(say("Hello"))).json()
    path = f"{ROOT}/runs/{run['id']}/events"
    whole = events_of(await world.client.get(path))

    if by_header:
        sent = {"last-event-id": whole[1]["cursor"]}
        rest = await world.client.get(path, params={"after": whole[0]["cursor"]}, headers=sent)
    else:
        rest = await world.client.get(path, params={"after": whole[1]["cursor"]})

    assert events_of(rest) == whole[2:]


async def test_a_stream_that_was_seen_to_its_end_has_no_content(world: RestWorld):
    run = (await world.execute(say("Hello"))).json()
    path = f"{ROOT}/runs/{run['id']}/events"
    last = events_of(await world.client.get(path))[-1]["cursor"]

    response = await world.client.get(path, headers={"last-event-id": last})

    assert (response.status_code, response.content) == (204, b"")


@pytest.mark.parametrize(
    ("headers", "query", "where"),
    [
        ({"last-event-id": "x"}, {}, ("header", "Last-Event-ID")),
        ({}, {"after": "x"}, ("query", "after")),
        ({}, {"after": "9.00000000"}, ("query", "after")),
    ],
)
async def test_a_cursor_that_nobody_gave_out_is_refused(
    world: RestWorld, headers: dict[str, str], query: dict[str, str], where: tuple[str, str]
):
    run = (await world.execute(say("Hello"))).json()
    path = f"{ROOT}/runs/{run['id']}/events"

    response = await world.client.get(path, headers=headers, params=query)

    problem = problem_of(response, 422, "BAD_CURSOR")
    assert [found[:2] for found in fields_of(problem)] == [where]


async def test_a_run_is_stopped_and_keeps_what_it_said(world: RestWorld):
    gate = Gate()
    run = (await world.execute([*say("half")[:1], gate, *say("rest")], waitSeconds=1)).json()

    response = await world.client.post(
        f"{ROOT}/runs/{run['id']}/cancel", json={"reason": "changed my mind"}
    )

    stopped = response.json()
    assert response.status_code == 200
    assert (stopped["status"], stopped["statusReason"], stopped["output"]) == (
        "CANCELLED",
        "changed my mind",
        "half",
    )
    gate.opened.set()


async def test_a_run_is_stopped_without_a_body(world: RestWorld):
    run = (await background(world)).json()

    response = await world.client.post(f"{ROOT}/runs/{run['id']}/cancel")

    assert (response.status_code, response.json()["status"]) == (200, "CANCELLED")


async def test_a_run_that_has_ended_is_in_the_way_of_its_cancel(world: RestWorld):
    run = (await world.execute(say("Hello"))).json()

    response = await world.client.post(f"{ROOT}/runs/{run['id']}/cancel")

    problem = problem_of(response, 409, "INVALID_STATE")
    assert problem["conflicting"] == {"type": "Run", "id": run["id"]}
    assert fields_of(problem) == [("path", "id", "The run has ended as SUCCEEDED already.")]


async def test_a_repeated_request_runs_once(world: RestWorld):
    body = {"agent": {"slug": "default"}, "instruction": "do it"}
    sent = {"idempotency-key": "once"}
    world.api.runs.model.script(say("Hello"))

    first = await world.client.post(f"{ROOT}/agents/execute", json=body, headers=sent)
    again = await world.client.post(
        f"{ROOT}/agents/execute", json={**body, "waitSeconds": 5}, headers=sent
    )

    assert again.json() == first.json()
    assert again.status_code == 200
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert await world.run_count() == 1


async def test_the_key_of_the_header_wins_over_that_of_the_body(world: RestWorld):
    first = (await world.execute(say("Hello"), idempotencyKey="header")).json()
    body = {"agent": {"slug": "default"}, "instruction": "do it", "idempotencyKey": "body"}

    again = await world.client.post(
        f"{ROOT}/agents/execute", json=body, headers={"idempotency-key": "header"}
    )

    assert again.json() == first
    assert await world.run_count() == 1


async def test_a_repeat_over_graphql_is_the_same_request(world: RestWorld):
    first = (await world.execute(say("Hello"), idempotencyKey="once")).json()

    again = await world.api.execute(idempotencyKey="once")

    assert again["id"] == first["id"]
    assert await world.run_count() == 1


async def test_a_key_that_was_used_for_something_else_is_refused(world: RestWorld):
    await world.execute(say("Hello"), idempotencyKey="once")
    body = {"agent": {"slug": "default"}, "instruction": "another"}

    response = await world.client.post(
        f"{ROOT}/agents/execute", json=body, headers={"idempotency-key": "once"}
    )

    problem = problem_of(response, 409, "IDEMPOTENCY_MISMATCH")
    assert fields_of(problem)[0][:2] == ("header", "Idempotency-Key")
    assert await world.run_count() == 1


async def test_a_run_waits_in_line_for_a_busy_conversation(world: RestWorld):
    runs = world.api.runs
    row = await runs.conversations.create(runs.principal, {})
    talk = encode_id(Kind.CONVERSATION, row.id)
    first = await background(world, conversationId=talk)

    refused = await background(world, conversationId=talk)
    second = await background(world, conversationId=talk, onBusy="QUEUE")
    unknown = await background(world, conversationId=talk, onBusy="HOPE")

    busy = problem_of(refused, 409, "CONVERSATION_BUSY")
    assert busy["conflicting"] == {"type": "Run", "id": first.json()["id"]}
    assert (first.status_code, second.status_code) == (202, 202)
    assert second.json()["status"] == "QUEUED"
    (problem,) = fields_of(problem_of(unknown, 422, "VALIDATION_FAILED"))
    assert problem[:2] == ("body", "onBusy")
