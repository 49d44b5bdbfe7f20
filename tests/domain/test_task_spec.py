"""What clients say of tasks: bounds, defaults, and errors that name the field."""

from typing import Any

import pytest

from domain.kernel.errors import ValidationFailed
from domain.kernel.moments import parse_moment
from domain.tasks.schedule import Adhoc, Cron, Planned
from domain.tasks.schedule_spec import ScheduleSpec
from domain.tasks.spec import (
    NewTask,
    PauseSpec,
    RetryPolicy,
    RunNowSpec,
    TaskChanges,
    TaskSettings,
    refuse_without_due_time,
)

NOW_US = parse_moment("2026-11-22T12:00:00Z")
LATER = "2026-11-23T12:00:00Z"
EARLIER = "2026-11-21T12:00:00Z"
BASE = {"name": "Report", "agent": {"slug": "default"}, "instruction": "Write it."}
ADHOC = {"schedule": {"adhoc": {}}}


def cron(expression: str, **given: Any) -> dict[str, Any]:
    return {"schedule": {"scheduled": {"cron": {"expression": expression}, **given}}}


def made(**given: Any) -> NewTask:
    new = NewTask.of({**BASE, **given})
    refuse_without_due_time(new, now_us=NOW_US)
    return new


def problems(**given: Any) -> dict[str, str]:
    with pytest.raises(ValidationFailed) as refused:
        made(**given)
    return told(refused.value)


def told(error: ValidationFailed) -> dict[str, str]:
    return {".".join(problem.path): problem.message for problem in error.problems}


def test_a_task_has_the_defaults_of_the_contract():
    new = made(**ADHOC)

    assert new.stored() == {
        **BASE,
        "schedule": {"adhoc": {"runNow": False}},
        "conversationMode": "NEW",
        "inputs": {},
        "retry": {
            "maxAttempts": 1,
            "backoffSeconds": 30,
            "maxBackoffSeconds": 3600,
            "retryOn": [
                "MODEL_RATE_LIMITED",
                "MODEL_UNAVAILABLE",
                "MODEL_BAD_RESPONSE",
                "TIMED_OUT",
                "WORKER_LOST",
            ],
        },
        "overlapPolicy": "SKIP",
        "missedRunPolicy": "RUN_ONCE",
        "graceSeconds": 60,
        "timeoutSeconds": 900,
        "jitterSeconds": 0,
        "maxConcurrency": 1,
        "priority": 5,
        "metadata": {},
    }


def test_a_null_asks_for_the_default_as_an_absent_field_does():
    nulls = dict.fromkeys(
        ("inputs", "startsAt", "endsAt", "retry", "overlapPolicy", "graceSeconds", "metadata")
    )

    assert made(**ADHOC, **nulls).stored() == made(**ADHOC).stored()
    assert made(**ADHOC, retry={"maxAttempts": None}).retry == RetryPolicy()


@pytest.mark.parametrize(
    ("given", "schedule"),
    [
        ({"adhoc": {"runNow": True}}, Adhoc(run_now=True)),
        (
            {"planned": {"times": [LATER, "2026-11-23T10:00:00+01:00", LATER]}},
            Planned(times=(parse_moment("2026-11-23T09:00:00Z"), parse_moment(LATER))),
        ),
        (
            {"scheduled": {"cron": {"expression": " 0  9 * * MON "}, "timezone": "Asia/Tokyo"}},
            Cron(expression="0 9 * * MON", timezone="Asia/Tokyo"),
        ),
        (
            {"scheduled": {"cron": {"expression": "@daily"}}},
            Cron(expression="0 0 * * *", timezone="UTC"),
        ),
        (
            {"scheduled": {"cron": {"fields": {"minute": "0", "hour": "9"}}}},
            Cron(expression="0 9 * * *", timezone="UTC"),
        ),
    ],
)
def test_each_kind_of_schedule_is_read_and_said_again(given: dict[str, Any], schedule: Any):
    assert made(schedule=given).schedule.schedule() == schedule
    assert ScheduleSpec.of(schedule).schedule() == schedule


