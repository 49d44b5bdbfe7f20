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
        ("0 9 * * mon-fri", "At 09:00, Monday to Friday"),
        ("* * * * *", "Every minute"),
        ("*/5 * * * *", "Every 5 minutes"),
        ("*/7 * * * *", "Every 7 minutes from minute 0 of every hour"),
        ("3-59/2 * * * *", "Every 2 minutes from minute 3 of every hour"),
        ("0 * * * *", "Every hour"),
        ("30 * * * *", "Every hour at minute 30"),
        ("5/20 * * * *", "Every hour at minutes 5, 25 and 45"),
        ("0 9,17 * * *", "At 09:00 and 17:00, every day"),
        ("0 22-2 * * *", "At 00:00, 01:00, 02:00, 22:00 and 23:00, every day"),
        ("0 */2 * * *", "Every 2 hours"),
        ("0 9-17 * * *", "Every hour from 09:00 to 17:00"),
        ("*/5 9-17 * * mon-fri", "Every 5 minutes from 09:00 to 17:59, Monday to Friday"),
        ("*/10 8,12,16 * * *", "Every 10 minutes in hours 8, 12 and 16"),
        ("* 9 * * *", "Every minute from 09:00 to 09:59"),
        (
            "7,8,9,22 3-6 * * sat,sun",
            "At minutes 7 to 9 and 22 of hours 3 to 6, Saturday and Sunday",
        ),
        ("0 9 1 * *", "At 09:00, on day 1 of the month"),
        ("0 9 1,15,L * *", "At 09:00, on days 1 and 15 and the last day of the month"),
        ("0 9 15W * *", "At 09:00, on the weekday nearest to day 15 of the month"),
        ("0 9 * * mon#1", "At 09:00, the first Monday of the month"),
        ("0 9 * * L5", "At 09:00, the last Friday of the month"),
        ("0 9 1 * mon", "At 09:00, on day 1 of the month or Monday"),
        (
            "0 9 13 * fri#2",
            "At 09:00, on day 13 of the month if it is the second Friday of the month",
        ),
        ("0 9 * 1-3,7 *", "At 09:00, every day, in January to March and July"),
        ("0 0 29 2 *", "At 00:00, on day 29 of the month, in February"),
    ],
)
def test_a_cron_schedule_is_said_in_words_with_its_zone(expression: str, words: str):
    schedule = Cron(expression=expression, timezone="Europe/Berlin")

    assert summary(schedule) == f"{words}, Europe/Berlin"
