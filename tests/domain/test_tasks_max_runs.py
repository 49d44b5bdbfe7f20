"""Tasks that end after so many starts by their schedule: counted exactly, raised and lowered."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from domain.kernel.database import Database
from domain.kernel.errors import Conflict
from domain.models.ports import ModelError, ModelErrorKind
from domain.tasks.plan import times_ahead
from tests.domain.task_world import FIRST_US, MINUTE_US, TaskWorld, task_world
from tests.fakes import say

DOWN = ModelError(ModelErrorKind.UNAVAILABLE, "The model is away.")


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[TaskWorld, None]:
    """A world on each database."""
    async with task_world(database) as built:
        yield built


async def pass_minutes(world: TaskWorld, first: int, count: int, *, works: bool = True) -> None:
    """Let so many due times come, and each be worked off."""
    for minute in range(first, first + count):
        await world.move_to(FIRST_US + minute * MINUTE_US)
        if works:
            world.runs.model.script(say("done"))
            await world.work_off()
            await world.tick()


async def state_of(world: TaskWorld, task_id: str) -> tuple[str, int | None, int]:
    """Status, next due time in minutes after the first, and starts that count."""
    task = await world.task(task_id)
    ahead = None if task.next_run_at is None else (task.next_run_at - FIRST_US) // MINUTE_US
    return task.status, ahead, task.started_runs


async def change(world: TaskWorld, task_id: str, **values: Any) -> None:
    """Change the task and let the scheduler look."""
    await world.service.update(world.runs.principal, {"taskId": task_id, **values})
    await world.tick()


async def test_a_task_is_completed_when_the_last_of_its_runs_has_ended(world: TaskWorld) -> None:
    task = await world.create(maxRuns=2)

    await pass_minutes(world, 0, 1)
    assert await state_of(world, task.id) == ("ACTIVE", 1, 1)
    await world.move_to(FIRST_US + MINUTE_US)
    assert await state_of(world, task.id) == ("ACTIVE", None, 2)
    world.runs.model.script(say("done"))
    await world.work_off()
    await world.move_to(FIRST_US + 5 * MINUTE_US)

    assert await state_of(world, task.id) == ("COMPLETED", None, 2)
    assert await world.statuses(task.id) == ["SUCCEEDED", "SUCCEEDED"]
    with pytest.raises(Conflict) as caught:
        await world.service.resume(world.runs.principal, task.id)
    assert "a higher maxRuns" in caught.value.message


async def test_the_next_times_end_with_the_starts_that_are_left(world: TaskWorld) -> None:
    task = await world.create(maxRuns=2)
    assert times_ahead(task, world.runs.clock.now_us(), count=5) == [FIRST_US, FIRST_US + MINUTE_US]

    await pass_minutes(world, 0, 1)

    left = times_ahead(await world.task(task.id), world.runs.clock.now_us(), count=5)
    assert left == [FIRST_US + MINUTE_US]


async def test_what_the_schedule_did_not_start_does_not_count(world: TaskWorld) -> None:
    retry = {"maxAttempts": 2, "backoffSeconds": 0}
    task = await world.create(maxRuns=2, missedRunPolicy="SKIP", retry=retry)
    await world.service.run_now(world.runs.principal, {"taskId": task.id})
    world.runs.model.script(say("by hand"))
    await world.work_off()

    await world.move_to(FIRST_US + 3 * MINUTE_US)
    assert await world.statuses(task.id) == ["SUCCEEDED", "MISSED", "MISSED", "RUNNING", "SKIPPED"]
    assert await state_of(world, task.id) == ("ACTIVE", 4, 1)
    world.runs.model.script([DOWN], say("again"))
    await world.work_off()
    await world.tick()
    await world.work_off()

    assert len(await world.attempts(task.id)) == 3
    assert await state_of(world, task.id) == ("ACTIVE", 4, 1)
    await pass_minutes(world, 4, 2)
    assert (await world.statuses(task.id))[5:] == ["SUCCEEDED"]
    assert await state_of(world, task.id) == ("COMPLETED", None, 2)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("SKIP", ["MISSED"] * 3 + ["RUNNING"]),
        ("RUN_ONCE", ["MISSED"] * 2 + ["RUNNING"]),
        ("RUN_ALL", ["RUNNING", "QUEUED"]),
    ],
)
async def test_missed_times_are_dealt_with_until_the_starts_are_used_up(
    world: TaskWorld, policy: str, expected: list[str]
) -> None:
    times = [FIRST_US + minute * MINUTE_US for minute in (0, 1, 2, 60)]
    bound = 2 if policy == "RUN_ALL" else 1
    task = await world.create(
        schedule={"planned": {"times": times}}, maxRuns=bound, missedRunPolicy=policy
    )

    await world.move_to(FIRST_US + 30 * MINUTE_US)
    if policy == "SKIP":
        await world.move_to(times[-1])

    assert await world.statuses(task.id) == expected
    assert await state_of(world, task.id) == ("ACTIVE", None, bound)


async def test_what_waits_in_line_has_its_start_and_no_other_is_due(world: TaskWorld) -> None:
    task = await world.create(maxRuns=3, overlapPolicy="QUEUE")

    await pass_minutes(world, 0, 5, works=False)
    assert await world.statuses(task.id) == ["RUNNING", "QUEUED", "QUEUED"]
    assert await state_of(world, task.id) == ("ACTIVE", None, 3)
    for _ in range(3):
        world.runs.model.script(say("done"))
        await world.work_off()
        await world.tick()

    assert await world.statuses(task.id) == ["SUCCEEDED"] * 3
    assert await state_of(world, task.id) == ("COMPLETED", None, 3)


async def test_what_is_replaced_before_it_began_gives_its_start_back(world: TaskWorld) -> None:
    task = await world.create(maxRuns=3, overlapPolicy="REPLACE")

    await pass_minutes(world, 0, 3, works=False)
    assert await world.statuses(task.id) == ["RUNNING", "SKIPPED", "QUEUED"]
    assert await state_of(world, task.id) == ("ACTIVE", 3, 2)
    await world.work_off()
    await world.tick()
    await pass_minutes(world, 3, 1, works=False)

    assert await world.statuses(task.id) == ["CANCELLED", "SKIPPED", "RUNNING", "QUEUED"]
    assert await state_of(world, task.id) == ("ACTIVE", None, 3)


async def test_a_higher_bound_lets_a_completed_task_go_on_from_now(world: TaskWorld) -> None:
    task = await world.create(maxRuns=1)
    await pass_minutes(world, 0, 1)
    assert (await world.task(task.id)).status == "COMPLETED"
    world.runs.clock.move(150)

    await change(world, task.id, maxRuns=2)
    assert await state_of(world, task.id) == ("ACTIVE", 3, 1)
    await pass_minutes(world, 3, 1)
    assert await state_of(world, task.id) == ("COMPLETED", None, 2)
    await change(world, task.id, maxRuns=None)

    assert (await state_of(world, task.id))[:2] == ("ACTIVE", 4)
    assert await world.statuses(task.id) == ["SUCCEEDED", "SUCCEEDED"]


async def test_a_bound_below_what_was_started_completes_the_task(world: TaskWorld) -> None:
    task = await world.create()
    await pass_minutes(world, 0, 3)
    assert await state_of(world, task.id) == ("ACTIVE", 3, 0)

    await change(world, task.id, maxRuns=2)

    assert await state_of(world, task.id) == ("COMPLETED", None, 3)
    await world.move_to(FIRST_US + 10 * MINUTE_US)
    assert await world.statuses(task.id) == ["SUCCEEDED"] * 3


async def test_a_lower_bound_lets_the_run_at_work_end_first(world: TaskWorld) -> None:
    task = await world.create(maxRuns=9)
    await world.move_to(FIRST_US)

    await change(world, task.id, maxRuns=1)
    assert await state_of(world, task.id) == ("ACTIVE", None, 1)
    world.runs.model.script(say("done"))
    await world.work_off()
    await world.tick()

    assert await state_of(world, task.id) == ("COMPLETED", None, 1)
    assert await world.statuses(task.id) == ["SUCCEEDED"]


async def test_a_change_of_the_bound_keeps_a_due_time_that_nobody_has_looked_at(
    world: TaskWorld,
) -> None:
    task = await world.create(maxRuns=1)
    world.runs.clock.move(40 + 30)

    await change(world, task.id, maxRuns=5, name="Renamed")

    assert [row.scheduled_for for row in await world.occurrences(task.id)] == [FIRST_US]
    assert await state_of(world, task.id) == ("ACTIVE", 1, 1)


async def test_a_task_used_up_by_its_bound_may_be_made_adhoc(world: TaskWorld) -> None:
    task = await world.create(maxRuns=1)
    await pass_minutes(world, 0, 1)

    await change(world, task.id, schedule={"adhoc": {}})

    assert (await world.task(task.id)).status == "ACTIVE"
    started = await world.service.run_now(world.runs.principal, {"taskId": task.id})
    assert started.row.status == "RUNNING"


async def test_several_schedulers_start_no_more_than_the_bound(world: TaskWorld) -> None:
    tasks = [
        await world.create(maxRuns=3, overlapPolicy="PARALLEL", maxConcurrency=9) for _ in range(9)
    ]

    for minute in range(6):
        world.runs.clock.move((FIRST_US + minute * MINUTE_US - world.runs.clock.now_us()) / 1e6)
        await asyncio.gather(*(world.scheduler().fire_due() for _ in range(4)))
        await world.tick()

    for task in tasks:
        assert await world.statuses(task.id) == ["RUNNING"] * 3
        assert await state_of(world, task.id) == ("ACTIVE", None, 3)


async def test_a_burst_leaves_tasks_with_a_bound_to_the_look_that_counts(world: TaskWorld) -> None:
    bounded = [await world.create(maxRuns=1) for _ in range(3)]
    unbound = [await world.create() for _ in range(100)]

    await world.move_to(FIRST_US)
    await world.move_to(FIRST_US + MINUTE_US)

    for task in bounded:
        assert await world.statuses(task.id) == ["RUNNING"]
        assert await state_of(world, task.id) == ("ACTIVE", None, 1)
    assert await world.statuses(unbound[0].id) == ["RUNNING", "SKIPPED"]
