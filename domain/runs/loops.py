"""Whether an agent goes round in circles. Pure: the talk so far in, the complaint out.

It looks at what was said and done since the last words of a person, which a worker that takes the
run over reads from the recorded steps, so that the count survives it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import orjson

from domain.models.ports import ChatMessage

MOST_EQUAL = 3
"""Equal failing calls, or equal answers with equal results, that are let pass in a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    """One call with its result; equal ones did the same and came to the same."""

    name: str
    arguments: str
    result: str
    failed: bool


def loop_of(messages: Sequence[ChatMessage]) -> str | None:
    """Say what the agent repeats without getting anywhere; None when it gets on."""
    failing = list(islice(_calls_backwards(messages), MOST_EQUAL))
    if len(failing) == MOST_EQUAL and all(
        call.failed and (call.name, call.arguments) == (failing[0].name, failing[0].arguments)
        for call in failing
    ):
        return (
            f"The agent called {failing[0].name} {MOST_EQUAL} times in a row with the same"
            f" arguments, and it failed each time: {_short(failing[0].result)} Change what the"
            " instruction gives for its arguments, or leave the tool out of allowedTools."
        )
    answers = list(islice(_answers_backwards(messages), MOST_EQUAL))
    if len(answers) == MOST_EQUAL and answers.count(answers[0]) == MOST_EQUAL:
        names = ", ".join(dict.fromkeys(call.name for call in answers[0]))
        return (
            f"The agent gave the same answer {MOST_EQUAL} times in a row: calls of {names} with the"
            " same arguments, which returned the same each time. Say in the instruction what to do"
            " with that result, or what to do when it does not change."
        )
    return None


def _calls_backwards(messages: Sequence[ChatMessage]) -> Iterator[_Done]:
    for answer in _answers_backwards(messages):
        yield from reversed(answer)


def _answers_backwards(messages: Sequence[ChatMessage]) -> Iterator[tuple[_Done, ...]]:
    """Yield the calls of each answer that has them all, the latest answer first."""
    results: dict[str, ChatMessage] = {}
    for message in reversed(messages):
        if message.role == "user":
            return
        if message.role == "tool":
            results[message.tool_call_id or ""] = message
        elif message.tool_calls:
            done = [
                _Done(
                    name=call.name,
                    arguments=_canonical(call.arguments),
                    result=results[call.id].content,
                    failed=results[call.id].failed,
                )
                for call in message.tool_calls
                if call.id in results
            ]
            if len(done) == len(message.tool_calls):
                yield tuple(done)
            results = {}


def _canonical(arguments: str) -> str:
    """Equal text for equal arguments, however they were written."""
    try:
        parsed = orjson.loads(arguments or "{}")
    except orjson.JSONDecodeError:
        return arguments
    return orjson.dumps(parsed, option=orjson.OPT_SORT_KEYS).decode()


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 200 else f"{line[:197]}..."
