"""Tasks as scripts write them: the schedule beside the other fields."""

from typing import Any

import pytest

from domain.kernel.errors import ValidationFailed
from domain.kernel.moments import parse_moment
from domain.tasks.flat import FlatTask, from_flat, in_flat_names, is_flat
from domain.tasks.schedule import Adhoc, Cron, Planned
from domain.tasks.spec import NewTask

LATER = "2026-11-23T12:00:00Z"
BASE = {"name": "Report", "agent": {"slug": "default"}, "instruction": "Write it."}
ADHOC = {"schedule": {"adhoc": {}}}


def told(error: ValidationFailed) -> dict[str, str]:
    return {".".join(problem.path): problem.message for problem in error.problems}


@pytest.mark.parametrize(
    ("flat", "schedule"),
    [
        ({"type": "adhoc"}, Adhoc()),
        ({"type": "adhoc", "runNow": True, "times": None}, Adhoc(run_now=True)),
        ({"type": "planned", "times": [LATER]}, Planned(times=(parse_moment(LATER),))),
        (
            {"type": "scheduled", "cron": {"hour": "9"}, "timezone": "Asia/Tokyo"},
            Cron(expression="* 9 * * *", timezone="Asia/Tokyo"),
        ),
        (
            {"type": "scheduled", "cron": "0 9 * * mon"},
            Cron(expression="0 9 * * mon", timezone="UTC"),
        ),
    ],
)
def test_the_flat_form_says_the_same(flat: dict[str, Any], schedule: Any):
    new = NewTask.of(from_flat({**BASE, **flat, "priority": 3}))

    assert new.schedule.schedule() == schedule
    assert new.priority == 3


def test_what_is_not_flat_stays_as_it_is():
    values = {**BASE, **ADHOC, "startsAt": LATER}

    assert from_flat(values) == values
    assert not is_flat(values)


@pytest.mark.parametrize(
    ("flat", "path", "part"),
    [
        ({"times": [LATER]}, "type", "adhoc, planned or scheduled; this field is required"),
        ({"type": "hourly"}, "type", "Use one of adhoc, planned, scheduled."),
        ({"type": "adhoc", **ADHOC}, "type", "either type or schedule"),
        ({"type": "adhoc", "times": [LATER]}, "times", "it goes with the type planned"),
        ({"type": "adhoc", "cron": {}}, "cron", "it goes with the type scheduled"),
        (
            {"type": "planned", "times": [LATER], "timezone": "UTC"},
            "timezone",
            "the type scheduled",
        ),
        (
            {"type": "scheduled", "cron": {}, "runNow": True},
            "runNow",
            "it goes with the type adhoc",
        ),
        ({"type": "planned"}, "times", "the type planned requires this field"),
        ({"type": "scheduled"}, "cron", "the type scheduled requires this field"),
        ({"type": "planned", "times": ["noon"]}, "times.0", "is no moment"),
        ({"type": "planned", "times": [5]}, "times.0", "Give a moment as text"),
        ({"type": "scheduled", "cron": "0 25 * * *"}, "cron", "'25' is no hour"),
        ({"type": "scheduled", "cron": {"hour": "25"}}, "cron.hour", "'25' is no hour"),
        ({"type": "scheduled", "cron": {"hours": "5"}}, "cron.hours", "did you mean hour?"),
        ({"type": "scheduled", "cron": {"day": "30", "month": "2"}}, "cron", "is never due"),
        ({"type": "scheduled", "cron": 5}, "cron", "five of them in one line"),
        ({"type": "scheduled", "cron": {}, "timezone": "Berlin"}, "timezone", "Europe/Berlin?"),
        ({"type": "adhoc", "priority": 10}, "priority", "at most 9"),
        ({"type": "adhoc", "startsAt": 5}, "startsAt", "Give a moment as text"),
    ],
)
def test_the_flat_form_names_its_own_fields_in_errors(flat: dict[str, Any], path: str, part: str):
    with pytest.raises(ValidationFailed) as refused:
        from_flat({**BASE, **flat})

    [(named, message)] = told(refused.value).items()
    assert named == path
    assert part in message


def test_moments_as_numbers_are_refused_in_the_nested_form_too():
    values = {**BASE, "schedule": {"planned": {"times": [LATER, 1_900_000_000]}}}

    with pytest.raises(ValidationFailed) as refused:
        from_flat(values)

    assert list(told(refused.value)) == ["schedule.planned.times.1"]


@pytest.mark.parametrize(
    ("nested", "flat"),
    [
        ("schedule.planned.times", "times"),
        ("schedule.planned.times.3", "times.3"),
        ("schedule.scheduled.timezone", "timezone"),
        ("schedule.scheduled.cron.expression", "cron"),
        ("schedule.scheduled.cron.fields.hour", "cron.hour"),
        ("schedule.adhoc.runNow", "runNow"),
        ("schedule", "type"),
        ("endsAt", "endsAt"),
    ],
)
def test_a_later_failure_can_be_told_in_flat_names(nested: str, flat: str):
    failure = in_flat_names(ValidationFailed.of(nested, "Change it."))

    assert told(failure) == {flat: "Change it."}


def test_the_flat_form_describes_itself():
    described = FlatTask.model_json_schema(by_alias=True)

    assert described["properties"]["type"]["enum"] == ["adhoc", "planned", "scheduled"]
    assert sorted(described["required"]) == ["agent", "instruction", "name", "type"]
