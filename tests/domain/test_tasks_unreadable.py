"""Task rows that cannot be read: held and marked alone, and as they were until repaired."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from domain.kernel.database import Database, Statement
from domain.kernel.errors import Conflict, NotFound, Unavailable
from domain.models.ports import ModelError, ModelErrorKind
from domain.tasks.firing import TaskFiring
from domain.tasks.reading import UNREADABLE, task_as_shown
from domain.tasks.rows import TaskRow
from tests.domain.spoiled_rows import spoil, whole_row, writes_refused
from tests.domain.task_world import BEGIN_US, FIRST_US, MINUTE_US, TaskWorld, task_world
from tests.fakes import say

NOBODY = "019aabcd-ef12-7456-9abc-def012345678"
ZONE = '{"kind": "SCHEDULED", "expression": "* * * * *", "timezone": "Mars/Base"}'
CRON = '{"kind": "SCHEDULED", "expression": "* * * * * * *", "timezone": "UTC"}'
NO_TIMES = '{"kind": "PLANNED", "times": []}'
EACH_MINUTE = {"scheduled": {"cron": {"expression": "* * * * *"}, "timezone": "UTC"}}
HOURLY = {"scheduled": {"cron": {"expression": "0 * * * *"}, "timezone": "UTC"}}
DOWN = ModelError(ModelErrorKind.UNAVAILABLE, "The model is away.")
REFUSED = ModelError(ModelErrorKind.REFUSED, "No.")
MARK = {"status", "pause_reason", "paused_until", "wake_at", "updated_at"}
"""What marks a row; the rest of it stays as it was."""
FAULTS: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "schedule-no-json": ({"schedule": "{"}, "schedule: '{' is no JSON.", {}),
    "schedule-no-object": ({"schedule": "[]"}, "schedule: '[]' is no JSON object.", {}),
    "schedule-null": ({"schedule": "null"}, "schedule: 'null' is no JSON object.", {}),
    "schedule-zone": ({"schedule": ZONE}, "schedule: No time zone is called 'Mars/Base'; ", {}),
    "schedule-cron": ({"schedule": CRON}, "schedule: Give five fields, ", {}),
    "schedule-times": ({"schedule": NO_TIMES}, "schedule: {'kind': 'PLANNED', 'times': []} ", {}),
    "schedule-kind": ({"schedule_kind": "X"}, "schedule: 'X' is no kind of schedule.", {}),
    "inputs": ({"inputs": "[1"}, "inputs: '[1' is no JSON.", {"inputs": {"a": 1}}),
    "inputs-deep": (
        {"inputs": '{"a": ' + "[" * 300 + "]" * 300 + "}"},
        "inputs: It is nested more than 32 levels.",
        {"inputs": {}},
    ),
    "metadata": ({"metadata": "7"}, "metadata: '7' is no JSON object.", {"metadata": None}),
    "retry": ({"retry": ""}, "retry: '' is no JSON.", {"retry": None}),
    "retry-values": (
        {"retry": '{"maxAttempts": 99}'},
        "retry: maxAttempts: Give at most 20.",
        {"retry": {"maxAttempts": 2}},
    ),
    "overlap": (
        {"overlap_policy": "SOMETIMES"},
        "overlapPolicy: Use one of SKIP, QUEUE, PARALLEL, REPLACE.",
        {"overlapPolicy": "QUEUE"},
    ),
    "missed": ({"missed_run_policy": ""}, "missedRunPolicy: Use ", {"missedRunPolicy": "SKIP"}),
    "mode": ({"conversation_mode": "x"}, "conversationMode: Use ", {"conversationMode": "NEW"}),
    "priority": ({"priority": 99}, "priority: Give at most 9.", {"priority": 9}),
    "grace": ({"grace_seconds": -1}, "graceSeconds: Give at least 0.", {"graceSeconds": 0}),
    "endsAt": ({"ends_at": 2**62}, f"endsAt: {2**62} is no moment.", {"endsAt": None}),
    "endsAt-order": ({"starts_at": 9, "ends_at": 9}, "endsAt: It is not after", {"endsAt": None}),
    "nextRunAt": ({"next_run_at": 0}, "nextRunAt: It lies before the task was created.", {}),
    "nextRunAt-far": ({"next_run_at": 2**62}, f"nextRunAt: {2**62} is no moment.", {}),
    "status": ({"status": "ASLEEP"}, "status: 'ASLEEP' is no status.", {}),
    "version": ({"version": 2**31 - 1}, f"version: {2**31 - 1} cannot be counted on.", {}),
    "failures": ({"consecutive_failures": -1}, "consecutiveFailures: -1 cannot be ", {}),
    "starts": ({"started_runs": -1}, "startedRuns: -1 cannot be counted on.", {}),
    "maxRuns": ({"max_runs": 0}, "maxRuns: Give at least 1.", {"maxRuns": None}),
    "createdAt": ({"created_at": -(2**62)}, f"createdAt: {-(2**62)} is no moment.", {}),
    "agent": ({"agent_id": NOBODY}, "agentId: There is no such agent", {"agent": "default"}),
    "agent-id": ({"agent_id": "junk"}, "agentId: 'junk' is no id.", {"agent": "default"}),
    "two": (
        {"retry": "x", "priority": -1},
        "retry: 'x' is no JSON. priority: Give at least 0. Send retry and priority anew with",
        {"retry": None, "priority": None},
    ),
}
"""By name: what is in the row, how the reason begins, and what repairs it (a schedule if empty)."""


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[TaskWorld, None]:
    """A world on each database."""
    async with task_world(database) as built:
        yield built


async def spoiled(world: TaskWorld, fault: str, **given: Any) -> TaskRow:
    """Make a task due each minute and put a fault into its row."""
    task = await world.create(**given)
    await spoil(world.runs.database, "task", task.id, **FAULTS[fault][0])
    return task


def cure_of(fault: str) -> dict[str, Any]:
    """What a client sends to repair a task."""
    cure = FAULTS[fault][2] or {"schedule": EACH_MINUTE}
    return {**cure, "agent": {"slug": cure["agent"]}} if "agent" in cure else cure


async def due_at(world: TaskWorld, moment_us: int, *task_ids: str) -> None:
    """Have tasks looked at then, whatever else their rows say."""
    for ident in task_ids:
        sql = "UPDATE task SET wake_at = $2 WHERE id = $1"
        await world.runs.database.write([Statement(sql, (ident, moment_us))])


async def test_broken_rows_are_held_in_the_tick_in_which_all_others_fire_once(
    world: TaskWorld,
) -> None:
    broken: dict[str, TaskRow] = {}
    sound: list[TaskRow] = []
    for fault in FAULTS:
        broken[fault] = await spoiled(world, fault, name=fault)
        sound += [await world.create(name=f"{fault} {number}") for number in range(2)]
    before = {
        name: await whole_row(world.runs.database, "task", task.id) for name, task in broken.items()
    }
    told = len(await world.updates())

    with capture_logs() as logs:
        await world.move_to(FIRST_US)
        await due_at(world, FIRST_US, *(task.id for task in broken.values()))
        await world.tick()

    for task in sound:
        assert await world.statuses(task.id) == ["RUNNING"]
    assert len(world.hinted()) == len(set(world.hinted())) == len(sound)
    for name, task in broken.items():
        row = await whole_row(world.runs.database, "task", task.id)
        assert row["pause_reason"].startswith(f"{UNREADABLE}{FAULTS[name][1]}"), name
        assert (row["status"], row["wake_at"]) == ("PAUSED", None)
        assert {column for column, value in row.items() if value != before[name][column]} <= MARK
        assert await world.occurrences(task.id) == []
    changes = [event.data for event in (await world.updates())[told:]]
    held = [one["taskId"] for one in changes if one["change"] == "UPDATED"]
    assert sorted(held) == sorted(task.id for task in broken.values())
    reported = [line["task_id"] for line in logs if line["event"] == "task.unreadable"]
    assert sorted(reported) == sorted(held)
    assert not [line for line in logs if line["log_level"] == "error"]


async def test_a_row_that_is_held_is_not_met_again(world: TaskWorld) -> None:
    task = await spoiled(world, "retry")
    await world.move_to(FIRST_US)
    told = len(await world.updates())

    with capture_logs() as logs:
        await due_at(world, 0, task.id)
        assert await world.move_to(FIRST_US + MINUTE_US) == 1.0

    assert (len(await world.updates()), logs) == (told, [])


async def test_a_task_that_its_owner_holds_keeps_the_owners_reason(world: TaskWorld) -> None:
    task = await world.create()
    held = await world.service.pause(
        world.runs.principal, {"taskId": task.id, "reason": "Holidays."}
    )
    await spoil(world.runs.database, "task", task.id, retry="x")

    await world.tick()

    row = await whole_row(world.runs.database, "task", task.id)
    assert (row["status"], row["pause_reason"]) == ("PAUSED", "Holidays.")
    mended = await world.service.update(world.runs.principal, {"taskId": task.id, "retry": None})
    assert (mended.status, mended.pause_reason) == ("PAUSED", "Holidays.")
    assert mended.version == held.version + 1


@pytest.mark.parametrize("is_held", [False, True], ids=["unmarked", "held"])
async def test_what_is_wrong_is_told_until_it_is_replaced_and_then_the_task_goes_on(
    world: TaskWorld, is_held: bool
) -> None:
    principal = world.runs.principal
    tasks = {fault: await spoiled(world, fault) for fault in FAULTS}
    if is_held:
        await due_at(world, 0, *(task.id for task in tasks.values()))
        await world.tick()

    for fault, task in tasks.items():
        values = {"taskId": task.id}
        # An agent is only looked for at work; a word for a status is replaced by the mark.
        if fault != "agent" and not (is_held and fault == "status"):
            await refused_for(world, fault, task)
        mended = await world.service.update(principal, {**values, **cure_of(fault)})
        assert (mended.status, mended.pause_reason) == ("ACTIVE", None), fault

    await world.move_to(FIRST_US)
    for fault, task in tasks.items():
        assert await world.statuses(task.id) == ["RUNNING"], fault


async def refused_for(world: TaskWorld, fault: str, task: TaskRow) -> None:
    """See that whatever needs the task says what is wrong with it, and changes nothing."""
    principal, values = world.runs.principal, {"taskId": task.id}
    before = await whole_row(world.runs.database, "task", task.id)
    for refused in (
        world.service.run_now(principal, values),
        world.service.pause(principal, values),
        world.service.resume(principal, task.id),
        world.service.update(principal, {**values, "timeoutSeconds": 5}),
    ):
        with pytest.raises(Conflict) as error:
            await refused
        assert error.value.message.startswith(f"{UNREADABLE}{FAULTS[fault][1]}")
        assert error.value.message.endswith(" anew with updateTask, or delete it.")
    assert await whole_row(world.runs.database, "task", task.id) == before


async def test_a_task_that_cannot_be_read_can_be_deleted(world: TaskWorld) -> None:
    for fault in FAULTS:
        task = await spoiled(world, fault)

        await world.service.delete(world.runs.principal, task.id)

        assert await world.service.task(world.runs.principal, task.id) is None, fault
        with pytest.raises(NotFound):
            await world.service.delete(world.runs.principal, task.id)


async def test_a_run_at_work_ends_as_ever_when_its_task_can_no_longer_be_read(
    world: TaskWorld,
) -> None:
    task = await world.create(overlapPolicy="QUEUE")
    await world.move_to(FIRST_US)
    await world.move_to(FIRST_US + MINUTE_US)
    world.runs.model.script(say("done"), say("later"))
    await spoil(world.runs.database, "task", task.id, retry="x", inputs="y")

    await world.work_off()
    await world.tick()

    assert await world.statuses(task.id) == ["SUCCEEDED", "QUEUED"]
    cure = {"taskId": task.id, "retry": None, "inputs": None}
    await world.service.update(world.runs.principal, cure)
    await world.tick()
    await world.work_off()
    assert await world.statuses(task.id) == ["SUCCEEDED", "SUCCEEDED"]


async def test_counts_that_cannot_be_raised_hold_up_the_end_of_no_run(world: TaskWorld) -> None:
    task = await world.create(retry={"maxAttempts": 3, "backoffSeconds": 0})
    await world.move_to(FIRST_US)
    (occurrence,) = await world.occurrences(task.id)
    await spoil(world.runs.database, "task", task.id, consecutive_failures=2**31 - 1)
    await spoil(world.runs.database, "occurrence", occurrence.id, attempts=2**31 - 1)
    world.runs.model.script([DOWN], [REFUSED])

    await world.work_off()
    (first, second) = await world.attempts(task.id)
    assert (first.status, second.status) == ("FAILED", "QUEUED")
    world.runs.queue.hints.append(("runs.execute", second.id))
    await world.work_off()

    assert await world.statuses(task.id) == ["FAILED"]
    assert [run.status for run in await world.attempts(task.id)] == ["FAILED", "FAILED"]


@pytest.mark.parametrize(
    "more", [{}, {"maxRuns": 9}, {"schedule": HOURLY}], ids=["alone", "bound", "times"]
)
async def test_what_came_while_a_task_could_not_be_read_follows_its_policy(
    world: TaskWorld, more: dict[str, Any]
) -> None:
    task = await spoiled(world, "retry", missedRunPolicy="RUN_ONCE")
    await world.move_to(FIRST_US + 3 * MINUTE_US)
    assert await world.occurrences(task.id) == []

    await world.service.update(world.runs.principal, {"taskId": task.id, "retry": None, **more})
    await world.tick()

    assert await world.statuses(task.id) == ["MISSED", "MISSED", "RUNNING", "SKIPPED"]


async def test_a_version_that_cannot_be_read_is_expected_as_it_is_shown(world: TaskWorld) -> None:
    task = await spoiled(world, "version")
    shown = await world.service.task(world.runs.principal, task.id)
    assert shown is not None

    mended = await world.service.update(
        world.runs.principal,
        {"taskId": task.id, "schedule": HOURLY, "expectedVersion": task_as_shown(shown).version},
    )

    assert (mended.status, mended.version) == ("ACTIVE", 2)


async def test_an_occurrence_that_cannot_be_read_fails_alone(world: TaskWorld) -> None:
    task = await world.create(overlapPolicy="QUEUE")
    for minute in range(3):
        await world.move_to(FIRST_US + minute * MINUTE_US)
    _, second, _ = await world.occurrences(task.id)
    await spoil(world.runs.database, "occurrence", second.id, inputs="{")
    world.runs.model.script(say("first"), say("third"))

    for _ in range(2):
        await world.work_off()
        await world.tick()

    assert await world.statuses(task.id) == ["SUCCEEDED", "FAILED", "SUCCEEDED"]
    reason = (await world.occurrences(task.id))[1].reason
    assert reason == "The occurrence cannot be read: inputs: '{' is no JSON."


async def test_a_row_that_is_deleted_and_due_keeps_no_scheduler_awake(world: TaskWorld) -> None:
    task, sound = await world.create(), await world.create()
    await spoil(world.runs.database, "task", task.id, deleted_at=1)

    with capture_logs() as logs:
        await world.move_to(FIRST_US)

    assert await world.statuses(sound.id) == ["RUNNING"]
    assert await world.occurrences(task.id) == []
    assert [line["event"] for line in logs] == ["tasks.fired"]


async def test_a_task_on_which_a_look_breaks_is_held_and_the_others_of_its_batch_fire_once(
    world: TaskWorld,
) -> None:
    tasks = [await world.create(name=f"Task {number}") for number in range(12)]
    poisoned, sound = tasks[5], [*tasks[:5], *tasks[6:]]

    with capture_logs() as logs:
        condition = f"NEW.task_id = '{poisoned.id}'"
        async with writes_refused(world.runs.database, "INSERT ON run", condition):
            await world.move_to(FIRST_US)

    for task in sound:
        assert await world.statuses(task.id) == ["RUNNING"]
    assert len(world.hinted()) == len(set(world.hinted())) == len(sound)
    held = await world.task(poisoned.id)
    assert held.status == "PAUSED"
    assert (held.pause_reason or "").startswith(UNREADABLE)
    assert await world.attempts(poisoned.id) == []
    broken = [line["task_id"] for line in logs if line["event"] == "task.broken"]
    assert broken == [poisoned.id]
    resumed = await world.service.resume(world.runs.principal, poisoned.id)
    assert (resumed.status, resumed.pause_reason) == ("ACTIVE", None)
    await world.move_to(FIRST_US + MINUTE_US)
    assert [run.status for run in await world.attempts(poisoned.id)] == ["QUEUED"]


async def test_what_fails_on_this_machine_is_tried_again_and_holds_no_task(
    world: TaskWorld,
) -> None:
    task = await world.create()
    ids, failures = world.runs.ids, [OSError("Too many open files"), MemoryError()]

    def failing_ids() -> str:
        if failures:
            raise failures.pop(0)
        return ids()

    parts = replace(world.look_parts(), ids=failing_ids)
    scheduler = TaskFiring(world.commits, parts)
    world.runs.clock.move((FIRST_US - BEGIN_US) / 1_000_000)
    for failure in (OSError, MemoryError):
        with pytest.raises((failure, Unavailable)):
            await scheduler.fire_due()
        assert (await world.task(task.id)).status == "ACTIVE"
        assert await world.occurrences(task.id) == []

    await scheduler.fire_due()

    assert await world.statuses(task.id) == ["RUNNING"]
