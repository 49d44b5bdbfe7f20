"""Tasks through the API, over the real service."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from app.graphql.errors import RequestRejected
from domain.access.scopes import Scope
from tests.api.api_world import ApiWorld, api_world
from tests.api.task_documents import (
    AGENT,
    CREATE,
    DELETE,
    HOURLY,
    NOW,
    PAUSE,
    RESUME,
    RUN_NOW,
    UNKNOWN,
    UPDATE,
    created,
    made,
    names,
)

WHOLE = """
query ($id: ID!) { task(id: $id) {
  id name status pauseReason agent { slug } instruction inputs
  schedule { __typename summary
    ... on PlannedSchedule { times } ... on CronSchedule { expression timezone } }
  startsAt endsAt conversation { id }
  retry { maxAttempts backoffSeconds maxBackoffSeconds retryOn }
  overlapPolicy missedRunPolicy graceSeconds timeoutSeconds jitterSeconds maxConcurrency
  priority nextRunAt nextOccurrences(count: 2)
  occurrences { nodes { id } } lastOccurrence { id }
  consecutiveFailures pauseAfterFailures maxRuns metadata version createdAt updatedAt
} }
"""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[ApiWorld, None]:
    async with api_world(tmp_path) as opened:
        yield opened


async def test_a_task_has_all_fields_that_it_was_created_with(world: ApiWorld):
    given = {
        "name": "Report",
        "inputs": {"day": "today"},
        "schedule": {
            "scheduled": {
                "cron": {"fields": {"minute": "0", "hour": "9"}},
                "timezone": "Europe/Berlin",
            }
        },
        "startsAt": "2023-11-16T00:00:00Z",
        "endsAt": "2023-12-01T00:00:00Z",
        "retry": {"maxAttempts": 3, "retryOn": ["TOOL_FAILED"]},
        "overlapPolicy": "PARALLEL",
        "missedRunPolicy": "RUN_ALL",
        "graceSeconds": 5,
        "timeoutSeconds": 60,
        "jitterSeconds": 0,
        "maxConcurrency": 2,
        "priority": 9,
        "pauseAfterFailures": 4,
        "maxRuns": 12,
        "metadata": {"team": [1, None, "a"]},
    }

    task = await made(world, **given)
    data = await world.ask(WHOLE, id=task["id"])

    assert data["task"] == {
        "id": task["id"],
        "name": "Report",
        "status": "ACTIVE",
        "pauseReason": None,
        "agent": {"slug": "default"},
        "instruction": "Write it.",
        "inputs": {"day": "today"},
        "schedule": {
            "__typename": "CronSchedule",
            "summary": "At 09:00, every day, Europe/Berlin",
            "expression": "0 9 * * *",
            "timezone": "Europe/Berlin",
        },
        "startsAt": "2023-11-16T00:00:00.000Z",
        "endsAt": "2023-12-01T00:00:00.000Z",
        "conversation": None,
        "retry": {
            "maxAttempts": 3,
            "backoffSeconds": 30,
            "maxBackoffSeconds": 3600,
            "retryOn": ["TOOL_FAILED"],
        },
        "overlapPolicy": "PARALLEL",
        "missedRunPolicy": "RUN_ALL",
        "graceSeconds": 5,
        "timeoutSeconds": 60,
        "jitterSeconds": 0,
        "maxConcurrency": 2,
        "priority": 9,
        "nextRunAt": "2023-11-16T08:00:00.000Z",
        "nextOccurrences": ["2023-11-16T08:00:00.000Z", "2023-11-17T08:00:00.000Z"],
        "occurrences": {"nodes": []},
        "lastOccurrence": None,
        "consecutiveFailures": 0,
        "pauseAfterFailures": 4,
        "maxRuns": 12,
        "metadata": {"team": [1, None, "a"]},
        "version": 1,
        "createdAt": NOW,
        "updatedAt": NOW,
    }


@pytest.mark.parametrize(
    ("given", "schedule", "next_run_at"),
    [
        ({"adhoc": {}}, {"__typename": "AdhocSchedule", "summary": "On demand"}, None),
        (
            {"planned": {"times": ["2023-12-24T18:00:00Z", "2023-12-01T10:00:00+01:00"]}},
            {
                "__typename": "PlannedSchedule",
                "summary": "2 times, from 2023-12-01 09:00 to 2023-12-24 18:00 UTC",
                "times": ["2023-12-01T09:00:00.000Z", "2023-12-24T18:00:00.000Z"],
            },
            "2023-12-01T09:00:00.000Z",
        ),
        (
            {"scheduled": {"cron": {"expression": "@daily"}}},
            {
                "__typename": "CronSchedule",
                "summary": "At 00:00, every day, UTC",
                "expression": "0 0 * * *",
                "timezone": "UTC",
            },
            "2023-11-15T00:00:00.000Z",
        ),
    ],
)
async def test_each_kind_of_schedule_is_shown_as_its_type(
    world: ApiWorld, given: dict[str, Any], schedule: dict[str, Any], next_run_at: str | None
):
    task = await made(world, schedule=given)

    data = await world.ask(WHOLE, id=task["id"])

    assert data["task"]["schedule"] == schedule
    assert data["task"]["nextRunAt"] == next_run_at


@pytest.mark.parametrize(
    ("given", "path", "part"),
    [
        (
            {"schedule": {"scheduled": {"cron": {"expression": "0 25 * * *"}}}},
            "schedule.scheduled.cron.expression",
            "'25' is no hour; use 0 to 23",
        ),
        (
            {"schedule": {"scheduled": {"cron": {"fields": {"day": "31", "month": "2"}}}}},
            "schedule.scheduled.cron.fields",
            "is never due",
        ),
        (
            {"schedule": {"scheduled": {**HOURLY["scheduled"], "timezone": "Europe/Berln"}}},
            "schedule.scheduled.timezone",
            "did you mean Europe/Berlin",
        ),
        (
            {"schedule": {"planned": {"times": ["2023-11-14T22:13:20Z"]}}},
            "schedule.planned.times",
            "All of these times have passed",
        ),
        ({"schedule": {"planned": {"times": []}}}, "schedule.planned.times", "at least one time"),
        ({"endsAt": "2023-11-14T00:00:00Z"}, "endsAt", "lies ahead"),
        ({"name": " "}, "name", "more than blanks"),
        ({"instruction": ""}, "instruction", "at least one character"),
        ({"inputs": [1]}, "inputs", "JSON object"),
        ({"metadata": 5}, "metadata", "JSON object"),
        ({"retry": {"maxAttempts": 0}}, "retry.maxAttempts", "at least 1"),
        ({"priority": 10}, "priority", "at most 9"),
    ],
)
async def test_an_unacceptable_value_is_named_and_nothing_is_made(
    world: ApiWorld, given: dict[str, Any], path: str, part: str
):
    answered = await created(world, **given)

    assert answered["__typename"] == "ValidationFailed"
    [problem] = answered["fields"]
    assert ".".join(problem["path"]) == path
    assert part in problem["message"]
    assert await names(world) == []


@pytest.mark.parametrize("schedule", [{}, {"adhoc": {}, **HOURLY}])
async def test_two_schedules_at_once_or_none_are_refused_by_name(
    world: ApiWorld, schedule: dict[str, Any]
):
    with pytest.raises(RequestRejected) as refused:
        await created(world, schedule=schedule)

    [error] = refused.value.bodies
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert error["message"].startswith("Variable '$input' has invalid value at .schedule: ")
    assert "exactly one field must be specified" in error["message"]
    assert await names(world) == []


async def test_an_unknown_agent_is_not_found_by_the_id_that_was_sent(world: ApiWorld):
    answered = await created(world, agent={"id": AGENT})

    assert answered["__typename"] == "NotFound"
    assert answered["id"] == AGENT
    assert await names(world) == []


async def test_a_repeat_with_the_same_key_gets_the_first_task(world: ApiWorld):
    first = await made(world, idempotencyKey="once")

    second = await made(world, idempotencyKey="once")

    assert second["id"] == first["id"]
    assert await names(world) == ["Report"]


async def test_in_an_update_absent_stays_and_null_clears(world: ApiWorld):
    task = await made(world, schedule=HOURLY, endsAt="2024-01-01T00:00:00Z", priority=9)

    done = await world.ask(
        UPDATE, input={"taskId": task["id"], "endsAt": None, "name": "Weekly report"}
    )

    after = done["updateTask"]["task"]
    assert after["name"] == "Weekly report"
    assert (after["endsAt"], after["priority"], after["version"]) == (None, 9, 2)
    assert after["nextRunAt"] == "2023-11-14T23:00:00.000Z"


@pytest.mark.parametrize(
    ("given", "answered"),
    [
        ({"expectedVersion": 7}, {"__typename": "Conflict", "code": "VERSION_MISMATCH"}),
        (
            {"schedule": {"scheduled": {"cron": {"expression": "R * * * *"}}}},
            {
                "__typename": "ValidationFailed",
                "path": ["schedule", "scheduled", "cron", "expression"],
            },
        ),
        ({"name": None}, {"__typename": "ValidationFailed", "path": ["name"]}),
        ({"taskId": UNKNOWN}, {"__typename": "NotFound", "id": UNKNOWN, "path": ["taskId"]}),
        ({"taskId": AGENT}, {"__typename": "NotFound", "id": AGENT, "path": ["taskId"]}),
    ],
)
async def test_an_update_that_cannot_be_is_told_and_changes_nothing(
    world: ApiWorld, given: dict[str, Any], answered: dict[str, Any]
):
    task = await made(world, schedule=HOURLY)
    before = await world.ask(WHOLE, id=task["id"])

    done = await world.ask(UPDATE, input={"taskId": task["id"], "priority": 1, **given})

    assert done["updateTask"] | answered == done["updateTask"]
    assert await world.ask(WHOLE, id=task["id"]) == before


async def test_a_held_task_has_no_next_times_until_it_goes_on(world: ApiWorld):
    task = await made(world, schedule=HOURLY)

    held = await world.ask(PAUSE, input={"taskId": task["id"], "reason": "Holidays"})
    while_held = await world.ask(WHOLE, id=task["id"])
    resumed = await world.ask(RESUME, input={"taskId": task["id"]})

    assert held["pauseTask"]["task"]["status"] == "PAUSED"
    assert held["pauseTask"]["task"]["pauseReason"] == "Holidays"
    assert while_held["task"]["nextOccurrences"] == []
    assert resumed["resumeTask"]["task"]["status"] == "ACTIVE"
    assert resumed["resumeTask"]["task"]["pauseReason"] is None
    assert resumed["resumeTask"]["task"]["nextRunAt"] == "2023-11-14T23:00:00.000Z"


async def test_holding_until_a_moment_that_has_passed_is_refused(world: ApiWorld):
    task = await made(world, schedule=HOURLY)

    done = await world.ask(PAUSE, input={"taskId": task["id"], "until": NOW})

    assert done["pauseTask"]["__typename"] == "ValidationFailed"
    assert done["pauseTask"]["path"] == ["until"]
    assert (await world.ask(WHOLE, id=task["id"]))["task"]["status"] == "ACTIVE"


@pytest.mark.parametrize(
    ("narrow", "found"),
    [
        ({}, ["Audit", "Backup", "Clean"]),
        ({"search": "back"}, ["Backup"]),
        ({"search": "SWEEP"}, ["Clean"]),
        ({"statuses": ["PAUSED"]}, ["Clean"]),
        ({"schedules": ["ADHOC", "PLANNED"]}, ["Audit", "Clean"]),
        ({"agentId": AGENT}, []),
        ({"nextRun": {"until": "2023-11-20T00:00:00Z"}}, ["Backup"]),
        ({"nextRun": {"since": "2023-11-20T00:00:00Z"}}, ["Audit"]),
    ],
)
async def test_tasks_can_be_narrowed(world: ApiWorld, narrow: dict[str, Any], found: list[str]):
    await made(world, name="Backup", schedule=HOURLY)
    clean = await made(world, name="Clean", instruction="Sweep the floor.")
    await made(world, name="Audit", schedule={"planned": {"times": ["2023-12-01T00:00:00Z"]}})
    await world.ask(PAUSE, input={"taskId": clean["id"]})

    assert await names(world, filter=narrow) == found


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ("NEXT_RUN_AT_ASC", ["Backup", "Audit", "Clean"]),
        ("CREATED_AT_DESC", ["Audit", "Clean", "Backup"]),
        ("NAME_ASC", ["Audit", "Backup", "Clean"]),
    ],
)
async def test_tasks_can_be_sorted_and_paged(world: ApiWorld, order: str, found: list[str]):
    await made(world, name="Backup", schedule=HOURLY)
    await made(world, name="Clean")
    await made(world, name="Audit", schedule={"planned": {"times": ["2023-12-01T00:00:00Z"]}})
    document = (
        "query ($after: String, $orderBy: TaskOrder!) {"
        " tasks(first: 2, after: $after, orderBy: $orderBy) {"
        " nodes { name } totalCount pageInfo { hasNextPage endCursor } } }"
    )

    first = (await world.ask(document, orderBy=order))["tasks"]
    rest = (await world.ask(document, orderBy=order, after=first["pageInfo"]["endCursor"]))["tasks"]

    assert [node["name"] for node in [*first["nodes"], *rest["nodes"]]] == found
    assert (first["totalCount"], first["pageInfo"]["hasNextPage"]) == (3, True)
    assert rest["pageInfo"]["hasNextPage"] is False


async def test_a_key_without_the_scope_is_told_which_and_changes_nothing(world: ApiWorld):
    task = await made(world, schedule=HOURLY)
    reader = world.caller(Scope.TASKS_READ)
    before = await world.ask(WHOLE, id=task["id"])
    values = {
        CREATE: {
            "name": "Other",
            "agent": {"slug": "default"},
            "instruction": "x",
            "schedule": {"adhoc": {}},
        },
        UPDATE: {"taskId": task["id"], "name": "Other"},
        PAUSE: {"taskId": task["id"]},
        RESUME: {"taskId": task["id"]},
        RUN_NOW: {"taskId": task["id"]},
        DELETE: {"taskId": task["id"]},
    }

    for document, given in values.items():
        [answered] = (await world.ask(document, caller=reader, input=given)).values()
        assert answered["__typename"] == "Forbidden"
        assert answered["requiredScope"] == "TASKS_WRITE"

    assert await names(world) == ["Report"]
    assert await world.ask(WHOLE, id=task["id"]) == before


@pytest.mark.parametrize(
    "document",
    [
        "{ tasks { nodes { id } } }",
        "{ occurrences { nodes { id } } }",
        '{ task(id: "' + UNKNOWN + '") { id } }',
        "{ previewSchedule(schedule: { adhoc: {} }) { summary } }",
    ],
)
async def test_a_read_without_the_scope_is_an_error(world: ApiWorld, document: str):
    response = await world.answer(document, caller=world.caller(Scope.RUNS_READ))

    assert response["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert response["errors"][0]["extensions"]["requiredScope"] == "tasks:read"
