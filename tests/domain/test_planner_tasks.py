"""Plain words that look after what is scheduled, read by the offline planner."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.models.offline.matching import ToolIndex
from domain.models.offline.planner import Answer, PlannedCall, next_move
from domain.models.ports import INPUTS, ChatMessage, ToolCall
from tests.domain.planner_tools import shipped_tools

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
INDEX = ToolIndex(shipped_tools())
REPORT = {"task": "morning report"}


def planned(instruction: str) -> tuple[str, dict[str, Any]] | None:
    """The first call of an instruction; None when it is answered in words."""
    move = next_move([ChatMessage(role="user", content=instruction)], INDEX, now=NOW)
    return (move.tool, json.loads(move.arguments)) if isinstance(move, PlannedCall) else None


@pytest.mark.parametrize(
    ("instruction", "arguments"),
    [
        ("list my tasks", {}),
        ("List all scheduled tasks, please.", {}),
        ("could you show me my reminders?", {}),
        ("What is scheduled?", {}),
        ("what's planned", {}),
        ("which tasks do I have?", {}),
        ("Do we have any paused tasks?", {"status": "PAUSED"}),
        ("show completed tasks", {"status": "COMPLETED"}),
        ("what reminders do you have about water?", {"search": "water"}),
        ('list active tasks about "the report"', {"search": "the report", "status": "ACTIVE"}),
    ],
)
def test_tasks_are_listed_as_narrowly_as_asked(instruction: str, arguments: dict[str, Any]) -> None:
    assert planned(instruction) == ("list_tasks", arguments)


@pytest.mark.parametrize(
    "instruction",
    [
        "show the morning report task",
        'describe the task "morning report"',
        "What is the status of the task morning report?",
        "When is the morning report task due?",
        "when does the task morning report run next?",
    ],
)
def test_one_task_is_shown(instruction: str) -> None:
    assert planned(instruction) == ("show_task", REPORT)


@pytest.mark.parametrize(
    ("instruction", "tool", "more"),
    [
        ("cancel the morning report", "cancel_task", {}),
        ("Could you cancel my morning report, please?", "cancel_task", {}),
        ("unschedule morning report", "cancel_task", {}),
        ("delete the task called morning report", "cancel_task", {}),
        ('stop the reminder "morning report"', "cancel_task", {}),
        ("cancel_task morning report", "cancel_task", {}),
        ("pause the morning report", "change_task", {"paused": True}),
        ("Suspend the morning report task", "change_task", {"paused": True}),
        ("resume the morning report", "change_task", {"paused": False}),
        ("run the morning report task", "run_task_now", {}),
        ("start the job morning report now", "run_task_now", {}),
        ("rename the morning report task to Early News", "change_task", {"name": "Early News"}),
        (
            "move the task morning report to every weekday at 7:30 in Berlin",
            "change_task",
            {"cron": "30 7 * * mon-fri", "timezone": "Europe/Berlin"},
        ),
        (
            "reschedule the morning report task to tomorrow at 9",
            "change_task",
            {"times": ["2026-03-11T09:00:00Z"]},
        ),
    ],
)
def test_a_task_is_changed_as_the_words_say(
    instruction: str, tool: str, more: dict[str, Any]
) -> None:
    assert planned(instruction) == (tool, {**REPORT, **more})


@pytest.mark.parametrize(
    "instruction",
    [
        "cancel it",
        "cancel everything",
        "cancel all tasks",
        "cancel my tasks",
        "delete morning report",
        "stop the music",
        "run the tests",
        "should I cancel the morning report?",
        "Did you cancel the morning report?",
        "do not pause the morning report task",
        "if it rains cancel the morning report",
        "maybe cancel the morning report",
        "I cancelled the morning report",
        'Anna said: "cancel the morning report"',
        "cancel the task for tomorrow at 9",
        "stop reminding me to drink",
        "move the task morning report to some other time",
        "what is scheduled for tomorrow?",
    ],
)
def test_what_does_not_clearly_name_a_task_changes_none(instruction: str) -> None:
    move = next_move([ChatMessage(role="user", content=instruction)], INDEX, now=NOW)

    assert isinstance(move, Answer)
    assert move.is_declined


@pytest.mark.parametrize(
    ("instruction", "tool"),
    [
        ("every day at 9 list my tasks", "schedule_task"),
        ("run the task backup every day at 9", "schedule_task"),
        ("remind me in 20 minutes to cancel the task backup", "schedule_task"),
        ("remember that we cancel the task backup", "remember"),
        ("show tasks.csv", "files_read"),
        ("list the files", "files_list"),
    ],
)
def test_other_words_mean_what_they_meant(instruction: str, tool: str) -> None:
    call = planned(instruction)

    assert call is not None
    assert call[0] == tool


@pytest.mark.parametrize(
    "instruction", ["cancel the backup and list my tasks", "Cancel the backup. List my tasks."]
)
def test_several_orders_are_several_calls(instruction: str) -> None:
    call = ToolCall(id="call_1", name="cancel_task", arguments='{"task": "backup"}')
    done = json.dumps({"id": "t", "name": "Backup"})
    messages = [
        ChatMessage(role="user", content=instruction),
        ChatMessage(role="assistant", tool_calls=(call,)),
        ChatMessage(role="tool", content=done, tool_call_id=call.id, tool_name=call.name),
    ]

    first, second = planned(instruction), next_move(messages, INDEX, now=NOW)

    assert first == ("cancel_task", {"task": "backup"})
    assert second == PlannedCall(tool="list_tasks", arguments="{}")


LISTED: dict[str, Any] = {
    "tasks": [
        {
            "id": "t1",
            "name": "Backup",
            "schedule": "Every hour, UTC",
            "status": "ACTIVE",
            "next_time": "2026-03-10T13:00:00.000Z",
            "own": True,
        },
        {
            "id": "t2",
            "name": "News",
            "schedule": "On demand",
            "status": "PAUSED",
            "next_time": None,
            "own": True,
        },
    ],
    "more": False,
}
SHOWN: dict[str, Any] = {
    "id": "t1",
    "name": "Backup",
    "instruction": "list the files",
    "schedule": "Every hour, UTC",
    "status": "ACTIVE",
    "pause_reason": None,
    "own": True,
    "next_times": ["2026-03-10T13:00:00.000Z"],
    "last_times": [
        {
            "due": "2026-03-10T12:00:00.000Z",
            "status": "FAILED",
            "reason": "TIMED_OUT: It took too long.",
        }
    ],
}
CHANGED: dict[str, Any] = {
    "id": "t1",
    "name": "Backup",
    "schedule": "Every hour, UTC",
    "status": "PAUSED",
    "next_times": [],
}


@pytest.mark.parametrize(
    ("instruction", "result", "words"),
    [
        (
            "list my tasks",
            LISTED,
            (
                "2 tasks:\n"
                "- Backup: Every hour, UTC; next on Tuesday, 10 March 2026 at 13:00 UTC\n"
                "- News (paused): On demand"
            ),
        ),
        ("list my tasks", {"tasks": [], "more": False}, "There are no such tasks."),
        (
            "show the task backup",
            SHOWN,
            (
                "Backup: Every hour, UTC.\nlist the files\n"
                "- next on Tuesday, 10 March 2026 at 13:00 UTC\n"
                "- Tuesday, 10 March 2026 at 12:00 UTC failed: TIMED_OUT: It took too long."
            ),
        ),
        ("pause the backup", CHANGED, 'I changed "Backup" (paused): Every hour, UTC.'),
        ("cancel the backup", {"id": "t1", "name": "Backup"}, 'I cancelled "Backup".'),
        (
            "run the backup task",
            {"id": "t1", "name": "Backup", "status": "RUNNING"},
            '"Backup" has started.',
        ),
    ],
    ids=["list", "empty list", "show", "pause", "cancel", "run"],
)
def test_what_came_of_it_is_told_in_words(
    instruction: str, result: dict[str, Any], words: str
) -> None:
    call = planned(instruction)
    assert call is not None
    made = ToolCall(id="call_1", name=call[0], arguments=json.dumps(call[1]))
    messages = [
        ChatMessage(role="user", content=instruction),
        ChatMessage(role="assistant", tool_calls=(made,)),
        ChatMessage(
            role="tool", content=json.dumps(result), tool_call_id=made.id, tool_name=made.name
        ),
    ]

    answer = next_move(messages, INDEX, now=NOW)

    assert isinstance(answer, Answer)
    assert answer.text == words


def test_inputs_that_no_words_can_take_are_named_as_the_reason() -> None:
    content = f'What is 12% of 300?{INPUTS}{{"month": "May"}}'

    move = next_move([ChatMessage(role="user", content=content)], INDEX, now=NOW)

    assert isinstance(move, Answer)
    assert move.is_declined
    assert (
        "I did nothing, because it comes with inputs, which take a language model to be put into"
        " the words." in move.text
    )
