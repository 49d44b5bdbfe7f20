"""Task rows that cannot be read, at every door: shown as such, never an error, never for others."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from app.stream.frames import EventName
from app.stream.payloads import Payloads
from domain.events.cursors import encode_cursor
from domain.kernel.database import Database
from schema.ids import Kind, decode_id
from tests.api.rest_world import ROOT, RestWorld, problem_of, rest_world
from tests.api.task_documents import DELETE, PAUSE, RESUME, RUN_NOW, UPDATE, first_of, made
from tests.domain.spoiled_rows import columns_of, spoil
from tests.domain.task_world import MINUTE_US

MOST_TOLD = 6
TASKS = f"{ROOT}/tasks"
EACH_MINUTE = {"scheduled": {"cron": {"expression": "* * * * *"}}}
TASK = """
fragment Shown on Task {
  id name status pauseReason agent { id slug name description archivedAt } conversation { id }
  instruction inputs schedule { __typename summary } startsAt endsAt
  retry { maxAttempts backoffSeconds maxBackoffSeconds retryOn } overlapPolicy missedRunPolicy
  graceSeconds timeoutSeconds jitterSeconds maxConcurrency priority nextRunAt
  nextOccurrences(count: 2) occurrences(first: 2) { nodes { ...Due } } lastOccurrence { ...Due }
  consecutiveFailures pauseAfterFailures metadata version createdAt updatedAt
}
"""
DUE = """
fragment Due on Occurrence {
  id trigger scheduledFor status reason run { id } attempts { id } task { id status }
}
"""
LIST = (
    TASK
    + DUE
    + """
query ($filter: TaskFilter, $orderBy: TaskOrder! = NEXT_RUN_AT_ASC, $first: Int, $after: String) {
  tasks(filter: $filter, orderBy: $orderBy, first: $first, after: $after) {
    nodes { ...Shown } totalCount pageInfo { hasNextPage endCursor } } }
"""
)
ONE = (
    TASK
    + DUE
    + """
query ($id: ID!) {
  task(id: $id) { ...Shown }
  node(id: $id) { __typename ... on Task { ...Shown } }
  occurrences(first: 4) { nodes { ...Due task { ...Shown } } }
  runs(first: 4) { nodes { id occurrence { ...Due } } }
}
"""
)
IDS = "query ($orderBy: TaskOrder!) { tasks(orderBy: $orderBy) { nodes { id } } }"
UPDATES = (
    DUE
    + """
subscription ($after: String) { taskUpdates(after: $after) {
  __typename
  ... on TaskUpdate {
    change taskId task { id status pauseReason schedule { summary } } occurrence { ...Due } } } }
