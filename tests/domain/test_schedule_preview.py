"""What a schedule means before a task is made of it."""

from typing import Any

import pytest

from domain.kernel.errors import ValidationFailed
from domain.kernel.moments import format_moment, parse_moment
from domain.tasks.preview import SchedulePreview, preview

OVERLAPS = "where a run takes longer, the overlap policy decides."
NOW_US = parse_moment("2026-11-22T12:00:00Z")


def cron(expression: str, timezone: str = "UTC") -> dict[str, Any]:
    return {"scheduled": {"cron": {"expression": expression}, "timezone": timezone}}


def seen(schedule: dict[str, Any], **given: Any) -> SchedulePreview:
    return preview({"schedule": schedule, **given}, now_us=NOW_US)


def warnings(schedule: dict[str, Any], **given: Any) -> list[tuple[str, str, str | None]]:
    return [
        (
            warning.code.value,
            warning.message,
            None if warning.at_us is None else format_moment(warning.at_us),
        )
        for warning in seen(schedule, **given).warnings
    ]


def test_a_schedule_shows_its_words_and_its_next_times():
    found = seen(cron("0 9 * * mon-fri", "Europe/Berlin"), count=3)

    assert found.summary == "At 09:00, Monday to Friday, Europe/Berlin"
    assert [format_moment(time) for time in found.times] == [
        "2026-11-23T08:00:00.000Z",
        "2026-11-24T08:00:00.000Z",
        "2026-11-25T08:00:00.000Z",
    ]
    assert found.warnings == []
    assert found.problems == ()


def test_times_can_be_asked_for_after_another_moment():
    found = seen(cron("0 9 * * *"), count=1, after=parse_moment("2030-01-01T00:00:00Z"))

    assert [format_moment(time) for time in found.times] == ["2030-01-01T09:00:00.000Z"]


def test_a_schedule_on_demand_has_no_times_and_no_surprise():
    found = seen({"adhoc": {}})

    assert (found.summary, found.times, found.warnings) == ("On demand", [], [])


def test_a_time_that_the_clock_jumps_over_is_told_with_the_moment_it_runs_instead():
    assert warnings(cron("30 2 * * *", "Europe/Berlin")) == [
        (
            "DST_SKIPPED",
            "On 2027-03-28 the clock jumps over 02:30; it runs at 03:00 instead.",
            "2027-03-28T01:00:00.000Z",
        ),
        (
            "DST_REPEATED",
            "On 2027-10-31 the clock shows 02:30 twice; it runs the first time only.",
            "2027-10-31T00:30:00.000Z",
        ),
    ]


@pytest.mark.parametrize("expression", ["0 9 * * *", "30 * * * *", "30 2 * * mon"])
def test_a_time_that_no_change_of_the_clock_meets_has_no_such_surprise(expression: str):
    assert warnings(cron(expression, "Europe/Berlin")) == []


def test_months_without_a_due_time_are_told():
    assert warnings(cron("0 9 31 * *")) == [
        (
            "IRREGULAR",
            "February 2027 has no such day, so nothing is due in it.",
            "2027-02-01T00:00:00.000Z",
        )
    ]


@pytest.mark.parametrize(
    ("expression", "month"),
    [
        ("0 9 29 2 *", "February 2027"),
        ("0 9 * * mon#5", "December 2026"),
        ("0 9 30 * *", "February 2027"),
    ],
)
def test_the_first_month_without_a_due_time_is_named(expression: str, month: str):
    [(code, message, _)] = warnings(cron(expression))

    assert code == "IRREGULAR"
    assert message.startswith(month)


@pytest.mark.parametrize(
    ("expression", "first"), [("0 9 29 2 *", "2028-02-29"), ("0 9 * 2 sat#5", "2048-02-29")]
)
def test_a_first_time_that_is_years_away_is_named(expression: str, first: str):
    [(code, message, _)] = warnings(cron(expression))

    assert code == "IRREGULAR"
    assert message.endswith(f"nothing is due in it. The first due time is on {first}.")


@pytest.mark.parametrize(
    ("zone", "expression", "told"),
    [
        (
            "America/New_York",
            "30 2 * * *",
            [("DST_SKIPPED", "2027-03-14T07:00:00.000Z")],
        ),
        (
            "America/New_York",
            "30 1 * * *",
            [("DST_REPEATED", "2027-11-07T05:30:00.000Z")],
        ),
        (
            "Europe/London",
            "30 1 * * *",
            [
                ("DST_SKIPPED", "2027-03-28T01:00:00.000Z"),
                ("DST_REPEATED", "2027-10-31T00:30:00.000Z"),
            ],
        ),
        (
            "Australia/Lord_Howe",
            "15 2 * * *",
            [("DST_SKIPPED", "2027-10-02T15:30:00.000Z")],
        ),
        (
            "Australia/Lord_Howe",
            "45 1 * * *",
            [("DST_REPEATED", "2027-04-03T14:45:00.000Z")],
        ),
        ("Asia/Kathmandu", "30 2 * * *", []),
        (
            "Antarctica/Troll",
            "30 2 * * *",
            [
                ("DST_SKIPPED", "2027-03-28T01:00:00.000Z"),
                ("DST_REPEATED", "2027-10-31T00:30:00.000Z"),
            ],
        ),
        (
            "Africa/Cairo",
            "30 0 30 4 *",
            [("DST_SKIPPED", "2027-04-29T22:00:00.000Z")],
        ),
    ],
)
def test_changes_of_the_clock_are_told_in_zones_of_every_kind(
    zone: str, expression: str, told: list[tuple[str, str]]
):
    assert [(code, at) for code, _, at in warnings(cron(expression, zone))] == told


