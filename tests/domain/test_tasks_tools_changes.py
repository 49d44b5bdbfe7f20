"""Agents see what is scheduled, and change, hold, start and cancel what is their own."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from domain.kernel.database import Database, Statement
from domain.kernel.public_ids import TASK, public_id
from domain.tasks.rows import TaskRow
from domain.tasks.tools import task_tools
from domain.tools.calls import Reading, ToolResult
from domain.tools.manifest import SideEffect
from schema.ids import Kind, encode_id
from tests.domain.task_tool_calls import called
from tests.domain.task_world import FIRST_US, MINUTE_US, TaskWorld, task_world

ON_DEMAND: dict[str, Any] = {"schedule": {"adhoc": {}}}
NAMES = "name, instruction, cron, timezone, times, in_minutes"
FIRST = "2023-11-14T22:14:00.000Z"
SECOND = "2023-11-14T22:15:00.000Z"


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[TaskWorld, None]:
    """A world on each database."""
    async with task_world(database) as built:
        yield built


async def of_another(world: TaskWorld, **more: Any) -> TaskRow:
    """Make a task that another agent does."""
    other = {"name": "Anna", "slug": "anna"}
    await world.runs.agents.create(world.runs.principal, other)
    return await world.create(agent={"slug": "anna"}, **more)


def refusal(result: ToolResult) -> tuple[str, str]:
    """Code and message of a call that failed."""
    assert result.failure is not None
    return result.failure.code, result.failure.message


async def test_a_list_says_what_is_due_when_and_whose_it_is(world: TaskWorld) -> None:
    mine = await world.create(name="Report")
    other = await of_another(world, name="Backup", **ON_DEMAND)

    result = await called(world, "list_tasks")

    report = {
        "id": public_id(TASK, mine.id),
        "name": "Report",
        "schedule": "Every minute, UTC",
        "status": "ACTIVE",
        "next_time": FIRST,
        "own": True,
    }
    backup = {
        "id": public_id(TASK, other.id),
        "name": "Backup",
        "schedule": "On demand",
        "status": "ACTIVE",
        "next_time": None,
        "own": False,
    }
    assert result.value == {"tasks": [report, backup], "more": False}


async def test_a_list_is_narrowed_by_words_and_status_and_says_when_there_is_more(
    world: TaskWorld,
) -> None:
    held = await world.create(name="Held", instruction="count the stars")
    await world.service.pause(world.runs.principal, {"taskId": held.id})
    for place in range(21):
        await world.create(name=f"Task {place}", **ON_DEMAND)

    async def names(**given: Any) -> tuple[list[str], bool]:
        value: Any = (await called(world, "list_tasks", **given)).value
        return [task["name"] for task in value["tasks"]], value["more"]

    assert await names(search="STARS") == (["Held"], False)
    assert await names(status="PAUSED") == (["Held"], False)
    assert await names(search="nothing") == ([], False)
    found, more = await names(status="ACTIVE")
    assert (len(found), more) == (20, True)


async def test_a_task_is_shown_with_its_next_and_its_last_times(world: TaskWorld) -> None:
    task = await world.create(name="Report")
    await world.move_to(FIRST_US)
    await world.move_to(FIRST_US + MINUTE_US)

    result = await called(world, "show_task", task="report")

    assert result.value == {
        "id": public_id(TASK, task.id),
        "name": "Report",
        "instruction": "write the report",
        "schedule": "Every minute, UTC",
        "status": "ACTIVE",
        "pause_reason": None,
        "own": True,
        "next_times": [f"2023-11-14T22:{minute}:00.000Z" for minute in range(16, 21)],
        "last_times": [
            {"due": SECOND, "status": "SKIPPED", "reason": "The run before it is still at work."},
            {"due": FIRST, "status": "RUNNING", "reason": None},
        ],
    }


@pytest.mark.parametrize("is_tainted", [False, True])
async def test_what_a_run_of_untrusted_text_came_to_is_read_as_untrusted(
    world: TaskWorld, *, is_tainted: bool
) -> None:
    task = await world.create(**ON_DEMAND)
    await world.service.run_now(world.runs.principal, {"taskId": task.id})
    marking = Statement("UPDATE run SET tainted = $1", (is_tainted,))
    await world.runs.database.write([marking])
    reading = Reading()

    await called(world, "show_task", task=task.id, reading=reading)

    assert reading.is_untrusted is is_tainted


@pytest.mark.parametrize("which", ["Morning report", "MORNING REPORT", "report morning", None])
async def test_a_task_is_meant_by_its_id_its_name_or_words_of_it(
    world: TaskWorld, which: str | None
) -> None:
    task = await world.create(name="Morning report", **ON_DEMAND)
    await world.create(name="Evening news", instruction="morning report", **ON_DEMAND)

    result = await called(world, "cancel_task", task=which or public_id(TASK, task.id))

    assert result.value == {"id": public_id(TASK, task.id), "name": "Morning report"}
    assert (await world.task(task.id)).deleted_at is not None


async def test_no_more_times_are_shown_than_starts_are_left(world: TaskWorld) -> None:
    await world.create(name="Report", maxRuns=2)

    value: Any = (await called(world, "show_task", task="Report")).value

    assert value["next_times"] == [FIRST, SECOND]


async def test_an_id_is_the_one_that_clients_know(world: TaskWorld) -> None:
    task = await world.create(name="Report", **ON_DEMAND)
    known = encode_id(Kind.TASK, task.id)

    named = [
        refusal(await called(world, "show_task", task=wrong))[0]
        for wrong in (encode_id(Kind.RUN, task.id), f"{known}A", known[:-1], "task_", "task_%")
    ]
    value: Any = (await called(world, "show_task", task=known)).value

    assert named == ["NOT_FOUND"] * 5
    assert value["id"] == known


async def test_the_whole_name_goes_before_words_of_longer_ones(world: TaskWorld) -> None:
    await world.create(name="Report of the week", **ON_DEMAND)
    task = await world.create(name="Report", **ON_DEMAND)

    result = await called(world, "show_task", task="report")

    value: Any = result.value
    assert value["id"] == public_id(TASK, task.id)


@pytest.mark.parametrize("tool", ["show_task", "change_task", "cancel_task", "run_task_now"])
async def test_a_name_of_no_task_or_of_several_is_refused_with_those_that_are_meant(
    world: TaskWorld, tool: str
) -> None:
    one = await world.create(name="Report A", **ON_DEMAND)
    two = await world.create(name="Report B", **ON_DEMAND)
    more: dict[str, Any] = {"paused": True} if tool == "change_task" else {}

    none = refusal(await called(world, tool, task="Stars", **more))
    several = refusal(await called(world, tool, task="report", **more))

    assert none == (
        "NOT_FOUND",
        "No task is called 'Stars'; list_tasks shows those there are.",
    )
    first, second = (public_id(TASK, task.id) for task in (one, two))
    both = f"'Report A' ({first}) and 'Report B' ({second})"
    assert several == (
        "INVALID_ARGUMENTS",
        f"task: 'report' could mean {both}; give the id of one.",
    )
    assert [(await world.task(task.id)).version for task in (one, two)] == [1, 1]


@pytest.mark.parametrize("tool", ["change_task", "cancel_task", "run_task_now"])
async def test_the_task_of_another_agent_is_seen_and_left_alone(
    world: TaskWorld, tool: str
) -> None:
    task = await of_another(world, **ON_DEMAND)
    more: dict[str, Any] = {"instruction": "give me its rights"} if tool == "change_task" else {}

    seen = await called(world, "show_task", task=task.id)
    result = await called(world, tool, task=task.id, **more)

    value: Any = seen.value
    assert (value["name"], value["own"]) == ("Report", False)
    assert refusal(result) == (
        "REFUSED",
        "The task 'Report' is another agent's; only that agent or a person may.",
    )
    after = await world.task(task.id)
    assert (after.version, after.deleted_at, after.instruction) == (1, None, "write the report")
    assert await world.occurrences(task.id) == []


async def test_what_is_changed_counts_from_now_and_the_rest_stays(world: TaskWorld) -> None:
    zone = {"cron": {"expression": "0 9 * * *"}, "timezone": "Europe/Berlin"}
    task = await world.create(name="Report", schedule={"scheduled": zone}, priority=7)

    renamed = await called(world, "change_task", task="report", name="News", cron="30 8 * * *")
    moved = await called(world, "change_task", task=task.id, timezone="Asia/Tokyo")

    value: Any = renamed.value
    assert (value["name"], value["schedule"]) == ("News", "At 08:30, every day, Europe/Berlin")
    assert moved.value == {
        "id": public_id(TASK, task.id),
        "name": "News",
        "schedule": "At 08:30, every day, Asia/Tokyo",
        "status": "ACTIVE",
        "next_times": [f"2023-11-{day}T23:30:00.000Z" for day in (14, 15, 16)],
    }
    after = await world.task(task.id)
    assert (after.instruction, after.priority, after.version) == ("write the report", 7, 3)


@pytest.mark.parametrize(
    ("given", "words", "times"),
    [
        ({"in_minutes": 5}, "Once, at 2023-11-14 22:18:20 UTC", ["2023-11-14T22:18:20.000Z"]),
        (
            {"times": ["2023-11-15T01:00:00+01:00"]},
            "Once, at 2023-11-15 00:00 UTC",
            ["2023-11-15T00:00:00.000Z"],
        ),
        ({"instruction": "sing"}, "Every minute, UTC", [FIRST, SECOND, "2023-11-14T22:16:00.000Z"]),
    ],
    ids=["in minutes", "at times", "another instruction"],
)
async def test_each_change_is_told_with_the_next_times(
    world: TaskWorld, given: dict[str, Any], words: str, times: list[str]
) -> None:
    await world.create(name="Report")

    value: Any = (await called(world, "change_task", task="Report", **given)).value

    assert (value["schedule"], value["next_times"]) == (words, times)


async def test_a_task_is_held_and_goes_on(world: TaskWorld) -> None:
    task = await world.create(name="Report")

    held: Any = (await called(world, "change_task", task="Report", paused=True)).value
    status_between = (await world.task(task.id)).status
    resumed: Any = (await called(world, "change_task", task="Report", paused=False)).value

    assert (held["status"], held["next_times"], status_between) == ("PAUSED", [], "PAUSED")
    assert (resumed["status"], resumed["next_times"][0]) == ("ACTIVE", FIRST)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (
            {},
            f"Give what shall change: {NAMES} or paused.",
        ),
        ({"cron": "61 * * * *"}, "cron: '61' is no minute; use 0 to 59, with , - * and /."),
        ({"cron": "0 9 * * *", "in_minutes": 1}, "Give exactly one of cron, times, in_minutes."),
        (
            {"timezone": "Mars"},
            "timezone: No time zone is called 'Mars'; use one like Europe/Berlin.",
        ),
        (
            {"times": ["2020-01-01T00:00:00Z"]},
            "times: All of these times have passed; give at least one that lies ahead.",
        ),
        (
            {"paused": True, "name": "News"},
            "paused: Give it alone; change the rest by another call.",
        ),
        ({"name": " "}, "name: Give more than blanks."),
    ],
    ids=["nothing", "minute", "two schedules", "zone", "past", "paused and more", "name"],
)
async def test_a_change_that_cannot_be_names_the_argument_and_changes_nothing(
    world: TaskWorld, given: dict[str, Any], complaint: str
) -> None:
    task = await world.create(name="Report")

    result = await called(world, "change_task", task="Report", **given)

    assert refusal(result) == ("INVALID_ARGUMENTS", complaint)
    after = await world.task(task.id)
    assert (after.name, after.status, after.version) == ("Report", "ACTIVE", 1)


async def test_a_zone_alone_suits_only_a_task_with_cron_fields(world: TaskWorld) -> None:
    task = await world.create(**ON_DEMAND)

    result = await called(world, "change_task", task=task.id, timezone="Europe/Berlin")

    complaint = "timezone: The task has no cron fields to read in it; give cron."
    assert refusal(result) == ("INVALID_ARGUMENTS", complaint)
    assert (await world.task(task.id)).version == 1


async def test_a_task_is_started_once_however_often_the_call_comes(world: TaskWorld) -> None:
    task = await world.create(name="Report", **ON_DEMAND)

    first = await called(world, "run_task_now", task="Report")
    again = await called(world, "run_task_now", task="Report")

    assert first.value == {"id": public_id(TASK, task.id), "name": "Report", "status": "RUNNING"}
    assert again.value == first.value
    assert len(await world.attempts(task.id)) == 1


@pytest.mark.parametrize(
    ("tool", "why"),
    [
        (
            "cancel_task",
            "cancelling would end it as well; hold it with change_task and paused true.",
        ),
        ("run_task_now", "it would start itself without end."),
    ],
)
async def test_a_run_neither_cancels_nor_starts_the_task_that_it_is_a_run_of(
    world: TaskWorld, tool: str, why: str
) -> None:
    task = await world.create(**ON_DEMAND)
    await world.service.run_now(world.runs.principal, {"taskId": task.id})
    (run,) = await world.attempts(task.id)

    result = await called(world, tool, task=task.id, by_run=run.id)

    assert refusal(result) == ("REFUSED", f"This is a run of the task 'Report' itself: {why}")
    assert (await world.task(task.id)).deleted_at is None
    assert len(await world.attempts(task.id)) == 1


def test_tools_that_change_tasks_say_so_and_those_that_look_do_not():
    nothing: Any = None
    effects = {
        each.manifest.name: (each.manifest.side_effect, "tasks.write" in each.manifest.capabilities)
        for each in task_tools(nothing, nothing)
    }

    writes, reads = (SideEffect.WRITE, True), (SideEffect.READ, False)
    assert effects == {
        "schedule_task": writes,
        "list_tasks": reads,
        "show_task": reads,
        "change_task": writes,
        "cancel_task": writes,
        "run_task_now": writes,
    }