"""
)
TEXTS = ("", "junk", "{", "[]", "null", "7", '"x"', '{"a": 1}', '{"kind": "PLANNED"}', "x" * 5000)
NUMBERS = (-1, 0, 1, 10, 2**31 - 1, -(2**31))
LARGE = (2**53, 2**62, 2**63 - 1, -(2**63), 253_402_300_800_000_000)
IDENTITY = {"id", "workspace_id", "task_id"}
"""What makes a row the one it is; with others it would be another row."""
CURE: dict[str, Any] = {
    "name": "Mended",
    "agent": {"slug": "default"},
    "instruction": "Write it.",
    "schedule": {"adhoc": {}},
    "inputs": {},
    "startsAt": None,
    "endsAt": None,
    "conversationMode": "NEW",
    "retry": None,
    "overlapPolicy": None,
    "missedRunPolicy": None,
    "graceSeconds": None,
    "timeoutSeconds": None,
    "jitterSeconds": None,
    "maxConcurrency": None,
    "priority": None,
    "pauseAfterFailures": None,
    "maxRuns": None,
    "metadata": None,
}


@pytest.fixture
async def world(tmp_path: Path, database_url: str) -> AsyncGenerator[RestWorld, None]:
    """The doors over each database."""
    async with rest_world(tmp_path, url=database_url) as opened:
        yield opened


def raw(kind: Kind, ident: str) -> str:
    return decode_id(kind, ident, path="id")


async def seen(world: RestWorld, ident: str) -> dict[str, Any]:
    """Look through every door that shows tasks; return the task as GraphQL shows it."""
    api = world.api
    listed: list[dict[str, Any]] = []
    after = None
    while True:
        page = (await api.ask(LIST, first=1, after=after))["tasks"]
        listed += page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert page["totalCount"] == len(listed)
    shown = await api.ask(ONE, id=ident)
    assert [one for one in listed if one["id"] == ident] == (
        [shown["task"]] if shown["task"] else []
    )
    for order in ("CREATED_AT_DESC", "NAME_ASC"):
        ordered = (await api.ask(IDS, orderBy=order))["tasks"]["nodes"]
        assert sorted(one["id"] for one in ordered) == sorted(one["id"] for one in listed)
    answer = await world.client.get(TASKS, params={"first": 100})
    assert [one["id"] for one in answer.json()["nodes"]] == [one["id"] for one in listed]
    answer = await world.client.get(f"{TASKS}/{ident}")
    assert answer.status_code == (200 if shown["task"] else 404)
    await told(world)
    return shown["task"]


async def told(world: RestWorld) -> list[dict[str, Any]]:
    """Read the last changes of tasks again, as a subscription and as `/ws/stream` tell it."""
    updates = (await world.api.tasks.updates())[-MOST_TOLD:]
    payloads = Payloads(world.api.services)
    names = frozenset({EventName.TASK_UPDATE})
    for update in updates:
        (frame,) = await payloads.of(update, names)
        orjson.loads("{" + frame)
    start = encode_cursor(world.api.runs.principal.workspace_id, updates[0].cursor - 1)
    found = await first_of(world.api, UPDATES, len(updates), after=start)
    return [one["taskUpdates"] for one in found]


async def two_tasks(world: RestWorld) -> tuple[dict[str, Any], dict[str, Any]]:
    """Make two tasks due each minute, each with a past occurrence."""
    tasks = [await made(world.api, name=name, schedule=EACH_MINUTE) for name in ("Odd", "Sound")]
    for task in tasks:
        await world.api.ask(RUN_NOW, input={"taskId": task["id"]})
    return tasks[0], tasks[1]


async def column_junk(data: st.DataObject, database: Database) -> tuple[str, str, Any]:
    """Choose a column, and what its type can hold."""
    table = data.draw(st.sampled_from(["task", "task", "occurrence"]))
    columns = await columns_of(database, table)
    name = data.draw(st.sampled_from([one for one in columns if one not in IDENTITY]))
    kind, may_be_empty = columns[name]
    junk: list[Any] = list(TEXTS) if kind == "text" else list(NUMBERS)
    junk += LARGE if kind == "bigint" else ()
    junk += [None] if may_be_empty else []
    return table, name, data.draw(st.sampled_from(junk))


ONE_WORLD = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
UNSHRUNK = [Phase.explicit, Phase.reuse, Phase.generate]
"""The world grows with each example, so that a smaller one is found by hand."""


@settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    phases=UNSHRUNK,
    suppress_health_check=ONE_WORLD,
)
@given(data=st.data())
async def test_whatever_one_column_holds_every_door_answers_and_others_go_on(
    world: RestWorld, data: st.DataObject
):
    await try_column(world, data)


@pytest.mark.soak
@settings(max_examples=500, deadline=None, phases=UNSHRUNK, suppress_health_check=ONE_WORLD)
@given(data=st.data())
async def test_whatever_any_column_holds_every_door_answers_and_others_go_on(
    world: RestWorld, data: st.DataObject
):
    await try_column(world, data)


async def try_column(world: RestWorld, data: st.DataObject) -> None:
    """Put junk into one column of one of two tasks, and use every door."""
    api, tasks = world.api, world.api.tasks
    odd, sound = await two_tasks(world)
    table, column, value = await column_junk(data, api.runs.database)
    ident = raw(Kind.TASK, odd["id"])
    if table == "occurrence":
        ident = (await tasks.occurrences(ident))[0].id

    await spoil(api.runs.database, table, ident, **{column: value})

    await seen(world, odd["id"])
    due_us = (api.runs.clock.now_us() // MINUTE_US + 1) * MINUTE_US
    await tasks.move_to(due_us)
    fired = await tasks.occurrences(raw(Kind.TASK, sound["id"]))
    assert [one.scheduled_for for one in fired if one.trigger == "SCHEDULE"] == [due_us]
    for document in (RUN_NOW, PAUSE, RESUME):
        await api.ask(document, input={"taskId": odd["id"]})
    mended = (await api.ask(UPDATE, input={"taskId": odd["id"], **CURE}))["updateTask"]
    if mended["__typename"] != "NotFound":
        assert (mended["task"]["pauseReason"], mended["task"]["name"]) == (None, "Mended")
    await tasks.tick()
    await seen(world, odd["id"])
    for task in (odd, sound):
        await api.ask(DELETE, input={"taskId": task["id"]})


async def test_a_row_that_cannot_be_read_says_so_and_what_to_do(world: RestWorld):
    odd, _ = await two_tasks(world)
    broken = {"schedule": "{", "retry": "[]", "inputs": "7", "overlap_policy": "SOMETIMES"}
    await spoil(world.api.runs.database, "task", raw(Kind.TASK, odd["id"]), **broken)
    reason = (
        "The task cannot be read: schedule: '{' is no JSON. inputs: '7' is no JSON object. retry:"
        " '[]' is no JSON object. overlapPolicy: Use one of SKIP, QUEUE, PARALLEL, REPLACE. Send"
        " schedule, inputs, retry and overlapPolicy anew with updateTask, or delete it."
    )

    shown = await seen(world, odd["id"])

    assert (shown["status"], shown["pauseReason"]) == ("PAUSED", reason)
    assert shown["schedule"] == {
        "__typename": "AdhocSchedule",
        "summary": "Cannot be read: '{' is no JSON.",
    }
    assert (shown["inputs"], shown["overlapPolicy"]) == ({}, "SKIP")
    assert (shown["nextRunAt"], shown["nextOccurrences"]) == (None, [])
    answer = (await world.client.get(f"{TASKS}/{odd['id']}")).json()
    assert (answer["status"], answer["pauseReason"]) == ("PAUSED", reason)
    assert answer["schedule"]["summary"] == "Cannot be read: '{' is no JSON."
    refused = (await world.api.ask(RUN_NOW, input={"taskId": odd["id"]}))["runTaskNow"]
    assert (refused["__typename"], refused["code"]) == ("Conflict", "INVALID_STATE")
    assert (refused["message"], refused["path"]) == (reason, ["taskId"])
    problem = problem_of(await world.client.post(f"{TASKS}/{odd['id']}/run"), 409, "INVALID_STATE")
    assert problem["detail"] == reason


async def test_rows_of_unknown_words_are_found_by_what_they_are_shown_as(world: RestWorld):
    odd, sound = await two_tasks(world)
    ident = raw(Kind.TASK, odd["id"])
    occurrence = (await world.api.tasks.occurrences(ident))[0].id
    database = world.api.runs.database
    await spoil(database, "task", ident, status="ASLEEP", schedule_kind="SOMETIMES")
    await spoil(database, "occurrence", occurrence, status="LOST")

    async def found(**narrow: Any) -> list[str]:
        nodes = (await world.api.ask(LIST, filter=narrow))["tasks"]["nodes"]
        return [node["id"] for node in nodes]

    assert await found(statuses=["PAUSED"]) == await found(schedules=["ADHOC"]) == [odd["id"]]
    assert await found(statuses=["ACTIVE"]) == await found(schedules=["SCHEDULED"]) == [sound["id"]]
    failed = await world.api.ask(
        "{ occurrences(filter: {statuses: [FAILED]}) { nodes { status reason } } }"
    )
    assert failed["occurrences"]["nodes"] == [
        {
            "status": "FAILED",
            "reason": "The occurrence cannot be read: status: 'LOST' is no status.",
        }
    ]


async def test_a_task_whose_agent_is_gone_is_listed_and_held_when_it_is_due(world: RestWorld):
    odd, sound = await two_tasks(world)
    ident, gone = raw(Kind.TASK, odd["id"]), "019aabcd-ef12-7456-9abc-def012345678"
    await spoil(world.api.runs.database, "task", ident, agent_id=gone)

    await world.api.tasks.move_to((world.api.runs.clock.now_us() // MINUTE_US + 1) * MINUTE_US)

    shown = await seen(world, odd["id"])
    assert shown["status"] == "PAUSED"
    assert shown["pauseReason"] == (
        "The task cannot be read: agentId: There is no such agent any more. Send agent anew with"
        " updateTask, or delete it."
    )
    assert shown["agent"]["description"] == "There is no such agent any more."
    assert (await seen(world, sound["id"]))["status"] == "ACTIVE"
    [update] = [one for one in await told(world) if one["change"] == "UPDATED"]
    assert (update["taskId"], update["task"]["status"]) == (odd["id"], "PAUSED")
