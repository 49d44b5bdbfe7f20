"""Due times of tasks over REST: the twins of occurrences, nextOccurrences and previewSchedule."""

from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from domain.access.scopes import Scope
from schema.ids import Kind, encode_id
from tests.api.rest_tasks import (
    FAR,
    HOURLY,
    OCCURRENCE,
    OCCURRENCES,
    RUN,
    TASKS,
    firing,
    made,
    nodes,
)
from tests.api.rest_world import ROOT, RestWorld, fields_of, problem_of, rest_world
from tests.domain.task_world import FIRST_US, MINUTE_US
from tests.fakes import say

UNKNOWN = encode_id(Kind.TASK, "019aabcd-ef12-7456-9abc-def012345678")
UNKNOWN_OCCURRENCE = encode_id(Kind.OCCURRENCE, "019aabcd-ef12-7456-9abc-def012345678")
PREVIEW = f"{ROOT}/schedules/preview"
AT = "2023-11-14T22:14:00.000Z"
LATER = "2023-11-14T22:30:00.000Z"
MINUTELY = {"type": "scheduled", "cron": "* * * * *"}
NEW_YORK = {"type": "scheduled", "cron": "30 2 * * *", "timezone": "America/New_York"}
NEXT = "query ($id: ID!, $count: Int!) { task(id: $id) { nextOccurrences(count: $count) } }"
LISTED = f"""
query ($filter: OccurrenceFilter, $orderBy: TimeOrder! = NEWEST_FIRST) {{
  occurrences(filter: $filter, orderBy: $orderBy) {{ nodes {{ {OCCURRENCE} }} }}
}}
"""
LOOKED_AT = """
query ($schedule: ScheduleInput!, $count: Int! = 5, $after: DateTime) {
  previewSchedule(schedule: $schedule, count: $count, after: $after) {
    summary times warnings { code message at } errors { path message }
  }
}
"""

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[RestWorld, None]:
    """A world in which one task has run and others have missed their times."""
    async with rest_world(tmp_path_factory.mktemp("rest")) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def past(world: RestWorld) -> dict[str, dict[str, Any]]:
    """Tasks by name: one that ran, one that missed seventeen times, one that was deleted."""
    ran = await made(world, name="Ran", type="planned", times=[AT])
    missed = await made(
        world, name="Missed", **MINUTELY, endsAt=LATER, missedRunPolicy="SKIP", graceSeconds=0
    )
    gone = await made(world, name="Gone")
    tasks = firing(world)
    await tasks.move_to(FIRST_US + 20 * MINUTE_US)
    world.api.runs.model.script(say("done"))
    await tasks.work_off()
    await world.client.post(f"{TASKS}/{gone['id']}/run")
    await world.client.delete(f"{TASKS}/{gone['id']}")
    await tasks.work_off()
    return {"ran": ran, "missed": missed, "gone": gone}


async def get(world: RestWorld, path: str) -> httpx.Response:
    return await world.client.get(httpx.URL(f"http://localhost{path}"))


async def test_occurrences_read_as_graphql_shows_them(
    world: RestWorld, past: dict[str, dict[str, Any]]
):
    everything = await nodes(world, f"{OCCURRENCES}?first=100")

    for found in everything:
        alone = (await get(world, f"{OCCURRENCES}/{found['id']}")).json()
        shown = await world.api.ask(
            f"query ($id: ID!) {{ node(id: $id) {{ ... on Occurrence {{"
            f" {OCCURRENCE} attempts {{ {RUN} }} }} }} }}",
            id=found["id"],
        )
        assert alone == shown["node"]
        assert found == {name: value for name, value in alone.items() if name != "attempts"}
    statuses = {found["task"]["id"]: found["status"] for found in everything}
    assert statuses == {
        past["ran"]["id"]: "SUCCEEDED",
        past["missed"]["id"]: "MISSED",
        past["gone"]["id"]: "CANCELLED",
    }


@pytest.mark.parametrize(
    ("query", "narrow"),
    [
        ("", {}),
        ("status=MISSED", {"statuses": ["MISSED"]}),
        ("status=MISSED&status=SUCCEEDED", {"statuses": ["MISSED", "SUCCEEDED"]}),
        ("since=2023-11-14T22:16:00Z", {"scheduledFor": {"since": "2023-11-14T22:16:00Z"}}),
        ("until=2023-11-14T23:16:00%2B01:00", {"scheduledFor": {"until": "2023-11-14T22:16:00Z"}}),
        (
            "since=2023-11-14T22:15:00Z&until=2023-11-14T22:15:00Z",
            {
                "scheduledFor": {
                    "since": "2023-11-14T22:15:00Z",
                    "until": "2023-11-14T22:15:00Z",
                }
            },
        ),
    ],
)
@pytest.mark.parametrize("order", ["NEWEST_FIRST", "OLDEST_FIRST"])
@pytest.mark.parametrize("name", [None, "missed", "gone"])
async def test_parameters_narrow_and_sort_occurrences_as_in_graphql(
    world: RestWorld,
    past: dict[str, dict[str, Any]],
    query: str,
    narrow: dict[str, Any],
    order: str,
    name: str | None,
):
    parameters = f"{query}&orderBy={order}".removeprefix("&")
    if name is not None:
        narrow = {**narrow, "taskId": past[name]["id"]}
        parameters += f"&taskId={past[name]['id']}"

    found = await nodes(world, f"{OCCURRENCES}?{parameters}")

    shown = await world.api.ask(LISTED, filter=narrow, orderBy=order)
    assert found == shown["occurrences"]["nodes"]
    if name is not None:
        of_task = parameters.partition("&taskId")[0]
        assert await nodes(world, f"{TASKS}/{past[name]['id']}/occurrences?{of_task}") == found


