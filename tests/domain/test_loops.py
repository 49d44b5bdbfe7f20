"""The guard against agents that go round in circles: what counts as one, and what does not."""

import pytest

from domain.models.ports import ChatMessage, ToolCall
from domain.runs.loops import loop_of

ASKED = ChatMessage(role="user", content="do it")


def turn(
    name: str, arguments: str, result: str, *, failed: bool = False, ident: str = "c1"
) -> list[ChatMessage]:
    """An answer that calls one tool, and what came of it."""
    call = ToolCall(id=ident, name=name, arguments=arguments)
    return [
        ChatMessage(role="assistant", content="", tool_calls=(call,)),
        ChatMessage(role="tool", content=result, tool_call_id=ident, tool_name=name, failed=failed),
    ]


def test_three_equal_failing_calls_in_a_row_are_a_loop_whatever_they_failed_with():
    said = [
        ASKED,
        *turn("pay", '{"amount": 1, "to": "x"}', "no money", failed=True),
        *turn("pay", '{"to":"x","amount":1}', "still none", failed=True),
        *turn("pay", '{"amount": 1, "to": "x"}', "no\n money", failed=True),
    ]

    assert loop_of(said[:-2]) is None
    assert loop_of(said) == (
        "The agent called pay 3 times in a row with the same arguments, and it failed each time:"
        " no money Change what the instruction gives for its arguments, or leave the tool out of"
        " allowedTools."
    )


def test_the_same_answer_with_the_same_result_three_times_is_a_loop():
    said = [ASKED, *turn("look", "{}", "waiting") * 3]

    assert loop_of(said[:-2]) is None
    assert loop_of(said) == (
        "The agent gave the same answer 3 times in a row: calls of look with the same arguments,"
        " which returned the same each time. Say in the instruction what to do with that result,"
        " or what to do when it does not change."
    )


@pytest.mark.parametrize(
    "said",
    [
        [],
        [ASKED],
        [ASKED, *turn("look", "{}", "1"), *turn("look", "{}", "2"), *turn("look", "{}", "3")],
        [ASKED, *[part for n in range(3) for part in turn("look", f'{{"at": {n}}}', "same")]],
        [
            ASKED,
            *turn("pay", "{}", "no", failed=True),
            *turn("pay", "{}", "no", failed=True),
            *turn("look", "{}", "x"),
            *turn("pay", "{}", "no", failed=True),
        ],
        [ASKED, *turn("pay", "{}", "no", failed=True) * 2, ASKED, *turn("pay", "{}", "no") * 1],
        [ASKED, *turn("look", "{}", "same") * 2, ASKED, *turn("look", "{}", "same")],
        [ASKED, *turn("look", "not json", "a"), *turn("look", "nor this", "a") * 2],
    ],
    ids=[
        "nothing",
        "only asked",
        "the result changes",
        "the arguments change",
        "another call between",
        "a person spoke after failures",
        "a person spoke after results",
        "arguments that are no JSON differ",
    ],
)
def test_who_gets_on_is_in_no_loop(said: list[ChatMessage]):
    assert loop_of(said) is None


def test_equal_failing_calls_within_one_answer_count_as_in_a_row():
    calls = tuple(ToolCall(id=f"c{n}", name="pay", arguments="{}") for n in range(3))
    results = [
        ChatMessage(role="tool", content="no", tool_call_id=call.id, tool_name="pay", failed=True)
        for call in calls
    ]
    answer = ChatMessage(role="assistant", content="", tool_calls=calls)

    complaint = loop_of([ASKED, answer, *results])

    assert complaint is not None
    assert complaint.startswith("The agent called pay 3 times in a row")
