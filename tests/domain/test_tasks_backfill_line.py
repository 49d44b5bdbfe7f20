"""A backfill runs in a line of its own: beside the schedule, and in nobody's way."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from domain.kernel.database import Database, Statement
from domain.models.ports import ModelError, ModelErrorKind
from tests.domain.backfill_world import backfill, minutes
from tests.domain.task_world import BEGIN_US, FIRST_US, MINUTE_US, TaskWorld, task_world
from tests.fakes import say

REFUSED = ModelError(ModelErrorKind.REFUSED, "No.")
AWAY = ModelError(ModelErrorKind.UNAVAILABLE, "The model is away.")


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[TaskWorld, None]:
    """A world on each database."""
    async with task_world(database) as built:
        yield built


async def shown(world: TaskWorld, task_id: str) -> list[tuple[str, str]]:
    """Trigger and status of each occurrence, oldest first."""
    return [(row.trigger, row.status) for row in await world.occurrences(task_id)]


def past(*statuses: str) -> list[tuple[str, str]]:
    return [("BACKFILL", status) for status in statuses]


async def work(world: TaskWorld, *scripts: Any) -> None:
    """Let the runs that were hinted end, and look at what comes next."""
    world.runs.model.script(*scripts)
    await world.work_off()
    await world.tick()


async def test_times_run_one_after_another_oldest_first(world: TaskWorld) -> None:
    task = await world.create(
        priority=8, inputs={"a": 1}, timeoutSeconds=77, jitterSeconds=3600, metadata={"b": 2}
    )
    await backfill(world, task.id)

    await world.tick()
    for left in (["RUNNING", "QUEUED", "QUEUED"], ["RUNNING", "QUEUED"], ["RUNNING"]):
        assert await world.statuses(task.id) == [*["SUCCEEDED"] * (3 - len(left)), *left]
        await work(world, say("done"))

    rows, runs = await world.occurrences(task.id), await world.attempts(task.id)
    assert [row.run_id for row in rows] == [run.id for run in runs]
    assert [(run.priority, run.inputs, run.metadata) for run in runs] == [
        (8, {"a": 1}, {"b": 2})
    ] * 3
    assert {run.spec["limits"]["maxSeconds"] for run in runs} == {77}


async def test_parallel_tasks_run_as_many_as_they_may(world: TaskWorld) -> None:
    task = await world.create(overlapPolicy="PARALLEL", maxConcurrency=2)
    await backfill(world, task.id)

    await world.move_to(FIRST_US)
    await world.move_to(FIRST_US + MINUTE_US)

    assert await shown(world, task.id) == [
        *past("RUNNING", "RUNNING", "QUEUED"),
        ("SCHEDULE", "RUNNING"),
        ("SCHEDULE", "RUNNING"),
    ]


@pytest.mark.parametrize(
    ("policy", "second"), [("SKIP", "SKIPPED"), ("QUEUE", "QUEUED"), ("REPLACE", "QUEUED")]
)
async def test_the_schedule_goes_on_as_if_there_were_no_backfill(
    world: TaskWorld, policy: str, second: str
) -> None:
    task = await world.create(overlapPolicy=policy)
    await backfill(world, task.id)

    await world.move_to(FIRST_US)
    assert await shown(world, task.id) == [
        *past("RUNNING", "QUEUED", "QUEUED"),
        ("SCHEDULE", "RUNNING"),
    ]
    await world.move_to(FIRST_US + MINUTE_US)

    assert await shown(world, task.id) == [
        *past("RUNNING", "QUEUED", "QUEUED"),
        ("SCHEDULE", "RUNNING"),
        ("SCHEDULE", second),
    ]


async def test_replace_stops_no_run_of_a_backfill(world: TaskWorld) -> None:
    task = await world.create(overlapPolicy="REPLACE")
    await backfill(world, task.id)
    await world.move_to(FIRST_US)
    await world.move_to(FIRST_US + MINUTE_US)

    await work(world, say("one"), say("two"))

    assert await shown(world, task.id) == [
        *past("SUCCEEDED", "RUNNING", "QUEUED"),
        ("SCHEDULE", "CANCELLED"),
        ("SCHEDULE", "RUNNING"),
    ]


async def test_a_held_task_waits_and_goes_on_when_it_is_resumed(world: TaskWorld) -> None:
    task = await world.create()
    await world.service.pause(world.runs.principal, {"taskId": task.id})
    await backfill(world, task.id)

    assert await world.tick() == 1.0
    assert await shown(world, task.id) == past("QUEUED", "QUEUED", "QUEUED")
    assert await world.attempts(task.id) == []
    await world.service.resume(world.runs.principal, task.id)
    await world.tick()

    assert await shown(world, task.id) == past("RUNNING", "QUEUED", "QUEUED")


async def test_a_task_that_is_held_meanwhile_starts_no_more(world: TaskWorld) -> None:
    task = await world.create()
    await backfill(world, task.id)
    await world.tick()
    until = FIRST_US - 1
    await world.service.pause(world.runs.principal, {"taskId": task.id, "until": until})

    await work(world, say("done"))
    assert await shown(world, task.id) == past("SUCCEEDED", "QUEUED", "QUEUED")
    await world.move_to(until)

    assert await shown(world, task.id) == past("SUCCEEDED", "RUNNING", "QUEUED")


async def test_a_completed_task_runs_its_past_and_stays_completed(world: TaskWorld) -> None:
    times = [BEGIN_US - 2, BEGIN_US - 1, FIRST_US]
    task = await world.create(
        schedule={"planned": {"times": times}},
        retry={"maxAttempts": 2, "backoffSeconds": 10, "maxBackoffSeconds": 10},
    )
    await world.move_to(FIRST_US)
    await work(world, say("done"))
    assert (await world.task(task.id)).status == "COMPLETED"

    await backfill(world, task.id)
    await world.tick()
    await work(world, [AWAY])
    assert await world.statuses(task.id) == ["QUEUED", "QUEUED", "SUCCEEDED"]
    assert (await world.task(task.id)).wake_at == FIRST_US + 10_000_000
    await world.move_to(FIRST_US + 10_000_000)
    await work(world, say("one"))
    await work(world, say("two"))

    assert await world.statuses(task.id) == ["SUCCEEDED"] * 3
    ended = await world.task(task.id)
    assert (ended.status, ended.wake_at) == ("COMPLETED", None)


async def test_a_task_is_completed_once_its_backfill_has_ended(world: TaskWorld) -> None:
    task = await world.create(schedule={"planned": {"times": [BEGIN_US - 1, FIRST_US]}})
    await backfill(world, task.id)
    await world.move_to(FIRST_US)

    for status in ("ACTIVE", "COMPLETED"):
        hinted = world.runs.queue.hints[1:]
        del world.runs.queue.hints[1:]
        await work(world, say("done"))
        assert (await world.task(task.id)).status == status
        world.runs.queue.hints += hinted


async def test_who_shares_a_conversation_waits_and_the_schedule_goes_first(
    world: TaskWorld,
) -> None:
    task = await world.create(conversationMode="CONTINUE")
    await backfill(world, task.id)
    await world.tick()
    await world.move_to(FIRST_US)
    assert await shown(world, task.id) == [
        *past("RUNNING", "QUEUED", "QUEUED"),
        ("SCHEDULE", "QUEUED"),
    ]

    await work(world, say("first"))
    assert (await world.statuses(task.id)) == ["SUCCEEDED", "QUEUED", "QUEUED", "QUEUED"]
    await world.move_to(FIRST_US + 2_000_000)
    assert (await world.statuses(task.id)) == ["SUCCEEDED", "QUEUED", "QUEUED", "RUNNING"]
    for _ in range(3):
        await work(world, say("next"))

    assert await world.statuses(task.id) == ["SUCCEEDED"] * 4
    runs = await world.attempts(task.id)
    assert {run.conversation_id for run in runs} == {task.conversation_id}


async def test_a_conversation_that_others_hold_is_asked_for_again(world: TaskWorld) -> None:
    task = await world.create(conversationMode="CONTINUE")
    run_id = await world.runs.accept(conversationId=task.conversation_id)
    await backfill(world, task.id)

    await world.tick()

    rows = await world.occurrences(task.id)
    assert [(row.due_at, row.reason) for row in rows] == [
        (BEGIN_US + 2_000_000, "Waits for its conversation, which another run holds."),
        (None, None),
        (None, None),
    ]
    world.runs.hint(run_id)
    await work(world, say("done"))
    await world.move_to(BEGIN_US + 2_000_000)
    assert await world.statuses(task.id) == ["RUNNING", "QUEUED", "QUEUED"]


async def test_failures_count_and_hold_the_task_with_what_waits(world: TaskWorld) -> None:
    task = await world.create(pauseAfterFailures=2)
    await backfill(world, task.id)
    await world.tick()

    await work(world, [REFUSED])
    await work(world, [REFUSED])

    held = await world.task(task.id)
    assert (held.status, held.pause_reason) == ("PAUSED", "Paused after 2 failures in a row.")
    assert await world.statuses(task.id) == ["FAILED", "FAILED", "QUEUED"]


async def test_an_agent_that_was_archived_meanwhile_fails_as_many_as_the_owner_allows(
    world: TaskWorld,
) -> None:
    task = await world.create(pauseAfterFailures=2)
    await backfill(world, task.id)
    await world.runs.database.write([Statement("UPDATE agent SET archived_at = 5", ())])

    await world.tick()

    rows = await world.occurrences(task.id)
    assert [row.status for row in rows] == ["FAILED", "FAILED", "QUEUED"]
    assert rows[0].reason == "The agent 'default' is archived."
    assert (await world.task(task.id)).status == "PAUSED"


async def test_a_run_that_is_cancelled_alone_lets_the_next_go(world: TaskWorld) -> None:
    task = await world.create()
    await backfill(world, task.id)
    await world.tick()
    (run,) = await world.attempts(task.id)

    await world.runs.service(None).cancel(world.runs.principal, run.id, None)
    await work(world)

    assert await shown(world, task.id) == past("CANCELLED", "RUNNING", "QUEUED")


async def test_deleting_the_task_skips_what_waits_and_cancels_what_is_at_work(
    world: TaskWorld,
) -> None:
    task = await world.create()
    await backfill(world, task.id)
    await world.tick()
    told = len(await world.updates())

    await world.service.delete(world.runs.principal, task.id)
    changes = [event.data["change"] for event in (await world.updates())[told:]]
    await work(world)

    rows = await world.occurrences(task.id)
    assert [row.scheduled_for for row in rows] == minutes(-3, -1)
    assert [(row.status, row.reason, row.finished_at) for row in rows] == [
        ("CANCELLED", "The task was deleted.", BEGIN_US),
        ("SKIPPED", "The task was deleted.", BEGIN_US),
        ("SKIPPED", "The task was deleted.", BEGIN_US),
    ]
    assert changes == ["OCCURRENCE", "OCCURRENCE", "DELETED"]