@pytest.mark.parametrize("path", [OCCURRENCES, TASKS + "/{id}/occurrences"])
async def test_the_link_leads_through_the_history(
    world: RestWorld, past: dict[str, dict[str, Any]], path: str
):
    address = path.format(id=past["missed"]["id"]) + "?status=MISSED&first=10"
    whole = await nodes(world, address.replace("first=10", "first=100"))

    seen: list[list[dict[str, Any]]] = []
    while address:
        response = await world.client.get(address)
        seen.append(response.json()["nodes"])
        address = response.headers.get("link", "").partition("<")[2].partition(">")[0]

    assert [len(page) for page in seen] == [10, 6]
    assert [node for page in seen for node in page] == whole


@pytest.mark.parametrize("count", [None, 1, 100])
@pytest.mark.parametrize("given", [HOURLY, NEW_YORK, {"type": "planned", "times": [FAR]}, {}])
async def test_next_times_are_those_of_graphql(
    world: RestWorld, given: dict[str, Any], count: int | None
):
    task = await made(world, **given)

    query = "" if count is None else f"?count={count}"
    response = await get(world, f"{TASKS}/{task['id']}/next{query}")

    shown = await world.api.ask(NEXT, id=task["id"], count=count or 5)
    assert (response.status_code, response.json()) == (
        200,
        {"times": shown["task"]["nextOccurrences"]},
    )


async def test_a_held_task_has_no_next_times(world: RestWorld):
    task = await made(world, **HOURLY)
    await world.client.post(f"{TASKS}/{task['id']}/pause")

    response = await get(world, f"{TASKS}/{task['id']}/next")

    assert response.json() == {"times": []}


@pytest.mark.parametrize(
    ("path", "query", "where"),
    [
        (OCCURRENCES, "status=BUSY", "status.0"),
        (OCCURRENCES, "since=noon", "since"),
        (OCCURRENCES, "until=5", "until"),
        (OCCURRENCES, "orderBy=SIZE", "orderBy"),
        (OCCURRENCES, "taskId=x", "taskId"),
        (OCCURRENCES, "first=101", "first"),
        (OCCURRENCES, "after=x", "after"),
        (OCCURRENCES, "page=2", "page"),
        (TASKS + "/{id}/occurrences", "taskId={id}", "taskId"),
        (TASKS + "/{id}/occurrences", "status=", "status.0"),
        (TASKS + "/{id}/next", "count=0", "count"),
        (TASKS + "/{id}/next", "count=101", "count"),
        (TASKS + "/{id}/next", "count=ten", "count"),
        (TASKS + "/{id}/next", "after=" + FAR, "after"),
    ],
)
async def test_a_bad_parameter_is_named(
    world: RestWorld, past: dict[str, dict[str, Any]], path: str, query: str, where: str
):
    address = f"{path}?{query}".format(id=past["ran"]["id"])

    problem = (await get(world, address)).json()

    assert problem["status"] == 422
    assert fields_of(problem)[0][:2] == ("query", where)


@pytest.mark.parametrize(
    "path",
    [
        f"{TASKS}/{UNKNOWN}/occurrences",
        f"{TASKS}/{UNKNOWN}/next",
        f"{OCCURRENCES}/{UNKNOWN_OCCURRENCE}",
        f"{OCCURRENCES}/{UNKNOWN}",
        f"{OCCURRENCES}/occ_1",
    ],
)
async def test_what_is_not_there_is_not_found(world: RestWorld, path: str):
    problem = problem_of(await get(world, path), 404, "NOT_FOUND")

    assert fields_of(problem)[0][:2] == ("path", "id")


async def test_strangers_see_no_due_time(world: RestWorld, past: dict[str, dict[str, Any]]):
    [occurrence] = await nodes(world, f"{TASKS}/{past['ran']['id']}/occurrences")
    async with await world.of_another_workspace() as stranger:
        refused = [
            await stranger.get(f"{TASKS}/{past['ran']['id']}/occurrences"),
            await stranger.get(f"{TASKS}/{past['missed']['id']}/next"),
            await stranger.get(f"{OCCURRENCES}/{occurrence['id']}"),
        ]
        listed = [
            (await stranger.get(OCCURRENCES)).json()["nodes"],
            (await stranger.get(f"{OCCURRENCES}?taskId={past['ran']['id']}")).json()["nodes"],
        ]

    for response in refused:
        problem_of(response, 404, "NOT_FOUND")
    assert listed == [[], []]


