"""With all places taken, the most urgent run goes next, in process and through Redis."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from domain.kernel.database import Database
from domain.kernel.jobs import Job, JobRegistry
from domain.runs.orders import EXECUTE_JOB
from domain.runs.runner import Runner
from tests.domain.task_world import FIRST_US, TaskWorld, task_world
from tests.fakes import Gate, SteppedClock, say
from workers.actors import make_actors
from workers.broker import make_broker
from workers.queue import DramatiqJobQueue
from workers.runtime import running_worker
from workers.sweeper import Sweeper

NORMAL = [f"normal {number:02}" for number in range(20)]


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[TaskWorld, None]:
    """A world on each database."""
    async with task_world(database) as built:
        yield built


@pytest.fixture(params=["in process", pytest.param("redis", marks=pytest.mark.redis)])
def broker_url(request: pytest.FixtureRequest) -> str:
    """The address of each broker; in process there is none."""
    return "" if request.param == "in process" else request.getfixturevalue("redis_url")


@asynccontextmanager
async def working(url: str, runner: Runner) -> AsyncGenerator[DramatiqJobQueue, None]:
    """A worker whose hints go through the broker to a process with few places."""
    jobs = JobRegistry()
    jobs.register(Job(name=EXECUTE_JOB, queue="runs", carry_out=runner.execute))
    broker = make_broker(url, asyncio.get_running_loop(), namespace="t")
    with DramatiqJobQueue(make_actors(jobs, broker)) as queue:
        async with running_worker(broker, {}, threads=4):
            yield queue


async def order_of(world: TaskWorld) -> list[str]:
    """Instructions in the order in which their runs were started."""
    sql = """
        SELECT run.instruction FROM event JOIN run ON run.id = event.run_id
        WHERE event.type = 'RunStarted' ORDER BY event.cursor
    """
    return [row[0] for row in await world.runs.database.fetch(sql)]


async def all_succeeded(world: TaskWorld, runner: Runner, count: int) -> None:
    """Wait until so many runs have succeeded: each that is held, one after another."""
    sql = "SELECT count(*) FROM run WHERE status = 'SUCCEEDED'"
    holding = "SELECT id FROM run WHERE lease_owner IS NOT NULL"
    async with asyncio.timeout(30):
        while (await world.runs.database.fetch(sql))[0][0] < count:
            for (run_id,) in await world.runs.database.fetch(holding):
                held = runner.held(run_id)
                if held is not None:
                    await held.done.wait()


async def test_twenty_normal_tasks_are_due_and_an_urgent_one_that_comes_later_is_second(
    world: TaskWorld, broker_url: str
) -> None:
    for name in NORMAL:
        await world.create(instruction=name, schedule={"planned": {"times": [FIRST_US]}})
    urgent = await world.create(instruction="urgent", priority=9, schedule={"adhoc": {}})
    gate = Gate()
    world.runs.model.script([gate, *say("done")], *(say("done") for _ in range(20)))

    async with world.runs.process(runs=1) as runner, working(broker_url, runner) as queue:
        world.runs.queue.deliver = lambda run_id: queue.enqueue(EXECUTE_JOB, run_id)
        await world.move_to(FIRST_US)
        await gate.reached.wait()
        await world.service.run_now(world.runs.principal, {"taskId": urgent.id})
        gate.opened.set()
        await all_succeeded(world, runner, 21)

    order = await order_of(world)
    assert order[1] == "urgent"
    assert sorted([order[0], *order[2:]]) == NORMAL


async def test_the_sweeper_after_a_restart_gets_the_urgent_run_a_place_first(
    world: TaskWorld, broker_url: str
) -> None:
    for name in NORMAL:
        await world.runs.accept(name)
    await world.runs.accept("urgent", priority=9)
    world.runs.clock.move(2)
    world.runs.model.script(*(say("done") for _ in range(21)))

    async with world.runs.process(runs=1) as runner, working(broker_url, runner) as queue:
        sweeper = Sweeper(
            due=world.runs.office().due,
            forgotten=world.runs.office().forgotten,
            job=EXECUTE_JOB,
            queue=queue,
            clock=SteppedClock(),
            interval_s=2.0,
        )
        assert await sweeper.sweep() == 21
        await all_succeeded(world, runner, 21)

    order = await order_of(world)
    assert (order[0], sorted(order[1:])) == ("urgent", NORMAL)
