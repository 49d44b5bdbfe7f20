"""Past due times of a task, listed and run through both doors."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from domain.access.scopes import Scope
from tests.api.rest_world import ROOT, RestWorld, fields_of, problem_of, rest_world
from tests.api.task_documents import UNKNOWN

BACKFILL = """
mutation ($input: BackfillTaskInput!) { backfillTask(input: $input) {
  __typename
  ... on BackfillTaskSuccess { times dryRun occurrences {
    id trigger scheduledFor status reason task { id } run { id } } }
  ... on Error { code message path }
} }
"""
TIMES = ["2001-01-01T00:00:00.000Z", "2002-01-01T00:00:00.000Z"]
SPAN = {"since": "2000-01-01T00:00:00+01:00"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[RestWorld, None]:
    async with rest_world(tmp_path) as opened:
        yield opened


async def made(world: RestWorld) -> str:
    """Make a task with two due times that have passed, and return its id."""
    body = {
        "name": "Report",
        "agent": {"slug": "default"},
        "instruction": "do it",
        "type": "planned",
        "times": [*TIMES, "2999-01-01T00:00:00Z"],
    }
    response = await world.client.post(f"{ROOT}/tasks", json=body)
    assert response.status_code == 201, response.text
    return response.json()["id"]


async def asked(world: RestWorld, task_id: str, **given: Any) -> dict[str, Any]:
    values = {"taskId": task_id, "span": SPAN, **given}
    return (await world.api.ask(BACKFILL, input=values))["backfillTask"]


def path_of(task_id: str) -> str:
    return f"{ROOT}/tasks/{task_id}/backfill"


async def test_nothing_runs_unless_told(world: RestWorld):
    task_id = await made(world)

    shown = await asked(world, task_id)
    response = await world.client.post(path_of(task_id), json={"span": SPAN})

    assert shown.pop("__typename") == "BackfillTaskSuccess"
    assert shown == {"times": TIMES, "occurrences": [], "dryRun": True}
    assert (response.status_code, response.json()) == (200, shown)
    listed = await world.api.ask("{ occurrences { nodes { id } } }")
    assert listed["occurrences"]["nodes"] == []


async def test_times_that_run_are_shown_and_not_taken_again(world: RestWorld):
    task_id = await made(world)
    until = {"span": {**SPAN, "until": TIMES[1]}, "dryRun": False}

    shown = await asked(world, task_id, **until)
    response = await world.client.post(path_of(task_id), json={"span": SPAN, "dryRun": False})

    assert (shown["times"], shown["dryRun"]) == (TIMES[:1], False)
    [occurrence] = shown["occurrences"]
    assert (occurrence["trigger"], occurrence["scheduledFor"]) == ("BACKFILL", TIMES[0])
    assert occurrence["task"] == {"id": task_id}
    assert response.status_code == 202
    assert response.json()["times"] == TIMES[1:]
    [other] = response.json()["occurrences"]
    assert (other["trigger"], other["task"], other["run"]) == ("BACKFILL", {"id": task_id}, None)
    assert await asked(world, task_id) == {
        "__typename": "BackfillTaskSuccess",
        "times": [],
        "occurrences": [],
        "dryRun": True,
    }


async def test_a_key_is_one_backfill_through_both_doors(world: RestWorld):
    task_id = await made(world)
    shown = await asked(world, task_id, dryRun=False, idempotencyKey="k")

    response = await world.client.post(
        path_of(task_id),
        json={"span": {"since": "1999-12-31T23:00:00Z"}, "dryRun": False},
        headers={"idempotency-key": "k"},
    )

    assert response.headers["idempotent-replayed"] == "true"
    assert [one["id"] for one in response.json()["occurrences"]] == [
        one["id"] for one in shown["occurrences"]
    ]


@pytest.mark.parametrize("key", [5, "", "x" * 201], ids=["number", "empty", "long"])
async def test_a_bad_key_in_the_body_is_refused_beside_a_good_one(world: RestWorld, key: object):
    task_id = await made(world)
    body = {"span": SPAN, "dryRun": False, "idempotencyKey": key}

    response = await world.client.post(
        path_of(task_id), json=body, headers={"idempotency-key": "k"}
    )

    where = fields_of(problem_of(response, 422, "VALIDATION_FAILED"))[0][:2]
    assert where == ("body", "idempotencyKey")
    assert (await asked(world, task_id))["times"] == TIMES


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, "span"),
        ({"span": {}}, "span.since"),
        ({"span": {"since": None}}, "span.since"),
        ({"span": {"since": 5}}, "span.since"),
        ({"span": {"since": "yesterday"}}, "span.since"),
        ({"span": {**SPAN, "until": "1999-01-01T00:00:00Z"}}, "span.until"),
        ({"span": SPAN, "dryRun": "no"}, "dryRun"),
        ({"span": SPAN, "until": TIMES[0]}, "until"),
    ],
    ids=["no span", "no since", "null", "number", "words", "reversed", "flag", "unknown field"],
)
async def test_a_bad_body_is_refused_by_field(world: RestWorld, body: dict[str, Any], where: str):
    task_id = await made(world)

    response = await world.client.post(path_of(task_id), json=body)

    assert fields_of(problem_of(response, 422, "VALIDATION_FAILED"))[0][:2] == ("body", where)


async def test_refusals_name_what_is_wrong(world: RestWorld):
    task_id = await made(world)
    ahead = {"since": "2998-01-01T00:00:00Z"}

    wrong = await asked(world, task_id, span=ahead, dryRun=False)
    unknown = await asked(world, UNKNOWN)
    missing = await world.client.post(path_of(UNKNOWN), json={"span": SPAN})
    async with await world.with_scopes(Scope.TASKS_READ) as client:
        refused = await client.post(path_of(task_id), json={"span": SPAN})

    assert (wrong["__typename"], wrong["path"]) == ("ValidationFailed", ["span", "since"])
    assert (unknown["__typename"], unknown["path"]) == ("NotFound", ["taskId"])
    assert fields_of(problem_of(missing, 404, "NOT_FOUND"))[0][:2] == ("path", "id")
    assert problem_of(refused, 403, "FORBIDDEN")["requiredScope"] == "TASKS_WRITE"
    listed = await world.api.ask("{ occurrences { nodes { id } } }")
    assert listed["occurrences"]["nodes"] == []
