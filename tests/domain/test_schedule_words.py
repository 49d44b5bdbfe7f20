"""Schedules in plain words."""

import pytest

from domain.kernel.moments import parse_moment
from domain.tasks.schedule import Adhoc, Cron, Planned, Schedule
from domain.tasks.wording import summary

FIRST = parse_moment("2026-11-22T09:30:00Z")
SECOND = parse_moment("2026-12-24T18:00:00Z")


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (Adhoc(), "On demand"),
        (Adhoc(run_now=True), "Once at once, then on demand"),
        (Planned(times=(FIRST,)), "Once, at 2026-11-22 09:30 UTC"),
        (Planned(times=(FIRST + 5_250_000,)), "Once, at 2026-11-22 09:30:05 UTC"),
        (
            Planned(times=(SECOND, FIRST)),
            "2 times, from 2026-11-22 09:30 to 2026-12-24 18:00 UTC",
        ),
    ],
)
def test_a_schedule_without_cron_is_said_in_words(schedule: Schedule, words: str):
    assert summary(schedule) == words


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("* * * * *", "Every minute"),
        ("*/1 * * * *", "Every minute"),
        ("*/5 * * * *", "Every 5 minutes"),
        ("*/7 * * * *", "Every 7 minutes from minute 0 of every hour"),
        ("*/15 9-17 * * mon-fri", "Every 15 minutes from 09:00 to 17:59, Monday to Friday"),
        ("*/30 * * * *", "Every 30 minutes"),
        ("*/90 * * * *", "Every hour"),
        ("0,30 * * * *", "Every 30 minutes"),
        ("15,45 * * * *", "Every hour at minutes 15 and 45"),
        ("1-59/2 * * * *", "Every 2 minutes from minute 1 of every hour"),
        ("5/20 * * * *", "Every hour at minutes 5, 25 and 45"),
        ("0 * * * *", "Every hour"),
        ("30 * * * *", "Every hour at minute 30"),
        ("59 23 * * *", "At 23:59, every day"),
        ("0 9,17 * * *", "At 09:00 and 17:00, every day"),
        ("0 9-17 * * *", "Every hour from 09:00 to 17:00"),
        ("30 9-17 * * *", "At minute 30 of hours 9 to 17, every day"),
        ("0 */2 * * *", "Every 2 hours"),
        ("30 */2 * * *", "Every 2 hours at minute 30"),
        ("0 */5 * * *", "At 00:00, 05:00, 10:00, 15:00 and 20:00, every day"),
        ("0 1-23/2 * * *", "Every 2 hours from 01:00 to 23:00"),
        ("15,45 */6 * * *", "Every 6 hours at minutes 15 and 45"),
        ("0,30 9-17 * * mon-fri", "Every 30 minutes from 09:00 to 17:59, Monday to Friday"),
        ("0 22-2 * * *", "At 00:00, 01:00, 02:00, 22:00 and 23:00, every day"),
        ("*/10 22-2 * * *", "Every 10 minutes in hours 0 to 2, 22 and 23"),
        ("50-10 * * * *", "Every hour at minutes 0 to 10 and 50 to 59"),
        ("* 9 * * *", "Every minute from 09:00 to 09:59"),
        ("* * * * mon", "Every minute, on Mondays"),
        ("* * 1 1 *", "Every minute, on day 1 of the month, in January"),
        ("0 9 * * mon", "At 09:00, on Mondays"),
        ("0 9 * * sat,sun", "At 09:00, on Saturdays and Sundays"),
        ("0 9 * * fri-mon", "At 09:00, Friday to Monday"),
        ("0 9 * * 1-7", "At 09:00, every day"),
        ("0 9 * * mon-fri/2", "At 09:00, on Mondays, Wednesdays and Fridays"),
        ("0 9 1 * *", "At 09:00, on day 1 of the month"),
        ("0 9 1-7 * *", "At 09:00, on days 1 to 7 of the month"),
        ("0 9 */2 * *", "At 09:00, every 2 days from day 1 to 31 of the month"),
        ("0 9 */10 * *", "At 09:00, on days 1, 11, 21 and 31 of the month"),
        ("0 9 L * *", "At 09:00, on the last day of the month"),
        ("0 9 1,L * *", "At 09:00, on day 1 and the last day of the month"),
        ("0 9 1-3,L * *", "At 09:00, on days 1 to 3 and the last day of the month"),
        ("0 9 15W * *", "At 09:00, on the weekday nearest to day 15 of the month"),
        ("0 9 1W * *", "At 09:00, on the weekday nearest to day 1 of the month"),
        (
            "0 9 31W * *",
            "At 09:00, on the weekday nearest to day 31, or to the last day, of the month",
        ),
        ("0 9 * * mon#1", "At 09:00, on the first Monday of the month"),
        ("0 9 * * mon#1,fri#3", "At 09:00, on the first Monday and the third Friday of the month"),
        ("0 9 * * 5#5", "At 09:00, on the fifth Friday of the month"),
        ("0 9 * * L5", "At 09:00, on the last Friday of the month"),
        ("0 9 * * L1,mon", "At 09:00, on the last Monday of the month"),
        ("0 9 * * mon#1,L5", "At 09:00, on the first Monday and the last Friday of the month"),
        ("0 9 1 * mon", "At 09:00, on day 1 of the month or on Mondays"),
        ("0 9 1,15 * mon-fri", "At 09:00, on days 1 and 15 of the month or Monday to Friday"),
        (
            "0 9 13 * fri#2",
            "At 09:00, on day 13 of the month if it is the second Friday of the month",
        ),
        (
            "0 9 1-7 * mon#1",
            "At 09:00, on days 1 to 7 of the month if it is the first Monday of the month",
        ),
        ("0 9 L * fri", "At 09:00, on the last day of the month or on Fridays"),
        ("0 9 * jan,jul *", "At 09:00, every day, in January and July"),
        ("0 9 * 1-3,7 *", "At 09:00, every day, in January to March and July"),
        ("0 9 * nov-feb *", "At 09:00, every day, in November to February"),
        ("0 0 1 1 *", "At 00:00, on day 1 of the month, in January"),
        ("0 0 1 */3 *", "At 00:00, on day 1 of the month, in January, April, July and October"),
        ("0 0 29 2 *", "At 00:00, on day 29 of the month, in February"),
        ("0 9 * 5-9 mon-fri", "At 09:00, Monday to Friday, in May to September"),
        ("0 9 1 1,7 mon", "At 09:00, on day 1 of the month or on Mondays, in January and July"),
        ("*/5 * 1 * *", "Every 5 minutes, on day 1 of the month"),
        ("*/5 * * * sat,sun", "Every 5 minutes, on Saturdays and Sundays"),
        (
            "*/20 8-18/2 * * mon-fri",
            "Every 20 minutes in hours 8, 10, 12, 14, 16 and 18, Monday to Friday",
        ),
        (
            "7,8,9,22 3-6 * * sat,sun",
            "At minutes 7 to 9 and 22 of hours 3 to 6, on Saturdays and Sundays",
        ),
        (
            "0 0,12 1 */4 *",
            "At 00:00 and 12:00, on day 1 of the month, in January, May and September",
        ),
        ("*/15 0 * * *", "At 00:00, 00:15, 00:30 and 00:45, every day"),
        ("0 0 * 2 sat#5", "At 00:00, on the fifth Saturday of the month, in February"),
        ("0 9 */31 * *", "At 09:00, on day 1 of the month"),
        ("10 3,9,15,21 * * *", "At 03:10, 09:10, 15:10 and 21:10, every day"),
        ("*/2 */2 * * *", "Every 2 minutes in hours 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20 and 22"),
        ("0 9 * * mon-fri", "At 09:00, Monday to Friday"),
        ("3-59/2 * * * *", "Every 2 minutes from minute 3 of every hour"),
        ("*/5 9-17 * * mon-fri", "Every 5 minutes from 09:00 to 17:59, Monday to Friday"),
        ("*/10 8,12,16 * * *", "Every 10 minutes in hours 8, 12 and 16"),
        ("0 9 1,15,L * *", "At 09:00, on days 1 and 15 and the last day of the month"),
    ],
)
def test_a_cron_schedule_is_said_in_words_with_its_zone(expression: str, words: str):
    schedule = Cron(expression=expression, timezone="Europe/Berlin")

    assert summary(schedule) == f"{words}, Europe/Berlin"
