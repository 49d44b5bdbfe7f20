"""Attempts of an occurrence: retried with back-off, cancelled alone, settled however they end."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from structlog.testing import capture_logs

from domain.kernel.database import Database
from domain.models.ports import ModelError, ModelErrorKind
from domain.tasks.plan import retry_wait_us
from domain.tasks.spec import RetryPolicy
from tests.domain.approval_world import asked, decide, risky_tools
from tests.domain.task_world import FIRST_US, MINUTE_US, TaskWorld, task_world
from tests.fakes import Gate, call, say

DOWN = ModelError(ModelErrorKind.UNAVAILABLE, "The model is away.")
REFUSED = ModelError(ModelErrorKind.REFUSED, "No.")
ON_DEMAND: dict[str, Any] = {"schedule": {"adhoc": {"runNow": True}}}


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[TaskWorld, None]:
    """A world on each database."""
    async with task_world(database) as built:
        yield built


async def test_a_failed_attempt_is_repeated_with_a_wait_that_doubles(world: TaskWorld) -> None:
    retry = {"maxAttempts": 3, "backoffSeconds": 10}
    task = await world.create(**ON_DEMAND, retry=retry, metadata={"team": "ops"})
    began = world.runs.clock.now_us()
    world.runs.model.script([DOWN], [DOWN], say("at last"))

    for wait_s in (10, 20):
        await world.work_off()
        (occurrence,) = await world.occurrences(task.id)
        due_at = occurrence.due_at or 0
        assert occurrence.status == "QUEUED"
        assert wait_s * 1_000_000 <= due_at - began < wait_s * 1_250_000
        assert occurrence.reason == "MODEL_UNAVAILABLE: The model is away."
        assert await world.move_to(due_at - 1) > 0
        assert world.hinted() == []
        await world.move_to(due_at)
        assert world.hinted() == [occurrence.run_id]
        began = due_at
    await world.work_off()

    (occurrence,) = await world.occurrences(task.id)
    runs = await world.attempts(task.id)
    assert (occurrence.status, occurrence.reason, occurrence.attempts) == ("SUCCEEDED", None, 3)
    assert [(run.status, run.attempt) for run in runs] == [
        ("FAILED", 1),
        ("FAILED", 2),
        ("SUCCEEDED", 3),
    ]
    assert [run.retry_of for run in runs] == [None, runs[0].id, runs[1].id]
    assert {run.occurrence_id for run in runs} == {occurrence.id}
    assert runs[2].metadata == {"team": "ops"}
    assert (await world.task(task.id)).consecutive_failures == 0


async def test_what_failed_together_comes_back_one_after_another(world: TaskWorld) -> None:
    retry = {"maxAttempts": 2, "backoffSeconds": 40}
    tasks = [await world.create(**ON_DEMAND, retry=retry) for _ in range(12)]
    began = world.runs.clock.now_us()
    world.runs.model.script(*([DOWN] for _ in tasks))

    await world.work_off()

    waits = [(await world.occurrences(task.id))[0].due_at or 0 for task in tasks]
    assert len({(due_at - began) // 100_000 for due_at in waits}) > 6
    assert all(40_000_000 <= due_at - began < 50_000_000 for due_at in waits)
    assert waits == [(await world.attempts(task.id))[1].due_at for task in tasks]


@pytest.mark.parametrize(
    ("backoff", "longest", "attempt", "earliest", "latest"),
    [
        (30, 3600, 1, 30, 37.5),
        (30, 3600, 3, 120, 150),
        (30, 3600, 8, 2700, 3600),
        (30, 3600, 20, 2700, 3600),
        (60, 70, 1, 60, 70),
        (60, 60, 1, 60, 60),
        (60, 20, 5, 20, 20),
        (0, 3600, 4, 0, 0),
    ],
)
def test_the_spread_of_a_wait_keeps_to_the_shortest_and_the_longest(
    backoff: int, longest: int, attempt: int, earliest: float, latest: float
) -> None:
    policy = RetryPolicy(backoff_seconds=backoff, max_backoff_seconds=longest)

    waits = [retry_wait_us(policy, f"occurrence {n}", attempt) / 1e6 for n in range(400)]

    assert earliest <= min(waits) <= earliest + (latest - earliest) / 50
    assert latest - (latest - earliest) / 50 <= max(waits) <= latest
    assert waits[0] == retry_wait_us(policy, "occurrence 0", attempt) / 1e6


async def test_after_the_last_attempt_the_occurrence_has_failed(world: TaskWorld) -> None:
    task = await world.create(**ON_DEMAND, retry={"maxAttempts": 2, "backoffSeconds": 0})
    world.runs.model.script([DOWN], [DOWN])

    await world.work_off()
    await world.tick()
    await world.work_off()

    (occurrence,) = await world.occurrences(task.id)
    assert (occurrence.status, occurrence.attempts) == ("FAILED", 2)
    assert occurrence.reason == "MODEL_UNAVAILABLE: The model is away."
    assert (await world.task(task.id)).consecutive_failures == 1
    assert (await world.task(task.id)).status == "ACTIVE"


async def test_a_reason_that_will_not_go_away_is_not_tried_again(world: TaskWorld) -> None:
    task = await world.create(**ON_DEMAND, retry={"maxAttempts": 5})
    world.runs.model.script([REFUSED])

    await world.work_off()

    assert await world.statuses(task.id) == ["FAILED"]
    assert len(await world.attempts(task.id)) == 1


async def test_an_attempt_that_lost_its_workers_is_repeated(world: TaskWorld) -> None:
    task = await world.create(**ON_DEMAND, retry={"maxAttempts": 2, "backoffSeconds": 1})
    (run,) = await world.attempts(task.id)
    for _ in range(3):
        assert await world.runs.office().claim(run.id) is not None
        world.runs.clock.move(7)

    await world.work_off()

    (occurrence,) = await world.occurrences(task.id)
    assert occurrence.status == "QUEUED"
    assert (occurrence.reason or "").startswith("WORKER_LOST: ")
    assert len(await world.attempts(task.id)) == 2


async def test_the_timeout_of_a_task_is_the_longest_time_of_its_runs(world: TaskWorld) -> None:
    task = await world.create(**ON_DEMAND, timeoutSeconds=7)

    (run,) = await world.attempts(task.id)

    assert run.spec["limits"] == {"maxSeconds": 7}
    assert run.task_id == task.id


async def test_each_attempt_has_the_whole_time_and_one_that_takes_longer_is_tried_again(
    world: TaskWorld,
) -> None:
    retry = {"maxAttempts": 2, "backoffSeconds": 0}
    task = await world.create(**ON_DEMAND, timeoutSeconds=7, retry=retry)
    gate = Gate()
    world.runs.model.script([gate], say("in time"))
    (first,) = await world.attempts(task.id)
    async with world.runs.process() as runner:
        await runner.execute(first.id)
        await gate.reached.wait()
    world.runs.clock.move(8)

    await world.work_off()
    await world.tick()
    await world.work_off()

    runs = await world.attempts(task.id)
    assert [run.status for run in runs] == ["TIMED_OUT", "SUCCEEDED"]
    assert runs[1].spec["limits"] == {"maxSeconds": 7}
    assert await world.statuses(task.id) == ["SUCCEEDED"]


async def test_time_in_which_a_person_holds_an_attempt_is_not_its_own(world: TaskWorld) -> None:
    task = await world.create(**ON_DEMAND, timeoutSeconds=7, retry={"maxAttempts": 2})
    (run,) = await world.attempts(task.id)
    await world.runs.service(None).pause(world.runs.principal, run.id, None)
    await world.work_off()
    assert (await world.runs.row(run.id)).status == "PAUSED"
    world.runs.clock.move(3600)

    await world.runs.service(None).resume(world.runs.principal, run.id)
    world.runs.model.script(say("late, but in time"))
    await world.work_off()

    assert await world.statuses(task.id) == ["SUCCEEDED"]
    assert len(await world.attempts(task.id)) == 1


async def test_time_in_which_an_attempt_waits_for_a_person_is_not_its_own(
    world: TaskWorld,
) -> None:
    world.runs.tools, world.runs.expiry_s = risky_tools, 90_000
    task = await world.create(**ON_DEMAND, timeoutSeconds=7)
    (run,) = await world.attempts(task.id)
    gate = Gate()
    world.runs.model.script(call("erase", '{"path": "a.txt"}'), [gate])
    await world.work_off()

    world.runs.clock.move(86_400)
    assert await world.runs.office().forgotten(9) == []
    await world.tick()
    assert (await world.runs.row(run.id)).status == "WAITING_APPROVAL"
    assert await world.statuses(task.id) == ["RUNNING"]
    ((approval,),) = [await asked(world.runs, run.id)]
    await decide(world.runs, approval, "APPROVE")
    async with world.runs.process() as runner:
        await runner.execute(run.id)
        await gate.reached.wait()
    assert (await world.runs.row(run.id)).status == "RUNNING"
    assert world.runs.effects.done == ["erase a.txt"]
    world.runs.clock.move(8)
    world.runs.queue.hints.append(("runs.execute", run.id))
    await world.work_off()

    assert (await world.runs.row(run.id)).status == "TIMED_OUT"
    assert await world.statuses(task.id) == ["FAILED"]


async def test_a_cancelled_run_that_never_started_settles_its_occurrence(world: TaskWorld) -> None:
    task = await world.create(**ON_DEMAND, retry={"maxAttempts": 3})
    (run,) = await world.attempts(task.id)

    async with world.runs.process() as runner:
        await world.runs.service(runner).cancel(world.runs.principal, run.id, "not today")

    (occurrence,) = await world.occurrences(task.id)
    assert (occurrence.status, occurrence.reason) == ("CANCELLED", "not today")
    assert (await world.task(task.id)).consecutive_failures == 0
    assert len(await world.attempts(task.id)) == 1


async def test_a_retry_that_waits_can_be_cancelled(world: TaskWorld) -> None:
    task = await world.create(**ON_DEMAND, retry={"maxAttempts": 2, "backoffSeconds": 3600})
    world.runs.model.script([DOWN])
    await world.work_off()
    waiting = (await world.attempts(task.id))[1]

    async with world.runs.process() as runner:
        await world.runs.service(runner).cancel(world.runs.principal, waiting.id, None)

    assert await world.statuses(task.id) == ["CANCELLED"]
    assert [run.status for run in await world.attempts(task.id)] == ["FAILED", "CANCELLED"]


async def test_failures_in_a_row_pause_the_task_before_it_fires_again(world: TaskWorld) -> None:
    task = await world.create(pauseAfterFailures=2)
    world.runs.model.script([DOWN], [DOWN])

    for minute in range(3):
        await world.move_to(FIRST_US + minute * MINUTE_US)
        await world.work_off()
    await world.tick()

    paused = await world.task(task.id)
    assert (paused.status, paused.pause_reason) == ("PAUSED", "Paused after 2 failures in a row.")
    assert await world.statuses(task.id) == ["FAILED", "FAILED"]

    resumed = await world.service.resume(world.runs.principal, task.id)

    assert (resumed.status, resumed.pause_reason, resumed.consecutive_failures) == (
        "ACTIVE",
        None,
        0,
    )


async def test_a_run_without_a_task_adds_nothing_to_its_end(world: TaskWorld) -> None:
    world.runs.model.script(say("plain"))
    run_id = await world.runs.accept()

    await world.work_off()

    assert (await world.runs.row(run_id)).status == "SUCCEEDED"
    assert await world.updates() == []


async def test_runs_of_a_task_may_share_a_conversation_and_wait_for_it(world: TaskWorld) -> None:
    task = await world.create(conversationMode="CONTINUE")
    assert task.conversation_id is not None
    held = await world.runs.accept(conversationId=task.conversation_id)

    await world.move_to(FIRST_US)
    (occurrence,) = await world.occurrences(task.id)
    assert (occurrence.status, occurrence.run_id) == ("QUEUED", None)
    assert occurrence.reason == "Waits for its conversation, which another run holds."
    world.runs.model.script(say("chat"), say("report"))
    await world.work_off()
    await world.move_to(FIRST_US + 2_000_000)
    await world.work_off()

    (run,) = await world.attempts(task.id)
    assert (run.status, run.conversation_id) == ("SUCCEEDED", task.conversation_id)
    assert held != run.id
    assert await world.statuses(task.id) == ["SUCCEEDED"]


async def test_tasks_that_share_conversations_and_others_start_in_one_commit(
    world: TaskWorld,
) -> None:
    modes = ["CONTINUE", "NEW", "CONTINUE", "NEW"]
    tasks = [await world.create(conversationMode=mode) for mode in modes]
    gone = tasks[2].conversation_id or ""
    await world.runs.conversations.delete(world.runs.principal, gone)

    with capture_logs() as logs:
        await world.move_to(FIRST_US)

    assert [(line["event"], line["runs"]) for line in logs] == [("tasks.fired", 4)]
    for task in tasks:
        assert await world.statuses(task.id) == ["RUNNING"]
    found = {run.conversation_id for task in tasks for run in await world.attempts(task.id)}
    assert tasks[0].conversation_id in found
    assert len(found) == 4


async def test_each_run_has_a_conversation_of_its_own_otherwise(world: TaskWorld) -> None:
    task = await world.create()
    world.runs.model.script(say("one"), say("two"))

    for minute in range(2):
        await world.move_to(FIRST_US + minute * MINUTE_US)
        await world.work_off()

    runs = await world.attempts(task.id)
    assert task.conversation_id is None
    assert len({run.conversation_id for run in runs} - {None}) == 2


async def test_a_shared_conversation_that_was_deleted_begins_anew(world: TaskWorld) -> None:
    task = await world.create(conversationMode="CONTINUE")
    await world.runs.conversations.delete(world.runs.principal, task.conversation_id or "")
    world.runs.model.script(say("report"))

    await world.move_to(FIRST_US)
    await world.work_off()

    renewed = (await world.task(task.id)).conversation_id
    assert renewed not in (None, task.conversation_id)
    assert [run.conversation_id for run in await world.attempts(task.id)] == [renewed]
    assert await world.statuses(task.id) == ["SUCCEEDED"]
