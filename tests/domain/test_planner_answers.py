"""What the offline planner says of results, of its tools and of itself."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from domain.models.offline.matching import ToolIndex
from domain.models.offline.planner import Answer, PlannedCall, next_move
from domain.models.ports import ChatMessage, ToolCall
from tests.domain.planner_tools import shipped_tools

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
INDEX = ToolIndex(shipped_tools())

SCHEDULED = (
    'I scheduled "List the files": At 09:00, Monday to Friday, UTC.\n'
    "Next: Wednesday, 11 March 2026 at 09:00 UTC, then Thursday, 12 March 2026 at 09:00 UTC."
)

TOLD: Sequence[tuple[str, object, str]] = [
    ("What is 12% of 300?", {"value": 36, "text": "36"}, "12 / 100 * 300 = 36"),
    (
        "10 km in miles",
        {"value": 6.21371192237334, "unit": "mi", "dimension": "length"},
        "10 km = 6.21371192237334 mi",
    ),
    (
        "add 30 days to 2026-01-15",
        "2026-02-14T00:00:00Z",
        "Saturday, 14 February 2026 (2026-02-14T00:00:00Z)",
    ),
    (
        "how many days between 2026-01-01 and 2026-03-01",
        {
            "total_seconds": 5_097_600,
            "total_days": 59,
            "years": 0,
            "months": 2,
            "days": 0,
            "hours": 0,
            "minutes": 0,
            "seconds": 0,
            "is_negative": False,
        },
        "59 days (2 months)",
    ),
    (
        'hash "abc" with md5',
        "900150983cd24fb0d6963f7d28e17f72",
        "900150983cd24fb0d6963f7d28e17f72",
    ),
    (
        'replace "a" with "b" in "aa"',
        {"text": "bb", "replacements": 2},
        "bb\n(2 replacements)",
    ),
    (
        'find the emails in "a@b.co c@d.co"',
        {"matches": ["a@b.co", "c@d.co"], "truncated": False},
        "2 emails: a@b.co, c@d.co",
    ),
    (
        'find the emails in "none"',
        {"matches": [], "truncated": False},
        "There are no emails in the text.",
    ),
    (
        'compare {"a": 1} and {"a": 2}',
        {
            "equal": False,
            "changes": [{"path": "a", "kind": "changed", "before": 1, "after": 2}],
            "truncated": False,
        },
        "1 difference:\n- a: 1 became 2",
    ),
    (
        'read the csv "a,b\\n1,2"',
        {"columns": ["a", "b"], "rows": [{"a": "1", "b": "2"}], "total_rows": 1},
        "1 row, 2 columns:\n\n| a | b |\n| --- | --- |\n| 1 | 2 |",
    ),
    (
        "list the files",
        {
            "entries": [
                {"name": "docs", "kind": "folder", "size_bytes": 0},
                {"name": "a.txt", "kind": "file", "size_bytes": 7},
            ],
            "truncated": False,
        },
        "2 entries in the workspace folder:\n- docs/\n- a.txt (7 bytes)",
    ),
    (
        "read a.txt",
        {"text": "one\ntwo", "next_offset": 20_000},
        "a.txt:\n```\none\ntwo\n```\n(It goes on at byte 20000.)",
    ),
    (
        "remember that tea is at four",
        {"kind": "USER_DATA", "content": "tea is at four", "already_known": False},
        "I will remember: tea is at four",
    ),
    (
        "remember that tea is at four",
        {"kind": "USER_DATA", "content": "tea is at four", "already_known": True},
        "I knew that already: tea is at four",
    ),
    (
        "what do you remember about tea?",
        {
            "memories": [
                {
                    "kind": "USER_DATA",
                    "content": "Tea is at four.",
                    "since": "2026-03-01T10:00:00Z",
                }
            ]
        },
        "I remember 1 thing:\n- Tea is at four. (fact, 1 March 2026)",
    ),
    (
        "what do you remember about tea?",
        {"memories": []},
        'I remember nothing about "tea".',
    ),
    (
        "every weekday at 9 list the files",
        {
            "name": "List the files",
            "schedule": "At 09:00, Monday to Friday, UTC",
            "next_times": ["2026-03-11T09:00:00.000Z", "2026-03-12T09:00:00.000Z"],
        },
        SCHEDULED,
    ),
    ("What is 2 + 2?", "something else", "calculate: something else"),
]

TALK = [
    "Should I remember his birthday?",
    "I don't want you to remember this",
    "please don't save that to memory",
    "what happens if I say remember the milk?",
    "He asked me to remember the milk",
    'Bob said "remember that tea is at four"',
    '"schedule a backup every day at 9" is what he wrote',
    "Did you remember that tea is at four?",
    "You remembered that tea is at four",
    "Would you schedule a task every day at 9 if I asked?",
    "How can I schedule a task for every day at 9?",
    "What does remember do?",
    "Explain schedule_task",
    "is it possible to schedule list files every day at 9?",
    "I might schedule list files every day at 9",
    "never remember passwords",
    "do not remind me tomorrow at 9",
    "there is no need to remind me tomorrow at 9",
    "I already scheduled list files every day at 9",
    "Why was the task scheduled for tomorrow at 9?",
    'When I say "remember X", what do you do?',
    "Can I schedule list files every day at 9?",
    "can you schedule tasks?",
    "can you remember things?",
    "could you remember that, hypothetically?",
    "I wish you would remember that tea is at four",
    "Let's not schedule anything for tomorrow at 9",
    "Suppose I told you to remember that tea is at four",
    "we remember that tea is at four",
    "The team meets every Monday at 9 in Berlin",
    "lunch is every day at noon",
    "my train leaves in 20 minutes",
    "the report was sent at 9 every day",
    'translate "remind me tomorrow at 9 to call Bob" into German',
    "what time is it every day at 9 in Berlin",
    'Is "every day at 9" a valid schedule?',
    "show me an example of schedule_task",
    "I'm not sure whether to remember that tea is at four",
    "stop reminding me every day at 9",
    "cancel the task that lists the files every day at 9",
    "don't list the files every day at 9",
    "if I asked you to remember that tea is at four, would you?",
    "would it be wise to schedule list files every day at 9?",
    "what would be the cron for every day at 9?",
    "It would be nice to be reminded at 5pm",
    "thanks for remembering that tea is at four",
    "every day at 9 I drink tea",
    "tomorrow at 9 we leave",
    "at 5pm the shop closes",
    "in 20 minutes it will rain",
    "next Friday at 10 is the meeting",
    "on 2026-12-24 at 18:00 dinner is served",
]


def answer_to(instruction: str, *results: object) -> Answer:
    """What is said at last, when the calls give these results."""
    messages = [ChatMessage(role="user", content=instruction)]
    for place, result in enumerate(results):
        move = next_move(messages, INDEX, now=NOW)
        assert isinstance(move, PlannedCall), move
        call = ToolCall(id=f"call_{place}", name=move.tool, arguments=move.arguments)
        content = result if isinstance(result, str) else json.dumps(result)
        messages += [
            ChatMessage(role="assistant", tool_calls=(call,)),
            ChatMessage(role="tool", content=content, tool_call_id=call.id, tool_name=move.tool),
        ]
    answer = next_move(messages, INDEX, now=NOW)
    assert isinstance(answer, Answer), answer
    return answer


@pytest.mark.parametrize(("instruction", "result", "said"), TOLD)
def test_a_result_is_told_as_to_a_person_and_still_exact(
    instruction: str, result: object, said: str
) -> None:
    assert answer_to(instruction, result) == Answer(text=said)


def test_results_of_several_steps_are_numbered() -> None:
    answer = answer_to(
        "calculate 6 * 7, then add 10 to the result",
        {"value": 42, "text": "42"},
        {"value": 52, "text": "52"},
    )

    assert answer.text == "1. 6 * 7 = 42\n2. 42 + 10 = 52"


@pytest.mark.parametrize(
    "instruction", ["help", "Hello!", "What can you do?", "which tools are there"]
)
def test_who_asks_for_help_gets_examples_and_the_tools(instruction: str) -> None:
    answer = answer_to(instruction)

    assert not answer.is_declined
    assert "- What is 12% of 300?" in answer.text
    assert "My tools are: csv_read, csv_write, json_merge" in answer.text
    assert "docs/howto/connect-a-model.md" in answer.text


def test_who_asks_for_a_tool_gets_its_arguments_and_an_example() -> None:
    answer = answer_to("What does unit_convert do?")

    assert answer == Answer(
        text=(
            "unit_convert: Convert a value between units of length, mass, time, temperature, size "
            "and more.\n"
            "- value: How many.\n"
            "- unit: Unit of the value, such as km, lb, C, GiB, kWh or mph.\n"
            "- to: Unit to convert to, such as mi or kg.\n"
            'Try: unit_convert {"value": 1.5, "unit": "km", "to": "mi"}'
        )
    )


def test_a_reminder_that_is_due_says_of_what() -> None:
    assert answer_to("remind me to call Bob") == Answer(text="Reminder: call Bob.")


@pytest.mark.parametrize(
    ("instruction", "reason"),
    [
        ("every day check the disk", "but it does not say at what time of day"),
        ("calculate 2+2 and email it to Bob", "could not match"),
        ("remember it", "it does not say what to remember"),
        ("should I remember that tea is at four?", "could not match"),
        ("/no_such_tool x=1", "there is no tool called no_such_tool"),
        ("hash_text", "hash_text also needs text"),
        ('md5 of "a", sha1 of "a"', "understood only a part"),
        ("the files are gone", "could not match"),
        ("summarise this article for me", "could not match"),
    ],
)
def test_what_cannot_be_done_is_declined_with_its_reason(instruction: str, reason: str) -> None:
    answer = answer_to(instruction)

    assert answer.is_declined
    assert reason in answer.text


@pytest.mark.parametrize(
    ("instruction", "calls"),
    [
        ("hash the file notes.txt", ["files_read", "hash_text"]),
        ("which emails are in contacts.txt?", ["files_read", "text_extract"]),
        ("read a.txt and b.txt", ["files_read", "files_read"]),
        ("read a.txt, then b.txt", ["files_read", "files_read"]),
        ("convert 5 km to miles and 3 kg to pounds", ["unit_convert", "unit_convert"]),
        ('hash "a" and "b"', ["hash_text", "hash_text"]),
        ('first list the files; secondly hash "x"', ["files_list", "hash_text"]),
        ("Step 1: read notes.txt. Step 2: count the words.", ["files_read", "text_stats"]),
        ("Every day at 9 list the files. Calculate 2+2.", ["schedule_task", "calculate"]),
        ("Remember that A is B, then list the files", ["remember", "files_list"]),
        ("Remember that A is B. It will stay so.", ["remember"]),
        ("Every day at 9 list the files, then count them", ["schedule_task"]),
        ("We had an incident. Please list the files in logs.", ["files_list"]),
        ("calcualte 12*12", ["calculate"]),
        ("replce 'a' with 'b' in 'aa'", ["text_replace"]),
    ],
)
def test_steps_are_found_however_they_are_joined(instruction: str, calls: list[str]) -> None:
    messages = [ChatMessage(role="user", content=instruction)]
    called: list[str] = []

    while isinstance(move := next_move(messages, INDEX, now=NOW), PlannedCall):
        called.append(move.tool)
        call = ToolCall(id=str(len(called)), name=move.tool, arguments=move.arguments)
        done = ChatMessage(role="tool", content="x", tool_call_id=call.id, tool_name=move.tool)
        messages += [ChatMessage(role="assistant", tool_calls=(call,)), done]

    assert called == calls


def test_long_values_reach_their_tools_whole() -> None:
    text, rows = "lorem; ipsum, then " * 4_000, [{"a": n} for n in range(1_000)]
    said = f'hash "{text}", then write {json.dumps(rows)} as csv'
    messages = [ChatMessage(role="user", content=said)]

    first = next_move(messages, INDEX, now=NOW)
    assert isinstance(first, PlannedCall)
    call = ToolCall(id="c", name=first.tool, arguments=first.arguments)
    messages.append(ChatMessage(role="assistant", tool_calls=(call,)))
    messages.append(ChatMessage(role="tool", content="x", tool_call_id="c", tool_name=first.tool))
    second = next_move(messages, INDEX, now=NOW)

    assert isinstance(second, PlannedCall)
    assert (first.tool, json.loads(first.arguments)) == ("hash_text", {"text": text})
    assert (second.tool, json.loads(second.arguments)) == ("csv_write", {"rows": rows})


def test_a_task_of_a_long_text_has_a_short_name() -> None:
    said = f'every day at 9 hash "{"b" * 3_000}"'

    move = next_move([ChatMessage(role="user", content=said)], INDEX, now=NOW)

    assert isinstance(move, PlannedCall)
    given = json.loads(move.arguments)
    assert (given["name"], given["instruction"]) == ('Hash "..."', f'hash "{"b" * 3_000}"')


@pytest.mark.parametrize("instruction", TALK)
def test_talk_of_side_effects_is_no_order_for_them(instruction: str) -> None:
    move = next_move([ChatMessage(role="user", content=instruction)], INDEX, now=NOW)

    assert not isinstance(move, PlannedCall) or move.tool not in {"remember", "schedule_task"}


def test_the_same_words_at_the_same_moment_give_the_same_plan() -> None:
    said = [ChatMessage(role="user", content="tomorrow at 5pm list the files")]

    moves = {next_move(said, ToolIndex(shipped_tools()), now=NOW) for _ in range(3)}

    assert len(moves) == 1


def test_times_are_told_in_the_zone_that_was_asked_for() -> None:
    asked = "every weekday at 9 in Berlin list the files"
    result = {
        "name": "List the files",
        "schedule": "At 09:00, Monday to Friday, Europe/Berlin",
        "next_times": ["2026-03-11T08:00:00Z"],
    }

    answer = answer_to(asked, result)

    assert answer.text.endswith("\nNext: Wednesday, 11 March 2026 at 09:00 CET.")


@pytest.mark.parametrize("said", ["thanks!", "Thank you very much", "ok, thanks a lot"])
def test_thanks_are_no_order(said: str) -> None:
    assert answer_to(said) == Answer(text="You are welcome.")


def test_a_decline_quotes_what_was_said_not_how_it_was_read() -> None:
    answer = answer_to("Paint my cat blue")

    assert answer.is_declined
    assert 'I could not match "Paint my cat blue" to a tool.' in answer.text


def test_where_no_tool_comes_close_all_are_named() -> None:
    answer = answer_to("ok, please")

    assert answer.is_declined
    assert "because it asks for nothing.\nNone of my tools comes close: " in answer.text


@pytest.mark.parametrize(
    ("said", "query"),
    [
        ("when is Anna's birthday?", "when is Anna's birthday"),
        ("Who is Bob\u2019s manager?", "Who is Bob\u2019s manager"),
    ],
)
def test_a_question_about_somebody_is_one_for_memory(said: str, query: str) -> None:
    move = next_move([ChatMessage(role="user", content=said)], INDEX, now=NOW)

    assert move == PlannedCall(
        tool="recall", arguments=json.dumps({"query": query}, ensure_ascii=False)
    )