@pytest.mark.parametrize(
    ("given", "path", "part"),
    [
        ({}, "schedule", "exactly one of adhoc, planned and scheduled; none of them is given"),
        (
            {"adhoc": {}, "planned": {"times": [LATER]}},
            "schedule",
            "exactly one of adhoc, planned and scheduled; adhoc and planned are given",
        ),
        ({"planned": {"times": []}}, "schedule.planned.times", "Give at least one time."),
        ({"planned": {"times": [LATER] * 1001}}, "schedule.planned.times", "at most 1000 items"),
        ({"planned": {"times": ["noon"]}}, "schedule.planned.times.0", "is no moment"),
        (
            {"planned": {"times": [EARLIER]}},
            "schedule.planned.times",
            "All of these times have passed",
        ),
        ({"scheduled": {}}, "schedule.scheduled.cron", "this field is required"),
        (
            {"scheduled": {"cron": {"expression": "0 9 * * *", "fields": {}}}},
            "schedule.scheduled.cron",
            "exactly one of expression and fields; expression and fields are given",
        ),
        (
            {"scheduled": {"cron": {"expression": "0 25 * * *"}}},
            "schedule.scheduled.cron.expression",
            "'25' is no hour; use 0 to 23",
        ),
        (
            {"scheduled": {"cron": {"expression": "0 0 30 2 *"}}},
            "schedule.scheduled.cron.expression",
            "is never due",
        ),
        (
            {"scheduled": {"cron": {"fields": {"hour": "25"}}}},
            "schedule.scheduled.cron.fields.hour",
            "'25' is no hour; use 0 to 23",
        ),
        (
            {"scheduled": {"cron": {"fields": {"minute": "0 9"}}}},
            "schedule.scheduled.cron.fields.minute",
            "'0 9' is no minute",
        ),
        (
            {"scheduled": {"cron": {"fields": {"day": "31", "month": "apr"}}}},
            "schedule.scheduled.cron.fields",
            "is never due",
        ),
        (
            {"scheduled": {"cron": {"expression": "0 9 * * *"}, "timezone": "Europe/Berln"}},
            "schedule.scheduled.timezone",
            "did you mean Europe/Berlin",
        ),
    ],
)
def test_a_schedule_that_cannot_be_names_its_field(given: dict[str, Any], path: str, part: str):
    [(named, message)] = problems(schedule=given).items()

    assert named == path
    assert part in message


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"name": "  "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"instruction": ""}, "instruction"),
        ({"instruction": "x" * 200_001}, "instruction"),
        ({"agent": {}}, "agent"),
        ({"agent": {"id": "a", "slug": "b"}}, "agent"),
        ({"inputs": []}, "inputs"),
        ({"metadata": "none"}, "metadata"),
        ({"overlapPolicy": "WAIT"}, "overlapPolicy"),
        ({"missedRunPolicy": "RUN"}, "missedRunPolicy"),
        ({"conversationMode": "OLD"}, "conversationMode"),
        ({"graceSeconds": -1}, "graceSeconds"),
        ({"timeoutSeconds": 0}, "timeoutSeconds"),
        ({"timeoutSeconds": 86_401}, "timeoutSeconds"),
        ({"jitterSeconds": 3601}, "jitterSeconds"),
        ({"maxConcurrency": 33}, "maxConcurrency"),
        ({"priority": 10}, "priority"),
        ({"priority": "5"}, "priority"),
        ({"pauseAfterFailures": 0}, "pauseAfterFailures"),
        ({"maxRuns": 0}, "maxRuns"),
        ({"maxRuns": 1_000_001}, "maxRuns"),
        ({"retry": {"maxAttempts": 0}}, "retry.maxAttempts"),
        ({"retry": {"backoffSeconds": 86_401}}, "retry.backoffSeconds"),
        ({"retry": {"retryOn": ["BAD_LUCK"]}}, "retry.retryOn.0"),
        ({"startsAt": "2026-11-23T12:00:00"}, "startsAt"),
        ({"startsAt": LATER, "endsAt": LATER}, "endsAt"),
        ({"endsAt": EARLIER}, "endsAt"),
        ({"every": 5}, "every"),
        ({"idempotencyKey": ""}, "idempotencyKey"),
        ({"instruction": "a\0b"}, "instruction"),
    ],
)
def test_every_field_is_bounded_and_named(given: dict[str, Any], path: str):
    assert list(problems(**{**ADHOC, **given})) == [path]


def test_every_problem_is_told_at_once():
    found = problems(**cron("0 25 * * *", timezone="Mars"), name="", priority=99)

    assert sorted(found) == [
        "name",
        "priority",
        "schedule.scheduled.cron.expression",
        "schedule.scheduled.timezone",
    ]