def test_times_with_offsets_mean_one_moment_each_whatever_clocks_do():
    both = ["2027-10-31T02:30:00+02:00", "2027-10-31T02:30:00+01:00"]

    found = seen({"planned": {"times": both}})

    assert [format_moment(time) for time in found.times] == [
        "2027-10-31T00:30:00.000Z",
        "2027-10-31T01:30:00.000Z",
    ]
    assert found.warnings == []


@pytest.mark.parametrize(
    "expression",
    ["0 9 28 * *", "0 9 L * *", "0 9 31W * *", "0 9 1 2 *", "0 9 * * mon#4", "0 9 31 * mon"],
)
def test_a_schedule_that_is_due_in_each_of_its_months_is_regular(expression: str):
    assert warnings(cron(expression)) == []


@pytest.mark.parametrize(
    ("expression", "gap"),
    [
        ("* * * * *", "1 minute"),
        ("*/2 * * * *", "2 minutes"),
        ("0,4 9 * * *", "4 minutes"),
        ("0,58 * * * *", "2 minutes"),
    ],
)
def test_times_closer_than_runs_take_are_told(expression: str, gap: str):
    [(code, message, at)] = warnings(cron(expression))

    assert (code, at) == ("TOO_FREQUENT", None)
    assert message.startswith(f"Two times are only {gap} apart;")


@pytest.mark.parametrize("expression", ["*/5 * * * *", "0,58 9 * * *"])
def test_times_that_leave_room_for_a_run_are_no_surprise(expression: str):
    assert warnings(cron(expression)) == []


def test_planned_times_close_together_are_told_with_the_first_of_them():
    times = [NOW_US + 60_000_000 * minutes for minutes in (10, 30, 31)]

    assert warnings({"planned": {"times": times}}) == [
        (
            "TOO_FREQUENT",
            f"Two times are only 60 seconds apart; {OVERLAPS}",
            "2026-11-22T12:30:00.000Z",
        )
    ]


def test_planned_times_that_have_passed_are_never_due():
    found = seen({"planned": {"times": [NOW_US - 1, NOW_US]}})

    assert found.times == []
    assert warnings({"planned": {"times": [NOW_US]}}) == [
        ("NEVER_DUE", "All of these times have passed.", None)
    ]


@pytest.mark.parametrize(
    "cron_given",
    [{"expression": "0 0 30 2 *"}, {"fields": {"minute": "0", "day": "30", "month": "feb"}}],
)
def test_a_day_that_never_comes_is_an_error_and_told_as_never_due(cron_given: dict[str, Any]):
    found = seen({"scheduled": {"cron": cron_given}})

    assert found.summary == "Never due"
    assert [warning.code for warning in found.warnings] == ["NEVER_DUE"]
    [problem] = found.problems
    assert problem.path == ("schedule", "scheduled", "cron", next(iter(cron_given)))
    assert "is never due" in problem.message


@pytest.mark.parametrize(
    ("schedule", "path"),
    [
        (cron("61 * * * *"), "schedule.scheduled.cron.expression"),
        (cron("* * * * *", "Mars/Base"), "schedule.scheduled.timezone"),
        ({"planned": {"times": []}}, "schedule.planned.times"),
        ({}, "schedule"),
        (
            {"scheduled": {"cron": {"fields": {"hour": "25"}}}},
            "schedule.scheduled.cron.fields.hour",
        ),
    ],
)
def test_an_invalid_schedule_is_shown_with_its_errors(schedule: dict[str, Any], path: str):
    found = seen(schedule)

    assert (found.summary, list(found.times), list(found.warnings)) == ("No schedule", [], [])
    assert [".".join(problem.path) for problem in found.problems] == [path]


@pytest.mark.parametrize("count", [0, 101])
def test_an_absurd_count_is_refused(count: int):
    with pytest.raises(ValidationFailed) as refused:
        seen(cron("* * * * *"), count=count)

    assert refused.value.path == ("count",)


def test_the_end_of_the_calendar_can_be_looked_at():
    last = parse_moment("9999-12-31T23:59:59Z")

    assert warnings(cron("30 2 * * *", "Europe/Berlin"), after=last) == [
        ("NEVER_DUE", "No due time lies ahead.", None)
    ]
