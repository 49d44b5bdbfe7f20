"""Tasks that fire: once however many look, nothing lost, by overlap and missed-run policy."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

import pytest

from domain.kernel.database import Database
from domain.kernel.paging import PageRequest
from domain.runs.queries import RunFilter, RunOrder
from tests.domain.task_world import FIRST_US, MINUTE_US, TaskWorld, task_world
from tests.fakes import say


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[TaskWorld, None]:
    """A world on each database."""
    async with task_world(database) as built:
        yield built


async def test_an_occurrence_fires_once_however_many_schedulers_look(world: TaskWorld) -> None:
    task = await world.create()
    world.runs.clock.move(40)

    await asyncio.gather(*(world.scheduler().fire_due() for _ in range(8)))
    await world.tick()

    (occurrence,) = await world.occurrences(task.id)
    (run,) = await world.attempts(task.id)
    assert (occurrence.scheduled_for, occurrence.status, occurrence.trigger) == (
        FIRST_US,
        "RUNNING",
        "SCHEDULE",
    )
    assert (occurrence.run_id, run.occurrence_id, run.status) == (run.id, occurrence.id, "QUEUED")
    assert (run.instruction, run.due_at, run.created_by) == ("write the report", FIRST_US, "tester")
    assert world.hinted() == [run.id]
    assert (await world.task(task.id)).next_run_at == FIRST_US + MINUTE_US


async def test_nothing_fires_before_its_time_and_the_wait_is_as_long(world: TaskWorld) -> None:
    task = await world.create()

    assert await world.tick() == 1.0
    assert await world.move_to(FIRST_US - 250_000) == 0.25
    assert await world.occurrences(task.id) == []


async def test_a_run_that_ends_settles_its_occurrence_in_the_same_commit(world: TaskWorld) -> None:
    task = await world.create()
    world.runs.model.script(say("done"))

    await world.move_to(FIRST_US)
    await world.work_off()

    (occurrence,) = await world.occurrences(task.id)
    (run,) = await world.attempts(task.id)
    assert (occurrence.status, occurrence.reason, occurrence.attempts) == ("SUCCEEDED", None, 1)
    assert occurrence.finished_at == run.finished_at == FIRST_US
    assert run.output == "done"
    assert [event.data["change"] for event in await world.updates()] == [
        "CREATED",
        "OCCURRENCE",
        "OCCURRENCE",
    ]


async def test_what_was_claimed_is_found_when_the_hint_is_lost(world: TaskWorld) -> None:
    task = await world.create()
    await world.move_to(FIRST_US)
    world.runs.queue.hints.clear()
    world.runs.model.script(say("found"))

    due = await world.runs.office().due(10)
    async with world.runs.process() as runner:
        for run_id in due:
            await world.runs.work_off(runner, run_id)

    assert await world.statuses(task.id) == ["SUCCEEDED"]
    assert len(due) == 1


@pytest.mark.parametrize("turns", [1, 3, 6, 10, 15, 21, 28])
async def test_a_scheduler_that_is_stopped_anywhere_has_fired_once_or_not_at_all(
    world: TaskWorld, turns: int
) -> None:
    task = await world.create()
    world.runs.clock.move(40)
    looking = asyncio.create_task(world.scheduler().fire_due())
    for _ in range(turns):
        await asyncio.sleep(0)
    looking.cancel()
    with suppress(asyncio.CancelledError):
        await looking

    await world.tick()

    (occurrence,) = await world.occurrences(task.id)
    assert [run.id for run in await world.attempts(task.id)] == [occurrence.run_id]
    assert len(await world.updates()) == 2


async def test_many_tasks_of_one_minute_all_fire_once_with_several_schedulers(
    world: TaskWorld,
) -> None:
    tasks = [await world.create(name=f"Task {number}") for number in range(120)]
    world.runs.clock.move(40)

    async def work(waits: int) -> None:
        scheduler = world.scheduler()
        for _ in range(waits):
            await scheduler.fire_due()

    await asyncio.gather(*(work(4) for _ in range(3)))
    await world.tick()

    rows = await world.runs.database.fetch(
        "SELECT task_id, count(*) FROM occurrence GROUP BY task_id"
    )
    assert sorted(rows) == sorted((task.id, 1) for task in tasks)
    assert len(world.hinted()) == len(set(world.hinted())) == 120


async def test_the_run_of_a_task_is_an_ordinary_run_with_a_trace_of_its_own(
    world: TaskWorld,
) -> None:
    task = await world.create(priority=9, metadata={"team": "ops"})
    await world.move_to(FIRST_US)
    (run,) = await world.attempts(task.id)

    assert (run.priority, run.metadata, run.attempt) == (9, {"team": "ops"}, 1)
    assert len(run.trace_id) == 32
    assert run.trace_id != world.runs.principal.trace.trace_id
    found = await world.runs.service(None).runs(
        world.runs.principal, RunFilter(task_id=task.id), RunOrder.CREATED_AT_ASC, PageRequest()
    )
    assert [row.id for row in found.items] == [run.id]
