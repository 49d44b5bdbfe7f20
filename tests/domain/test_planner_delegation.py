"""The offline planner hands work to other agents when they are named."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.models.offline.matching import ToolIndex
from domain.models.offline.planner import Answer, PlannedCall, next_move
from domain.models.ports import ChatMessage, ToolCall
from domain.runs.delegate_call import Delegate, spec_of
from tests.domain.planner_tools import shipped_tools

NOW = datetime(2026, 1, 5, 8, tzinfo=UTC)


def named(slug: str, name: str = "") -> Delegate:
    return Delegate(
        id=slug, slug=slug, name=name or slug, description="Works.", version=1, is_archived=False
    )


DELEGATE = spec_of(
    [named("researcher"), named("writer"), named("fact-checker"), named("a1", "Anna")]
)
INDEX = ToolIndex([*shipped_tools(), DELEGATE])


def plan(instruction: str, *results: str) -> list[tuple[str, Any]]:
    """The next calls by tool and arguments, after these results."""
    messages = [ChatMessage(role="user", content=instruction)]
    for result in results:
        messages += played(messages, [result])
    move = next_move(messages, INDEX, now=NOW)
    assert isinstance(move, PlannedCall)
    return [(call.tool, json.loads(call.arguments)) for call in (move, *move.beside)]


def words(instruction: str) -> str:
    """What is said instead of a call."""
    move = next_move([ChatMessage(role="user", content=instruction)], INDEX, now=NOW)
    assert isinstance(move, Answer)
    return move.text


def played(messages: Sequence[ChatMessage], results: Sequence[str]) -> list[ChatMessage]:
    """The next calls of a plan with what they came to."""
    move = next_move(messages, INDEX, now=NOW)
    assert isinstance(move, PlannedCall)
    made = [
        ToolCall(id=f"{len(messages)}.{place}", name=call.tool, arguments=call.arguments)
        for place, call in enumerate((move, *move.beside))
    ]
    told = [
        ChatMessage(role="tool", content=result, tool_call_id=call.id, tool_name=call.name)
        for call, result in zip(made, results, strict=True)
    ]
    return [ChatMessage(role="assistant", tool_calls=tuple(made)), *told]


def asked(agent: str, instruction: str) -> tuple[str, Any]:
    return ("delegate", {"agent": agent, "instruction": instruction})


def answered(output: str) -> str:
    return json.dumps({"runId": "r", "status": "SUCCEEDED", "output": output})


@pytest.mark.parametrize(
    ("said", "calls"),
    [
        ("Ask the researcher to list the files", [asked("researcher", "list the files")]),
        ("please have our writer list the files.", [asked("writer", "list the files")]),
        ("Researcher: list the files", [asked("researcher", "list the files")]),
        ("@writer list the files", [asked("writer", "list the files")]),
        ('Writer, hash "abc"', [asked("writer", 'hash "abc"')]),
        ("tell Anna to list the files", [asked("a1", "list the files")]),
        ("use the fact checker to list the files", [asked("fact-checker", "list the files")]),
        ('Delegate "list the files" to the writer', [asked("writer", "list the files")]),
        ("give the writer the task to list the files", [asked("writer", "list the files")]),
        (
            "ask the writer to list the files and tell me the result",
            [asked("writer", "list the files")],
        ),
        (
            "ask the writer to list the files, then hash 'x'",
            [asked("writer", "list the files, then hash 'x'")],
        ),
        (
            'Let Writer and Fact Checker count the words in "a b"',
            [
                asked("writer", 'count the words in "a b"'),
                asked("fact-checker", 'count the words in "a b"'),
            ],
        ),
        (
            'Let the writer hash "writer and anna" and Anna calculate 1+1',
            [asked("writer", 'hash "writer and anna"'), asked("a1", "calculate 1+1")],
        ),
        (
            'have the researcher list the files, the writer hash "a", and anna calculate 1+1',
            [
                asked("researcher", "list the files"),
                asked("writer", 'hash "a"'),
                asked("a1", "calculate 1+1"),
            ],
        ),
        (
            'delegate {"agent": "writer", "instruction": "x", "limits": {"maxSteps": 2}}',
            [
                (
                    "delegate",
                    {"agent": "writer", "instruction": "x", "limits": {"maxSteps": 2}},
                )
            ],
        ),
    ],
)
def test_an_agent_that_is_named_is_asked(said: str, calls: list[tuple[str, Any]]):
    assert plan(said) == calls


@pytest.mark.parametrize(
    "said",
    [
        "Don't ask the writer to list the files",
        "Should I ask the writer to list the files?",
        "I asked the writer to list the files",
        "If it rains ask the writer to list the files",
        "The writer has listed the files",
    ],
)
def test_nobody_is_asked_where_the_words_do_not_ask_for_it(said: str):
    move = next_move([ChatMessage(role="user", content=said)], INDEX, now=NOW)

    assert isinstance(move, Answer)
    assert move.is_declined


def test_who_is_not_there_is_not_asked():
    said = words("Ask the plumber to fix it")

    assert "there is no agent called plumber that I may ask; I can ask researcher, writer" in said


def test_without_an_instruction_nobody_is_asked():
    assert "it does not say what writer should do" in words("Ask the writer.")


def test_work_for_later_is_scheduled_with_its_words():
    [(tool, given)] = plan("Every weekday at 9 ask the writer to list the files")

    assert (tool, given["instruction"]) == ("schedule_task", "ask the writer to list the files")


def test_what_is_to_be_remembered_of_an_agent_is_remembered():
    [(tool, given)] = plan("Remember that the writer likes tea")

    assert (tool, given["content"]) == ("remember", "the writer likes tea")


def test_a_step_after_it_takes_its_answer():
    said = "Ask the researcher to list the files, then ask the writer to count the words in it"

    assert plan(said) == [asked("researcher", "list the files")]
    assert plan(said, answered("a b")) == [asked("writer", 'count the words in "a b"')]
    assert plan(said, answered("a\nb")) == [asked("writer", "count the words in ```\na\nb\n```")]


def test_a_step_after_several_takes_all_their_answers():
    said = 'Let writer and anna hash "x", then ask the researcher to compare their answers'
    messages = [ChatMessage(role="user", content=said)]
    messages += played(messages, [answered("one"), answered("two")])

    move = next_move(messages, INDEX, now=NOW)

    assert isinstance(move, PlannedCall)
    assert json.loads(move.arguments)["instruction"] == "compare ```\none\ntwo\n```"


def test_answers_are_told_by_who_gave_them():
    messages = [ChatMessage(role="user", content='let writer and anna hash "x"')]
    messages += played(messages, [answered("one"), answered("two\nthree")])

    move = next_move(messages, INDEX, now=NOW)

    assert isinstance(move, Answer)
    assert move.text == "1. writer: one\n2. a1:\ntwo\nthree"


def test_help_names_somebody_to_ask():
    assert "- Ask researcher to list the files" in words("help")


def test_an_agent_without_tools_of_its_own_can_still_ask():
    index = ToolIndex([DELEGATE])
    messages = [ChatMessage(role="user", content="ask the writer to list the files")]

    move = next_move(messages, index, now=NOW)

    assert isinstance(move, PlannedCall)
    assert index.holds([DELEGATE])
