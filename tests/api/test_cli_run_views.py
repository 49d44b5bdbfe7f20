"""What a person sees of a run: the answer alone on standard output, and beside it what happens."""

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from app.cli.run.screen import Screen
from app.cli.run.views import JsonView, PeopleView
from app.cli.run.wording import call_words, one_line, safe_text, time_words

Item = Mapping[str, Any]

USAGE = {
    "inputTokens": 1200,
    "outputTokens": 34,
    "cachedTokens": 1000,
    "reasoningTokens": 0,
    "modelCalls": 2,
    "toolCalls": 1,
    "costUsd": 0.00123,
}
RUN: Item = {
    "id": "run_1",
    "status": "SUCCEEDED",
    "statusReason": None,
    "output": "It is 42.",
    "error": None,
    "usage": USAGE,
    "offline": False,
    "traceId": "t1",
    "startedAt": "2026-11-23T03:00:00.000Z",
    "finishedAt": "2026-11-23T03:00:01.500Z",
}
CALL = {"expression": "6 * 7"}
STORY: Sequence[Item] = [
    {"type": "RunStarted"},
    {"type": "ToolCallStarted", "stepId": "s2", "toolName": "calculate", "arguments": CALL},
    {
        "type": "ToolCallFinished",
        "stepId": "s2",
        "toolName": "calculate",
        "status": "SUCCEEDED",
        "result": {"value": 42},
        "error": None,
        "durationMs": 3,
    },
    {"type": "TokenDelta", "stepId": "s3", "text": "It is "},
    {"type": "TokenDelta", "stepId": "s3", "text": "42."},
    {"type": "SomethingNew"},
    {"type": "Heartbeat"},
]
LATER = "2026-11-23T04:00:00.000Z"
WORKER_LOST = {"code": "WORKER_LOST", "message": "The worker was lost.", "retryable": True}


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def told(output: io.StringIO, errors: io.StringIO, story: Sequence[Item], run: Item) -> None:
    view = PeopleView(Screen(output, errors, has_color=False))
    view.started({"id": "run_1", "status": "QUEUED"})
    for item in story:
        view.show(item)
    view.ended(run)
    view.close()


def test_a_pipe_gets_the_answer_and_nothing_else():
    output, errors = io.StringIO(), io.StringIO()

    told(output, errors, STORY, RUN)

    assert output.getvalue() == "It is 42.\n"
    assert errors.getvalue() == (
        "Run run_1.\n"
        'Calling calculate(expression="6 * 7").\n'
        '  calculate(expression="6 * 7") -> {"value":42} (3 ms)\n'
        "Succeeded after 1.5 s: 2 model calls, 1 tool call, 1,200 tokens in (1,000 cached), "
        "34 out, $0.0012.\n"
    )


def test_a_terminal_shows_the_answer_apart_from_what_happens():
    screen = Terminal()

    told(screen, screen, STORY, RUN)

    assert screen.getvalue() == (
        "Run run_1.\n"
        '  calculate(expression="6 * 7") -> {"value":42} (3 ms)\n'
        "\n"
        "It is 42.\n"
        "\n"
        "Succeeded after 1.5 s: 2 model calls, 1 tool call, 1,200 tokens in (1,000 cached), "
        "34 out, $0.0012.\n"
    )


def test_runs_below_are_told_in_lines_of_their_agent():
    output, errors = io.StringIO(), io.StringIO()
    child = {"id": "run_2", "agent": "writer"}
    below = {"runId": "run_2", "depth": 1}
    failed = {"message": "It has no words.", "code": "TOOL_FAILED", "retryable": False}
    story = [
        {"type": "DelegationStarted", "depth": 0, "child": child},
        {"type": "RunStarted", **below},
        {"type": "TokenDelta", **below, "stepId": "s9", "text": "A poem."},
        *({**item, **below} for item in STORY[1:3]),
        {
            "type": "DelegationStarted",
            **below,
            "child": {"id": "run_3", "agent": "muse"},
        },
        {"type": "RunFailed", "runId": "run_3", "depth": 2, "error": failed, "output": None},
        {"type": "RunFinished", **below, "status": "SUCCEEDED", "output": "A\npoem."},
        {"type": "DelegationFinished", "depth": 0, "child": child, "status": "SUCCEEDED"},
        *STORY[3:5],
    ]

    told(output, errors, story, RUN)

    assert output.getvalue() == "It is 42.\n"
    assert errors.getvalue().splitlines()[1:-1] == [
        "Asking writer.",
        '  writer: calculate(expression="6 * 7") -> {"value":42} (3 ms)',
        "  Asking muse.",
        "    muse failed: It has no words.",
        "  writer: A poem.",
    ]


