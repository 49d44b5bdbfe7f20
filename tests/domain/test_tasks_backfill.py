"""Past due times that run when asked for: which ones, each once, and what is refused."""

from collections.abc import AsyncGenerator
from typing import Any

import orjson
import pytest

from domain.access.scopes import Principal, Scope
from domain.kernel.database import Database, Statement
from domain.kernel.errors import (
    Conflict,
    Forbidden,
    GobError,
    NotFound,
    QuotaExceeded,
    ValidationFailed,
)
from domain.kernel.moments import format_moment
from tests.domain.backfill_world import backfill, kept, minutes
from tests.domain.task_world import BEGIN_US, FIRST_US, MINUTE_US, TaskWorld, task_world

PAST = {"since": FIRST_US - 3 * MINUTE_US}


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[TaskWorld, None]:
    """A world on each database."""
    async with task_world(database) as built:
        yield built


async def test_a_dry_run_lists_the_times_and_writes_nothing(world: TaskWorld) -> None:
    task = await world.create()
    before = await kept(world)

    listed = await backfill(world, task.id, dryRun=True, idempotencyKey="k")

    assert list(listed.times) == minutes(-3, -1)
    assert (list(listed.rows), listed.dry_run, listed.replayed) == ([], True, False)
    assert await kept(world) == before
    values = {"taskId": task.id, "span": PAST}
    assert (await world.service.backfill(world.runs.principal, values)) == listed


async def test_the_times_of_the_dry_run_are_put_in_line_and_told(world: TaskWorld) -> None:
    task = await world.create()
    listed = await backfill(world, task.id, dryRun=True)

    done = await backfill(world, task.id)

    rows = await world.occurrences(task.id)
    assert list(done.times) == list(listed.times) == [row.scheduled_for for row in rows]
    assert [row.id for row in done.rows] == [row.id for row in rows]
    assert {(row.trigger, row.status, row.reason, row.run_id) for row in rows} == {
        ("BACKFILL", "QUEUED", None, None)
    }
    told = [event.data for event in await world.updates()][1:]
    assert told == [
        {"change": "OCCURRENCE", "taskId": task.id, "occurrenceId": row.id} for row in rows
    ]
    lines = await world.runs.database.fetch(
        "SELECT detail FROM audit WHERE action = 'task.backfilled'"
    )
    assert [orjson.loads(line[0]) for line in lines] == [
        {"since": "2023-11-14T22:11:00.000Z", "occurrences": 3}
    ]


async def test_the_span_holds_its_beginning_and_not_its_end(world: TaskWorld) -> None:
    task = await world.create()

    done = await backfill(world, task.id, span={"since": minutes(-5, -5)[0], "until": FIRST_US})
    again = await backfill(world, task.id, span={**PAST, "until": FIRST_US - MINUTE_US})

    assert list(done.times) == minutes(-5, -1)
    assert list(again.times) == []


async def test_a_span_that_reaches_ahead_ends_now(world: TaskWorld) -> None:
    task = await world.create()

    done = await backfill(world, task.id, span={**PAST, "until": FIRST_US + 60 * MINUTE_US})

    assert list(done.times) == minutes(-3, -1)


async def test_the_bounds_of_a_task_hold_for_its_past(world: TaskWorld) -> None:
    begins, ends = minutes(-2, -2)[0], FIRST_US + MINUTE_US
    task = await world.create(startsAt=begins, endsAt=ends)
    await world.move_to(FIRST_US)
    await world.service.pause(world.runs.principal, {"taskId": task.id})
    await world.move_to(FIRST_US + 5 * MINUTE_US)

    listed = await backfill(world, task.id, span={"since": 0}, dryRun=True)

    assert list(listed.times) == minutes(-2, -1)


async def test_planned_times_that_have_passed_can_run_too(world: TaskWorld) -> None:
    times = [BEGIN_US - 5, BEGIN_US - 1, FIRST_US]
    task = await world.create(schedule={"planned": {"times": times}})

    done = await backfill(world, task.id, span={"since": BEGIN_US - 5})

    assert list(done.times) == times[:2]


async def test_what_the_schedule_has_yet_to_deal_with_is_left_to_it(world: TaskWorld) -> None:
    task = await world.create()
    world.runs.clock.move(40)

    done = await backfill(world, task.id)
    await world.tick()

    assert list(done.times) == minutes(-3, -1)
    assert [row.trigger for row in await world.occurrences(task.id)] == [
        *["BACKFILL"] * 3,
        "SCHEDULE",
    ]


