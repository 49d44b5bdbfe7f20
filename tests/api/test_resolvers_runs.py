"""Runs through the API, over the real engine with a scripted model."""

import logging
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from app.graphql.engine import SourceFailed
from domain.access.scopes import Scope
from schema.ids import Kind, encode_id
from tests.api.api_world import TRACE, ApiWorld, api_world
from tests.fakes import call, say

UNKNOWN = encode_id(Kind.RUN, "019aabcd-ef12-7456-9abc-def012345678")
AGENT = encode_id(Kind.AGENT, "019aabcd-ef12-7456-9abc-def012345678")
EXECUTE = """
mutation ($input: ExecuteAgentInput!) {
  executeAgent(input: $input) {
    __typename
    ... on RunSuccess { replayed run { id status queuePosition output traceId } }
    ... on Error { code message path }
    ... on ValidationFailed { fields { path } }
    ... on NotFound { id }
    ... on Forbidden { requiredScope }
    ... on ProviderUnavailable { provider }
  }
}
"""
CANCEL = """
mutation ($input: CancelRunInput!) {
  cancelRun(input: $input) {
    __typename
    ... on RunSuccess { run { status statusReason } }
    ... on Error { code path }
    ... on NotFound { id }
    ... on Conflict { conflicting { id ... on Run { status } } }
  }
}
"""
EVENTS = """
subscription ($runId: ID!, $after: String) {
  runEvents(runId: $runId, after: $after) {
    __typename
    ... on Event { cursor traceId }
    ... on RunEvent { seq runId depth }
    ... on TokenDelta { fromSeq stepId text }
    ... on ToolCallStarted { toolName arguments }
    ... on ToolCallFinished { toolStatus: status result }
    ... on RunFinished { endStatus: status output usage { modelCalls toolCalls outputTokens }
                         run { status } }
  }
}
"""
TOKENS = "subscription ($id: ID!, $after: Int!) { agentTokens(runId: $id, after: $after) {"
TOKENS += " seq reset text } }"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[ApiWorld, None]:
    async with api_world(tmp_path) as opened:
        yield opened


async def accepted(world: ApiWorld, **given: Any) -> dict[str, Any]:
    values = {"agent": {"slug": "default"}, "instruction": "do it", **given}
    return (await world.ask(EXECUTE, input=values))["executeAgent"]


async def runs_of(world: ApiWorld) -> list[dict[str, Any]]:
    return (await world.ask("{ runs { nodes { id } } }"))["runs"]["nodes"]


async def test_a_caller_who_waits_gets_the_answer(world: ApiWorld):
    world.runs.model.script(say("Hello ", "there"))

    done = await accepted(world, waitSeconds=10)

    assert done["__typename"] == "RunSuccess"
    assert done["replayed"] is False
    assert done["run"]["status"] == "SUCCEEDED"
    assert done["run"]["output"] == "Hello there"
    assert done["run"]["traceId"] == TRACE.trace_id


async def test_a_background_run_is_queued_and_knows_its_place(world: ApiWorld):
    first = await accepted(world)
    second = await accepted(world)
    urgent = await accepted(world, priority=9)

    listed = await world.ask("{ runs { nodes { id status queuePosition durationMs } } }")

    places = {node["id"]: node["queuePosition"] for node in listed["runs"]["nodes"]}
    assert places == {urgent["run"]["id"]: 0, first["run"]["id"]: 1, second["run"]["id"]: 2}
    assert {node["status"] for node in listed["runs"]["nodes"]} == {"QUEUED"}
    assert {node["durationMs"] for node in listed["runs"]["nodes"]} == {None}


async def test_a_repeat_with_the_same_key_gets_the_first_run(world: ApiWorld):
    first = await accepted(world, idempotencyKey="once")

    second = await accepted(world, idempotencyKey="once")

    assert second["run"]["id"] == first["run"]["id"]
    assert second["replayed"] is True
    assert len(await runs_of(world)) == 1


@pytest.mark.parametrize(
    ("given", "answered"),
    [
        (
            {"waitSeconds": 301, "priority": 10},
            {"__typename": "ValidationFailed", "code": "VALIDATION_FAILED"},
        ),
        (
            {"agent": {"id": AGENT}},
            {"__typename": "NotFound", "code": "NOT_FOUND", "id": AGENT},
        ),
        (
            {"agent": {"slug": "nobody"}},
            {"__typename": "NotFound", "code": "NOT_FOUND", "id": "nobody"},
        ),
        (
            {"conversationId": UNKNOWN},
            {"__typename": "NotFound", "path": ["conversationId"], "id": UNKNOWN},
        ),
        (
            {"conversationId": "nonsense"},
            {"__typename": "ValidationFailed", "path": ["conversationId"]},
        ),
        (
            {"model": {"provider": "nowhere", "name": "m1"}},
            {"__typename": "ProviderUnavailable", "provider": "nowhere"},
        ),
    ],
)
async def test_what_cannot_be_run_is_answered_with_the_reason(
    world: ApiWorld, given: dict[str, Any], answered: dict[str, Any]
):
    done = await accepted(world, **given)

    assert {name: done[name] for name in answered} == answered
    assert await runs_of(world) == []
    assert world.runs.queue.hints == []