def retrying(voided: str | None) -> Item:
    delay = {"attempt": 2, "delayMs": 500, "error": WORKER_LOST}
    return {"type": "Retrying", "voidedStepId": voided, **delay}


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
def test_text_that_became_void_is_told_and_no_part_of_the_answer(stream: type[io.StringIO]):
    output, errors = stream(), io.StringIO()
    story = [
        {"type": "TokenDelta", "stepId": "s1", "text": "It was"},
        retrying("s1"),
        {"type": "TokenDelta", "stepId": "s2", "text": "It is 42."},
    ]

    told(output, errors, story, RUN)

    assert output.getvalue().splitlines()[-1].endswith("It is 42.")
    assert output.getvalue().count("It is 42.") == 1
    assert ("It was" in output.getvalue()) is output.isatty()
    assert "What the answer said so far is void (The worker was lost)." in errors.getvalue()
    assert "Trying again in 500 ms.\n" in errors.getvalue()


def test_a_try_that_said_nothing_is_only_told():
    output, errors = io.StringIO(), io.StringIO()

    told(output, errors, [retrying(None), *STORY], RUN)

    assert output.getvalue() == "It is 42.\n"
    assert "The worker was lost. Trying again in 500 ms, attempt 2.\n" in errors.getvalue()


def test_a_failure_names_its_cure():
    output, errors = io.StringIO(), io.StringIO()
    error = {"code": "MODEL_UNAVAILABLE", "message": "openai answered HTTP 401: no"}
    failed = {**RUN, "status": "FAILED", "output": "Half", "error": error, "offline": True}

    told(output, errors, [], failed)

    assert output.getvalue() == "Half\n"
    assert errors.getvalue().splitlines()[1:] == [
        "The run failed: openai answered HTTP 401: no",
        "`gob doctor` asks the model and says what to do.",
        "Failed after 1.5 s: 2 model calls, 1 tool call, offline.",
    ]


def test_an_answer_that_is_the_failure_is_not_said_twice():
    output, errors = io.StringIO(), io.StringIO()
    error = {"code": "MODEL_REFUSED", "message": "I did\nnothing."}
    failed = {**RUN, "status": "FAILED", "output": "I did\nnothing.", "error": error}

    told(output, errors, [], failed)

    assert output.getvalue() == "I did\nnothing.\n"
    assert errors.getvalue().splitlines()[1] == "The run failed; the answer says why."


def test_a_question_says_what_it_is_about_and_how_to_answer_it():
    asked = {
        "id": "approval_1",
        "toolName": "calculate",
        "arguments": CALL,
        "reason": "A rule asks.",
        "expiresAt": LATER,
        "status": "PENDING",
        "decidedBy": None,
        "decisionReason": None,
    }
    denied = {**asked, "status": "DENIED", "decidedBy": "ada", "decisionReason": "Not today."}
    errors = io.StringIO()
    story = [
        {"type": "ApprovalRequested", "approval": asked},
        {"type": "ApprovalResolved", "approval": denied},
    ]

    told(io.StringIO(), errors, story, RUN)

    assert errors.getvalue().splitlines()[1:-1] == [
        'A person is asked: may calculate(expression="6 * 7") go ahead? A rule asks.',
        f"Decide with decideApproval and the id approval_1 until {LATER}; silence denies.",
        "The call of calculate is denied by ada: Not today.",
    ]


def test_a_call_that_failed_says_why():
    errors = io.StringIO()
    failed = {**STORY[2], "status": "FAILED", "result": None, "error": {"message": "No\nfile."}}

    told(io.StringIO(), errors, [STORY[1], failed], RUN)

    assert '  calculate(expression="6 * 7") failed: No file. (3 ms)\n' in errors.getvalue()


