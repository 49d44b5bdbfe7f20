"""Tasks that fire: once however many look, nothing lost, by overlap and missed-run policy."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from domain.kernel.database import Database
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
