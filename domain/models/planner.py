"""The offline planner: instructions to tool calls, without a language model.

Pure and deterministic: the plan is made anew from the instruction each time, and the results that
have come back say how far it is carried out. It rather declines than guesses.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from domain.models.answers import (
    declined,
    failed_answer,
    final_answer,
    needs_more,
    usable_result,
)
from domain.models.arguments import Earlier, Filling, fill
from domain.models.literals import Reading, json_at, split_clauses
from domain.models.matching import IndexedTool, Match, ToolIndex
from domain.models.ports import ChatMessage, ToolSpec
from domain.models.wording import (
    ACTIONS,
    FILLERS,
    STOP_WORDS,
    is_conditional,
    is_negated,
    is_open_question,
    stem,
    stems,
    words,
)

MAX_CHARS = 100_000
MAX_BARE_CHARS = 4_000
MAX_STEPS = 20

_CLEAR_SCORE = 0.5
_STRONG_EVIDENCE = 0.8
_AHEAD = 1.03
_AHEAD_TO_WRITE = 1.25
_FAR_AHEAD = 1.5
_NAME = re.compile(r"(?<![\w.])/?(?P<name>[A-Za-z_][\w.-]*)\s*(?:with\s+|:\s*)?(?=\{)")
_JOINT = re.compile(
    r"(?:[\s,;.]|\b(?:and|then|please|run|call|use|execute|the|tool)\b)*", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCall:
    """A tool to call next, its arguments as JSON."""

    tool: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Words to end the turn with; `is_declined` when nothing of the instruction was done."""

    text: str
    is_declined: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    tool: ToolSpec
    arguments: Mapping[str, Any]