def test_an_unknown_price_is_said_to_be_unknown():
    errors = io.StringIO()

    told(io.StringIO(), errors, [], {**RUN, "usage": {**USAGE, "costUsd": None}})

    assert errors.getvalue().endswith("34 out, price unknown.\n")


def test_reasoning_is_shown_to_people_only():
    thought = {"type": "ReasoningDelta", "stepId": "s1", "text": "Hm."}
    screen, output, errors = Terminal(), io.StringIO(), io.StringIO()

    told(screen, screen, [thought, *STORY[3:]], RUN)
    told(output, errors, [thought, *STORY[3:]], RUN)

    assert "Run run_1.\nHm.\n\nIt is 42.\n" in screen.getvalue()
    assert "Hm." not in output.getvalue() + errors.getvalue()


def test_a_terminal_obeys_no_letters_of_a_model():
    screen = Terminal()
    text = "safe\x1b]0;title\x07\x9b2Jend"
    story = [{"type": "TokenDelta", "stepId": "s1", "text": text}]

    told(screen, screen, story, {**RUN, "output": text})

    assert not set("\x1b\x07\x9b") & set(screen.getvalue())
    assert screen.getvalue().count("end") == 1


def test_a_status_line_is_drawn_after_a_moment_and_taken_away():
    screen = Terminal()
    view = PeopleView(Screen(screen, screen, quiet_s=0.0))
    view.started({"id": "run_1", "status": "QUEUED"})

    view.tick()
    drawn = screen.getvalue()
    view.cancelling()
    view.show(STORY[0])
    view.tick()
    view.close()

    assert "/ waiting for its turn" in drawn
    assert "- cancelling; Ctrl-C again leaves at once" in screen.getvalue()
    assert screen.getvalue().endswith("\r\x1b[2K")


def test_a_terminal_that_cannot_take_back_a_line_gets_none():
    screen = Terminal()
    view = PeopleView(Screen(screen, screen, is_dumb=True, quiet_s=0.0))

    view.started({"id": "run_1", "status": "RUNNING"})
    view.tick()
    view.close()

    assert screen.getvalue() == "Run run_1.\n"


def test_json_lines_are_the_events_and_last_the_run():
    output, errors = io.StringIO(), io.StringIO()
    view = JsonView(output, errors)

    view.note("Asking.")
    view.started(RUN)
    for item in STORY:
        view.show(item)
    view.ended(RUN)

    assert [json.loads(line) for line in output.getvalue().splitlines()] == [*STORY[:-1], RUN]
    assert errors.getvalue() == "Asking.\n"


def test_json_lines_hold_no_letter_that_a_terminal_obeys():
    output = io.StringIO()
    item = {"type": "TokenDelta", "stepId": "s1", "text": "\x1b[2J\x9b2Jü"}

    JsonView(output, output).show(item)

    assert not set("\x1b\x9b") & set(output.getvalue())
    assert json.loads(output.getvalue()) == item


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [(0, "0 ms"), (999, "999 ms"), (1500, "1.5 s"), (61_000, "1 min 1 s")],
)
def test_a_time_has_the_unit_that_fits(milliseconds: float, words: str):
    assert time_words(milliseconds) == words


def test_long_calls_stay_on_a_line():
    arguments = {"text": "a" * 500, "path": "notes.txt"}

    words = call_words("files_write", arguments, 80)

    assert len(words) <= 80
    assert words.startswith('files_write(text="aaa')
    assert 'path="notes.txt"' in words


def test_short_arguments_of_a_call_leave_their_room_to_long_ones():
    arguments = {"cron": "0 9 * * mon-fri", "timezone": "Europe/Berlin", "instruction": "b" * 90}

    words = call_words("schedule_task", arguments, 133)

    assert words == (
        'schedule_task(cron="0 9 * * mon-fri", timezone="Europe/Berlin",'
        f' instruction="{"b" * 38}...{"b" * 13}")'
    )


def test_a_line_keeps_its_beginning_and_its_end():
    assert one_line("abc\ndefghijklmnop", 12) == "abc de...nop"
    assert safe_text("a\tb\r\nc\x00") == "a\tb\nc\N{REPLACEMENT CHARACTER}"
