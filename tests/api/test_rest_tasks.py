"""Tasks over REST: the twins of createTask, tasks, task, deleteTask and runTaskNow."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from domain.access.scopes import Scope
from schema.ids import Kind, encode_id
from tests.api.rest_tasks import FAR, TASKS, made, names, nodes, shown, task
from tests.api.rest_world import RestWorld, fields_of, problem_of, rest_world

UNKNOWN = encode_id(Kind.TASK, "019aabcd-ef12-7456-9abc-def012345678")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[RestWorld, None]:
    async with rest_world(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize(
    ("given", "schedule"),
    [
        ({}, {"type": "adhoc"}),
        ({"type": "planned", "times": ["2099-01-01T01:00:00+01:00"]}, {"times": [FAR]}),
        (
            {"type": "scheduled", "cron": {"minute": "0", "hour": "9"}, "timezone": "Asia/Tokyo"},
            {"expression": "0 9 * * *", "timezone": "Asia/Tokyo"},
        ),
        ({"type": "scheduled", "cron": "*/5 * * * *"}, {"expression": "*/5 * * * *"}),
    ],
)
async def test_a_task_reads_as_graphql_shows_it(
    world: RestWorld, given: dict[str, Any], schedule: dict[str, Any]
):
    response = await world.client.post(TASKS, json=task(**given, inputs={"a": 1}, priority=7))

    created = response.json()
    assert response.status_code == 201
    assert response.headers["location"] == f"{TASKS}/{created['id']}"
    assert schedule.items() <= created["schedule"].items()
    assert created == await shown(world, created["id"])
    assert (await world.client.get(response.headers["location"])).json() == created


async def test_a_task_is_made_as_in_graphql(world: RestWorld):
    body = task(schedule={"planned": {"times": [FAR]}})
    del body["type"]

    response = await world.client.post(TASKS, json=body)

    assert (response.status_code, response.json()["nextRunAt"]) == (201, FAR)


async def test_a_repeated_request_makes_one_task(world: RestWorld):
    sent = {"idempotency-key": "once"}
    first = await world.client.post(TASKS, json=task(), headers=sent)
    world.api.runs.clock.move(5)

    again = await world.client.post(TASKS, json=task(), headers=sent)

    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert await names(world) == ["Report"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("orderBy=NAME_ASC", ["Daily", "Once", "Report"]),
        ("type=planned", ["Once"]),
        ("type=planned&type=adhoc&orderBy=NAME_ASC", ["Once", "Report"]),
        ("status=PAUSED", []),
        ("search=dai", ["Daily"]),
        ("nextRunSince=2098-12-31T00:00:00Z", ["Once"]),
        ("nextRunUntil=2098-12-31T00:00:00%2B01:00", ["Daily"]),
        ("nextRunSince=2023-11-15T09:00:00Z&nextRunUntil=2023-11-15T09:00:00Z", []),
    ],
)
async def test_parameters_narrow_the_list(world: RestWorld, query: str, found: list[str]):
    await made(world)
    await made(world, name="Once", type="planned", times=[FAR])
    await made(world, name="Daily", type="scheduled", cron="0 9 * * *")

    assert await names(world, query) == found


async def test_the_link_leads_from_page_to_page(world: RestWorld):
    for number in range(3):
        await made(world, name=f"Task {number}")

    seen, address = [], f"{TASKS}?orderBy=NAME_ASC&first=2"
    while address:
        response = await world.client.get(address)
        seen.append([node["name"] for node in response.json()["nodes"]])
        address = response.headers.get("link", "").partition("<")[2].partition(">")[0]

    assert seen == [["Task 0", "Task 1"], ["Task 2"]]


async def test_a_task_shows_its_last_occurrence(world: RestWorld):
    created = await made(world)
    assert created["lastOccurrence"] is None

    started = (await world.client.post(f"{TASKS}/{created['id']}/run")).json()

    found = (await world.client.get(f"{TASKS}/{created['id']}")).json()
    assert found["lastOccurrence"] == started
    assert found == await shown(world, created["id"])
    assert await nodes(world, TASKS) == [found]


async def test_a_task_that_begins_at_once_says_so_to_who_may_only_write(world: RestWorld):
    async with await world.with_scopes(Scope.TASKS_WRITE) as client:
        response = await client.post(TASKS, json=task(runNow=True))

    assert response.status_code == 201
    assert response.json()["lastOccurrence"]["trigger"] == "MANUAL"


async def test_a_deleted_task_is_gone(world: RestWorld):
    created = await made(world)

    response = await world.client.delete(f"{TASKS}/{created['id']}")

    assert (response.status_code, response.content) == (204, b"")
    assert await names(world) == []
    gone = await world.client.get(f"{TASKS}/{created['id']}")
    assert fields_of(problem_of(gone, 404, "NOT_FOUND"))[0][:2] == ("path", "id")


async def test_a_task_is_run_at_once(world: RestWorld):
    created = await made(world)

    response = await world.client.post(f"{TASKS}/{created['id']}/run")

    started = response.json()
    assert response.status_code == 202
    assert (started["task"]["id"], started["trigger"]) == (created["id"], "MANUAL")


async def test_a_repeated_order_runs_a_task_once(world: RestWorld):
    created = await made(world)
    path, sent = f"{TASKS}/{created['id']}/run", {"idempotency-key": "once"}
    first = await world.client.post(path, headers=sent)

    again = await world.client.post(path, headers=sent)

    assert again.json()["id"] == first.json()["id"]
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers


@pytest.mark.parametrize(
    ("given", "where", "words"),
    [
        ({"type": "scheduled", "cron": "every day"}, "cron", ""),
        ({"type": "scheduled", "cron": {"hour": "25"}}, "cron.hour", ""),
        ({"type": "scheduled", "cron": "0 0 30 2 *"}, "cron", "never"),
        ({"type": "scheduled", "cron": "@daily", "timezone": "Mars/Base"}, "timezone", "Mars"),
        ({"type": "scheduled"}, "cron", "requires this field"),
        ({"type": "planned"}, "times", "requires this field"),
        ({"type": "planned", "times": []}, "times", "at least one"),
        ({"type": "planned", "times": ["2001-01-01T00:00:00Z"]}, "times", "have passed"),
        ({"type": "planned", "times": ["2099-01-01T00:00:00"]}, "times.0", "is no moment"),
        ({"type": "planned", "times": [4070908800]}, "times.0", "moment as text"),
        ({"type": "planned", "times": [FAR], "cron": "@daily"}, "cron", "Leave this out"),
        ({"schedule": {"adhoc": {}}}, "type", "not both"),
        ({"type": "hourly"}, "type", "adhoc"),
        ({"type": None}, "type", "this field is required"),
        ({"agent": {"id": "x"}}, "agent.id", "is no id"),
        ({"name": ""}, "name", "Give at least one character"),
        ({"startsAt": FAR, "endsAt": FAR}, "endsAt", "after startsAt"),
        ({"colour": 1}, "colour", "no such field"),
    ],
)
async def test_a_bad_task_is_named_and_not_made(
    world: RestWorld, given: dict[str, Any], where: str, words: str
):
    response = await world.client.post(TASKS, json=task(**given))

    found = fields_of(problem_of(response, 422, "VALIDATION_FAILED"))
    assert found[0][:2] == ("body", where)
    assert words in found[0][2]
    assert await names(world) == []


async def test_two_schedules_at_once_are_refused(world: RestWorld):
    both = {"adhoc": {}, "planned": {"times": [FAR]}}
    body = task(schedule=both)
    del body["type"]

    response = await world.client.post(TASKS, json=body)

    (found,) = fields_of(problem_of(response, 422, "VALIDATION_FAILED"))
    assert found[:2] == ("body", "schedule")
    assert await names(world) == []


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("status=BUSY", "status.0"),
        ("type=hourly", "type.0"),
        ("orderBy=SIZE", "orderBy"),
        ("agentId=x", "agentId"),
        ("first=0", "first"),
        ("page=2", "page"),
        ("nextRunSince=tomorrow", "nextRunSince"),
        ("nextRunUntil=4070908800", "nextRunUntil"),
    ],
)
async def test_a_bad_parameter_is_named(world: RestWorld, query: str, where: str):
    response = await world.client.get(f"{TASKS}?{query}")

    (found,) = fields_of(problem_of(response, 422, "VALIDATION_FAILED"))
    assert found[:2] == ("query", where)


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("DELETE", ""), ("POST", "/run")])
@pytest.mark.parametrize("ident", [UNKNOWN, "task_1"])
async def test_a_task_that_is_not_there_is_not_found(
    world: RestWorld, method: str, path: str, ident: str
):
    response = await world.client.request(method, f"{TASKS}/{ident}{path}")

    assert fields_of(problem_of(response, 404, "NOT_FOUND"))[0][:2] == ("path", "id")


async def test_reading_is_no_right_to_change(world: RestWorld):
    created = await made(world)
    async with await world.with_scopes(Scope.TASKS_READ) as client:
        refused = [
            await client.post(TASKS, json=task()),
            await client.delete(f"{TASKS}/{created['id']}"),
            await client.post(f"{TASKS}/{created['id']}/run"),
        ]

    for response in refused:
        assert problem_of(response, 403, "FORBIDDEN")["requiredScope"] == "TASKS_WRITE"
    assert await names(world) == ["Report"]