def test_a_schedule_that_ends_before_its_first_time_is_refused():
    assert list(problems(**cron("0 0 1 1 *"), endsAt="2026-12-31T00:00:00Z")) == ["endsAt"]
    assert list(problems(schedule={"planned": {"times": [LATER]}}, endsAt=LATER)) == ["endsAt"]


def test_a_schedule_whose_times_all_lie_before_its_start_is_refused():
    found = problems(schedule={"planned": {"times": [LATER]}}, startsAt="2026-12-01T00:00:00Z")

    assert list(found) == ["startsAt"]


def test_a_time_at_the_very_start_is_due():
    new = made(schedule={"planned": {"times": [LATER]}}, startsAt=LATER)

    assert new.starts_at == parse_moment(LATER)


def test_one_time_that_lies_ahead_is_enough():
    new = made(schedule={"planned": {"times": [EARLIER, LATER]}})

    assert new.schedule.schedule() == Planned(times=(parse_moment(EARLIER), parse_moment(LATER)))


def test_the_wait_between_attempts_doubles_up_to_the_longest():
    retry = RetryPolicy(backoff_seconds=30, max_backoff_seconds=100)

    assert [retry.backoff_s(attempt) for attempt in (1, 2, 3, 4, 1000)] == [30, 60, 100, 100, 100]


@pytest.mark.parametrize(
    ("given", "waits"),
    [
        ({"backoffSeconds": 7200}, [7200, 7200]),
        ({"backoffSeconds": 7200, "maxBackoffSeconds": 60}, [60, 60]),
        ({"backoffSeconds": 2000}, [2000, 3600]),
    ],
    ids=["longest follows", "longest is named", "longest is left out"],
)
def test_a_first_wait_is_kept_unless_a_longest_one_is_named(
    given: dict[str, Any], waits: list[int]
):
    retry = made(**ADHOC, retry=given).retry

    assert [retry.backoff_s(attempt) for attempt in (1, 2)] == waits


SETTINGS = NewTask.of({**BASE, **cron("0 9 * * *"), "endsAt": LATER, "priority": 7})


def changed(**values: Any) -> TaskSettings:
    return TaskChanges.of({"taskId": "t", **values}).onto(SETTINGS, now_us=NOW_US)


def test_in_a_change_absent_stays_and_null_clears():
    after = changed(endsAt=None, instruction="Write it well.")

    assert (after.ends_at, after.instruction, after.priority) == (None, "Write it well.", 7)
    assert after.schedule == SETTINGS.schedule
    assert changed(priority=None).priority == 5


def test_a_change_names_its_task_and_version():
    changes = TaskChanges.of({"taskId": "t", "expectedVersion": 3, "priority": 1})

    assert (changes.task_id, changes.expected_version) == ("t", 3)
    assert changes.values == {"priority": 1}


def test_a_new_schedule_replaces_the_old_as_a_whole():
    after = changed(schedule={"adhoc": {"runNow": False}})

    assert after.schedule.schedule() == Adhoc()


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"name": None}, "name"),
        ({"schedule": {"planned": {"times": [EARLIER]}}}, "schedule.planned.times"),
        ({"startsAt": LATER}, "endsAt"),
        ({"endsAt": EARLIER}, "endsAt"),
        ({"expectedVersion": 0}, "expectedVersion"),
        ({"comment": "why"}, "comment"),
    ],
)
def test_a_change_that_cannot_be_names_its_field(values: dict[str, Any], path: str):
    with pytest.raises(ValidationFailed) as refused:
        changed(**values)

    assert list(told(refused.value)) == [path]


def test_a_change_of_other_fields_does_not_mind_that_the_end_has_come():
    after = TaskChanges.of({"taskId": "t", "priority": 1}).onto(
        SETTINGS, now_us=parse_moment("2027-01-01T00:00:00Z")
    )

    assert after.priority == 1


def test_holding_until_a_moment_that_has_passed_is_refused():
    with pytest.raises(ValidationFailed) as refused:
        PauseSpec.of({"taskId": "t", "until": EARLIER}, now_us=NOW_US)

    assert refused.value.path == ("until",)
    assert PauseSpec.of({"taskId": "t", "reason": None}, now_us=NOW_US).until is None


def test_a_start_on_demand_has_bounds_too():
    assert RunNowSpec.of({"taskId": "t", "inputs": None}).inputs == {}
    with pytest.raises(ValidationFailed) as refused:
        RunNowSpec.of({"taskId": "t", "waitSeconds": 301, "inputs": 5})
    assert sorted(told(refused.value)) == ["inputs", "waitSeconds"]
