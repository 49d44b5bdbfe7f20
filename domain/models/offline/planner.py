"""The offline planner: instructions to tool calls, without a language model.

Pure and deterministic: the plan is made anew from the instruction each time, and the results that
have come back say how far it is carried out. It rather declines than guesses.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast

from domain.models.offline.answers import declined, failed_answer, final_answer
from domain.models.offline.earlier import parsed, unwrapped, with_earlier
from domain.models.offline.explicit import Declined, Step
from domain.models.offline.matching import ToolIndex
from domain.models.offline.plan import Plan
from domain.models.offline.talk import talk
from domain.models.ports import INPUTS, ChatMessage, FinishReason


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCall:
    """A tool to call next, its arguments as JSON."""

    tool: str
    arguments: str
    beside: tuple["PlannedCall", ...] = ()
    """Calls that are made together with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Words to end the turn with, and why it ends."""

    text: str
    reason: FinishReason = FinishReason.STOP

    @property
    def is_declined(self) -> bool:
        """True when nothing of the instruction was done."""
        return self.reason is FinishReason.REFUSAL


def next_move(
    messages: Sequence[ChatMessage], index: ToolIndex, *, now: datetime
) -> PlannedCall | Answer:
    """The next call of the last instruction's plan, or the words that end it."""
    instruction, results = _turn(messages)
    if not results and (said := talk(instruction, index)) is not None:
        return Answer(text=said)
    try:
        steps = Plan(index, now).steps(instruction)
    except Declined as refusal:
        if results:
            text = f"{final_answer(messages)}\nI cannot go on: {refusal.reason}."
            return Answer(text=text, reason=FinishReason.STUCK)
        offered = [tool.spec for tool in index.tools]
        text = declined(_why(refusal, instruction), refusal.nearest, offered)
        return Answer(text=text, reason=FinishReason.REFUSAL)
    if any(result.failed for result in results):
        undone = [step.tool.name for step in steps[len(results) :]]
        return Answer(text=failed_answer(messages, undone), reason=FinishReason.STUCK)
    if len(results) >= len(steps):
        return Answer(text=final_answer(messages))
    earlier = _earlier(steps, results)
    calls: list[PlannedCall] = []
    for step in steps[len(results) : _group_end(steps, len(results))]:
        arguments = step.arguments if earlier is None else with_earlier(step.arguments, earlier)
        if arguments is None:
            text = failed_answer(messages, [step.tool.name], unusable=True)
            return Answer(text=text, reason=FinishReason.STUCK)
        written = json.dumps(arguments, ensure_ascii=False)
        calls.append(PlannedCall(tool=step.tool.name, arguments=written))
    return replace(calls[0], beside=tuple(calls[1:]))


def _why(refusal: Declined, instruction: str) -> str:
    """Say why nothing was done; named inputs, which follow the words, are the likely cause."""
    if INPUTS in instruction:
        return "it comes with inputs, which take a language model to be put into the words"
    return refusal.reason


def _group_end(steps: Sequence[Step], start: int) -> int:
    """Where the calls end that are made together with the one at `start`."""
    end = start + 1
    while end < len(steps) and steps[end].beside:
        end += 1
    return end


def _earlier(steps: Sequence[Step], results: Sequence[ChatMessage]) -> str | None:
    """What "it" stands for: the result of the step before, or of all that were made together."""
    if not results:
        return None
    first = len(results) - 1
    while first and steps[first].beside:
        first -= 1
    told = [unwrapped(parsed(result.content)) for result in results[first:]]
    if len(told) == 1:
        return results[-1].content
    return json.dumps([_output(each) for each in told], ensure_ascii=False)


def _output(told: object) -> object:
    return cast("dict[str, object]", told).get("output") if isinstance(told, dict) else told


def _turn(messages: Sequence[ChatMessage]) -> tuple[str, list[ChatMessage]]:
    """The last instruction and the results that have come back for it."""
    results: list[ChatMessage] = []
    for message in reversed(messages):
        if message.role == "user":
            return message.content.strip(), results[::-1]
        if message.role == "tool":
            results.append(message)
    return "", results[::-1]
