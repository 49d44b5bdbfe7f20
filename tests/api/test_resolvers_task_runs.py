"""Tasks started on demand, and what became of their due times, through the API."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from tests.api.api_world import ApiWorld, api_world
from tests.api.task_documents import DELETE, NOW, RUN_NOW, UNKNOWN, made, names

TASK = "query ($id: ID!) { task(id: $id) { id } }"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[ApiWorld, None]:
    async with api_world(tmp_path) as opened:
        yield opened


async def test_a_deleted_task_is_gone_and_its_history_is_kept(world: ApiWorld):
    task = await made(world)
    await world.ask(RUN_NOW, input={"taskId": task["id"]})

    done = await world.ask(DELETE, input={"taskId": task["id"]})
    again = await world.ask(DELETE, input={"taskId": task["id"]})
    kept = await world.ask("{ occurrences { nodes { status task { id name } } } }")

    assert done["deleteTask"] == {"deletedId": task["id"], "__typename": "DeleteSuccess"}
    assert again["deleteTask"]["__typename"] == "NotFound"
    assert await names(world) == []
    assert (await world.ask(TASK, id=task["id"]))["task"] is None
    [occurrence] = kept["occurrences"]["nodes"]
    assert occurrence["task"] == {"id": task["id"], "name": "Report"}


async def test_a_task_started_on_demand_leaves_an_occurrence_with_its_run(world: ApiWorld):
    task = await made(world, inputs={"day": "monday", "city": "Kiel"})

    done = await world.ask(RUN_NOW, input={"taskId": task["id"], "inputs": {"day": "friday"}})

    occurrence = done["runTaskNow"]["occurrence"]
    assert done["runTaskNow"]["replayed"] is False
    assert occurrence["trigger"] == "MANUAL"
    assert occurrence["scheduledFor"] == NOW
    assert occurrence["task"] == {"id": task["id"]}
    assert occurrence["run"]["instruction"] == "Write it."
    assert occurrence["run"]["inputs"] == {"day": "friday", "city": "Kiel"}
    assert occurrence["attempts"] == [{"id": occurrence["run"]["id"]}]
    shown = await world.ask(
        "query ($id: ID!) { task(id: $id) { lastOccurrence { id } occurrences { nodes { id } } } }",
        id=task["id"],
    )
    assert shown["task"] == {
        "lastOccurrence": {"id": occurrence["id"]},
        "occurrences": {"nodes": [{"id": occurrence["id"]}]},
    }


async def test_a_repeated_start_with_the_same_key_starts_nothing(world: ApiWorld):
    task = await made(world)
    values = {"taskId": task["id"], "idempotencyKey": "once"}
    first = await world.ask(RUN_NOW, input=values)

    second = await world.ask(RUN_NOW, input=values)

    assert second["runTaskNow"]["replayed"] is True
    assert second["runTaskNow"]["occurrence"]["id"] == first["runTaskNow"]["occurrence"]["id"]
    listed = await world.ask("{ occurrences { nodes { id } } }")
    assert len(listed["occurrences"]["nodes"]) == 1


@pytest.mark.parametrize(
    ("given", "answered"),
    [
        ({"waitSeconds": 301}, {"__typename": "ValidationFailed", "path": ["waitSeconds"]}),
        ({"inputs": "none"}, {"__typename": "ValidationFailed", "path": ["inputs"]}),
        ({"taskId": UNKNOWN}, {"__typename": "NotFound", "id": UNKNOWN}),
    ],
)
async def test_a_start_that_cannot_be_is_told_and_starts_nothing(
    world: ApiWorld, given: dict[str, Any], answered: dict[str, Any]
):
    task = await made(world)

    done = await world.ask(RUN_NOW, input={"taskId": task["id"], **given})

    assert done["runTaskNow"] | answered == done["runTaskNow"]
    assert (await world.ask("{ occurrences { nodes { id } } }"))["occurrences"]["nodes"] == []


async def test_occurrences_of_all_tasks_can_be_narrowed_and_sorted(world: ApiWorld):
    one, other = await made(world, name="One"), await made(world, name="Other")
    started = [
        (await world.ask(RUN_NOW, input={"taskId": task["id"]}))["runTaskNow"]["occurrence"]["id"]
        for task in (one, other, one)
    ]
    document = (
        "query ($filter: OccurrenceFilter, $orderBy: TimeOrder! = OLDEST_FIRST) {"
        " occurrences(filter: $filter, orderBy: $orderBy) { nodes { id } } }"
    )

    async def found(**given: Any) -> set[str]:
        data = await world.ask(document, **given)
        return {node["id"] for node in data["occurrences"]["nodes"]}

    assert await found() == set(started)
    assert await found(filter={"taskId": other["id"]}) == {started[1]}
    assert await found(filter={"statuses": ["MISSED", "FAILED"]}) == set()
    assert await found(filter={"scheduledFor": {"until": NOW}}) == set()
    newest = await world.ask(document, orderBy="NEWEST_FIRST")
    oldest = await world.ask(document, orderBy="OLDEST_FIRST")
    assert newest["occurrences"]["nodes"] == oldest["occurrences"]["nodes"][::-1]


async def test_a_task_and_an_occurrence_can_be_refetched_by_id(world: ApiWorld):
    task = await made(world)
    started = await world.ask(RUN_NOW, input={"taskId": task["id"]})
    occurrence = started["runTaskNow"]["occurrence"]

    data = await world.ask(
        "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }",
        ids=[task["id"], occurrence["id"], UNKNOWN],
    )

    assert data["nodes"] == [
        {"__typename": "Task", "id": task["id"]},
        {"__typename": "Occurrence", "id": occurrence["id"]},
        None,
    ]


async def test_a_run_names_its_occurrence_and_runs_can_be_narrowed_to_a_task(world: ApiWorld):
    one, other = await made(world, name="One"), await made(world, name="Other")
    started = [
        (await world.ask(RUN_NOW, input={"taskId": task["id"]}))["runTaskNow"]["occurrence"]
        for task in (one, other)
    ]

    data = await world.ask(
        "query ($filter: RunFilter!) {"
        " runs(filter: $filter) { nodes { id occurrence { id task { name } } } } }",
        filter={"taskId": other["id"]},
    )

    assert data["runs"]["nodes"] == [
        {
            "id": started[1]["run"]["id"],
            "occurrence": {"id": started[1]["id"], "task": {"name": "Other"}},
        }
    ]


async def test_runs_of_a_task_share_a_conversation_when_it_says_so(world: ApiWorld):
    task = await made(world, conversationMode="CONTINUE")
    await world.ask(RUN_NOW, input={"taskId": task["id"]})

    data = await world.ask(
        "query ($id: ID!) { task(id: $id) {"
        " conversation { id } lastOccurrence { run { conversation { id } } } } }",
        id=task["id"],
    )

    shared = data["task"]["conversation"]
    assert shared is not None
    assert data["task"]["lastOccurrence"]["run"]["conversation"] == shared


PAGE = """
query ($first: Int!) { tasks(first: $first, orderBy: NAME_ASC) { totalCount nodes {
  agent { slug } conversation { id } nextOccurrences
  lastOccurrence { task { name } run { id agent { slug } } attempts { id occurrence { id } } }
} } }
"""


async def test_a_page_of_tasks_takes_as_many_reads_however_long_it_is(world: ApiWorld):
    for number in range(6):
        task = await made(world, name=f"Task {number}", conversationMode="CONTINUE")
        await world.ask(RUN_NOW, input={"taskId": task["id"]})
    database, reads = world.runs.database, list[str]()
    await database._on(database._reader, lambda reader: reader.set_trace_callback(reads.append))

    async def read_with(first: int) -> int:
        reads.clear()
        found = (await world.ask(PAGE, first=first))["tasks"]
        assert [node["lastOccurrence"]["task"]["name"] for node in found["nodes"]] == [
            f"Task {number}" for number in range(first)
        ]
        return len(reads)

    assert await read_with(2) == await read_with(6)
