"""Tasks whose rows no door could have made so: none holds up others, or reaches elsewhere."""

from collections.abc import AsyncGenerator

import pytest
from structlog.testing import capture_logs

from domain.kernel.database import Database, Statement
from domain.tasks.firing import IDLE_S
from domain.tasks.reading import UNREADABLE
from tests.domain.spoiled_rows import columns_of, writes_refused
from tests.domain.task_world import FIRST_US, TaskWorld, task_world

ELSEWHERE = "019aabcd-ef12-7456-9abc-def012345678"


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[TaskWorld, None]:
    """A world on each database."""
    async with task_world(database) as built:
        yield built


async def another_workspace(world: TaskWorld) -> None:
    """Make one more workspace."""
    database = world.runs.database
    names = await columns_of(database, "workspace")
    values = {name: name for name in names} | {"id": f"'{ELSEWHERE}'", "slug": "'elsewhere'"}
    chosen = ", ".join(values[name] for name in names)
    sql = f"INSERT INTO workspace ({', '.join(names)}) SELECT {chosen} FROM workspace"
    await database.write([Statement(sql)])


async def test_a_task_that_cannot_even_be_held_stops_none_of_those_behind_it(
    world: TaskWorld,
) -> None:
    tasks = [await world.create(name=f"Task {number}") for number in range(6)]
    poisoned, sound = tasks[2], [*tasks[:2], *tasks[3:]]
    world.runs.clock.move(40)
    scheduler = world.scheduler()

    with capture_logs() as logs:
        condition = f"NEW.id = '{poisoned.id}'"
        async with writes_refused(world.runs.database, "UPDATE ON task", condition):
            waits = [await scheduler.fire_due() for _ in range(2)]

    for task in sound:
        assert await world.statuses(task.id) == ["RUNNING"]
    assert waits == [0.0, IDLE_S]
    assert await world.occurrences(poisoned.id) == []
    unheld = [line["task_id"] for line in logs if line["event"] == "task.not_held"]
    assert unheld == [poisoned.id] * 2
    await world.tick()
    assert await world.statuses(poisoned.id) == ["RUNNING"]


async def test_a_conversation_of_another_workspace_is_left_alone_and_one_begun(
    world: TaskWorld,
) -> None:
    task = await world.create(conversationMode="CONTINUE")
    await another_workspace(world)
    moved = "UPDATE conversation SET workspace_id = $1 WHERE id = $2"
    await world.runs.database.write([Statement(moved, (ELSEWHERE, task.conversation_id))])

    await world.move_to(FIRST_US)

    assert await world.statuses(task.id) == ["RUNNING"]
    (run,) = await world.attempts(task.id)
    now = (await world.task(task.id)).conversation_id
    assert run.conversation_id == now != task.conversation_id


async def test_an_agent_of_another_workspace_carries_out_nothing(world: TaskWorld) -> None:
    task = await world.create()
    await another_workspace(world)
    moved = "UPDATE agent SET workspace_id = $1"
    await world.runs.database.write([Statement(moved, (ELSEWHERE,))])

    await world.move_to(FIRST_US)

    assert await world.attempts(task.id) == []
    held = await world.task(task.id)
    assert held.status == "PAUSED"
    assert held.pause_reason == (
        f"{UNREADABLE}agentId: There is no such agent any more."
        " Send agent anew with updateTask, or delete it."
    )
