"""Tasks as clients make, change, hold, start and delete them."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from domain.access.scopes import Principal, Scope
from domain.kernel.database import Database, Statement
from domain.kernel.errors import (
    Conflict,
    ErrorCode,
    Forbidden,
    NotFound,
    ProviderUnavailable,
    ValidationFailed,
)
from domain.models.ports import TextDelta
from tests.domain.task_world import FIRST_US, MINUTE_US, TaskWorld, task_world
from tests.fakes import Gate, say

ON_DEMAND: dict[str, Any] = {"schedule": {"adhoc": {}}}
AT_ONCE: dict[str, Any] = {"schedule": {"adhoc": {"runNow": True}}}


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[TaskWorld, None]:
    """A world on each database."""
    async with task_world(database) as built:
        yield built


async def audited(world: TaskWorld) -> list[str]:
    """What the audit log says of tasks, in order."""
    sql = "SELECT action FROM audit WHERE action LIKE 'task.%' ORDER BY seq"
    rows = await world.runs.database.fetch(sql)
    return [row[0] for row in rows]


async def count_of(world: TaskWorld, table: str) -> int:
    """How many rows there are."""
    return (await world.runs.database.fetch(f"SELECT count(*) FROM {table}"))[0][0]


async def test_a_new_task_knows_its_next_due_time_and_leaves_a_trail(world: TaskWorld) -> None:
    task = await world.create(inputs={"day": "today"})

    assert (task.status, task.next_run_at, task.version) == ("ACTIVE", FIRST_US, 1)
    assert task.schedule == {"kind": "SCHEDULED", "expression": "* * * * *", "timezone": "UTC"}
    assert (task.schedule_kind, task.inputs, task.created_by) == (
        "SCHEDULED",
        {"day": "today"},
        "tester",
    )
    assert await audited(world) == ["task.created"]
    (event,) = await world.updates()
    assert event.data == {"change": "CREATED", "taskId": task.id, "occurrenceId": None}
    assert event.trace_id == world.runs.principal.trace.trace_id


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"schedule": {"planned": {"times": [1]}}}, ("schedule", "planned", "times")),
        ({"schedule": {"adhoc": {}, "planned": {"times": [FIRST_US]}}}, ("schedule",)),
        ({"endsAt": 5}, ("endsAt",)),
        ({"name": ""}, ("name",)),
    ],
)
async def test_bad_values_are_refused_by_field_and_make_nothing(
    world: TaskWorld, more: dict[str, Any], path: tuple[str, ...]
) -> None:
    with pytest.raises(ValidationFailed) as caught:
        await world.create(**more)

    assert caught.value.problems[0].path == path
    assert await count_of(world, "task") == 0
    assert await audited(world) == []


async def test_an_unknown_agent_is_not_found_and_makes_nothing(world: TaskWorld) -> None:
    with pytest.raises(NotFound) as caught:
        await world.create(agent={"slug": "nobody"})

    assert caught.value.path == ("agent",)
    assert await count_of(world, "task") == 0


async def test_a_key_makes_one_task_however_often_it_comes(world: TaskWorld) -> None:
    made = await asyncio.gather(*(world.create(**AT_ONCE, idempotencyKey="k") for _ in range(6)))

    assert len({task.id for task in made}) == 1
    assert (await count_of(world, "task"), await count_of(world, "run")) == (1, 1)
    with pytest.raises(Conflict) as caught:
        await world.create(**AT_ONCE, idempotencyKey="k", name="Other")
    assert caught.value.reason is ErrorCode.IDEMPOTENCY_MISMATCH


async def test_scopes_guard_every_call_and_a_refused_one_changes_nothing(world: TaskWorld) -> None:
    task = await world.create()
    reader = Principal(
        workspace_id=world.runs.principal.workspace_id,
        key_id=None,
        name="reader",
        scopes=frozenset({Scope.TASKS_READ}),
    )
    service = world.service
    calls = [
        service.create(reader, {}),
        service.update(reader, {"taskId": task.id, "name": "x"}),
        service.pause(reader, {"taskId": task.id}),
        service.resume(reader, task.id),
        service.run_now(reader, {"taskId": task.id}),
        service.delete(reader, task.id),
    ]

    for call in calls:
        with pytest.raises(Forbidden):
            await call

    assert (await world.task(task.id)).version == 1
    assert await audited(world) == ["task.created"]


async def test_another_workspace_sees_and_changes_nothing(world: TaskWorld) -> None:
    task = await world.create()
    stranger = Principal(
        workspace_id="elsewhere", key_id=None, name="x", scopes=frozenset({Scope.ADMIN})
    )

    assert await world.service.task(stranger, task.id) is None
    assert await world.service.by_ids(stranger, [task.id]) == {}
    for call in (
        world.service.pause(stranger, {"taskId": task.id}),
        world.service.run_now(stranger, {"taskId": task.id}),
        world.service.delete(stranger, task.id),
    ):
        with pytest.raises(NotFound):
            await call
    assert await audited(world) == ["task.created"]


async def test_a_changed_schedule_counts_from_now_and_other_fields_stay(world: TaskWorld) -> None:
    task = await world.create(inputs={"a": 1})
    hourly = {"scheduled": {"cron": {"expression": "0 * * * *"}}}

    changed = await world.service.update(
        world.runs.principal, {"taskId": task.id, "expectedVersion": 1, "schedule": hourly}
    )

    assert (changed.version, changed.inputs, changed.name) == (2, {"a": 1}, "Report")
    assert changed.next_run_at == FIRST_US + 46 * MINUTE_US
    assert await audited(world) == ["task.created", "task.updated"]
    with pytest.raises(Conflict) as caught:
        await world.service.update(
            world.runs.principal, {"taskId": task.id, "expectedVersion": 1, "name": "late"}
        )
    assert (caught.value.reason, caught.value.current_version) == (ErrorCode.VERSION_MISMATCH, 2)
    assert (await world.task(task.id)).name == "Report"


async def test_without_a_change_there_is_no_new_version(world: TaskWorld) -> None:
    task = await world.create()

    same = await world.service.update(
        world.runs.principal, {"taskId": task.id, "name": "Report", "agent": {"slug": "default"}}
    )

    assert same.version == 1
    assert await audited(world) == ["task.created"]


async def test_a_task_edited_while_it_runs_leaves_that_run_alone(world: TaskWorld) -> None:
    task = await world.create(retry={"maxAttempts": 2, "backoffSeconds": 1})
    await world.move_to(FIRST_US)

    await world.service.update(
        world.runs.principal,
        {"taskId": task.id, "instruction": "write two", "timeoutSeconds": 5, "retry": None},
    )
    world.runs.model.script(say("done"), say("done"))
    await world.work_off()
    await world.move_to(FIRST_US + MINUTE_US)
    await world.work_off()

    first, second = await world.attempts(task.id)
    assert (first.instruction, first.spec["limits"]) == ("write the report", {"maxSeconds": 900})
    assert (second.instruction, second.spec["limits"]) == ("write two", {"maxSeconds": 5})
    assert first.spec["task"]["retry"]["maxAttempts"] == 2
    assert await world.statuses(task.id) == ["SUCCEEDED", "SUCCEEDED"]


async def test_a_held_task_misses_its_times_and_goes_on_by_itself(world: TaskWorld) -> None:
    task = await world.create(missedRunPolicy="SKIP")
    until = FIRST_US + 2 * MINUTE_US + 30_000_000

    held = await world.service.pause(
        world.runs.principal, {"taskId": task.id, "reason": "holiday", "until": until}
    )
    await world.move_to(FIRST_US + MINUTE_US)
    assert await world.occurrences(task.id) == []
    await world.move_to(until)

    assert (held.status, held.pause_reason, held.paused_until) == ("PAUSED", "holiday", until)
    assert await world.statuses(task.id) == ["MISSED", "MISSED", "RUNNING"]
    going = await world.task(task.id)
    assert (going.status, going.pause_reason, going.paused_until) == ("ACTIVE", None, None)


async def test_a_completed_task_is_not_held_and_comes_back_with_new_times(world: TaskWorld) -> None:
    task = await world.create(schedule={"planned": {"times": [FIRST_US]}})
    world.runs.model.script(say("done"))
    await world.move_to(FIRST_US)
    await world.work_off()
    await world.tick()

    for call in (
        world.service.pause(world.runs.principal, {"taskId": task.id}),
        world.service.resume(world.runs.principal, task.id),
    ):
        with pytest.raises(Conflict):
            await call
    times = [FIRST_US, FIRST_US + MINUTE_US]
    changed = await world.service.update(
        world.runs.principal, {"taskId": task.id, "schedule": {"planned": {"times": times}}}
    )

    assert (changed.status, changed.next_run_at) == ("ACTIVE", FIRST_US + MINUTE_US)
    await world.move_to(FIRST_US + MINUTE_US)
    assert await world.statuses(task.id) == ["SUCCEEDED", "RUNNING"]


async def test_run_now_starts_beside_the_schedule_with_inputs_of_its_own(world: TaskWorld) -> None:
    task = await world.create(inputs={"day": "today", "depth": 1})
    await world.move_to(FIRST_US)

    started = await world.service.run_now(
        world.runs.principal, {"taskId": task.id, "inputs": {"day": "monday"}}
    )

    assert (started.row.status, started.row.trigger, started.replayed) == (
        "RUNNING",
        "MANUAL",
        False,
    )
    scheduled, manual = await world.attempts(task.id)
    assert (scheduled.inputs, manual.inputs) == (
        {"day": "today", "depth": 1},
        {"day": "monday", "depth": 1},
    )
    assert manual.trace_id == world.runs.principal.trace.trace_id
    assert world.hinted() == [scheduled.id, manual.id]
    assert (await world.task(task.id)).next_run_at == FIRST_US + MINUTE_US
    assert (await audited(world))[-1] == "task.started"


async def test_a_key_starts_a_task_once(world: TaskWorld) -> None:
    task = await world.create(**ON_DEMAND)
    asked = {"taskId": task.id, "idempotencyKey": "now"}

    started = await asyncio.gather(
        *(world.service.run_now(world.runs.principal, asked) for _ in range(6))
    )

    assert len({one.row.id for one in started}) == 1
    assert [one.replayed for one in started].count(False) == 1
    assert len(await world.attempts(task.id)) == 1


async def test_run_now_waits_for_the_end(world: TaskWorld) -> None:
    task = await world.create(**ON_DEMAND)
    gate = Gate()
    world.runs.model.script([gate, *say("done")])
    async with world.runs.process() as runner:
        world.runs.queue.deliver = lambda run_id: asyncio.ensure_future(runner.execute(run_id))
        asked = {"taskId": task.id, "waitSeconds": 20}
        waiting = asyncio.create_task(world.service.run_now(world.runs.principal, asked))
        await gate.reached.wait()
        assert not waiting.done()

        gate.opened.set()
        started = await waiting

    assert started.row.status == "SUCCEEDED"


async def test_deleting_cancels_the_run_at_work_alone_and_keeps_the_history(
    world: TaskWorld,
) -> None:
    task = await world.create(overlapPolicy="QUEUE")
    other = await world.create(name="Other")
    world.runs.model.script([TextDelta("half"), Gate()])
    for minute in range(2):
        await world.move_to(FIRST_US + minute * MINUTE_US)
    (run,) = await world.attempts(task.id)

    async with world.runs.process() as runner:
        await runner.execute(run.id)
        held = runner.held(run.id)
        assert held is not None
        assert await world.service.delete(world.runs.principal, task.id) == task.id
        async with asyncio.timeout(20):
            await held.done.wait()

    assert await world.statuses(task.id) == ["CANCELLED", "SKIPPED"]
    assert (await world.runs.row(run.id)).status_reason == "The task was deleted."
    assert [row.status for row in await world.attempts(other.id)] == ["QUEUED"]
    principal, service = world.runs.principal, world.service
    assert await service.task(principal, task.id) is None
    assert list(await service.by_ids(principal, [task.id])) == [task.id]
    with pytest.raises(NotFound):
        await service.delete(principal, task.id)
    await world.move_to(FIRST_US + 5 * MINUTE_US)
    assert await world.statuses(task.id) == ["CANCELLED", "SKIPPED"]
    changes = [event.data["change"] for event in await world.updates()]
    assert changes.count("DELETED") == 1


async def test_a_row_that_cannot_be_read_is_held_and_nothing_else_notices(world: TaskWorld) -> None:
    broken, sound = await world.create(name="Broken"), await world.create(name="Sound")
    schedule = '{"kind": "SCHEDULED", "expression": "* * * * *", "timezone": "Mars/Base"}'
    await world.runs.database.write(
        [Statement("UPDATE task SET schedule = $2 WHERE id = $1", (broken.id, schedule))]
    )

    await world.move_to(FIRST_US)

    held = await world.task(broken.id)
    assert (held.status, held.wake_at) == ("PAUSED", None)
    assert held.pause_reason == (
        "The task cannot be read: schedule: No time zone is called 'Mars/Base'; use one like"
        " Europe/Berlin. Send schedule anew with updateTask, or delete it."
    )
    assert await world.statuses(sound.id) == ["RUNNING"]
    assert await world.occurrences(broken.id) == []
    assert {
        event.data["taskId"] for event in await world.updates() if event.data["change"] == "UPDATED"
    } == {broken.id}
    with pytest.raises(Conflict):
        await world.service.update(world.runs.principal, {"taskId": broken.id, "name": "x"})

    mended = await world.service.update(
        world.runs.principal, {"taskId": broken.id, "schedule": {"adhoc": {}}}
    )

    assert mended.schedule == {"kind": "ADHOC", "runNow": False}
    assert (mended.status, mended.pause_reason) == ("ACTIVE", None)


async def test_json_that_is_none_is_held_too(world: TaskWorld) -> None:
    broken, sound = await world.create(), await world.create()
    await world.runs.database.write(
        [Statement("UPDATE task SET retry = '{' WHERE id = $1", (broken.id,))]
    )

    await world.move_to(FIRST_US)

    status = await world.runs.database.fetch("SELECT status FROM task WHERE id = $1", broken.id)
    assert status == [("PAUSED",)]
    assert await world.statuses(sound.id) == ["RUNNING"]


async def test_an_archived_agent_fails_the_occurrence_with_the_reason(world: TaskWorld) -> None:
    agent = await world.runs.agents.create(world.runs.principal, {"name": "Temp"})
    task = await world.create(agent={"id": agent.id})
    await world.runs.agents.archive(world.runs.principal, agent.id, archived=True)

    await world.move_to(FIRST_US)

    (occurrence,) = await world.occurrences(task.id)
    assert (occurrence.status, occurrence.reason) == ("FAILED", "The agent 'temp' is archived.")
    assert (await world.task(task.id)).consecutive_failures == 1
    with pytest.raises(Conflict):
        await world.service.run_now(world.runs.principal, {"taskId": task.id})
    assert await count_of(world, "run") == 0


async def test_a_task_whose_agents_model_is_not_here_is_not_started_by_hand(
    world: TaskWorld,
) -> None:
    model = {"provider": "gone", "name": "g1"}
    agents = world.runs.agents
    await agents.create(world.runs.principal, {"name": "Lost", "model": model})
    task = await world.create(agent={"slug": "lost"})

    with pytest.raises(ProviderUnavailable) as refused:
        await world.service.run_now(world.runs.principal, {"taskId": task.id})

    assert refused.value.path == ("taskId",)
    assert refused.value.message == (
        "The agent 'lost' cannot run. No model provider is called 'gone' here; known are: scripted."
    )
    assert (await count_of(world, "run"), await count_of(world, "occurrence")) == (0, 0)
    assert await audited(world) == ["task.created"]
