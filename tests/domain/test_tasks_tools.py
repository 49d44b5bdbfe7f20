"""Agents schedule work: through the service, once for a call, with errors a model can act on."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest

from domain.access.scopes import Scope
from domain.kernel.database import Database
from domain.tasks.tools import task_tools
from domain.tools.calls import ToolContext, ToolResult
from domain.tools.registry import ToolRegistry
from tests.domain.task_tool_calls import called
from tests.domain.task_world import BEGIN_US, FIRST_US, TaskWorld, task_world

ASKED: dict[str, Any] = {"name": "Stars", "instruction": "count the stars"}


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[TaskWorld, None]:
    """A world on each database."""
    async with task_world(database) as built:
        yield built


async def call(world: TaskWorld, **arguments: Any) -> ToolResult:
    """Have the default agent schedule something."""
    return await called(world, "schedule_task", **{**ASKED, **arguments})


async def tasks_of(world: TaskWorld) -> list[tuple[Any, ...]]:
    """Name, kind, next due time and maker of every task."""
    sql = "SELECT name, schedule_kind, next_run_at, created_by FROM task ORDER BY id"
    return await world.runs.database.fetch(sql)


async def test_an_agent_schedules_by_cron_in_a_time_zone(world: TaskWorld) -> None:
    result = await call(world, cron="0 9 * * mon-fri", timezone="Europe/Berlin")

    assert result.value == {
        "name": "Stars",
        "schedule": "At 09:00, Monday to Friday, Europe/Berlin",
        "next_times": [
            "2023-11-15T08:00:00.000Z",
            "2023-11-16T08:00:00.000Z",
            "2023-11-17T08:00:00.000Z",
        ],
    }
    ((name, kind, _, created_by),) = await tasks_of(world)
    assert (name, kind, created_by) == ("Stars", "SCHEDULED", "default")


async def test_a_repeated_call_makes_no_second_task_though_time_has_passed(
    world: TaskWorld,
) -> None:
    await call(world, in_minutes=5)
    world.runs.clock.move(60)

    again = await call(world, in_minutes=5)

    assert again.failure is None
    assert await tasks_of(world) == [("Stars", "PLANNED", BEGIN_US + 300_000_000, "default")]


async def test_times_are_given_with_their_offset(world: TaskWorld) -> None:
    await call(world, times=["2023-11-14T23:14:00+01:00"])

    assert await tasks_of(world) == [("Stars", "PLANNED", FIRST_US, "default")]


async def test_a_task_on_demand_has_no_times(world: TaskWorld) -> None:
    result = await call(world, on_demand=True)

    assert result.value == {"name": "Stars", "schedule": "On demand", "next_times": []}
    assert await tasks_of(world) == [("Stars", "ADHOC", None, "default")]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({}, "Give exactly one of cron, times, in_minutes, on_demand."),
        (
            {"cron": "* * * * *", "in_minutes": 1},
            "Give exactly one of cron, times, in_minutes, on_demand.",
        ),
        ({"times": ["2020-01-01T00:00:00Z"]}, "times: All of these times have passed;"),
        ({"times": ["tomorrow"]}, "times: 'tomorrow' is no moment;"),
        ({"cron": "61 * * * *"}, "cron: '61' is no minute;"),
        ({"cron": "* * * * *", "timezone": "Mars"}, "timezone: No time zone is called 'Mars';"),
        ({"in_minutes": 0}, "in_minutes"),
    ],
)
async def test_what_cannot_be_is_told_by_argument_and_makes_nothing(
    world: TaskWorld, arguments: dict[str, Any], complaint: str
) -> None:
    result = await call(world, **arguments)

    assert result.failure is not None
    assert result.failure.code == "INVALID_ARGUMENTS"
    assert complaint in result.failure.message
    assert await tasks_of(world) == []


async def test_an_agent_without_the_scope_makes_nothing(world: TaskWorld) -> None:
    actor = replace(world.runs.principal, scopes=frozenset({Scope.RUNS_READ}))
    context = ToolContext(workspace_id=actor.workspace_id, agent_id="a", step_id="s", actor=actor)
    registry = ToolRegistry(task_tools(world.service, world.runs.clock))

    result = await registry.call("schedule_task", {**ASKED, "in_minutes": 1}, context=context)

    assert result.failure is not None
    assert result.failure.code == "FORBIDDEN"
    assert await tasks_of(world) == []
