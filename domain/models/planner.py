"""The offline planner: instructions to tool calls, without a language model.

Pure and deterministic: the plan is made anew from the instruction each time, and the results that
have come back say how far it is carried out. It rather declines than guesses.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.models.answers import declined, failed_answer, final_answer
from domain.models.choosing import plain_step, quoted
from domain.models.draft import Earlier, Scene
from domain.models.due_times import UnclearScheduleError
from domain.models.earlier import with_earlier
from domain.models.explicit import Declined, Step, explicit_steps, named_tool, written_call
from domain.models.literals import Reading
from domain.models.matching import ToolIndex
from domain.models.memory_words import (
    SpokenMemory,
    SpokenRecall,
    asks_to_remember,
    memory_in,
    personal_question,
    recall_in,
)
from domain.models.parameters import Kind
from domain.models.ports import ChatMessage, ToolSpec
from domain.models.schedule_words import asks_for_schedule, begins_schedule, schedule_in
from domain.models.spelling import respelled_lead
from domain.models.steps import conjuncts, parts, segments, sentences, text_start
from domain.models.talk import talk

MAX_CHARS = 100_000
MAX_BARE_CHARS = 4_000
MAX_VALUES = 200
MAX_STEPS = 20


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


def next_move(
    messages: Sequence[ChatMessage], index: ToolIndex, *, now: datetime
) -> PlannedCall | Answer:
    """The next call of the last instruction's plan, or the words that end it."""
    instruction, results = _turn(messages)
    if not results and (said := talk(instruction, index)) is not None:
        return Answer(text=said)
    try:
        steps = _Plan(index, now).steps(instruction)
    except Declined as refusal:
        if results:
            return Answer(text=f"{final_answer(messages)}\nI cannot go on: {refusal.reason}.")
        offered = [tool.spec for tool in index.tools]
        return Answer(text=declined(refusal.reason, refusal.nearest, offered), is_declined=True)
    if results and results[-1].failed:
        undone = [step.tool.name for step in steps[len(results) :]]
        return Answer(text=failed_answer(messages, undone))
    if len(results) >= len(steps):
        return Answer(text=final_answer(messages))
    step = steps[len(results)]
    arguments = with_earlier(step.arguments, results[-1].content) if results else step.arguments
    if arguments is None:
        return Answer(text=failed_answer(messages, [step.tool.name], unusable=True))
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