async def test_the_times_of_a_pause_can_be_asked_for_before_its_end(world: TaskWorld) -> None:
    task = await world.create()
    await world.service.pause(world.runs.principal, {"taskId": task.id})
    await world.move_to(FIRST_US + 2 * MINUTE_US)

    done = await backfill(world, task.id, span={"since": FIRST_US})
    await world.service.resume(world.runs.principal, task.id)
    await world.tick()

    assert list(done.times) == minutes(0, 2)
    assert [(row.trigger, row.status) for row in await world.occurrences(task.id)] == [
        ("BACKFILL", "RUNNING"),
        ("BACKFILL", "QUEUED"),
        ("BACKFILL", "QUEUED"),
    ]


async def test_times_that_never_ran_keep_their_row_and_others_are_left_out(
    world: TaskWorld,
) -> None:
    task = await world.create(missedRunPolicy="SKIP")
    await world.move_to(FIRST_US + 3 * MINUTE_US)
    before = await world.occurrences(task.id)
    assert [row.status for row in before] == ["MISSED", "MISSED", "RUNNING", "SKIPPED"]

    done = await backfill(world, task.id, span={"since": FIRST_US - MINUTE_US})

    assert list(done.times) == [*minutes(-1, 1), *minutes(3, 3)]
    rows = await world.occurrences(task.id)
    assert [row.id for row in rows][1:] == [row.id for row in before]
    assert [(row.trigger, row.status, row.reason, row.finished_at) for row in rows] == [
        *[("BACKFILL", "QUEUED", None, None)] * 3,
        ("SCHEDULE", "RUNNING", None, None),
        ("BACKFILL", "QUEUED", None, None),
    ]


async def test_times_that_ran_are_left_out_however_they_ended(world: TaskWorld) -> None:
    task = await world.create()
    await backfill(world, task.id, span={"since": FIRST_US - 5 * MINUTE_US})
    ended = ("SUCCEEDED", "FAILED", "CANCELLED", "RUNNING")
    for time, status in zip(minutes(-5, -2), ended, strict=True):
        sql = "UPDATE occurrence SET status = $1 WHERE scheduled_for = $2"
        await world.runs.database.write([Statement(sql, (status, time))])

    again = await backfill(world, task.id, span={"since": FIRST_US - 7 * MINUTE_US})

    assert list(again.times) == minutes(-7, -6)


async def test_a_run_that_was_started_by_hand_at_a_due_time_is_another(world: TaskWorld) -> None:
    task = await world.create()
    await world.move_to(FIRST_US - 1)
    world.runs.clock.move(0.000001)
    await world.service.run_now(world.runs.principal, {"taskId": task.id})
    await world.service.pause(world.runs.principal, {"taskId": task.id})

    done = await backfill(world, task.id, span={"since": FIRST_US})

    assert list(done.times) == [FIRST_US]


@pytest.mark.parametrize(
    ("given", "path", "message"),
    [
        ({"span": None}, "span", "Give a value; this field is required."),
        ({"span": {}}, "span.since", "Give a value; this field is required."),
        ({"span": {"since": None}}, "span.since", "Give a value; this field is required."),
        ({"span": {"since": 5, "until": 5}}, "span.until", "Give a moment after since."),
        ({"span": {"since": 5, "until": 4}}, "span.until", "Give a moment after since."),
        (
            {"span": {"since": FIRST_US}},
            "span.since",
            "Give a moment that lies behind; the task runs by itself at times ahead.",
        ),
        ({"idempotencyKey": ""}, "idempotencyKey", "Give at least one character; this is empty."),
    ],
    ids=["no span", "no since", "null", "empty", "reversed", "ahead", "empty key"],
)
async def test_a_bad_value_is_refused_by_field(
    world: TaskWorld, given: dict[str, Any], path: str, message: str
) -> None:
    task = await world.create()
    before = await kept(world)

    for dry_run in (True, False):
        with pytest.raises(ValidationFailed) as caught:
            await backfill(world, task.id, **{"dryRun": dry_run, **given})

        (problem,) = caught.value.problems
        assert (".".join(problem.path), problem.message) == (path, message)
    assert await kept(world) == before


