"""The offline planner: which call an instruction becomes, and when it declines."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.models.offline.matching import ToolIndex
from domain.models.offline.planner import Answer, PlannedCall, next_move
from domain.models.ports import ChatMessage, FinishReason, ToolCall, ToolSpec
from tests.domain.planner_tools import TOOLS, tool

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)

CALLS: Sequence[tuple[str, str, Mapping[str, Any]]] = [
    ('files_list {"path": "docs"}', "files_list", {"path": "docs"}),
    ('/files_list {"path": "docs"}', "files_list", {"path": "docs"}),
    ('Please run csv_read {"text": "a,b\\n1,2"}', "csv_read", {"text": "a,b\n1,2"}),
    ('files_delete {"path": "old.txt"}', "files_delete", {"path": "old.txt"}),
    ('csv_read text="a" delimiter=comma', "csv_read", {"text": "a", "delimiter": "comma"}),
    ("csv_read limit=5 text: 'a,b'", "csv_read", {"text": "a,b", "limit": 5}),
    ("read CSV without header: a,b", "csv_read", {"text": "a,b", "header": False}),
    ("read CSV, limit 3: a,b", "csv_read", {"text": "a,b", "limit": 3}),
    ("uuid_new", "uuid_new", {}),
    ("calculate 2 + 3 * 4", "calculate", {"expression": "2 + 3 * 4"}),
    ("what is 12 * (3 + 4)?", "calculate", {"expression": "12 * (3 + 4)"}),
    ("What's 15% of 80", "calculate", {"expression": "15 / 100 * 80"}),
    ("how much is 2 plus 3 times 4", "calculate", {"expression": "2 + 3 * 4"}),
    ("compute sqrt(16) + 1", "calculate", {"expression": "sqrt(16) + 1"}),
    ("convert 10 km to miles", "unit_convert", {"value": 10, "unit": "km", "to": "mi"}),
    ("convert 72.5 F to C", "unit_convert", {"value": 72.5, "unit": "F", "to": "C"}),
    ("12km in mi", "unit_convert", {"value": 12, "unit": "km", "to": "mi"}),
    (
        "add 30 days to 2026-01-15",
        "date_add",
        {"moment": "2026-01-15", "amount": 30, "unit": "days"},
    ),
    (
        "subtract 2 weeks from 2026-03-01T09:30:00Z",
        "date_add",
        {"moment": "2026-03-01T09:30:00Z", "amount": -2, "unit": "weeks"},
    ),
    (
        "how many days between 2026-01-01 and 2026-03-01?",
        "date_difference",
        {"start": "2026-01-01", "end": "2026-03-01"},
    ),
    (
        "what is the difference between 2026-01-01 and 2026-03-01 in Europe/Berlin",
        "date_difference",
        {"start": "2026-01-01", "end": "2026-03-01", "zone": "Europe/Berlin"},
    ),
    ('hash "see [1] and {}"', "hash_text", {"text": "see [1] and {}"}),
    ("merge '{\"a\": 1}' and {\"b\": 2}", "json_merge", {"base": {"a": 1}, "patch": {"b": 2}}),
    ('hash "hello world"', "hash_text", {"text": "hello world"}),
    ("sha512 of 'abc'", "hash_text", {"text": "abc", "algorithm": "sha512"}),
    ("hash the text a b c with MD5", "hash_text", {"text": "a b c", "algorithm": "md5"}),
    ("make a slug of Hello World 2026", "text_slug", {"text": "Hello World 2026"}),
    ('slugify "Grüße aus Köln"', "text_slug", {"text": "Grüße aus Köln"}),
    ("turn 'My Title' into a slug", "text_slug", {"text": "My Title"}),
    ("count the words in the quick brown fox", "text_stats", {"text": "the quick brown fox"}),
    ("text statistics: never say never", "text_stats", {"text": "never say never"}),
    ("count words:\nfirst\nthen second", "text_stats", {"text": "first\nthen second"}),
    ('how many words are in "if a then b"?', "text_stats", {"text": "if a then b"}),
    (
        'replace "a" with "b" in "banana"',
        "text_replace",
        {"text": "banana", "find": "a", "replacement": "b"},
    ),
    (
        'replace "A" by "b" in "banana" ignoring case',
        "text_replace",
        {"text": "banana", "find": "A", "replacement": "b", "ignore_case": True},
    ),
    (
        'merge {"a": 1} and {"b": [2, {"c": 3}]}',
        "json_merge",
        {"base": {"a": 1}, "patch": {"b": [2, {"c": 3}]}},
    ),
    (
        'combine base={"a": 1} with patch={"a": 2}',
        "json_merge",
        {"base": {"a": 1}, "patch": {"a": 2}},
    ),
    (
        'pick items[0].name from {"items": [{"name": "x"}]}',
        "json_pick",
        {"document": {"items": [{"name": "x"}]}, "path": "items[0].name"},
    ),
    ("summarize the numbers 3, 5, 8.5 and -13", "numbers_summary", {"values": [3, 5, 8.5, -13]}),
    ("mean of [1, 2, 3]", "numbers_summary", {"values": [1, 2, 3]}),
    ("give me 3 uuids", "uuid_new", {"count": 3}),
    ("Generate a UUID, please", "uuid_new", {}),
    ("list files", "files_list", {}),
    ("list the files in docs", "files_list", {"path": "docs"}),
    ("show me the files in reports/2026", "files_list", {"path": "reports/2026"}),
    ("show files in the workspace", "files_list", {}),
    ("read notes.txt", "files_read", {"path": "notes.txt"}),
    ('open the file "my notes.txt"', "files_read", {"path": "my notes.txt"}),
    ("show the content of ./docs/readme.md", "files_read", {"path": "./docs/readme.md"}),
    ("read the csv file data.csv", "files_read", {"path": "data.csv"}),
    ("delete old/notes.txt", "files_delete", {"path": "old/notes.txt"}),
    ('write "hello" to out.txt', "files_write", {"path": "out.txt", "text": "hello"}),
    ("fetch https://example.com/a?b=1.", "page_fetch", {"url": "https://example.com/a?b=1"}),
]  # fmt: skip

DECLINED: Sequence[tuple[str, str]] = [
    ("", "it is empty"),
    ("hello, how are you?", 'I could not match "hello, how are you?" to a tool'),
    ("Who is the president of France?", "I could not match"),
    ("tell me a joke", "I could not match"),
    ("why do slugs eat my lettuce", "I could not match"),
    ("read my mind", "I could not match"),
    ("tell me about files", "I could not match"),
    ("translate 'hello' to French", "I could not match"),
    ("compute 2 + 2 and email it to Bob", "I could not match"),
    ("compute 2 + 2 then email Bob", 'I could not match "email Bob" to a tool'),
    ("calculate", "calculate also needs expression"),
    ("write to out.txt", "files_write also needs text"),
    ("if notes.txt exists then delete it", "conditions and negations are beyond me"),
    ("every weekday at 9 list files", "no tool for work later is offered to this run"),
    ("don't delete notes.txt", "conditions and negations are beyond me"),
    ("the file notes.txt may go, so delete it", "files_delete changes things"),
    ("delete the files in docs", "files_delete changes things"),
    ("can you maybe delete notes.txt some day", "files_delete changes things"),
    ('csv_raed {"text": "a"}', "there is no tool called csv_raed"),
    ('calculate {"expression": ', "the arguments of calculate are not valid JSON"),
    ("x" * 4_001, "it has more than 4,000 characters outside quotes"),
    ("; ".join(["list files"] * 21), "it has more than 20 steps"),
]


def move_for(messages: Sequence[ChatMessage], tools: Sequence[ToolSpec]) -> PlannedCall | Answer:
    return next_move(messages, ToolIndex(tools), now=NOW)


def user(text: str) -> ChatMessage:
    return ChatMessage(role="user", content=text)


def came_back(name: str, content: str, *, failed: bool = False) -> Sequence[ChatMessage]:
    return answered(name, "{}", content, failed=failed)


def answered(
    name: str, arguments: str, content: str, *, failed: bool = False
) -> Sequence[ChatMessage]:
    call = ToolCall(id="c", name=name, arguments=arguments)
    return [
        ChatMessage(role="assistant", tool_calls=(call,)),
        ChatMessage(role="tool", content=content, tool_call_id="c", tool_name=name, failed=failed),
    ]


def call_of(move: PlannedCall | Answer) -> tuple[str, Any]:
    assert isinstance(move, PlannedCall), move
    return move.tool, json.loads(move.arguments)


def answer_of(move: PlannedCall | Answer) -> Answer:
    assert isinstance(move, Answer), move
    return move


@pytest.mark.parametrize(("instruction", "name", "arguments"), CALLS)
def test_an_instruction_becomes_the_call_it_means(
    instruction: str, name: str, arguments: Mapping[str, Any]
) -> None:
    move = move_for([user(instruction)], TOOLS)

    assert call_of(move) == (name, arguments)


@pytest.mark.parametrize(("instruction", "reason"), DECLINED)
def test_what_is_not_clearly_understood_is_declined_with_its_reason(
    instruction: str, reason: str
) -> None:
    answer = answer_of(move_for([user(instruction)], TOOLS))

    assert answer.is_declined
    assert f"I did nothing, because {reason}" in answer.text


def test_a_decline_names_the_planner_the_nearest_tools_and_how_to_connect_a_model() -> None:
    answer = answer_of(move_for([user("please tidy up my files")], TOOLS))

    assert answer.text == (
        "I am the offline planner: no language model is connected, so I only carry out "
        "instructions that clearly mean one of my tools. I did nothing, because I could not "
        'match "please tidy up my files" to a tool.\n'
        "The closest tools are:\n"
        '- files_delete: Delete a file. Try: files_delete {"path": "notes.txt"}\n'
        "- files_list: List the files beneath a folder of the workspace. "
        'Try: files_list {"path": "notes.txt"}\n'
        '- files_read: Read a text file of the workspace. Try: files_read {"path": "notes.txt"}\n'
        'Say "help" to see what I understand.\n'
        "To have a language model answer, set MODEL_PROVIDER to openai, anthropic or ollama; "
        "docs/howto/connect-a-model.md tells how."
    )


def test_without_any_tool_the_planner_declines() -> None:
    answer = answer_of(move_for([user("list files")], []))

    assert answer.is_declined
    assert "I did nothing, because no tools are offered to this run." in answer.text
    assert "help" not in answer.text


def test_an_instruction_between_two_equal_tools_asks_which_one_is_meant() -> None:
    twins = [tool(f"notes_{side}", "Show notes.", {}) for side in ("left", "right")]

    answer = answer_of(move_for([user("show notes")], twins))

    assert answer.is_declined
    assert "it could mean notes_left or notes_right" in answer.text


def test_only_the_last_instruction_of_a_conversation_counts() -> None:
    earlier = [user("list files"), *came_back("files_list", '["a"]')]
    said = ChatMessage(role="assistant", content="There is one file.")

    move = move_for([*earlier, said, user("calculate 1 + 1")], TOOLS)

    assert call_of(move) == ("calculate", {"expression": "1 + 1"})


@pytest.mark.parametrize(
    "instruction",
    [
        "calculate 1 + 1, then make a slug of 'A B'. Then list files",
        "calculate 1 + 1\nmake a slug of 'A B'\nlist files",
        'calculate {"expression": "1 + 1"} text_slug {"text": "A B"} and files_list {}',
        'first calculate 1 + 1 and then text_slug {"text": "A B"}; list files',
    ],
)
def test_steps_are_called_in_order_and_their_results_told_at_the_end(instruction: str) -> None:
    context = [user(instruction)]
    asked: list[tuple[str, Any]] = []

    for result in ('{"value": 2}', '"a-b"', '["x.txt"]'):
        name, arguments = call_of(move_for(context, TOOLS))
        asked.append((name, arguments))
        context += answered(name, json.dumps(arguments), result)
    answer = answer_of(move_for(context, TOOLS))

    assert asked == [
        ("calculate", {"expression": "1 + 1"}),
        ("text_slug", {"text": "A B"}),
        ("files_list", {}),
    ]
    assert answer == Answer(text=('1. 1 + 1 = 2\n2. a-b\n3. files_list: ["x.txt"]'))


@pytest.mark.parametrize("content", ["a,b\n1,2", '"a,b\\n1,2"', '{"text": "a,b\\n1,2", "size": 7}'])
def test_a_later_step_can_work_on_the_result_before_it(content: str) -> None:
    context = [user("read data.csv then parse it as csv"), *came_back("files_read", content)]

    move = move_for(context, TOOLS)

    assert call_of(move) == ("csv_read", {"text": "a,b\n1,2"})


@pytest.mark.parametrize("empty", ["", '""', "{}", "null"])
def test_a_step_that_cannot_work_on_an_empty_result_is_not_called(empty: str) -> None:
    context = [user("read data.csv then parse it as csv"), *came_back("files_read", empty)]

    answer = answer_of(move_for(context, TOOLS))

    assert answer.text == (
        "files_read found nothing to return.\n"
        "That result is nothing that csv_read could work on, so I stopped there.\n"
        "Not done: csv_read."
    )
    assert answer.reason is FinishReason.STUCK


def test_a_failed_call_ends_the_plan_and_is_said_plainly() -> None:
    context = [
        user("read gone.txt then list files"),
        *came_back("files_read", "There is no file gone.txt.", failed=True),
    ]

    answer = answer_of(move_for(context, TOOLS))

    assert answer == Answer(
        text=(
            "files_read failed: There is no file gone.txt.\nI stopped there.\nNot done: files_list."
        ),
        reason=FinishReason.STUCK,
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"result": 4}', "pages_find: 4."),
        ('{"words": 5, "longest_word": "quick"}', "pages_find: words 5, longest word quick."),
        ('{"equal": true, "changes": []}', "pages_find: equal true, changes none."),
        (
            '{"text": "a,b\\n1,2", "next_offset": null, "size_bytes": 7}',
            "pages_find returned (next offset none, size bytes 7):\n```\na,b\n1,2\n```",
        ),
        ("true", "pages_find: true."),
        ("[]", "pages_find found nothing to return."),
        ("plain words", "pages_find: plain words"),
        ("two\nlines", "pages_find returned:\n```\ntwo\nlines\n```"),
        ('{"rows": [1]}', 'pages_find: {"rows": [1]}'),
        (
            json.dumps({"rows": ["a" * 150]}),
            'pages_find returned:\n```json\n{\n  "rows": [\n    "' + "a" * 150 + '"\n  ]\n}\n```',
        ),
        (
            json.dumps("a" * 5_000),
            f"pages_find returned:\n```\n{'a' * 4_000}\n```\n(4,000 of 5,000 characters shown.)",
        ),
    ],
)
def test_results_are_told_inline_when_short_and_fenced_when_long(content: str, said: str) -> None:
    context = [user("pages_find {}"), *came_back("pages_find", content)]

    answer = answer_of(move_for(context, [tool("pages_find", "Find pages.", {})]))

    assert answer.text == said


def test_arguments_behind_references_and_nullable_types_are_understood() -> None:
    schema = {
        "type": "object",
        "$defs": {"Mode": {"enum": ["fast", "slow"], "type": "string"}},
        "properties": {
            "mode": {"$ref": "#/$defs/Mode"},
            "limit": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        },
        "required": ["mode"],
    }
    engine = ToolSpec(name="engine_tune", description="Tune the engine.", input_schema=schema)

    move = move_for([user("tune the engine slow limit=4")], [engine])

    assert call_of(move) == ("engine_tune", {"mode": "slow", "limit": 4})


@pytest.mark.parametrize(
    "noise",
    [
        "“" * 90_000,
        "[" * 90_000,
        '["' * 45_000,
        "'a " * 1_300,
        "a:/" * 1_300,
        "1+a" * 1_300,
        "-" * 3_900,
        '"a" {} ' * 12_000,
    ],
)
def test_hostile_texts_are_declined_rather_than_chewed_on(noise: str) -> None:
    answer = answer_of(move_for([user(f"read {noise}")], TOOLS))

    assert answer.is_declined
