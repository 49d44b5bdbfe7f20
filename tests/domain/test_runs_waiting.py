"""Waiting in line and waiting for an end: places in the queue, callers that wait."""

from collections.abc import AsyncGenerator

import pytest

from domain.access.scopes import Principal, Scope
from domain.access.service import AccessService
from domain.kernel.database import Database, Row
from tests.fakes import Gate, say
from tests.run_world import RunWorld, run_world

ASKED = {"agent": {"slug": "default"}, "instruction": "do it", "idempotencyKey": "k"}


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[RunWorld, None]:
    """A world on each database."""
    async with run_world(database) as built:
        yield built


async def stranger(world: RunWorld) -> Principal:
    """Somebody of another workspace."""
    access = AccessService(world.database, world.clock, world.ids)
    other = await access.create_workspace("Other")
    return Principal(
        workspace_id=other.id, key_id=None, name="stranger", scopes=frozenset({Scope.ADMIN})
    )


async def test_a_place_in_the_queue_counts_the_more_urgent_and_the_earlier_of_the_workspace(
    world: RunWorld,
) -> None:
    gate = Gate()
    world.model.script([gate, *say("x")])
    async with world.process(runs=1) as runner:
        running = await world.accept("running")
        await runner.execute(running)
        await gate.reached.wait()
        low = await world.accept("low", priority=4)
        first = await world.accept("first")
        second = await world.accept("second")
        urgent = await world.accept("urgent", priority=9)
        asked = [low, first, second, urgent, running]

        places = await world.service(runner).queue_positions(world.principal, asked)
        some = await world.service(runner).queue_positions(world.principal, [second])
        foreign = await world.service(runner).queue_positions(await stranger(world), asked)
        gate.opened.set()

    assert places == {urgent: 0, first: 1, second: 2, low: 3}
    assert some == {second: 2}
    assert foreign == {}


# How PostgreSQL reads a small table says nothing of a large one.
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_places_in_the_queue_are_read_from_what_is_due_and_not_from_all_runs(
    world: RunWorld,
) -> None:
    run_id, asked = await world.accept(), list[tuple[str, tuple[object, ...]]]()
    original = world.database.fetch

    async def fetch(sql: str, *args: object) -> list[Row]:
        asked.append((sql, args))
        return await original(sql, *args)

    world.database.fetch = fetch  # type: ignore[method-assign]
    await world.service(None).queue_positions(world.principal, [run_id])
    ((sql, args),) = asked
    plan = await original(f"EXPLAIN QUERY PLAN {sql}", *args)

    steps = [row[3] for row in plan if " run" in row[3]]
    indexes = [step.split(" INDEX ")[1].split(" ")[0] for step in steps]
    assert indexes == ["run_due", "run_line"]


async def test_waiting_for_a_run_that_has_ended_reads_none_of_its_events(world: RunWorld) -> None:
    world.model.script(say("many ", "words"))
    async with world.process() as runner:
        service = world.service(runner)
        done = await service.execute(world.principal, {**ASKED, "waitSeconds": 60})
        asked, original = list[str](), world.database.fetch

        async def fetch(sql: str, *args: object) -> list[Row]:
            asked.append(sql)
            return await original(sql, *args)

        world.database.fetch = fetch  # type: ignore[method-assign]
        again = await service.execute(world.principal, {**ASKED, "waitSeconds": 60})

    assert (done.row.id, done.replayed) == (again.row.id, False)
    assert (again.replayed, again.row.status, again.row.output) == (
        True,
        "SUCCEEDED",
        "many words",
    )
    assert [sql for sql in asked if "FROM event " in sql] == []
    assert world.hub._tails == {}
