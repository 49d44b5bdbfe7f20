"""Tasks that fail each time: they go on firing, and whoever listens is told of each failure."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import orjson
import pytest

from app.stream.frames import EventName
from app.stream.payloads import Payloads
from domain.events.cursors import encode_cursor
from domain.models.ports import ModelError, ModelErrorKind
from schema.ids import Kind, decode_id
from tests.api.rest_world import ROOT, RestWorld, rest_world
from tests.api.task_documents import RESUME, first_of, made
from tests.domain.task_world import FIRST_US, MINUTE_US
from tests.fakes import say

TIMES = 100
EACH_MINUTE = {"scheduled": {"cron": {"expression": "* * * * *"}}}
DOWN = ModelError(ModelErrorKind.UNAVAILABLE, "The model is away.")
UPDATES = """
subscription ($after: String) { taskUpdates(after: $after) { ... on TaskUpdate {
  change task { status pauseReason consecutiveFailures }
  occurrence { status reason scheduledFor run { status } } } } }
"""
FAILED = """
query ($id: ID!, $first: Int, $after: String) {
  occurrences(filter: {taskId: $id, statuses: [FAILED]}, first: $first, after: $after) {
    nodes { status reason } pageInfo { hasNextPage endCursor } }
  task(id: $id) { status pauseReason consecutiveFailures }
}
"""


@pytest.fixture
async def world(tmp_path: Path, database_url: str) -> AsyncGenerator[RestWorld, None]:
    """The doors over each database."""
    async with rest_world(tmp_path, url=database_url) as opened:
        yield opened


async def fire(world: RestWorld, minutes: range) -> None:
    """Let these minutes pass, and work on what they bring."""
    for minute in minutes:
        await world.api.tasks.move_to(FIRST_US + minute * MINUTE_US)
        await world.api.tasks.work_off()


async def told(world: RestWorld) -> list[dict[str, Any]]:
    """Every change so far as a subscriber hears it; `/ws/stream` says the same."""
    api = world.api
    records = await api.tasks.updates()
    start = encode_cursor(api.runs.principal.workspace_id, 0)
    heard = [one["taskUpdates"] for one in await first_of(api, UPDATES, len(records), after=start)]
    payloads = Payloads(api.services)
    for record, update in zip(records, heard, strict=True):
        (frame,) = await payloads.of(record, frozenset({EventName.TASK_UPDATE}))
        data = orjson.loads("{" + frame)["data"]
        assert (data["change"], data["task"]["status"]) == (
            update["change"],
            update["task"]["status"],
        )
        if update["occurrence"] is not None:
            names = ("status", "reason", "scheduledFor")
            assert {name: data["occurrence"][name] for name in names} == {
                name: update["occurrence"][name] for name in names
            }
    return heard


async def failures(world: RestWorld, ident: str) -> tuple[list[str], dict[str, Any]]:
    """The reasons of all failed occurrences of a task, and the task."""
    reasons: list[str] = []
    after = None
    while True:
        data = await world.api.ask(FAILED, id=ident, first=100, after=after)
        reasons += [node["reason"] for node in data["occurrences"]["nodes"]]
        if not data["occurrences"]["pageInfo"]["hasNextPage"]:
            return reasons, data["task"]
        after = data["occurrences"]["pageInfo"]["endCursor"]


async def test_a_task_whose_agent_is_archived_fires_at_each_time_and_tells_each_failure(
    world: RestWorld,
):
    created = await world.api.runs.agents.create(world.api.runs.principal, {"name": "Temp"})
    task = await made(world.api, agent={"slug": "temp"}, schedule=EACH_MINUTE)
    await world.api.runs.agents.archive(world.api.runs.principal, created.id, archived=True)

    await fire(world, range(TIMES))

    reasons, shown = await failures(world, task["id"])
    assert reasons == ["The agent 'temp' is archived."] * TIMES
    assert shown == {"status": "ACTIVE", "pauseReason": None, "consecutiveFailures": TIMES}
    failed = [one for one in await told(world) if one["change"] == "OCCURRENCE"]
    assert [(one["occurrence"]["status"], one["occurrence"]["run"]) for one in failed] == [
        ("FAILED", None)
    ] * TIMES
    assert len({one["occurrence"]["scheduledFor"] for one in failed}) == TIMES


async def test_a_task_whose_runs_all_fail_fires_on_and_its_failures_are_counted(world: RestWorld):
    times = 20
    task = await made(world.api, schedule=EACH_MINUTE)
    sound = await made(world.api, name="Sound", schedule={"adhoc": {}})
    world.api.runs.model.script(*([DOWN] for _ in range(times)))

    await fire(world, range(times))

    reasons, shown = await failures(world, task["id"])
    assert reasons == ["MODEL_UNAVAILABLE: The model is away."] * times
    assert shown == {"status": "ACTIVE", "pauseReason": None, "consecutiveFailures": times}
    assert (await failures(world, sound["id"]))[1]["status"] == "ACTIVE"
    ended = [one for one in await told(world) if one["change"] == "OCCURRENCE"]
    assert {one["occurrence"]["run"]["status"] for one in ended} == {"FAILED"}
    world.api.runs.model.script(say("at last"))
    await fire(world, range(times, times + 1))
    assert (await failures(world, task["id"]))[1]["consecutiveFailures"] == 0


async def test_a_task_that_its_owner_bounds_pauses_after_the_third_failure_and_says_so(
    world: RestWorld,
):
    task = await made(
        world.api,
        schedule=EACH_MINUTE,
        pauseAfterFailures=3,
        graceSeconds=5,
        missedRunPolicy="SKIP",
    )
    world.api.runs.model.script([DOWN], [DOWN], [DOWN])

    await fire(world, range(5))

    reasons, shown = await failures(world, task["id"])
    assert reasons == ["MODEL_UNAVAILABLE: The model is away."] * 3
    paused = {
        "status": "PAUSED",
        "pauseReason": "Paused after 3 failures in a row.",
        "consecutiveFailures": 3,
    }
    assert shown == paused
    answer = await world.client.get(f"{ROOT}/tasks/{task['id']}")
    assert {name: answer.json()[name] for name in paused} == paused
    updates = await told(world)
    assert [one["change"] for one in updates] == ["CREATED", *["OCCURRENCE"] * 6, "UPDATED"]
    assert updates[-1]["task"] == paused

    await world.api.ask(RESUME, input={"taskId": task["id"]})
    world.api.runs.model.script(say("well"))
    await fire(world, range(5, 6))

    rows = await world.api.tasks.occurrences(decode_id(Kind.TASK, task["id"], path="id"))
    assert rows[-1].status == "SUCCEEDED"
    assert (await failures(world, task["id"]))[1]["consecutiveFailures"] == 0
