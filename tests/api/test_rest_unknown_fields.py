"""A field that a body does not have is told from those that it has, in either of its forms."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
import pytest_asyncio

from schema.ids import Kind, encode_id
from tests.api.rest_tasks import HOURLY, TASKS, made
from tests.api.rest_world import ROOT, RestWorld, fields_of, problem_of, rest_world

PREVIEW = f"{ROOT}/schedules/preview"
ANOTHER = encode_id(Kind.TASK, "019aabcd-ef12-7456-9abc-def012345678")
SPAN = {"since": "2023-11-01T00:00:00Z"}

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[RestWorld, None]:
    """One world for all of it, since nothing in it changes."""
    async with rest_world(tmp_path_factory.mktemp("rest")) as opened:
        yield opened


async def complaint(world: RestWorld, method: str, path: str, body: dict[str, Any]) -> str:
    """What is wrong with the one field of a body that is refused."""
    response = await world.client.request(method, path, json=body)

    problem = problem_of(response, 422, "VALIDATION_FAILED")
    (found,) = fields_of(problem)
    assert found[0] == "body"
    assert problem["detail"] == f"{found[1]}: {found[2]}"
    return found[2]


@pytest.mark.parametrize(
    ("path", "given", "words"),
    [
        ("", {"timezon": "UTC"}, "did you mean timezone?"),
        ("", {"Cron": "0 9 * * *"}, "did you mean cron?"),
        ("", {"version": 3}, "did you mean expectedVersion?"),
        ("", {"tz": "UTC"}, "the fields here are expectedVersion, type, runNow, times, cron,"),
        ("/pause", {"x": 1}, "the fields here are reason, until."),
        ("/run", {"x": 1}, "the fields here are inputs, waitSeconds, idempotencyKey."),
        ("/backfill", {"span": SPAN, "x": 1}, "the fields here are span, dryRun, idempotencyKey."),
        ("/backfill", {"span": {**SPAN, "x": 1}}, "the fields here are since, until."),
        ("/backfill", {"span": SPAN, "taskId": ANOTHER}, "the path names the task."),
    ],
)
async def test_of_a_task_that_is_there(
    world: RestWorld, path: str, given: dict[str, Any], words: str
):
    task = await made(world, **HOURLY)
    address = f"{TASKS}/{task['id']}"

    told = await complaint(world, "POST" if path else "PATCH", f"{address}{path}", given)

    assert words in told
    assert (await world.client.get(address)).json() == task


async def test_of_a_preview(world: RestWorld):
    flat = {"type": "scheduled", "cron": "0 9 * * *"}

    told = await complaint(world, "POST", PREVIEW, {**flat, "tz": "UTC"})

    assert told == (
        "There is no such field; the fields here are type, runNow, times, cron, timezone, count,"
        " after, schedule."
    )


async def test_every_problem_is_named_beside_it(world: RestWorld):
    task = await made(world, **HOURLY)

    response = await world.client.patch(
        f"{TASKS}/{task['id']}", json={"tz": "UTC", "cron": "x", "priority": 10}
    )

    found = fields_of(problem_of(response, 422, "VALIDATION_FAILED"))
    assert sorted(path for _, path, _ in found) == ["cron", "priority", "tz"]


async def test_words_too_many_to_search_for_are_named_as_the_parameter(world: RestWorld):
    response = await world.client.get(f"{TASKS}?search={'x' * 201}")

    found = fields_of(problem_of(response, 422, "VALIDATION_FAILED"))
    assert found == [("query", "search", "Use at most 200 characters; this has 201.")]
