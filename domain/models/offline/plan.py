"""The steps of one instruction, each a call that its words clearly ask for."""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from domain.models.offline.choosing import plain_step, quoted
from domain.models.offline.draft import Earlier, Scene
from domain.models.offline.due_times import UnclearScheduleError
from domain.models.offline.explicit import Declined, Step, explicit_steps, named_tool, written_call
from domain.models.offline.literals import FILE, Reading
from domain.models.offline.long_values import restored, shortened
from domain.models.offline.matching import IndexedTool, ToolIndex
from domain.models.offline.memory_words import (
    SpokenMemory,
    SpokenRecall,
    asks_to_remember,
    memory_in,
    personal_question,
    recall_in,
)
from domain.models.offline.mood import asks_for_something, reads_first, request_within
from domain.models.offline.parameters import Kind
from domain.models.offline.schedule_words import asks_for_schedule, begins_schedule, schedule_in
from domain.models.offline.spelling import respelled_lead
from domain.models.offline.steps import conjuncts, elliptic, parts, segments, sentences, text_start
from domain.models.offline.task_words import care_in
from domain.models.offline.wording import is_report
from domain.models.ports import ToolSpec

MAX_CHARS = 100_000
MAX_BARE_CHARS = 4_000
MAX_VALUES = 200
MAX_STEPS = 20


