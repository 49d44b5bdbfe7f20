"""The clock of the machine is set back or forward by an hour: nothing is lost, nothing doubled."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from domain.kernel.database import Database
from domain.models.ports import ModelError, ModelErrorKind
from domain.tasks.firing import TaskFiring
from tests.domain.spoiled_rows import writes_refused
from tests.domain.task_world import BEGIN_US, FIRST_US, MINUTE_US, TaskWorld, task_world
from tests.fakes import Gate, SteppedClock, say

HOUR_S = 3600
HOUR_US = 60 * MINUTE_US
DOWN = ModelError(ModelErrorKind.UNAVAILABLE, "The model is away.")
ON_DEMAND: dict[str, Any] = {"schedule": {"adhoc": {"runNow": True}}}
HOURLY: dict[str, Any] = {"schedule": {"scheduled": {"cron": {"expression": "0 * * * *"}}}}
EACH_TEN: dict[str, Any] = {"schedule": {"scheduled": {"cron": {"expression": "*/10 * * * *"}}}}


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[TaskWorld, None]:
    """A world on each database."""
    async with task_world(database) as built:
        yield built


async def work_on(world: TaskWorld, seconds: int, *, step_s: int = 60) -> None:
    """Let time pass in steps, in which all that is due is done."""
    for _ in range(seconds // step_s):
        world.runs.clock.move(step_s)
        await world.tick()
        world.runs.model.script(*(say("done") for _ in world.runs.queue.hints))
        await world.work_off()
        await world.tick()


async def times_of(world: TaskWorld, task_id: str) -> list[tuple[int, str, int]]:
    """Due times in minutes after the first full one, what became of each, and its runs."""
    runs = await world.attempts(task_id)
    return [
        (
            (row.scheduled_for - FIRST_US) // MINUTE_US,
            row.status,
            sum(1 for run in runs if run.occurrence_id == row.id),
        )
        for row in await world.occurrences(task_id)
    ]


async def test_set_back_no_time_is_due_twice_and_the_next_comes_at_its_time(
    world: TaskWorld,
) -> None:
    task = await world.create(**EACH_TEN)
    await work_on(world, 16 * 60)
    assert await times_of(world, task.id) == [(6, "SUCCEEDED", 1)]
    before = (await world.task(task.id)).next_run_at

    world.runs.clock.set_by(-HOUR_S)
    await work_on(world, HOUR_S - 60)
    assert await times_of(world, task.id) == [(6, "SUCCEEDED", 1)]
    assert (await world.task(task.id)).next_run_at == before
    await work_on(world, 11 * 60)

    assert await times_of(world, task.id) == [(6, "SUCCEEDED", 1), (16, "SUCCEEDED", 1)]


async def test_a_task_changed_in_the_hour_that_comes_twice_runs_no_time_again(
    world: TaskWorld,
) -> None:
    task = await world.create(**EACH_TEN)
    await work_on(world, 16 * 60)
    world.runs.clock.set_by(-HOUR_S)

    five = {"scheduled": {"cron": {"expression": "*/5 * * * *"}}}
    principal = world.runs.principal
    await world.service.update(principal, {"taskId": task.id, "schedule": five})
    await work_on(world, 65 * 60)

    times = await times_of(world, task.id)
    assert [minute for minute, *_ in times] == list(range(-44, 20, 5))
    assert {(status, runs) for _, status, runs in times} == {("SUCCEEDED", 1)}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("SKIP", ["MISSED"] * 5 + ["SUCCEEDED"]),
        ("RUN_ONCE", ["MISSED"] * 5 + ["SUCCEEDED"]),
        # The line of them is not done when the next is due.
        ("RUN_ALL", ["SUCCEEDED"] * 5 + ["SKIPPED"]),
    ],
)
async def test_what_is_jumped_over_follows_the_missed_run_policy(
    world: TaskWorld, policy: str, expected: list[str]
) -> None:
    task = await world.create(**EACH_TEN, missedRunPolicy=policy)
    await work_on(world, 7 * 60)

    world.runs.clock.set_by(HOUR_S - 70)
    await work_on(world, 10 * 60)

    times = await times_of(world, task.id)
    assert [minute for minute, *_ in times] == [6, 16, 26, 36, 46, 56, 66]
    assert [status for _, status, _ in times] == ["SUCCEEDED", *expected]
    assert [runs for *_, runs in times] == [int(status == "SUCCEEDED") for _, status, _ in times]


@pytest.mark.parametrize("jump_s", [-HOUR_S, HOUR_S])
async def test_a_run_in_hand_goes_on_when_the_clock_is_set(world: TaskWorld, jump_s: int) -> None:
    task = await world.create(timeoutSeconds=30)
    gate = Gate()
    world.runs.model.script([gate, *say("done")])
    await world.move_to(FIRST_US)
    async with world.runs.process() as runner:
        (run,) = await world.attempts(task.id)
        await runner.execute(run.id)
        await gate.reached.wait()
        held = runner.held(run.id)
        assert held is not None

        world.runs.clock.set_by(jump_s)
        assert set(await world.runs.office().forgotten(9)) <= {run.id}
        await runner.execute(run.id)
        gate.opened.set()
        async with asyncio.timeout(20):
            await held.done.wait()

    assert (await times_of(world, task.id))[0] == (0, "SUCCEEDED", 1)
    assert [row.status for row in await world.attempts(task.id)] == ["SUCCEEDED"]


async def test_what_was_claimed_right_before_the_clock_was_set_back_runs_at_once(
    world: TaskWorld,
) -> None:
    task, office = await world.create(), world.runs.office()
    await office.forgotten(9)
    await world.move_to(FIRST_US)
    (run,) = await world.attempts(task.id)

    world.runs.clock.set_by(-HOUR_S)
    world.runs.model.script(say("done"))
    async with world.runs.process() as runner:
        await runner.execute(run.id)
        with capture_logs() as logs:
            assert await office.forgotten(9) == []
        world.runs.clock.move(1)
        assert await office.forgotten(9) == [run.id]
        await world.runs.work_off(runner, run.id)

    assert await times_of(world, task.id) == [(0, "SUCCEEDED", 1)]
    assert [(line["event"], line["seconds"]) for line in logs] == [("runs.clock_set_back", HOUR_S)]


async def test_a_worker_lost_before_the_clock_was_set_back_is_replaced_in_time(
    world: TaskWorld,
) -> None:
    run_id, office = await world.runs.accept(), world.runs.office()
    await office.forgotten(9)
    assert await world.runs.office().claim(run_id) is not None

    world.runs.clock.set_by(-HOUR_S)
    await office.forgotten(9)
    world.runs.clock.move(5)
    assert await office.forgotten(9) == []
    world.runs.clock.move(2)

    assert await office.forgotten(9) == [run_id]
    assert await office.claim(run_id) is not None


@pytest.mark.parametrize(("jump_s", "waits_s"), [(-HOUR_S, HOUR_S + 60), (HOUR_S, 0)])
async def test_a_retry_that_waits_comes_once(world: TaskWorld, jump_s: int, waits_s: int) -> None:
    retry = {"maxAttempts": 2, "backoffSeconds": 60, "maxBackoffSeconds": 60}
    task = await world.create(**ON_DEMAND, retry=retry)
    scheduler = world.scheduler()
    await scheduler.fire_due()
    world.runs.model.script([DOWN], say("again"))
    await world.work_off()

    world.runs.clock.set_by(jump_s)
    await scheduler.fire_due()
    world.runs.clock.move(max(0, waits_s - 1))
    await world.tick()
    assert len(world.hinted()) == (0 if waits_s else 1)
    world.runs.clock.move(1)
    await world.tick()
    await world.work_off()

    assert await world.statuses(task.id) == ["SUCCEEDED"]
    assert [run.status for run in await world.attempts(task.id)] == ["FAILED", "SUCCEEDED"]


async def test_a_retry_that_was_due_when_the_clock_was_set_back_does_not_wait_again(
    world: TaskWorld,
) -> None:
    retry = {"maxAttempts": 2, "backoffSeconds": 60, "maxBackoffSeconds": 60}
    task = await world.create(**ON_DEMAND, retry=retry)
    scheduler, office = world.scheduler(), world.runs.office()
    await scheduler.fire_due()
    await office.forgotten(9)
    world.runs.model.script([DOWN], say("again"))
    await world.work_off()
    world.runs.clock.move(60)

    world.runs.clock.set_by(-HOUR_S)
    await office.forgotten(9)
    with capture_logs() as logs:
        while not await scheduler.fire_due():
            pass
    await world.work_off()

    assert await world.statuses(task.id) == ["SUCCEEDED"]
    assert logs[0]["event"] == "tasks.clock_set_back"


async def test_a_clock_set_back_in_an_outage_is_noticed_until_it_was_dealt_with(
    world: TaskWorld,
) -> None:
    retry = {"maxAttempts": 2, "backoffSeconds": 60, "maxBackoffSeconds": 60}
    task, database = await world.create(**ON_DEMAND, retry=retry), world.runs.database
    scheduler, office = world.scheduler(), world.runs.office()
    await scheduler.fire_due()
    await office.forgotten(9)
    world.runs.model.script([DOWN], say("again"))
    await world.work_off()
    world.runs.clock.move(60)

    world.runs.clock.set_by(-HOUR_S)
    for table, look in (("occurrence", scheduler.fire_due), ("run", lambda: office.forgotten(9))):
        async with writes_refused(database, f"UPDATE ON {table}", "NEW.due_at IS NOT NULL"):
            with pytest.raises(Exception, match="refused"):
                await look()
    await office.forgotten(9)
    while not await scheduler.fire_due():
        pass
    await world.work_off()

    assert await world.statuses(task.id) == ["SUCCEEDED"]
    assert [run.status for run in await world.attempts(task.id)] == ["FAILED", "SUCCEEDED"]


@pytest.mark.parametrize("jump_s", [-HOUR_S, HOUR_S])
async def test_a_pause_ends_when_the_clock_shows_its_end(world: TaskWorld, jump_s: int) -> None:
    task = await world.create(**HOURLY, missedRunPolicy="SKIP")
    until = BEGIN_US + 90 * MINUTE_US
    await world.service.pause(world.runs.principal, {"taskId": task.id, "until": until})
    scheduler = world.scheduler()
    await scheduler.fire_due()

    world.runs.clock.set_by(jump_s)
    while not await scheduler.fire_due():
        pass
    await world.move_to(until - 1)
    assert await times_of(world, task.id) == []
    await world.move_to(until)

    assert [(minute, status) for minute, status, _ in await times_of(world, task.id)] == [
        (46, "MISSED")
    ]
    assert (await world.task(task.id)).status == "ACTIVE"


async def test_what_waits_for_its_conversation_does_not_wait_longer(world: TaskWorld) -> None:
    task = await world.create(conversationMode="CONTINUE")
    other = await world.runs.accept(conversationId=task.conversation_id)
    scheduler = world.scheduler()
    await scheduler.fire_due()
    await world.move_to(FIRST_US)
    await scheduler.fire_due()
    assert await world.statuses(task.id) == ["QUEUED"]
    world.runs.model.script(say("chat"))
    world.runs.queue.hints = [("runs.execute", other)]
    await world.work_off()

    world.runs.clock.set_by(-HOUR_S)
    while not await scheduler.fire_due():
        pass

    assert await world.statuses(task.id) == ["RUNNING"]


# On PostgreSQL all go by the clock of the database.
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_schedulers_whose_clocks_differ_by_two_seconds_fire_each_time_once(
    world: TaskWorld,
) -> None:
    task = await world.create()
    clocks = [SteppedClock(BEGIN_US), SteppedClock(BEGIN_US + 2_000_000)]
    schedulers = [
        TaskFiring(replace(world.commits, clock=clock), world.look_parts()) for clock in clocks
    ]

    for _ in range(4 * 60):
        for scheduler, clock in zip(schedulers, clocks, strict=True):
            clock.move(1)
            world.runs.clock.move((clock.now_us() - world.runs.clock.now_us()) / 1_000_000)
            await scheduler.fire_due()
        world.runs.model.script(*(say("done") for _ in world.runs.queue.hints))
        await world.work_off()

    assert await times_of(world, task.id) == [(minute, "SUCCEEDED", 1) for minute in range(4)]