async def test_a_key_that_may_only_read_starts_nothing(world: ApiWorld):
    reader = world.caller(Scope.RUNS_READ)
    given = {"agent": {"slug": "default"}, "instruction": "do it"}

    done = await world.ask(EXECUTE, caller=reader, input=given)

    assert done["executeAgent"]["__typename"] == "Forbidden"
    assert done["executeAgent"]["requiredScope"] == "RUNS_EXECUTE"
    assert await runs_of(world) == []


async def test_a_run_shows_what_it_was_asked_and_what_it_did(world: ApiWorld):
    run = await world.execute(
        call("note", '{"text": "milk"}'),
        say("Noted."),
        inputs={"who": "Ada"},
        metadata={"ticket": 7},
        limits={"maxSteps": 9},
        model={"provider": "scripted", "name": "m2", "parameters": {"temperature": 1}},
    )

    data = await world.ask(
        """
        query ($id: ID!) { run(id: $id) {
          id status statusReason agent { slug } agentVersion instruction inputs output
          error { code } conversation { id } parent { id } children { nodes { id } } depth
          retryOf { id } attempt limits { maxSteps maxSeconds } metadata createdBy
          usage { inputTokens outputTokens modelCalls toolCalls costUsd }
          totalUsage { inputTokens modelCalls } offline traceId
          steps { nodes {
            __typename index status
            ... on ModelCallStep { model { provider name parameters } text usage { inputTokens } }
            ... on ToolCallStep { toolName tool { name } arguments result }
          } }
        } }
        """,
        id=run["id"],
    )

    shown = data["run"]
    assert shown.pop("steps")["nodes"] == [
        {
            "__typename": "ModelCallStep",
            "index": 1,
            "status": "SUCCEEDED",
            "model": {"provider": "scripted", "name": "m2", "parameters": {"temperature": 1}},
            "text": None,
            "usage": {"inputTokens": 5},
        },
        {
            "__typename": "ToolCallStep",
            "index": 2,
            "status": "SUCCEEDED",
            "toolName": "note",
            "tool": {"name": "note"},
            "arguments": {"text": "milk"},
            "result": "noted milk",
        },
        {
            "__typename": "ModelCallStep",
            "index": 3,
            "status": "SUCCEEDED",
            "model": {"provider": "scripted", "name": "m2", "parameters": {"temperature": 1}},
            "text": "Noted.",
            "usage": {"inputTokens": 10},
        },
    ]
    assert shown == {
        "id": run["id"],
        "status": "SUCCEEDED",
        "statusReason": None,
        "agent": {"slug": "default"},
        "agentVersion": 1,
        "instruction": "do it",
        "inputs": {"who": "Ada"},
        "output": "Noted.",
        "error": None,
        "conversation": None,
        "parent": None,
        "children": {"nodes": []},
        "depth": 0,
        "retryOf": None,
        "attempt": 1,
        "limits": {"maxSteps": 9, "maxSeconds": 900},
        "metadata": {"ticket": 7},
        "createdBy": "tester",
        "usage": {
            "inputTokens": 15,
            "outputTokens": 4,
            "modelCalls": 2,
            "toolCalls": 1,
            "costUsd": None,
        },
        "totalUsage": {"inputTokens": 15, "modelCalls": 2},
        "offline": False,
        "traceId": TRACE.trace_id,
    }


async def test_a_queued_run_is_cancelled_with_its_reason(world: ApiWorld):
    run = (await accepted(world))["run"]

    done = await world.ask(CANCEL, input={"runId": run["id"], "reason": "Not needed."})

    assert done["cancelRun"] == {
        "__typename": "RunSuccess",
        "run": {"status": "CANCELLED", "statusReason": "Not needed."},
    }


async def test_an_ended_run_cannot_be_cancelled(world: ApiWorld):
    run = await world.execute(say("Done."))

    done = await world.ask(CANCEL, input={"runId": run["id"]})

    assert done["cancelRun"] == {
        "__typename": "Conflict",
        "code": "INVALID_STATE",
        "path": ["runId"],
        "conflicting": {"id": run["id"], "status": "SUCCEEDED"},
    }


async def test_an_unknown_run_cannot_be_cancelled(world: ApiWorld):
    done = await world.ask(CANCEL, input={"runId": UNKNOWN})

    assert done["cancelRun"] == {
        "__typename": "NotFound",
        "code": "NOT_FOUND",
        "path": ["runId"],
        "id": UNKNOWN,
    }