async def test_a_key_without_the_scope_may_not(world: RestWorld, past: dict[str, dict[str, Any]]):
    async with await world.with_scopes(Scope.RUNS_READ) as client:
        refused = [
            await client.get(OCCURRENCES),
            await client.get(f"{OCCURRENCES}/{UNKNOWN_OCCURRENCE}"),
            await client.get(f"{TASKS}/{past['ran']['id']}/occurrences"),
            await client.get(f"{TASKS}/{past['ran']['id']}/next"),
            await client.post(PREVIEW, json={"type": "adhoc"}),
        ]

    for response in refused:
        assert problem_of(response, 403, "FORBIDDEN")["requiredScope"] == "TASKS_READ"


NESTED = {
    "adhoc": {"adhoc": {}},
    "planned": {"planned": {"times": [FAR]}},
    "cron": {"scheduled": {"cron": {"expression": "30 2 * * *"}, "timezone": "America/New_York"}},
    "fields": {"scheduled": {"cron": {"fields": {"minute": "*/5"}}}},
    "never": {"scheduled": {"cron": {"expression": "0 0 30 2 *"}, "timezone": "Mars"}},
}
FLAT = {
    "adhoc": {"type": "adhoc"},
    "planned": {"type": "planned", "times": [FAR]},
    "cron": NEW_YORK,
    "fields": {"type": "scheduled", "cron": {"minute": "*/5"}},
    "never": {"type": "scheduled", "cron": "0 0 30 2 *", "timezone": "Mars"},
}


@pytest.mark.parametrize("name", NESTED)
async def test_a_schedule_is_looked_at_in_either_form_as_in_graphql(world: RestWorld, name: str):
    more = {"count": 2, "after": "2024-03-09T12:00:00Z"}
    shown = await world.api.ask(LOOKED_AT, schedule=NESTED[name], **more)

    nested = await world.client.post(PREVIEW, json={"schedule": NESTED[name], **more})
    flat = await world.client.post(PREVIEW, json={**FLAT[name], **more})

    assert (nested.status_code, nested.json()) == (200, shown["previewSchedule"])
    assert flat.json()["errors"] == [
        {"path": [{"expression": "cron"}.get(last, last)], "message": error["message"]}
        for error in nested.json()["errors"]
        for last in error["path"][-1:]
    ]
    assert {**flat.json(), "errors": []} == {**nested.json(), "errors": []}


async def test_five_times_from_now_are_shown_unless_told_otherwise(world: RestWorld):
    response = await world.client.post(PREVIEW, json={**HOURLY, "count": None, "after": None})

    schedule = {"scheduled": {"cron": {"expression": "0 * * * *"}}}
    shown = await world.api.ask(LOOKED_AT, schedule=schedule)
    assert response.json() == shown["previewSchedule"]
    assert len(response.json()["times"]) == 5


@pytest.mark.parametrize(
    ("given", "path", "words"),
    [
        ({}, ["schedule"], "required"),
        ({"schedule": {}}, ["schedule"], "none of them is given"),
        ({"cron": "0 9 * * *"}, ["type"], "this field is required"),
        ({"type": "hourly"}, ["type"], "Use one of"),
        ({"type": "planned"}, ["times"], "requires this field"),
        ({"type": "planned", "times": [5]}, ["times", "0"], "moment as text"),
        ({"type": "adhoc", "schedule": {"adhoc": {}}}, ["type"], "not both"),
        ({"type": "scheduled", "cron": {"hour": "25"}}, ["cron", "hour"], "no hour"),
        (
            {"schedule": {"scheduled": {"cron": {"fields": {"hour": "25"}}}}},
            ["schedule", "scheduled", "cron", "fields", "hour"],
            "no hour",
        ),
    ],
)
async def test_what_is_wrong_with_a_schedule_is_the_answer(
    world: RestWorld, given: dict[str, Any], path: list[str], words: str
):
    response = await world.client.post(PREVIEW, json=given)

    found = response.json()
    assert (response.status_code, found["times"]) == (200, [])
    assert found["errors"][0]["path"] == path
    assert words in found["errors"][0]["message"]


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"count": 0}, "count"),
        ({"count": 101}, "count"),
        ({"count": "5"}, "count"),
        ({"after": "noon"}, "after"),
        ({"after": 5}, "after"),
        ({"colour": 1}, "colour"),
        ({"sche\0dule": 1}, ""),
    ],
)
async def test_other_values_at_fault_are_refused(
    world: RestWorld, given: dict[str, Any], where: str
):
    response = await world.client.post(PREVIEW, json={"type": "adhoc", **given})

    (found,) = fields_of(problem_of(response, 422, "VALIDATION_FAILED"))
    assert found[:2] == ("body", where)