class _Declined(Exception):
    """The instruction, or one step of it, is not understood well enough to act."""

    def __init__(self, reason: str, nearest: Sequence[ToolSpec] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.nearest = nearest


def next_move(messages: Sequence[ChatMessage], index: ToolIndex) -> PlannedCall | Answer:
    """The next call of the last instruction's plan, or the words that end it."""
    instruction, results = _turn(messages)
    try:
        steps = _plan(instruction, index)
    except _Declined as refusal:
        if results:
            return Answer(text=f"{final_answer(results)}\nI cannot go on: {refusal.reason}.")
        offered = [tool.spec for tool in index.tools]
        return Answer(text=declined(refusal.reason, refusal.nearest, offered), is_declined=True)
    if results and results[-1].failed:
        undone = [step.tool.name for step in steps[len(results) :]]
        return Answer(text=failed_answer(results, undone))
    if len(results) >= len(steps):
        return Answer(text=final_answer(results))
    step = steps[len(results)]
    arguments = _with_earlier(step.arguments, results)
    if arguments is None:
        return Answer(text=failed_answer(results, [step.tool.name], unusable=True))
    return PlannedCall(tool=step.tool.name, arguments=json.dumps(arguments, ensure_ascii=False))


def _turn(messages: Sequence[ChatMessage]) -> tuple[str, list[ChatMessage]]:
    """The last instruction and the results that have come back for it."""
    results: list[ChatMessage] = []
    for message in reversed(messages):
        if message.role == "user":
            return message.content.strip(), results[::-1]
        if message.role == "tool":
            results.append(message)
    return "", results[::-1]


def _with_earlier(
    arguments: Mapping[str, Any], results: Sequence[ChatMessage]
) -> Mapping[str, Any] | None:
    """Arguments with the last result where they speak of it; None if it does not fit."""
    if not any(isinstance(value, Earlier) for value in arguments.values()):
        return arguments
    earlier = usable_result(results[-1].content)
    if earlier is None:
        return None
    return {
        name: earlier if isinstance(value, Earlier) else value for name, value in arguments.items()
    }


def _plan(instruction: str, index: ToolIndex) -> list[_Step]:
    if not index.tools:
        raise _Declined("no tools are offered to this run")
    explicit = _explicit_steps(instruction, index)
    if explicit is not None:
        return explicit
    bare = Reading(instruction).bare if len(instruction) <= MAX_CHARS else instruction
    if len(bare) - bare.count("\0") > MAX_BARE_CHARS:
        message = f"it has more than {MAX_BARE_CHARS:,} characters outside quotes"
        raise _Declined(message)
    clauses = split_clauses(instruction)
    if len(clauses) > MAX_STEPS:
        message = f"it has more than {MAX_STEPS} steps"
        raise _Declined(message)
    steps: list[_Step] = []
    for clause in clauses:
        steps.extend(
            _explicit_steps(clause, index) or [_plain_step(clause, index, later=bool(steps))]
        )
    if not steps:
        raise _Declined("it is empty")
    return steps


def _explicit_steps(text: str, index: ToolIndex) -> list[_Step] | None:
    """Calls written as `tool_name {json}`; None if the text is anything else as well."""
    by_name = {tool.spec.name: tool.spec for tool in index.tools}
    steps: list[_Step] = []
    at = _end(_JOINT.match(text, 0))
    while at < len(text):
        match = _NAME.match(text, at)
        if match is None or (match["name"] not in by_name and "_" not in match["name"]):
            return None
        if match["name"] not in by_name:
            raise _Declined(
                f"there is no tool called {match['name']}", _nearest(match["name"], index)
            )
        tool = by_name[match["name"]]
        arguments, at = _arguments_at(text, match.end(), tool)
        steps.append(_Step(tool=tool, arguments=arguments))
        at = _end(_JOINT.match(text, at))
    return steps or None


def _end(match: re.Match[str] | None) -> int:
    return 0 if match is None else match.end()


def _arguments_at(text: str, start: int, tool: ToolSpec) -> tuple[dict[str, Any], int]:
    try:
        return json_at(text, start)
    except (ValueError, RecursionError) as error:
        message = f"the arguments of {tool.name} are not valid JSON ({error})"
        raise _Declined(message, [tool]) from error


def _plain_step(clause: str, index: ToolIndex, *, later: bool) -> _Step:
    """The one tool that a clause in plain words clearly means."""
    candidates = _candidates(clause, index, later=later)
    nearest = [each.match.tool.spec for each in candidates[:3]]
    spoken = _spoken(clause)
    if is_negated(spoken) or is_conditional(spoken):
        message = f"conditions, schedules and negations are beyond me: {_quoted(clause)}"
        raise _Declined(message, nearest)
    ready = [each for each in candidates if each.is_ready]
    best = ready[0] if ready else None
    if candidates and (best is None or candidates[0].score > _FAR_AHEAD * best.score):
        first = candidates[0]
        if first.is_incomplete:
            message = needs_more(first.match.tool.spec, first.filling.missing)
            raise _Declined(message, [first.match.tool.spec])
    if best is None:
        message = f"I could not match {_quoted(clause)} to a tool"
        raise _Declined(message, nearest)
    runner_up = ready[1].score if len(ready) > 1 else 0.0
    _check_margin(best, runner_up, [each.match.tool.spec for each in ready])
    return _Step(tool=best.match.tool.spec, arguments=best.filling.values)


def _spoken(clause: str) -> str:
    """The words of a clause without its quotes, JSON, and the text after a colon."""
    return Reading(clause).bare.split(": ", 1)[0]


def _quoted(clause: str) -> str:
    shown = clause if len(clause) <= 120 else f"{clause[:117]}..."
    return f'"{shown}"'


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """A tool with the arguments the clause gives it."""

    match: Match
    filling: Filling
    score: float
    unexplained: tuple[str, ...]
    leads: bool
    """True when the clause begins with a word of the tool's name."""
    is_open_question: bool

    @property
    def is_incomplete(self) -> bool:
        """True when this tool is meant, but was not told all it needs."""
        is_meant = (self.leads or self.match.coverage == 1) and not self.is_open_question
        return bool(self.filling.missing) and is_meant and not self.unexplained

    @property
    def is_ready(self) -> bool:
        """True when nothing is missing and little is left over that it does not explain."""
        strong = bool(self.match.named) or self.filling.evidence >= _STRONG_EVIDENCE
        overlooked = len(self.unexplained) > 1 or bool(ACTIONS & set(self.unexplained))
        if self.filling.missing or not strong or overlooked or self.score < _CLEAR_SCORE:
            return False
        if not self.filling.values:
            return self.match.coverage >= 0.5 and not self.is_open_question
        is_guess = not self.filling.is_exact
        return not is_guess or (bool(self.match.distinct) and not self.is_open_question)


def _candidates(clause: str, index: ToolIndex, *, later: bool) -> list[_Candidate]:
    reading = Reading(clause)
    found = [_candidate(reading, index, tool, later=later) for tool in index.tools]
    found = [each for each in found if each.score > 0]
    return sorted(found, key=lambda each: (-each.score, each.match.tool.spec.name))


def _candidate(reading: Reading, index: ToolIndex, tool: IndexedTool, *, later: bool) -> _Candidate:
    clause = reading.text
    said = stems(clause)
    known = index.match(tool, said).matched
    filling = fill(tool.parameters, reading, explained=known, has_earlier=later)
    match = index.match(tool, stems(filling.rest))
    own = match.matched | tool.own_stems
    left = tuple(
        word
        for word in words(filling.rest)
        if word not in STOP_WORDS and word not in FILLERS and stem(word) not in own
    )
    lead = next((word for word in words(clause) if word not in STOP_WORDS | FILLERS), "")
    return _Candidate(
        match=match,
        filling=filling,
        score=match.score + filling.evidence,
        unexplained=left,
        leads=stem(lead) in tool.name_stems,
        is_open_question=is_open_question(_spoken(clause)),
    )


def _check_margin(best: _Candidate, runner_up: float, ready: Sequence[ToolSpec]) -> None:
    """Decline where another tool is about as near; before side effects, be strict."""
    tool = best.match.tool.spec
    if best.score < runner_up * _AHEAD:
        message = f"it could mean {ready[0].name} or {ready[1].name}"
        raise _Declined(message, ready[:2])
    if tool.read_only:
        return
    is_clear = best.leads and best.filling.is_exact and not best.unexplained
    if not is_clear or best.score < runner_up * _AHEAD_TO_WRITE:
        message = f"{tool.name} changes things, so I run it only when it is clearly asked for"
        raise _Declined(message, [tool])


def _nearest(text: str, index: ToolIndex) -> list[ToolSpec]:
    """Up to three tools that the words point at, the nearest first."""
    said = stems(text)
    matches = [index.match(tool, said) for tool in index.tools]
    matches = [match for match in matches if match.score > 0]
    matches.sort(key=lambda match: (-match.score, match.tool.spec.name))
    return [match.tool.spec for match in matches[:3]]
