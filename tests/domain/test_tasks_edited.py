"""Tasks changed, started by hand and deleted while a run of theirs is at work or waits."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from domain.kernel.database import Database, Statement
from domain.kernel.errors import Conflict
from domain.models.ports import ModelError, ModelErrorKind
from tests.domain.approval_world import asked, decide, risky_tools
from tests.domain.task_world import FIRST_US, MINUTE_US, TaskWorld, task_world
from tests.fakes import Gate, call, say

DOWN = ModelError(ModelErrorKind.UNAVAILABLE, "The model is away.")
ERASE = call("erase", '{"path": "a.txt"}')
AT_ONCE: dict[str, Any] = {"adhoc": {"runNow": True}}
LONG_S = 150
"""How long a run takes of a task that is due each minute."""


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[TaskWorld, None]:
    """A world on each database."""
    async with task_world(database) as built:
        yield built


def planned(*minutes: int) -> dict[str, Any]:
    """A schedule of so many minutes after the first full one."""
    return {"planned": {"times": [FIRST_US + minute * MINUTE_US for minute in minutes]}}


async def times_of(world: TaskWorld, task_id: str) -> list[tuple[int, str]]:
    """Due times in minutes after the first full one, and what became of them."""
    rows = await world.occurrences(task_id)
    return [((row.scheduled_for - FIRST_US) // MINUTE_US, row.status) for row in rows]


async def work_off(world: TaskWorld) -> None:
    """Have all that was hinted done."""
    world.runs.model.script(*(say("done") for _ in world.runs.queue.hints))
    await world.work_off()
    await world.tick()


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("SKIP", [(0, "SUCCEEDED"), (1, "SKIPPED"), (2, "SKIPPED"), (3, "RUNNING")]),
        ("QUEUE", [(0, "SUCCEEDED"), (1, "RUNNING"), (2, "QUEUED"), (3, "QUEUED")]),
        ("PARALLEL", [(0, "SUCCEEDED"), (1, "RUNNING"), (2, "SKIPPED"), (3, "RUNNING")]),
    ],
)
async def test_a_run_that_takes_longer_than_the_interval_meets_the_overlap_policy(
    world: TaskWorld, policy: str, expected: list[tuple[int, str]]
) -> None:
    task = await world.create(overlapPolicy=policy, maxConcurrency=2)
    await world.move_to(FIRST_US)
    gate = Gate()
    world.runs.model.script([gate, *say("done")])
    async with world.runs.process() as runner:
        (first,) = await world.attempts(task.id)
        await runner.execute(first.id)
        await gate.reached.wait()
        held = runner.held(first.id)
        assert held is not None

        for minute in (1, 2):
            await world.move_to(FIRST_US + minute * MINUTE_US)
        await world.move_to(FIRST_US + LONG_S * 1_000_000)
        gate.opened.set()
        async with asyncio.timeout(20):
            await held.done.wait()
        await world.tick()
        await world.move_to(FIRST_US + 3 * MINUTE_US)

    assert await times_of(world, task.id) == expected
    attempts = len(await world.attempts(task.id))
    assert attempts == sum(status in ("SUCCEEDED", "RUNNING") for _, status in expected)


async def test_the_time_that_runs_is_taken_from_the_plan_and_its_run_goes_on(
    world: TaskWorld,
) -> None:
    task = await world.create(schedule=planned(0, 5))
    await world.move_to(FIRST_US)

    await world.service.update(
        world.runs.principal, {"taskId": task.id, "schedule": planned(-60, -1, 5, 7)}
    )
    await work_off(world)
    for minute in (5, 7):
        await world.move_to(FIRST_US + minute * MINUTE_US)
        await work_off(world)

    assert await times_of(world, task.id) == [(m, "SUCCEEDED") for m in (0, 5, 7)]
    assert (await world.task(task.id)).status == "COMPLETED"
    assert len(await world.attempts(task.id)) == 3


@pytest.mark.parametrize(
    "schedule",
    [
        {"scheduled": {"cron": {"expression": "44 * * * *"}, "timezone": "Asia/Kathmandu"}},
        {"scheduled": {"cron": {"expression": "59 * * * *"}, "timezone": "UTC"}},
        planned(45, 105),
    ],
    ids=["zone", "expression", "plan"],
)
async def test_a_schedule_changed_to_the_time_that_ran_already_does_not_run_it_again(
    world: TaskWorld, schedule: dict[str, Any]
) -> None:
    hourly = {"scheduled": {"cron": {"expression": "59 22 * * *"}, "timezone": "UTC"}}
    task = await world.create(schedule=hourly)
    await world.move_to(FIRST_US + 45 * MINUTE_US)
    assert await times_of(world, task.id) == [(45, "RUNNING")]
    # As if the clock had been set back since.
    world.runs.clock.set_by(-60)

    await world.service.update(world.runs.principal, {"taskId": task.id, "schedule": schedule})
    assert (await world.task(task.id)).next_run_at == FIRST_US + 45 * MINUTE_US
    await world.move_to(FIRST_US + 50 * MINUTE_US)
    await work_off(world)

    assert await times_of(world, task.id) == [(45, "SUCCEEDED")]
    assert (await world.task(task.id)).next_run_at == FIRST_US + 105 * MINUTE_US


async def test_deleting_ends_a_retry_that_waits_and_a_run_that_is_held_and_no_other(
    world: TaskWorld,
) -> None:
    retry = {"maxAttempts": 2, "backoffSeconds": 600}
    at_once = {"schedule": {"adhoc": {"runNow": True}}}
    waiting = await world.create(**at_once, retry=retry)
    world.runs.model.script([DOWN])
    await world.work_off()
    held, other = await world.create(**at_once), await world.create(**at_once)
    (held_run,), (other_run,) = [await world.attempts(task.id) for task in (held, other)]
    for run in (held_run, other_run):
        await world.runs.service(None).pause(world.runs.principal, run.id, None)
    await world.work_off()

    for task in (waiting, held):
        await world.service.delete(world.runs.principal, task.id)
    await world.work_off()
    world.runs.clock.move(700)
    await world.tick()
    await world.work_off()

    assert await world.statuses(waiting.id) == await world.statuses(held.id) == ["CANCELLED"]
    assert [run.status for run in await world.attempts(waiting.id)] == ["FAILED", "CANCELLED"]
    assert (await world.runs.row(held_run.id)).status == "CANCELLED"
    assert (await world.runs.row(other_run.id)).status == "PAUSED"
    assert await world.statuses(other.id) == ["RUNNING"]


async def test_deleting_takes_back_what_its_run_asks_a_person_for_and_nothing_else(
    world: TaskWorld,
) -> None:
    world.runs.tools = risky_tools
    doomed, other = [await world.create(schedule=AT_ONCE) for _ in range(2)]
    ids = [(await world.attempts(task.id))[0].id for task in (doomed, other)]
    world.runs.model.script(ERASE, ERASE, say("done"))
    await world.work_off()
    assert [(await world.runs.row(run_id)).status for run_id in ids] == ["WAITING_APPROVAL"] * 2

    await world.service.delete(world.runs.principal, doomed.id)
    await world.work_off()

    ((gone,), (open_still,)) = [await asked(world.runs, run_id) for run_id in ids]
    assert (await world.runs.row(ids[0])).status == "CANCELLED"
    assert await world.statuses(doomed.id) == ["CANCELLED"]
    assert gone.status == "CANCELLED"
    with pytest.raises(Conflict):
        await decide(world.runs, gone, "APPROVE")
    assert (open_still.status, await world.statuses(other.id)) == ("PENDING", ["RUNNING"])
    assert world.runs.effects.done == []
    await decide(world.runs, open_still, "APPROVE")
    await world.work_off()
    assert await world.statuses(other.id) == ["SUCCEEDED"]
    assert world.runs.effects.done == ["erase a.txt"]


async def test_deleting_stops_the_runs_below_the_run_of_the_task_too(world: TaskWorld) -> None:
    task = await world.create(schedule={"adhoc": {"runNow": True}})
    (run,) = await world.attempts(task.id)
    child, other = await world.runs.accept("below"), await world.runs.accept("beside")
    below = "UPDATE run SET parent_run_id = $2, root_run_id = $2, depth = 1 WHERE id = $1"
    await world.runs.database.write([Statement(below, (child, run.id))])
    world.runs.queue.hints.clear()

    await world.service.delete(world.runs.principal, task.id)
    await world.work_off()

    assert {(await world.runs.row(ident)).status for ident in (run.id, child)} == {"CANCELLED"}
    assert (await world.runs.row(other)).status == "QUEUED"


async def test_the_mode_of_conversation_changed_at_work_counts_from_the_next_run(
    world: TaskWorld,
) -> None:
    task, principal = await world.create(), world.runs.principal
    await world.move_to(FIRST_US)

    await world.service.update(principal, {"taskId": task.id, "conversationMode": "CONTINUE"})
    shared = (await world.task(task.id)).conversation_id
    await work_off(world)
    for minute in (1, 2):
        await world.move_to(FIRST_US + minute * MINUTE_US)
        if minute == 2:
            await world.service.update(principal, {"taskId": task.id, "conversationMode": "NEW"})
        await work_off(world)
    await world.move_to(FIRST_US + 3 * MINUTE_US)
    await work_off(world)

    first, second, third, fourth = [run.conversation_id for run in await world.attempts(task.id)]
    assert shared is not None
    assert (second, third) == (shared, shared)
    assert len({first, shared, fourth}) == 3
    assert (await world.task(task.id)).conversation_id is None
    assert await world.statuses(task.id) == ["SUCCEEDED"] * 4


@pytest.mark.parametrize("state", ["PAUSED", "COMPLETED", "at work"])
async def test_a_task_is_started_by_hand_in_every_state(world: TaskWorld, state: str) -> None:
    task, principal = await world.create(schedule=planned(0)), world.runs.principal
    if state == "PAUSED":
        await world.service.pause(principal, {"taskId": task.id})
    else:
        await world.move_to(FIRST_US)
    if state == "COMPLETED":
        await work_off(world)

    started = await world.service.run_now(principal, {"taskId": task.id})
    before = (await world.task(task.id)).status
    await work_off(world)

    assert (started.row.status, started.row.trigger) == ("RUNNING", "MANUAL")
    assert before == {"at work": "ACTIVE"}.get(state, state)
    rows = await world.occurrences(task.id)
    assert [row.status for row in rows if row.trigger == "MANUAL"] == ["SUCCEEDED"]
    after = (await world.task(task.id)).status
    assert after == ("PAUSED" if state == "PAUSED" else "COMPLETED")


async def test_a_start_by_hand_that_waits_for_the_conversation_goes_on_while_held(
    world: TaskWorld,
) -> None:
    task, principal = await world.create(conversationMode="CONTINUE"), world.runs.principal
    await world.move_to(FIRST_US)
    await world.service.run_now(principal, {"taskId": task.id})
    await world.service.pause(principal, {"taskId": task.id})
    assert await world.statuses(task.id) == ["RUNNING", "QUEUED"]

    await work_off(world)
    world.runs.clock.move(3)
    await world.tick()
    await work_off(world)

    assert await world.statuses(task.id) == ["SUCCEEDED", "SUCCEEDED"]
    assert (await world.task(task.id)).status == "PAUSED"