class Plan:
    """Makes the steps of one instruction."""

    def __init__(self, index: ToolIndex, now: datetime) -> None:
        self._index = index
        self._now = now

    def steps(self, instruction: str) -> list[Step]:
        """All steps, in order; raises Declined unless every one of them is clear."""
        if not self._index.tools and self._index.colleagues is None:
            raise Declined("no tools are offered to this run")
        explicit = explicit_steps(instruction, self._index)
        if explicit is not None:
            return explicit
        _check_length(instruction)
        short, kept = shortened(instruction)
        return [
            replace(step, arguments={k: restored(v, kept) for k, v in step.arguments.items()})
            for step in self._read(short)
        ]

    def _read(self, instruction: str) -> list[Step]:
        instruction = self._respelled(instruction)
        listed = segments(instruction)
        has_text = len(listed) > 1 and text_start(listed[0]) < len(listed[0])
        if has_text and not self._all_clear(listed[1:]):
            return self._segment(instruction.strip(), later=False)
        if len(listed) > MAX_STEPS:
            message = f"it has more than {MAX_STEPS} steps"
            raise Declined(message)
        steps: list[Step] = []
        for segment in listed:
            steps += self._segment(segment, later=bool(steps))
        if not steps:
            raise Declined("it asks for nothing" if instruction.strip() else "it is empty")
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
            whole = self._maybe(text, later=later) or self._without_reports(said, later=later)
            if whole is None:
                raise
            return whole

    def _without_reports(self, said: Sequence[str], *, later: bool) -> list[Step] | None:
        """The steps of the sentences that ask, where the others only tell how things are."""
        asking = [each for each in said if not is_report(each) or asks_for_something(each)]
        if not asking or len(asking) == len(said):
            return None
        steps: list[Step] = []
        for sentence in asking:
            found = self._maybe(sentence, later=later or bool(steps))
            if found is None:
                return None
            steps += found
        return steps

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
        joined = self._kept_together(text, parts(text))
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
                if place and (again := self._again(joined[place - 1], part)) is not None:
                    steps.append(again)
                    continue
                if place == 0 and not is_last and asks_for_schedule(text):
                    return self._clause(text, later=later)
                raise
            at += len(part)
        return steps

    def _kept_together(self, text: str, joined: Sequence[str]) -> Sequence[str]:
        """The parts, where one that hands work on keeps what follows up to the next such part."""
        colleagues = self._index.colleagues
        if colleagues is None:
            return joined
        kept: list[str] = []
        at, start, is_handed = 0, 0, False
        for part in joined:
            at = text.find(part, at)
            begins = colleagues.begins(part)
            if kept and is_handed and not begins:
                kept[-1] = text[start : at + len(part)]
            else:
                kept.append(part)
                start, is_handed = at, begins
            at += len(part)
        return kept

    def _again(self, before: str, part: str) -> Step | None:
        """ "Read a.txt, then b.txt": the verb of the step before is meant again."""
        verb = re.match(r"\W*(?:please\W+)?(?P<verb>[A-Za-z]\w*)", before)
        if re.search(r"\b(?:it|its|them|that|the)\b", part, re.IGNORECASE):
            return None
        try:
            step = None if verb is None else self._plain(f"{verb['verb']} {part}", later=False)
        except Declined:
            return None
        return step if step is not None and step.tool.read_only and not step.leftover else None

    def _all_clear(self, clauses: Sequence[str]) -> bool:
        return all(self._maybe(clause, later=True) is not None for clause in clauses)

    def _clause(self, clause: str, *, later: bool) -> list[Step]:
        """The steps of one clause, most often one."""
        meant = self._respelled(clause, self._index.verbs)
        try:
            return self._as_meant(meant, later=later)
        except Declined as refusal:
            # What is declined is quoted as it was said.
            reason = refusal.reason.replace(quoted(meant), quoted(clause))
            raise Declined(reason, refusal.nearest) from refusal

    def _as_meant(self, clause: str, *, later: bool) -> list[Step]:
        if (clear := self._written(clause) or self._handed(clause, later=later)) is not None:
            return clear
        if (step := self._special(clause, later=later)) is not None:
            return [step]
        pieces = conjuncts(clause, self._index.leads)
        if len(pieces) > 1 and (steps := self._pieces(pieces, later=later)) is not None:
            return steps
        if (steps := self._of_file(clause)) is not None:
            return steps
        whole = self._plain(clause, later=later)
        if whole.leftover == 0:
            return [whole]
        if (steps := self._elliptic(clause, whole, later=later)) is not None:
            return steps
        is_partial = len(pieces) > 1 and self._ignores_rest(whole, pieces[0], later=later)
        if is_partial or whole.left_values:
            message = f"I understood only a part of {quoted(clause)}"
            raise Declined(message, [whole.tool])
        return [whole]

    def _respelled(self, text: str, verbs: Collection[str] = ()) -> str:
        """The text with its verb spelled right; a name that it begins with is no verb."""
        colleagues = self._index.colleagues
        is_name = colleagues is not None and colleagues.begins(text)
        return text if is_name else respelled_lead(text, verbs)

    def _written(self, clause: str) -> list[Step] | None:
        """Calls that are written out."""
        explicit = explicit_steps(clause, self._index)
        if explicit is not None:
            return explicit
        call = written_call(clause, self._index)
        return None if call is None else [call]

    def _handed(self, clause: str, *, later: bool) -> list[Step] | None:
        """Calls that hand work to other agents."""
        colleagues = self._index.colleagues
        return None if colleagues is None else colleagues.handed(clause, later=later)

    def _ignores_rest(self, whole: Step, first: str, *, later: bool) -> bool:
        """True when the first piece alone makes the same call."""
        try:
            alone = self._plain(first, later=later)
        except Declined:
            return False
        return alone.tool is whole.tool and alone.arguments == whole.arguments

    def _elliptic(self, clause: str, whole: Step, *, later: bool) -> list[Step] | None:
        """Two calls of a tool where the verb is said once."""
        both = elliptic(clause)
        if both is None or not whole.tool.read_only:
            return None
        try:
            first = self._plain(both[0], later=later)
            second = self._plain(both[1], later=False)
        except Declined:
            return None
        is_one = first.tool is second.tool and first.arguments != second.arguments
        return [first, second] if is_one and not first.leftover + second.leftover else None

    def _of_file(self, clause: str) -> list[Step] | None:
        """Work on a file is reading it and then working on its text."""
        reader = self._index.reader
        reading = Reading(clause)
        files = list(FILE.finditer(reading.bare))
        if reader is None or len(files) != 1 or reading.json_values or reads_first(reading.bare):
            return None
        path = files[0]
        among = [each for each in self._index.tools if each.spec.read_only and not each.takes_path]
        said = f"{clause[: path.start()]} it {clause[path.end() :]}"
        said = re.sub(r"\b(?:the\s+)?(?:file|text|content|contents)(?:\s+of)?\s+it\b", "it", said)
        try:
            step = plain_step(
                said, self._index, Scene(now=self._now, has_earlier=True), among=among
            )
        except Declined:
            return None
        if not any(isinstance(value, Earlier) for value in step.arguments.values()):
            return None
        argument = next(each.name for each in reader.parameters if each.kind is Kind.PATH)
        return [Step(tool=reader.spec, arguments={argument: path[0]}), step]

    def _pieces(self, pieces: Sequence[str], *, later: bool) -> list[Step] | None:
        steps: list[Step] = []
        for piece in pieces:
            try:
                steps += self._clause(piece, later=later or bool(steps))
            except Declined:
                return None
        return steps

    def _special(self, clause: str, *, later: bool) -> Step | None:
        """Tasks, work for later, remembering and recalling have a grammar of their own."""
        if (care := self._care(clause)) is not None:
            return care
        memory = memory_in(clause)
        if memory is not None and self._index.named("remember"):
            if memory.content is None and not later:
                raise Declined("it does not say what to remember")
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

    def _care(self, clause: str) -> Step | None:
        """Look after tasks that there are."""
        try:
            care = care_in(clause, self._now)
        except UnclearScheduleError as unclear:
            tool = self._index.named("change_task")
            message = f"{quoted(clause)} moves a task, but {unclear}"
            raise Declined(message, [] if tool is None else [tool]) from unclear
        tool = None if care is None else self._index.named(care.tool)
        return None if care is None or tool is None else Step(tool=tool, arguments=care.arguments)

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
        scene = Scene(now=self._now, has_earlier=later)
        try:
            return plain_step(clause, self._index, scene, among=among)
        except Declined:
            question = personal_question(clause)
            step = None if question is None else self._recall(question)
            step = step or self._request(clause, scene, among)
            if step is None:
                raise
            return step

    def _request(self, clause: str, scene: Scene, among: Sequence[IndexedTool]) -> Step | None:
        """The request within much talk; never one with side effects."""
        request = request_within(clause, Reading(clause).bare)
        if request is None:
            return None
        try:
            step = plain_step(request, self._index, scene, among=among)
        except Declined:
            return None
        return step if step.tool.read_only else None


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