class _Plan:
    """Makes the steps of one instruction."""

    def __init__(self, index: ToolIndex, now: datetime) -> None:
        self._index = index
        self._now = now

    def steps(self, instruction: str) -> list[Step]:
        """All steps, in order; raises Declined unless every one of them is clear."""
        if not self._index.tools:
            raise Declined("no tools are offered to this run")
        explicit = explicit_steps(instruction, self._index)
        if explicit is not None:
            return explicit
        _check_length(instruction)
        instruction = respelled_lead(instruction)
        listed = segments(instruction)
        if len(listed) > MAX_STEPS:
            message = f"it has more than {MAX_STEPS} steps"
            raise Declined(message)
        steps: list[Step] = []
        for segment in listed:
            steps += self._segment(segment, later=bool(steps))
        if not steps:
            raise Declined("it is empty")
        if len(steps) > MAX_STEPS:
            message = f"it has more than {MAX_STEPS} steps"
            raise Declined(message)
        return steps

    def _segment(self, text: str, *, later: bool) -> list[Step]:
        """The steps of a line: sentence by sentence where each is clear by itself."""
        explicit = explicit_steps(text, self._index)
        if explicit is not None:
            return explicit
        said = sentences(text)
        if len(said) < 2 or text_start(text) < len(said[0]):
            return self._sentence(said[0] if len(said) == 1 else text, later=later)
        steps: list[Step] = []
        current = said[0]
        try:
            for following in said[1:]:
                if self._belongs(current, following):
                    current = f"{current}. {following}"
                    continue
                steps += self._sentence(current, later=later or bool(steps))
                current = following
            return steps + self._sentence(current, later=later or bool(steps))
        except Declined:
            whole = self._maybe(text, later=later)
            if whole is None:
                raise
            return whole

    def _belongs(self, current: str, following: str) -> bool:
        """Tell whether a sentence goes on with what is to be done later or remembered."""
        if begins_schedule(current) and following.lower().startswith(("then", "after", "and ")):
            return True
        swallows = begins_schedule(current) or asks_to_remember(current)
        return swallows and self._maybe(following, later=True) is None

    def _maybe(self, text: str, *, later: bool) -> list[Step] | None:
        try:
            return self._sentence(text, later=later)
        except Declined:
            return None

    def _sentence(self, text: str, *, later: bool) -> list[Step]:
        """The steps of a sentence, joined by "then"; work for later keeps its own "then"."""
        joined = parts(text)
        steps: list[Step] = []
        at = 0
        for place, part in enumerate(joined):
            at = text.find(part, at)
            rest = text[at:]
            is_last = place == len(joined) - 1
            swallows = begins_schedule(part) or (
                asks_to_remember(part) and not self._all_clear(joined[place + 1 :])
            )
            if swallows and not is_last:
                return steps + self._clause(rest, later=later or bool(steps))
            try:
                steps += self._clause(part, later=later or bool(steps))
            except Declined:
                if place == 0 and not is_last and asks_for_schedule(text):
                    return self._clause(text, later=later)
                raise
            at += len(part)
        return steps

    def _all_clear(self, clauses: Sequence[str]) -> bool:
        return all(self._maybe(clause, later=True) is not None for clause in clauses)

    def _clause(self, clause: str, *, later: bool) -> list[Step]:
        """The steps of one clause, most often one."""
        explicit = explicit_steps(clause, self._index)
        if explicit is not None:
            return explicit
        if (call := written_call(clause, self._index)) is not None:
            return [call]
        if (step := self._special(clause)) is not None:
            return [step]
        pieces = conjuncts(clause, self._index.leads)
        if len(pieces) > 1 and (steps := self._pieces(pieces, later=later)) is not None:
            return steps
        return [self._plain(clause, later=later)]

    def _pieces(self, pieces: Sequence[str], *, later: bool) -> list[Step] | None:
        steps: list[Step] = []
        for piece in pieces:
            try:
                steps += self._clause(piece, later=later or bool(steps))
            except Declined:
                return None
        return steps

    def _special(self, clause: str) -> Step | None:
        """Work for later, remembering and recalling have a grammar of their own."""
        memory = memory_in(clause)
        if memory is not None and self._index.named("remember"):
            return self._remember(memory)
        try:
            task = schedule_in(clause, self._now)
        except UnclearScheduleError as unclear:
            scheduler = self._scheduler()
            message = f"{quoted(clause)} asks for something later, but {unclear}"
            raise Declined(message, [] if scheduler is None else [scheduler]) from unclear
        if task is not None:
            scheduler = self._scheduler()
            if scheduler is None:
                raise Declined("no tool for work later is offered to this run")
            given = {"name": task.name, "instruction": task.instruction, **task.when}
            return Step(tool=scheduler, arguments=given)
        if (wanted := recall_in(clause)) is not None:
            return self._recall(wanted)
        return None

    def _scheduler(self) -> ToolSpec | None:
        return next((each.spec for each in self._index.tools if each.schedules), None)

    def _remember(self, memory: SpokenMemory) -> Step | None:
        tool = self._index.named("remember")
        if tool is None:
            return None
        content = Earlier(kind=Kind.TEXT) if memory.content is None else memory.content
        given = {"content": content, "kind": memory.kind, "metadata": memory.metadata}
        return Step(tool=tool, arguments={k: v for k, v in given.items() if v is not None})

    def _recall(self, wanted: SpokenRecall) -> Step | None:
        tool = self._index.named("recall")
        if tool is None:
            return None
        given = {
            "query": wanted.query,
            "kinds": list(wanted.kinds) or None,
            "limit": wanted.limit,
        }
        return Step(tool=tool, arguments={k: v for k, v in given.items() if v is not None})

    def _plain(self, clause: str, *, later: bool) -> Step:
        named = named_tool(clause, self._index)
        among = [
            each
            for each in self._index.tools
            if (each.spec is named if named is not None else not each.has_grammar)
        ]
        try:
            return plain_step(
                clause, self._index, Scene(now=self._now, has_earlier=later), among=among
            )
        except Declined:
            question = personal_question(clause)
            step = None if question is None else self._recall(question)
            if step is None:
                raise
            return step


def _check_length(instruction: str) -> None:
    if len(instruction) > MAX_CHARS:
        message = f"it has more than {MAX_CHARS:,} characters"
        raise Declined(message)
    reading = Reading(instruction)
    bare = reading.bare
    if len(reading.quotes) + len(reading.json_values) > MAX_VALUES:
        message = f"it has more than {MAX_VALUES} quoted texts and JSON values"
        raise Declined(message)
    if len(bare) - bare.count("\0") > MAX_BARE_CHARS:
        message = f"it has more than {MAX_BARE_CHARS:,} characters outside quotes"
        raise Declined(message)