async def refused(world: TaskWorld, task_id: str, **given: Any) -> GobError:
    """Ask with and without a dry run, and see that both are refused alike and change nothing."""
    before = await kept(world)
    errors: list[GobError] = []
    for dry_run in (True, False):
        with pytest.raises(GobError) as caught:
            await backfill(world, task_id, dryRun=dry_run, **given)
        errors.append(caught.value)
    assert errors[0].message == errors[1].message
    assert await kept(world) == before
    return errors[1]


async def test_a_task_without_a_schedule_has_no_due_times(world: TaskWorld) -> None:
    task = await world.create(schedule={"adhoc": {}})

    error = await refused(world, task.id)

    assert isinstance(error, ValidationFailed)
    assert error.path == ("taskId",)
    assert error.problems[0].message == (
        "The task has no schedule, so it has no due times; start it with runTaskNow."
    )


async def test_an_archived_agent_runs_nothing(world: TaskWorld) -> None:
    task = await world.create()
    archive = "UPDATE agent SET archived_at = 5"
    await world.runs.database.write([Statement(archive, ())])

    error = await refused(world, task.id)

    assert isinstance(error, Conflict)
    assert error.message == "The agent 'default' is archived; bring it back with archiveAgent."


async def test_a_schedule_that_cannot_be_read_is_a_conflict(world: TaskWorld) -> None:
    task = await world.create()
    spoil = "UPDATE task SET schedule = '{}'"
    await world.runs.database.write([Statement(spoil, ())])

    error = await refused(world, task.id)

    assert isinstance(error, Conflict)
    assert error.message == (
        "The task cannot be read: {} is no schedule. Send a new schedule with updateTask."
    )


async def test_deleted_tasks_and_those_of_others_are_not_found(world: TaskWorld) -> None:
    task = await world.create()
    stranger = Principal(
        workspace_id="elsewhere", key_id=None, name="x", scopes=frozenset({Scope.ADMIN})
    )
    for dry_run in (True, False):
        values = {"taskId": task.id, "span": PAST, "dryRun": dry_run}
        with pytest.raises(NotFound):
            await world.service.backfill(stranger, values)
        with pytest.raises(Forbidden):
            await world.service.backfill(world.runs.reader, values)
    await world.service.delete(world.runs.principal, task.id)

    error = await refused(world, task.id)

    assert isinstance(error, NotFound)
    assert error.path == ("taskId",)
    assert await world.occurrences(task.id) == []


async def test_a_span_with_too_many_times_says_where_to_go_on(world: TaskWorld) -> None:
    task = await world.create()
    since = FIRST_US - 700 * MINUTE_US

    error = await refused(world, task.id, span={"since": since})

    cut = FIRST_US - 200 * MINUTE_US
    assert isinstance(error, ValidationFailed)
    assert error.path == ("span", "until")
    assert error.problems[0].message == (
        "More than 500 due times lie in this span; let it end at"
        f" {format_moment(cut)}, and begin the next call there."
    )
    parts = [{"since": since, "until": cut}, {"since": cut}]
    found = [await backfill(world, task.id, span=part, dryRun=True) for part in parts]
    assert [*found[0].times, *found[1].times] == minutes(-700, -1)


async def test_more_than_may_wait_are_refused_until_some_have_run(world: TaskWorld) -> None:
    task = await world.create()
    whole = {"since": FIRST_US - 500 * MINUTE_US}
    done = await backfill(world, task.id, span=whole)
    assert len(done.rows) == len(await world.occurrences(task.id)) == 500
    sql = "SELECT count(*) FROM event WHERE type = 'TaskUpdate'"
    assert await world.runs.database.fetch(sql) == [(501,)]
    older = {"since": FIRST_US - 501 * MINUTE_US, "until": FIRST_US - 450 * MINUTE_US}

    error = await refused(world, task.id, span=older)

    assert isinstance(error, QuotaExceeded)
    assert (error.quota, error.limit, error.retry_after_s) == ("tasks.backfill", 500, 60)
    assert error.message == (
        "500 backfilled due times of this task wait for their turn, and this span has 1 more; at"
        " most 500 may wait. Try again when some of them have run, or take a shorter span."
    )
    await world.tick()
    assert list((await backfill(world, task.id, span=older)).times) == minutes(-501, -501)
