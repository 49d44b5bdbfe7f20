"""When a task is due: its kinds, cron with its traps closed, and what cannot be a schedule."""

import random
from datetime import datetime, timedelta

import pytest

from domain.kernel.moments import format_moment, parse_moment
from domain.tasks.cron import (
    LONGEST_EXPRESSION,
    CronError,
    NeverDueError,
    ScheduleError,
    cron_times,
    zone_named,
)
from domain.tasks.schedule import (
    Adhoc,
    Cron,
    Planned,
    ScheduleKind,
    due_times,
    next_due,
    read,
    stored,
    upcoming,
)
from domain.tasks.wording import summary

NOON_US = parse_moment("2026-11-22T12:00:00Z")
HOUR_US = 3_600_000_000


def local(times: list[int], zone: str) -> list[str]:
    found = [datetime.fromisoformat(format_moment(time)) for time in times]
    return [time.astimezone(zone_named(zone)).strftime("%d %H:%M %z") for time in found]


def cron(expression: str, zone: str = "UTC") -> Cron:
    return Cron(expression=expression, timezone=zone)


def next_local(expression: str, zone: str, after: str, count: int) -> list[str]:
    found = upcoming(cron(expression, zone), after_us=parse_moment(after), count=count)
    return local(found, zone)


def test_an_adhoc_schedule_is_never_due_by_itself():
    schedule = Adhoc(run_now=True)

    assert schedule.kind is ScheduleKind.ADHOC
    assert next_due(schedule, after_us=NOON_US) is None
    assert upcoming(schedule, after_us=NOON_US, count=5) == []


def test_planned_times_are_sorted_and_each_is_due_once():
    schedule = Planned(times=(30, 10, 20, 10))

    assert schedule.times == (10, 20, 30)
    assert next_due(schedule, after_us=9) == 10
    assert next_due(schedule, after_us=10) == 20
    assert next_due(schedule, after_us=30) is None


def test_due_times_lie_after_one_moment_and_up_to_another():
    schedule = Planned(times=(10, 20, 30, 40))

    assert due_times(schedule, after_us=10, upto_us=30, limit=10) == [20, 30]
    assert due_times(schedule, after_us=0, upto_us=40, limit=3) == [10, 20, 30]
    assert due_times(schedule, after_us=40, upto_us=90, limit=3) == []


def test_upcoming_times_end_before_the_end():
    schedule = cron("0 * * * *")

    found = upcoming(schedule, after_us=NOON_US, count=5, ends_us=NOON_US + 3 * HOUR_US)

    assert found == [NOON_US + HOUR_US, NOON_US + 2 * HOUR_US]


def test_a_due_time_is_strictly_after_the_moment_asked_for():
    nine = parse_moment("2026-11-23T09:00:00Z")
    schedule = cron("0 9 * * *")

    assert next_due(schedule, after_us=nine - 1) == nine
    assert next_due(schedule, after_us=nine) == nine + 24 * HOUR_US
    assert next_due(schedule, after_us=nine + 1) == nine + 24 * HOUR_US


def test_a_wall_clock_time_is_due_once_when_clocks_go_back():
    found = next_local("30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", 2)

    assert found == ["01 01:30 -0400", "02 01:30 -0500"]


def test_a_wall_clock_time_is_not_due_again_in_the_hour_that_comes_twice():
    second_half_past_one = parse_moment("2026-11-01T06:30:00Z")

    found = next_due(
        cron("0,45 1 * * *", "America/New_York"), after_us=second_half_past_one - HOUR_US // 4
    )

    assert found == parse_moment("2026-11-02T06:00:00Z")


def test_a_time_that_the_clock_jumps_over_is_due_right_after_the_jump():
    found = next_local("30 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", 2)

    assert found == ["08 03:00 -0400", "09 02:30 -0400"]


def test_several_times_that_the_clock_jumps_over_are_due_once():
    found = next_local("*/10 2,3 * * *", "America/New_York", "2026-03-08T06:59:00Z", 3)

    assert found == ["08 03:00 -0400", "08 03:10 -0400", "08 03:20 -0400"]


