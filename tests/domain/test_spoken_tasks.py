"""Work for later, remembering and recalling in plain words."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.models.offline.due_times import UnclearScheduleError, arguments_of
from domain.models.offline.memory_words import (
    SpokenMemory,
    SpokenRecall,
    memory_in,
    personal_question,
    recall_in,
)
from domain.models.offline.schedule_words import schedule_in
from domain.models.offline.schedules_spoken import read_when

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


def in_berlin(cron: str) -> Mapping[str, Any]:
    return {"cron": cron, "timezone": "Europe/Berlin"}


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ("every weekday at 9 in Berlin", in_berlin("0 9 * * mon-fri")),
        ("every weekday at 9am (Berlin time)", in_berlin("0 9 * * mon-fri")),
        (
            "every Monday and Thursday at 7:30 am New York time",
            {"cron": "30 7 * * mon,thu", "timezone": "America/New_York"},
        ),
        ("Monday to Friday at 8:15", {"cron": "15 8 * * mon-fri"}),
        ("on weekends at 10", {"cron": "0 10 * * sat,sun"}),
        ("every 15 minutes", {"cron": "*/15 * * * *"}),
        ("every half hour", {"cron": "*/30 * * * *"}),
        ("hourly", {"cron": "0 * * * *"}),
        ("every three hours", {"cron": "0 */3 * * *"}),
        ("every hour from 9 to 17 on weekdays", {"cron": "0 9-17 * * mon-fri"}),
        ("at 15 past every hour", {"cron": "15 * * * *"}),
        ("daily at 8:30", {"cron": "30 8 * * *"}),
        ("every evening at 8", {"cron": "0 20 * * *"}),
        ("every Tuesday at 9 and 17", {"cron": "0 9,17 * * tue"}),
        ("twice a day at 8 and 20", {"cron": "0 8,20 * * *"}),
        ("on the first of each month at noon UTC", {"cron": "0 12 1 * *", "timezone": "UTC"}),
        ("on the last day of every month at 18:00", {"cron": "0 18 L * *"}),
        ("on the first Monday of every month at 9", {"cron": "0 9 * * mon#1"}),
        ("every last Friday of the month at 16:00", {"cron": "0 16 * * L5"}),
        ("every year on 24 December at 18:00", {"cron": "0 18 24 12 *"}),
        ("cron 0 9 * * 1-5", {"cron": "0 9 * * 1-5"}),
        ("in 20 minutes", {"in_minutes": 20}),
        ("in an hour and a half", {"in_minutes": 90}),
        ("2 hours from now", {"in_minutes": 120}),
        ("tomorrow at 5pm", {"times": ["2026-03-11T17:00:00Z"]}),
        ("tomorrow at 9 in Tokyo", {"times": ["2026-03-11T09:00:00+09:00"]}),
        ("next Friday at 14:00", {"times": ["2026-03-13T14:00:00Z"]}),
        ("at 5pm", {"times": ["2026-03-10T17:00:00Z"]}),
        ("at 9", {"times": ["2026-03-11T09:00:00Z"]}),
        ("tonight at 8", {"times": ["2026-03-10T20:00:00Z"]}),
        ("on 2026-12-24 at 18:00", {"times": ["2026-12-24T18:00:00Z"]}),
        ("Friday, 24 December 2027 at 10:00", {"times": ["2027-12-24T10:00:00Z"]}),
        ("on 2026-04-01T09:00:00+02:00", {"times": ["2026-04-01T09:00:00+02:00"]}),
        ("in 3 days at 9", {"times": ["2026-03-13T09:00:00Z"]}),
    ],
)
def test_words_say_when_something_is_due(words: str, arguments: Mapping[str, Any]) -> None:
    when = read_when(words, 0)

    assert when is not None
    assert when.end == len(words)
    assert arguments_of(when, NOW) == arguments


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("every day", "it does not say at what time of day"),
        ("tomorrow", "it does not say at what time of day"),
        ("twice a day", "twice a day leaves open when"),
        ("every 7 minutes", "does not divide an hour evenly"),
        ("every other day at 9", "no rhythm of the calendar that cron knows"),
        ("every 30 seconds", "the shortest rhythm is a minute"),
        ("at 8:00 and 18:30 daily", "different minutes of different hours"),
        ("monthly at 9", "it does not say on which day of the month"),
        ("weekly at 9", "it does not say on which day of the week"),
        ("yesterday at 5", "that moment is past"),
    ],
)
def test_words_that_leave_open_when_are_said_to(words: str, reason: str) -> None:
    when = read_when(words, 0)

    assert when is not None
    with pytest.raises(UnclearScheduleError, match=reason):
        arguments_of(when, NOW)


@pytest.mark.parametrize(
    ("clause", "name", "instruction"),
    [
        ("every day at 9 water the plants", "Water the plants", "water the plants"),
        ("list the files every hour", "List the files", "list the files"),
        ("Remind me in 20 minutes to drink", "Drink", "Remind me to drink"),
        ("remind me to call Bob tomorrow at 5pm", "Call Bob", "remind me to call Bob"),
        ("schedule 'list files' for tomorrow at 9", "List files", "list files"),
        (
            "schedule a task that lists the files every hour",
            "List the files",
            "list the files",
        ),
        (
            'create a weekly task on Monday at 9 called "Review" to read notes.txt',
            "Review",
            "read notes.txt",
        ),
        (
            "Every Monday at 9 read report.txt, then count its words.",
            "Read report.txt, then count its words",
            "read report.txt, then count its words",
        ),
        ("could you check the logs every 10 minutes?", "Check the logs", "check the logs"),
    ],
)
def test_a_task_keeps_its_instruction_whole_and_has_a_short_name(
    clause: str, name: str, instruction: str
) -> None:
    task = schedule_in(clause, NOW)

    assert task is not None
    assert (task.name, task.instruction) == (name, instruction)


@pytest.mark.parametrize(
    "clause",
    [
        "The backup runs every day at 9",
        "I have lunch every day at noon",
        "Every Monday Bob has lunch at 12",
        "Should I schedule a backup every day at 9?",
        "How do I schedule a task every day at 9?",
        "please do not schedule anything for tomorrow at 9",
        "don't remind me tomorrow at 5pm",
        "if it rains remind me tomorrow at 9",
        "maybe check the disk every day at 9",
        "cancel the reminder for tomorrow at 16:45",
        "Yesterday I scheduled a backup every day at 9",
        "add 30 days to tomorrow",
        "add 3 hours to 2026-12-24 at 18:00",
        "show 2026-12-24 18:00 in Tokyo",
        "divide 100 by 7",
    ],
)
def test_talk_of_times_is_no_order_for_later(clause: str) -> None:
    assert schedule_in(clause, NOW) is None


@pytest.mark.parametrize(
    ("clause", "reason"),
    [
        ("schedule a backup", "it does not say when"),
        ("set an alarm for 6:30 tomorrow", "it does not say what to do"),
        ("every day at 9 until Friday check the disk", "can only be set with createTask"),
    ],
)
def test_an_order_for_later_that_lacks_something_says_what(clause: str, reason: str) -> None:
    with pytest.raises(UnclearScheduleError, match=reason):
        schedule_in(clause, NOW)


@pytest.mark.parametrize(
    ("clause", "memory"),
    [
        ("remember that my dog is called Rex", SpokenMemory(content="my dog is called Rex")),
        (
            "Note that we never deploy on Fridays.",
            SpokenMemory(content="we never deploy on Fridays"),
        ),
        ("Can you remember that I prefer tea?", SpokenMemory(content="I prefer tea")),
        ("don't forget that the office is shut", SpokenMemory(content="the office is shut")),
        ("My name is Ada, remember that", SpokenMemory(content="My name is Ada")),
        ("remember the solution: restart it", SpokenMemory(content="restart it", kind="SOLUTION")),
        ("remember tea as a fragment", SpokenMemory(content="tea", kind="FRAGMENT")),
        (
            'remember "x" with metadata {"team": "ops"}',
            SpokenMemory(content="x", metadata={"team": "ops"}),
        ),
        ("remember the result", SpokenMemory(content=None)),
        ("remember when we met", None),
        ("I remember that", None),
        ("don't forget to buy milk", None),
    ],
)
def test_what_is_to_be_remembered_is_told_from_talk(
    clause: str, memory: SpokenMemory | None
) -> None:
    assert memory_in(clause) == memory


@pytest.mark.parametrize(
    ("clause", "wanted"),
    [
        ("What do you remember about Berlin?", SpokenRecall(query="Berlin")),
        ("what did I say about the budget", SpokenRecall(query="budget")),
        ("do you know when the release is?", SpokenRecall(query="when the release is")),
        ("search your memory for invoices", SpokenRecall(query="invoices")),
        ("show me 3 memories about tea", SpokenRecall(query="tea", limit=3)),
        (
            "which solutions do you remember about nginx?",
            SpokenRecall(query="nginx", kinds=("SOLUTION",)),
        ),
        ("what would you remember about me?", None),
        ("who is the president of France?", None),
    ],
)
def test_what_is_to_be_recalled_is_read_from_the_question(
    clause: str, wanted: SpokenRecall | None
) -> None:
    assert recall_in(clause) == wanted


def test_a_question_about_ones_own_things_may_be_asked_of_memory() -> None:
    assert personal_question("when is our next release?") == SpokenRecall(
        query="when is our next release"
    )
    assert personal_question("when is the next eclipse?") is None
