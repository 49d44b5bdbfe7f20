"""Tasks and their history as clients list them."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from domain.kernel.database import Database
from domain.kernel.paging import PageRequest
from domain.tasks.queries import OccurrenceFilter, TaskFilter, TaskOrder
from tests.domain.task_world import FIRST_US, MINUTE_US, TaskWorld, task_world

ON_DEMAND: dict[str, Any] = {"schedule": {"adhoc": {}}}


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[TaskWorld, None]:
    """A world on each database."""
    async with task_world(database) as built:
        yield built


async def test_lists_are_narrowed_ordered_and_paged(world: TaskWorld) -> None:
    planned = {"schedule": {"planned": {"times": [FIRST_US + 9 * MINUTE_US]}}}
    demand = await world.create(name="zeta", **ON_DEMAND)
    later = await world.create(name="Beta", **planned)
    soon = await world.create(name="alpha", instruction="count the stars")
    principal, service = world.runs.principal, world.service

    async def ids(order: TaskOrder, **narrowing: Any) -> list[str]:
        found = await service.tasks(principal, TaskFilter(**narrowing), order, PageRequest())
        return [row.id for row in found.items]

    assert await ids(TaskOrder.NEXT_RUN_AT_ASC) == [soon.id, later.id, demand.id]
    assert await ids(TaskOrder.CREATED_AT_DESC) == [soon.id, later.id, demand.id]
    assert await ids(TaskOrder.NAME_ASC) == [soon.id, later.id, demand.id]
    assert await ids(TaskOrder.NAME_ASC, search="STARS") == [soon.id]
    assert await ids(TaskOrder.NAME_ASC, schedules=["PLANNED"]) == [later.id]
    assert await ids(TaskOrder.NAME_ASC, until_us=FIRST_US + 1) == [soon.id]
    assert await service.count(principal, TaskFilter(statuses=["PAUSED"])) == 0
    first = await service.tasks(
        principal, TaskFilter(), TaskOrder.NEXT_RUN_AT_ASC, PageRequest(first=2)
    )
    rest = await service.tasks(
        principal,
        TaskFilter(),
        TaskOrder.NEXT_RUN_AT_ASC,
        PageRequest(first=2, after=first.cursors[-1]),
    )
    assert [row.id for row in rest.items] == [demand.id]


async def test_history_is_read_by_outcome_span_and_task(world: TaskWorld) -> None:
    task, other = await world.create(), await world.create()
    for minute in range(2):
        await world.move_to(FIRST_US + minute * MINUTE_US)
    principal, service = world.runs.principal, world.service

    async def found(**narrowing: Any) -> list[tuple[str, str]]:
        page = await service.occurrences(principal, OccurrenceFilter(**narrowing), PageRequest())
        return [(row.task_id, row.status) for row in page.items]

    assert await found(task_id=task.id) == [(task.id, "SKIPPED"), (task.id, "RUNNING")]
    assert sorted(await found(statuses=["SKIPPED"])) == sorted(
        [(task.id, "SKIPPED"), (other.id, "SKIPPED")]
    )
    assert len(await found(until_us=FIRST_US + 1)) == 2
    latest = await service.last_occurrences(principal, [task.id, other.id])
    assert {row.status for row in latest.values()} == {"SKIPPED"}
    running = (await world.occurrences(task.id))[0]
    attempts = await service.attempts(principal, [running.id])
    assert [run.id for run in attempts[running.id]] == [running.run_id]