def test_a_jump_of_half_an_hour_is_a_jump():
    found = next_local("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", 2)

    assert found == ["04 02:30 +1100", "05 02:15 +1100"]


def test_a_whole_day_that_a_zone_leaves_out_is_made_up_for_at_its_end():
    found = next_local("0 9 * * *", "Pacific/Apia", "2011-12-29T12:00:00Z", 4)

    assert found == ["29 09:00 -1000", "31 00:00 +1400", "31 09:00 +1400", "01 09:00 +1400"]


def test_intervals_go_on_through_the_hour_that_comes_twice():
    found = next_local("*/20 * * * *", "America/New_York", "2026-11-01T04:59:00Z", 7)

    assert found == [
        "01 01:00 -0400",
        "01 01:20 -0400",
        "01 01:40 -0400",
        "01 01:00 -0500",
        "01 01:20 -0500",
        "01 01:40 -0500",
        "01 02:00 -0500",
    ]


def test_five_minutes_stay_five_minutes_over_both_changes_of_the_clock():
    schedule = cron("*/5 * * * *", "Europe/London")

    for day in ("2026-03-29T00:00:00Z", "2026-10-25T00:00:00Z"):
        start = parse_moment(day)
        found = due_times(schedule, after_us=start, upto_us=start + 3 * HOUR_US, limit=100)
        assert found == [start + HOUR_US // 12 * step for step in range(1, 37)]


def test_an_interval_of_a_day_a_year_away_keeps_its_first_coming():
    found = next_local("30 * 1 11 *", "America/New_York", "2026-07-01T12:00:00Z", 4)

    assert found == ["01 00:30 -0400", "01 01:30 -0400", "01 01:30 -0500", "01 02:30 -0500"]


def test_next_due_times_chain_to_the_same_list_from_any_start():
    chooser = random.Random(20261122)
    start = parse_moment("2026-10-24T00:00:00Z")
    for expression in ("30 1 * * *", "*/7 * * * *", "0,30 0-3 * * *"):
        schedule = cron(expression, "Europe/London")
        whole = due_times(schedule, after_us=start, upto_us=start + 60 * HOUR_US, limit=1000)

        for _ in range(50):
            after = start + chooser.randrange(60 * HOUR_US)
            rest = [time for time in whole if time > after]
            found = due_times(schedule, after_us=after, upto_us=start + 60 * HOUR_US, limit=1000)
            assert found == rest


@pytest.mark.parametrize(
    ("expression", "times"),
    [
        ("@daily", ["23 00:00", "24 00:00"]),
        ("@HOURLY", ["22 13:00", "22 14:00"]),
        ("@weekly", ["29 00:00", "06 00:00"]),
        ("0 9 * * mon-fri", ["23 09:00", "24 09:00"]),
        ("0 9 * * 7", ["29 09:00", "06 09:00"]),
        ("0 9 L * *", ["30 09:00", "31 09:00"]),
        ("0 9 29W * *", ["30 09:00", "29 09:00"]),
        ("0 9 * * MON#1", ["07 09:00", "04 09:00"]),
        ("0 9 * * L5", ["27 09:00", "25 09:00"]),
        ("0 22-1 * * *", ["22 22:00", "22 23:00"]),
        ("0 9 */1 * mon", ["23 09:00", "30 09:00"]),
        ("0 9 24 * mon", ["23 09:00", "24 09:00"]),
        ("0 9 1-7 * mon#1", ["07 09:00", "04 09:00"]),
        ("15-15 9-9 * * *", ["23 09:15", "24 09:15"]),
        ("0 9 24-24/2 * *", ["24 09:00", "24 09:00"]),
        ("0 9 1 jan-JAN *", ["01 09:00", "01 09:00"]),
        ("0 9 * * sun-sun,3-03", ["25 09:00", "29 09:00"]),
        ("0 9 * * 0-7", ["23 09:00", "24 09:00"]),
        ("11-21,44-45 9 * * *", ["23 09:11", "23 09:12"]),
        ("0 9 * * mon-1", ["23 09:00", "30 09:00"]),
        ("0 9 * * 7-0", ["29 09:00", "06 09:00"]),
        ("0 9 31-L * *", ["31 09:00", "31 09:00"]),
        ("0 22-3/2 * * *", ["22 22:00", "23 00:00"]),
        ("0 23-5/2 * * *", ["22 23:00", "23 01:00"]),
        ("0 9 1 nov-mar/3 *", ["01 09:00", "01 09:00"]),
        ("0 9 20-25/3 * */1", ["23 09:00", "20 09:00"]),
        ("*,5 9 * * *", ["23 09:00", "23 09:01"]),
        ("0 9 1-31 * */2", ["23 09:00", "24 09:00"]),
        ("0 9 15W * mon", ["15 09:00", "15 09:00"]),
        ("0 9 1-3 * mon#1", ["01 09:00", "01 09:00"]),
    ],
)
def test_aliases_names_and_the_last_the_nearest_and_the_nth_day_are_understood(expression, times):
    found = local(upcoming(cron(expression), after_us=NOON_US, count=2), "UTC")

    assert found == [f"{time} +0000" for time in times]


def test_a_day_that_comes_every_forty_years_is_due():
    found = upcoming(cron("0 0 * 2 sat#5"), after_us=parse_moment("2077-01-01T00:00:00Z"), count=1)

    assert [format_moment(time) for time in found] == ["2116-02-29T00:00:00.000Z"]


def test_nothing_is_due_at_the_end_of_the_calendar():
    last = parse_moment("9999-12-31T23:59:59Z")

    assert next_due(cron("* * * * *", "Europe/Berlin"), after_us=last) is None


def test_the_oldest_moment_can_be_asked_for():
    first = parse_moment("0001-01-01T00:00:00+14:00")

    assert next_due(cron("* * * * *", "America/New_York"), after_us=first) is not None


@pytest.mark.parametrize(
    ("expression", "field", "part"),
    [
        ("", None, "five fields"),
        ("0 9 * *", None, "this has 4"),
        ("TZ=UTC 0 9 * * *", None, "this has 6, and the time zone goes into timezone."),
        ("0 0 9 * * *", None, "this has 6, and there is none for seconds or years."),
        ("0 9 * * * * 2026", None, "this has 7"),
        ("0 9 * * *" + " " * LONGEST_EXPRESSION, None, "at most 200 characters"),
        ("@reboot", None, "@midnight, @hourly."),
        ("@every 5m", None, "@hourly, or steps, such as */5 * * * * for every 5 minutes."),
        ("61 * * * *", "minute", "0 to 59"),
        ("0 24 * * *", "hour", "0 to 23"),
        ("0 9 0 * *", "day", "1 to 31"),
        ("0 9 * 13 *", "month", "1 to 12"),
        ("0 9 * * mun", "weekday", "sun to sat"),
        ("0 9 * * mon#6", "weekday", "#1 to #5"),
        ("*/0 * * * *", "minute", "'*/0' never moves on; give a step of 1 or more"),
        ("0 8-18/0 * * *", "hour", "'8-18/0' never moves on;"),
        ("0 9 * * 5L", "weekday", "write L5 for the last Friday."),
        ("0 9 * * friL", "weekday", "write L5 for the last Friday."),
        ("0 9 * * Lsun", "weekday", "write L0 for the last Sunday."),
        ("0 9 * * Monday", "weekday", "use the first three letters, mon."),
        ("0 9 * * 0,mon#1", "weekday", "give each one, as in mon#1,fri#3."),
        ("0 9 * * mon#1,tue", "weekday", "give each one, as in mon#1,fri#3."),
        ("0 9 * JANUARY *", "month", "use the first three letters, jan."),
        ("0 9 1W,15W * *", "day", "W goes with one day alone, such as 15W."),
        ("0 9 LW * *", "day", "L for the last day"),
        ("-1 * * * *", "minute", "0 to 59"),
        ("\u0661 * * * *", "minute", "0 to 59"),
        ("R * * * *", "minute", "at random"),
        ("0 r(8-9) * * *", "hour", "at random"),
        ("0 H * * *", "hour", "at random"),
    ],
)
def test_an_expression_that_cannot_be_names_its_field_and_what_would_be_right(
    expression, field, part
):
    with pytest.raises(CronError) as refused:
        cron_times(expression, "UTC")

    assert refused.value.field == field
    assert part in str(refused.value)


@pytest.mark.parametrize(
    ("expression", "times"),
    [
        ("0 9 15W * mon", ["2027-02-15", "2027-03-15", "2027-08-16"]),
        ("0 9 1-3 * mon#1", ["2027-02-01", "2027-03-01", "2027-05-03"]),
        ("0 9 29,30,31 * L1", ["2026-11-30", "2027-03-29", "2027-05-31"]),
        ("0 9 1 nov-mar/3 *", ["2027-02-01", "2027-11-01", "2028-02-01"]),
        ("0 9 29 2 mon#5", ["2044-02-29", "2072-02-29", "2112-02-29"]),
    ],
)
def test_the_nearest_and_the_nth_day_must_fit_beside_the_other_field(expression, times):
    found = upcoming(cron(expression), after_us=NOON_US, count=3)

    assert [format_moment(time)[:10] for time in found] == times


@pytest.mark.parametrize("expression", ["*,5 9 * * *", "0 9 * * *,mon", "0 *,3 * * *"])
def test_a_list_with_a_star_fits_all_and_has_words(expression):
    plain = " ".join("*" if "*" in field else field for field in expression.split())

    found = upcoming(cron(expression), after_us=NOON_US, count=70)

    assert found == upcoming(cron(plain), after_us=NOON_US, count=70)
    assert summary(cron(expression)) == summary(cron(plain))


@pytest.mark.parametrize("expression", ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 31 2 L5"])
def test_an_expression_that_is_never_due_is_refused(expression):
    with pytest.raises(NeverDueError) as refused:
        cron_times(expression, "UTC")

    assert str(refused.value) == (
        f"'{expression}' is never due: none of its months has such a day."
    )


@pytest.mark.parametrize(
    "schedule",
    [
        Adhoc(),
        Adhoc(run_now=True),
        Planned(times=(1, 2, 3)),
        Cron(expression="0 9 * * mon-fri", timezone="Europe/Berlin"),
    ],
)
def test_a_stored_schedule_reads_back_as_it_was(schedule):
    assert read(stored(schedule)) == schedule


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"kind": "HOURLY"},
        {"kind": "ADHOC", "runNow": "yes"},
        {"kind": "PLANNED", "times": [True]},
        {"kind": "PLANNED", "times": "12"},
        {"kind": "SCHEDULED", "expression": "0 9 * * *"},
        {"kind": "SCHEDULED", "expression": "0 0 30 2 *", "timezone": "UTC"},
        {"kind": "SCHEDULED", "expression": "0 9 * * *", "timezone": "Mars/Base"},
    ],
)
def test_what_is_no_stored_schedule_is_refused_when_read(values):
    with pytest.raises(ScheduleError):
        read(values)


@pytest.mark.parametrize("expression", ["0 0 * * *", "30 1 * * *", "30 2 * * *", "45 23 * * *"])
@pytest.mark.parametrize(
    "zone",
    [
        "America/Havana",
        "America/Santiago",
        "Asia/Beirut",
        "Africa/Casablanca",
        "Australia/Lord_Howe",
        "Antarctica/Troll",
    ],
)
def test_a_daily_time_is_due_once_on_every_local_date(expression: str, zone: str):
    start, end = (parse_moment(f"{year}-01-15T12:00:00Z") for year in (2026, 2027))

    found = due_times(cron(expression, zone), after_us=start, upto_us=end, limit=1000)

    moments = [datetime.fromisoformat(format_moment(time)) for time in found]
    dates = [moment.astimezone(zone_named(zone)).date() for moment in moments]
    whole_year = [dates[0] + timedelta(days=day) for day in range(len(dates))]
    assert len(dates) == 365
    assert dates == whole_year
