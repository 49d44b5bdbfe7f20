"""Tasks changed, held and let go on over REST: updateTask, pauseTask and resumeTask."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest

from domain.access.scopes import Scope
from schema.ids import Kind, encode_id
from tests.api.rest_tasks import FAR, HOURLY, TASKS, firing, made, shown
from tests.api.rest_world import RestWorld, fields_of, problem_of, rest_world
from tests.domain.task_world import FIRST_US
from tests.fakes import say

UNKNOWN = encode_id(Kind.TASK, "019aabcd-ef12-7456-9abc-def012345678")
DAILY = {"type": "scheduled", "cron": "0 9 * * *", "timezone": "Asia/Tokyo"}
SOON = "2023-11-14T22:14:00Z"
PAST = "2001-01-01T00:00:00Z"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[RestWorld, None]:
    async with rest_world(tmp_path) as opened:
        yield opened


async def changed(world: RestWorld, task: dict[str, Any], **given: Any) -> httpx.Response:
    return await world.client.patch(f"{TASKS}/{task['id']}", json=given)


async def deed(world: RestWorld, task: dict[str, Any], name: str, **given: Any) -> httpx.Response:
    return await world.client.post(f"{TASKS}/{task['id']}/{name}", json=given)


async def read(world: RestWorld, task: dict[str, Any]) -> dict[str, Any]:
    return (await world.client.get(f"{TASKS}/{task['id']}")).json()


async def test_what_is_absent_stays_and_null_clears(world: RestWorld):
    task = await made(world, **DAILY, endsAt=FAR, priority=9, graceSeconds=5)

    response = await changed(world, task, name="Weekly", endsAt=None, priority=None)

    after = response.json()
    assert response.status_code == 200
    assert after == {**task, "name": "Weekly", "endsAt": None, "priority": 5, "version": 2}
    assert after == await shown(world, task["id"])


@pytest.mark.parametrize(
    ("given", "schedule"),
    [
        ({"cron": "0 10 * * *"}, {"expression": "0 10 * * *", "timezone": "Asia/Tokyo"}),
        ({"cron": {"minute": "5"}}, {"expression": "5 * * * *", "timezone": "Asia/Tokyo"}),
        ({"timezone": "Asia/Seoul"}, {"expression": "0 9 * * *", "timezone": "Asia/Seoul"}),
        ({"timezone": None}, {"expression": "0 9 * * *", "timezone": "UTC"}),
        (
            {"type": "scheduled", "cron": "@daily"},
            {"expression": "0 0 * * *", "timezone": "Asia/Tokyo"},
        ),
        ({"type": "planned", "times": ["2099-01-01T01:00:00+01:00"]}, {"times": [FAR]}),
        ({"type": "adhoc"}, {"type": "adhoc"}),
        ({"schedule": {"planned": {"times": [FAR]}}}, {"times": [FAR]}),
        (
            {"schedule": {"scheduled": {"cron": {"expression": "0 10 * * *"}}}},
            {"expression": "0 10 * * *", "timezone": "UTC"},
        ),
    ],
)
async def test_a_schedule_changes_in_either_form(
    world: RestWorld, given: dict[str, Any], schedule: dict[str, Any]
):
    task = await made(world, **DAILY)

    after = (await changed(world, task, **given)).json()

    assert schedule.items() <= after["schedule"].items()
    assert after["version"] == 2
    assert after == await shown(world, task["id"])


@pytest.mark.parametrize(
    "given", [{}, {"name": "Report"}, {"type": "scheduled"}, {"cron": "0 9 * * *"}]
)
async def test_what_changes_nothing_is_no_new_version(world: RestWorld, given: dict[str, Any]):
    task = await made(world, **DAILY)

    response = await changed(world, task, **given)

    assert (response.status_code, response.json()) == (200, task)


async def test_a_change_of_another_version_is_a_conflict(world: RestWorld):
    task = await made(world, **HOURLY)
    newer = (await changed(world, task, expectedVersion=1, name="Newer")).json()

    response = await changed(world, task, expectedVersion=1, name="Older")

    problem = problem_of(response, 409, "VERSION_MISMATCH")
    assert problem["currentVersion"] == 2
    assert fields_of(problem)[0][:2] == ("body", "expectedVersion")
    assert await read(world, task) == newer


@pytest.mark.parametrize(
    ("given", "where", "words"),
    [
        ({"name": None}, ["name"], "required"),
        ({"priority": 10}, ["priority"], "at most 9"),
        ({"colour": 1}, ["colour"], "no such field"),
        ({"taskId": UNKNOWN}, ["taskId"], "the path names the task"),
        ({"idempotencyKey": "k"}, ["idempotencyKey"], "no such field"),
        ({"expectedVersion": "1"}, ["expectedVersion"], "whole number"),
        ({"agent": {"id": "x"}}, ["agent.id"], "is no id"),
        ({"cron": "every day"}, ["cron"], ""),
        ({"cron": {"hour": "25"}, "priority": 10}, ["cron.hour", "priority"], "no hour"),
        ({"cron": None}, ["cron"], "requires this field"),
        ({"type": None}, ["type"], "this field is required"),
        ({"type": "hourly"}, ["type"], "Use one of"),
        ({"type": "planned"}, ["times"], "requires this field"),
        ({"times": [FAR]}, ["times"], "goes with the type planned"),
        ({"type": "planned", "times": [PAST]}, ["times"], "have passed"),
        ({"type": "planned", "times": [4070908800]}, ["times.0"], "moment as text"),
        ({"timezone": "Mars"}, ["timezone"], "Mars"),
        ({"type": "adhoc", "schedule": {"adhoc": {}}}, ["type"], "not both"),
        ({"schedule": None}, ["schedule"], "required"),
        ({"schedule": {"planned": {"times": [PAST]}}}, ["schedule.planned.times"], "have passed"),
        ({"endsAt": PAST}, ["endsAt"], "lies ahead"),
        ({"startsAt": 5}, ["startsAt"], "moment as text"),
    ],
)
async def test_a_bad_change_is_named_and_not_made(
    world: RestWorld, given: dict[str, Any], where: list[str], words: str
):
    task = await made(world, **DAILY)

    response = await changed(world, task, **given)

    found = fields_of(problem_of(response, 422, "VALIDATION_FAILED"))
    assert [one[:2] for one in found] == [("body", path) for path in where]
    assert words in found[0][2]
    assert await read(world, task) == task


async def test_a_held_task_says_why_and_goes_on(world: RestWorld):
    task = await made(world, **HOURLY)

    held = await deed(world, task, "pause", reason="Holidays", until=FAR)
    resumed = await deed(world, task, "resume")

    assert (held.status_code, resumed.status_code) == (200, 200)
    assert held.json() == {**task, "status": "PAUSED", "pauseReason": "Holidays", "version": 2}
    assert resumed.json() == {**task, "version": 3}
    assert resumed.json() == await shown(world, task["id"])


async def test_holding_and_going_on_may_be_repeated(world: RestWorld):
    task = await made(world, **HOURLY)

    for name, version in (("pause", 2), ("pause", 2), ("resume", 3), ("resume", 3)):
        response = await world.client.post(f"{TASKS}/{task['id']}/{name}")
        assert (response.status_code, response.json()["version"]) == (200, version)


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"until": PAST}, "until"),
        ({"until": 4070908800}, "until"),
        ({"until": "tomorrow"}, "until"),
        ({"reason": "x" * 1001}, "reason"),
        ({"reason": 5}, "reason"),
        ({"taskId": UNKNOWN}, "taskId"),
        ({"colour": 1}, "colour"),
    ],
)
async def test_a_task_is_not_held_by_a_bad_request(
    world: RestWorld, given: dict[str, Any], where: str
):
    task = await made(world, **HOURLY)

    response = await deed(world, task, "pause", **given)

    (found,) = fields_of(problem_of(response, 422, "VALIDATION_FAILED"))
    assert found[:2] == ("body", where)
    assert await read(world, task) == task


@pytest.mark.parametrize("name", ["pause", "resume"])
async def test_a_completed_task_is_neither_held_nor_let_go_on(world: RestWorld, name: str):
    task = await made(world, type="planned", times=[SOON])
    tasks = firing(world)
    await tasks.move_to(FIRST_US)
    world.api.runs.model.script(say("done"))
    await tasks.work_off()
    await tasks.tick()
    completed = await read(world, task)

    response = await deed(world, task, name)

    problem = problem_of(response, 409, "INVALID_STATE")
    assert problem["conflicting"] == {"type": "Task", "id": task["id"]}
    assert fields_of(problem)[0][:2] == ("path", "id")
    assert completed["status"] == "COMPLETED"
    assert await read(world, task) == completed


DEEDS = [("PATCH", ""), ("POST", "/pause"), ("POST", "/resume")]


@pytest.mark.parametrize(("method", "path"), DEEDS)
@pytest.mark.parametrize("ident", [UNKNOWN, "task_1"])
async def test_a_task_that_is_not_there_is_not_found(
    world: RestWorld, method: str, path: str, ident: str
):
    response = await world.client.request(method, f"{TASKS}/{ident}{path}", json={})

    assert fields_of(problem_of(response, 404, "NOT_FOUND"))[0][:2] == ("path", "id")


async def test_readers_and_strangers_change_nothing(world: RestWorld):
    task = await made(world, **HOURLY)
    address = f"{TASKS}/{task['id']}"
    async with (
        await world.with_scopes(Scope.TASKS_READ) as reader,
        await world.of_another_workspace() as stranger,
    ):
        refused = [
            (
                await reader.request(method, f"{address}{path}", json={}),
                await stranger.request(method, f"{address}{path}", json={}),
            )
            for method, path in DEEDS
        ]

    for by_reader, by_stranger in refused:
        assert problem_of(by_reader, 403, "FORBIDDEN")["requiredScope"] == "TASKS_WRITE"
        problem_of(by_stranger, 404, "NOT_FOUND")
    assert await read(world, task) == task


async def test_a_change_of_ten_megabytes_is_too_large(world: RestWorld):
    task = await made(world)

    response = await world.client.patch(
        f"{TASKS}/{task['id']}",
        content=b"x" * 10_000_000,
        headers={"content-type": "application/json"},
    )

    problem_of(response, 413, "BODY_TOO_LARGE")
    assert await read(world, task) == task


async def test_each_change_is_a_line_of_the_audit_log(world: RestWorld):
    task = await made(world, **HOURLY)
    await changed(world, task, cron="5 * * * *")
    await deed(world, task, "pause")
    await deed(world, task, "resume")

    found = await world.api.ask("{ auditLog(first: 4) { nodes { action } } }")

    actions = [node["action"] for node in found["auditLog"]["nodes"]]
    assert actions == ["task.resumed", "task.paused", "task.updated", "task.created"]