async def test_a_finished_run_tells_its_whole_story(world: ApiWorld):
    run = await world.execute(call("note", '{"text": "milk"}'), say("All ", "noted."))

    items = [data["runEvents"] for data in await world.listen(EVENTS, runId=run["id"])]

    assert items[0]["__typename"] == "RunStarted"
    assert {item["runId"] for item in items} == {run["id"]}
    assert {item["traceId"] for item in items} == {TRACE.trace_id}
    seqs = [
        number
        for item in items
        for number in range(item.get("fromSeq") or item["seq"], item["seq"] + 1)
    ]
    assert seqs == list(range(1, items[-1]["seq"] + 1))
    text = "".join(item["text"] for item in items if item["__typename"] == "TokenDelta")
    assert text == "All noted."
    started = next(item for item in items if item["__typename"] == "ToolCallStarted")
    finished = next(item for item in items if item["__typename"] == "ToolCallFinished")
    assert (started["toolName"], started["arguments"]) == ("note", {"text": "milk"})
    assert (finished["toolStatus"], finished["result"]) == ("SUCCEEDED", "noted milk")
    last = items[-1]
    assert last["__typename"] == "RunFinished"
    assert last["endStatus"] == "SUCCEEDED"
    assert last["output"] == "All noted."
    assert last["usage"] == {"modelCalls": 2, "toolCalls": 1, "outputTokens": 4}
    assert last["run"] == {"status": "SUCCEEDED"}


async def test_a_story_goes_on_after_the_cursor(world: ApiWorld):
    run = await world.execute(call("note", '{"text": "milk"}'), say("Noted."))
    items = [data["runEvents"] for data in await world.listen(EVENTS, runId=run["id"])]

    rest = await world.listen(EVENTS, runId=run["id"], after=items[2]["cursor"])

    assert [data["runEvents"] for data in rest] == items[3:]


async def test_bare_text_is_streamed_by_seq(world: ApiWorld):
    run = await world.execute(say("All ", "done."))

    chunks = [data["agentTokens"] for data in await world.listen(TOKENS, id=run["id"], after=0)]
    rest = await world.listen(TOKENS, id=run["id"], after=chunks[-1]["seq"])

    assert "".join(chunk["text"] for chunk in chunks) == "All done."
    assert not any(chunk["reset"] for chunk in chunks)
    assert rest == []


@pytest.mark.parametrize(
    ("run_id", "after", "code", "path"),
    [
        (UNKNOWN, None, "NOT_FOUND", ["runId"]),
        (AGENT, None, "NOT_FOUND", ["runId"]),
        ("nonsense", None, "VALIDATION_FAILED", ["runId"]),
        (None, "nonsense", "BAD_CURSOR", ["after"]),
    ],
)
async def test_a_stream_that_cannot_be_is_refused(
    world: ApiWorld, run_id: str | None, after: str | None, code: str, path: list[str]
):
    run = await world.execute(say("Done."))

    with pytest.raises(SourceFailed) as caught:
        await world.listen(EVENTS, runId=run_id or run["id"], after=after)

    extensions = caught.value.body["extensions"]
    assert (extensions["code"], extensions["argumentPath"]) == (code, path)
    if code == "NOT_FOUND":
        assert caught.value.body["message"] == f"No run has the id {run_id!r}."


async def test_runs_are_narrowed_and_ordered(world: ApiWorld):
    ended = await world.execute(say("Done."))
    world.runs.clock.move(60)
    waiting = (await accepted(world))["run"]
    query = "query ($filter: RunFilter, $by: RunOrder! = CREATED_AT_DESC) {"
    query += " runs(filter: $filter, orderBy: $by) { nodes { id } } }"

    async def found(**variables: Any) -> list[str]:
        data = await world.ask(query, **variables)
        return [node["id"] for node in data["runs"]["nodes"]]

    assert await found() == [waiting["id"], ended["id"]]
    assert await found(by="CREATED_AT_ASC") == [ended["id"], waiting["id"]]
    assert await found(filter={"statuses": ["SUCCEEDED"]}) == [ended["id"]]
    assert await found(filter={"agentId": AGENT}) == []
    assert await found(filter={"traceId": TRACE.trace_id, "topLevel": True}) == [
        waiting["id"],
        ended["id"],
    ]
    until = {"created": {"until": "2023-11-14T22:13:21Z"}}
    since = {"created": {"since": "2023-11-14T22:13:21+00:00"}}
    assert await found(filter=until) == [ended["id"]]
    assert await found(filter=since) == [waiting["id"]]


async def test_relations_of_many_runs_are_read_by_one_query_each(
    world: ApiWorld, caplog: pytest.LogCaptureFixture
):
    for _ in range(6):
        await accepted(world)
    caplog.set_level(logging.DEBUG, logger="tortoise.db_client")
    caplog.clear()

    data = await world.ask(
        "{ runs { nodes { agent { slug } totalUsage { modelCalls } queuePosition"
        " limits { maxSteps } } } }"
    )

    assert len(data["runs"]["nodes"]) == 6
    reads = [line for line in caplog.messages if line.split()[0] in {"SELECT", "WITH"}]
    # Runs, their agents, their agents' versions; sums and places go past the mapper.
    assert len(reads) == 3
