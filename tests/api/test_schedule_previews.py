"""Schedules looked at through the API."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from app.graphql.errors import RequestRejected
from app.graphql.gate import Gate, Limits
from tests.api.api_world import ApiWorld, api_world
from tests.api.served import served_core
from tests.api.task_documents import HOURLY, made


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[ApiWorld, None]:
    async with api_world(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("count", [0, 101])
async def test_next_times_are_asked_for_within_bounds(world: ApiWorld, count: int):
    task = await made(world, schedule=HOURLY)

    response = await world.answer(
        "query ($id: ID!, $count: Int!) { task(id: $id) { nextOccurrences(count: $count) } }",
        id=task["id"],
        count=count,
    )

    [error] = response["errors"]
    assert error["message"] == f"count: Ask for 1 to 100 times, not {count}."


@pytest.mark.parametrize(
    ("document", "cost"),
    [
        ("{ tasks(first: 100) { nodes { nextOccurrences(count: 100) } } }", 50_201),
        ("{ tasks(first: 100) { nodes { nextOccurrences } } }", 2701),
        ("{ previewSchedule(schedule: { adhoc: {} }, count: 100) { times } }", 502),
        ("query ($n: Int!) { tasks { nodes { nextOccurrences(count: $n) } } }", 10_041),
    ],
)
def test_next_times_weigh_by_how_many_are_asked_for(document: str, cost: int):
    with pytest.raises(RequestRejected) as refused:
        Gate(served_core(), limits=Limits(cost=100)).admit(document, None)

    [body] = refused.value.bodies
    assert (body["extensions"]["limit"], body["extensions"]["value"]) == ("cost", cost)


def test_a_page_of_next_times_is_admitted_and_a_second_beside_it_is_not():
    page = "tasks(first: 100) { nodes { nextOccurrences(count: 100) } }"
    gate = Gate(served_core())

    admitted = gate.admit(f"{{ {page} }}", None)

    assert admitted.name is None
    with pytest.raises(RequestRejected):
        gate.admit(f"{{ {page} more: {page} }}", None)


PREVIEW = """
query ($schedule: ScheduleInput!, $count: Int! = 2, $after: DateTime) {
  previewSchedule(schedule: $schedule, count: $count, after: $after) {
    summary times warnings { code message at } errors { path message }
  }
}
"""


async def test_a_schedule_can_be_looked_at_before_a_task_is_made(world: ApiWorld):
    schedule = {"scheduled": {"cron": {"expression": "30 2 * * *"}, "timezone": "America/New_York"}}

    data = await world.ask(PREVIEW, schedule=schedule, after="2024-03-09T12:00:00Z")

    assert data["previewSchedule"] == {
        "summary": "At 02:30, every day, America/New_York",
        "times": ["2024-03-10T07:00:00.000Z", "2024-03-11T06:30:00.000Z"],
        "warnings": [
            {
                "code": "DST_SKIPPED",
                "message": "On 2024-03-10 the clock jumps over 02:30; it runs at 03:00 instead.",
                "at": "2024-03-10T07:00:00.000Z",
            }
        ],
        "errors": [],
    }


async def test_an_invalid_schedule_is_shown_with_what_is_wrong(world: ApiWorld):
    schedule = {"scheduled": {"cron": {"expression": "0 0 30 2 *"}, "timezone": "Mars"}}

    data = await world.ask(PREVIEW, schedule=schedule)

    found = data["previewSchedule"]
    assert (found["summary"], found["times"]) == ("Never due", [])
    assert [warning["code"] for warning in found["warnings"]] == ["NEVER_DUE"]
    assert [error["path"] for error in found["errors"]] == [
        ["schedule", "scheduled", "cron", "expression"],
        ["schedule", "scheduled", "timezone"],
    ]
