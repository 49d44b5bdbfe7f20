"""The one tool that a clause in plain words clearly means, or why there is none."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from domain.models.offline.arguments import Filling, fill
from domain.models.offline.draft import Scene
from domain.models.offline.explicit import Declined, Step
from domain.models.offline.literals import Reading
from domain.models.offline.long_values import unmarked
from domain.models.offline.matching import IndexedTool, Match, ToolIndex
from domain.models.offline.moments_spoken import moments_in
from domain.models.offline.mood import Mood, core_start, is_open_question, is_verb, mood_of, tells
from domain.models.offline.numbers_spoken import numbers_in
from domain.models.offline.parameters import Kind
from domain.models.offline.wording import (
    ACTIONS,
    FILLERS,
    GENERIC,
    SENDING,
    STOP_WORDS,
    is_conditional,
    is_negated,
    is_report,
    is_timed,
    stem,
    stems,
    synonyms,
    words,
)
from domain.models.ports import ToolSpec

_CLEAR_SCORE = 0.5
_STRONG_EVIDENCE = 0.8
_TELLING = frozenset({Kind.SUM, Kind.URL, Kind.UNIT, Kind.MOMENT, Kind.PATH, Kind.CHOICE})
"""Kinds of values that speak for a tool without any of its words."""
_MOST_UNEXPLAINED = 2
_LEFT_VALUE = 0.5
"""What a quote or a JSON value speaks against a tool that has no use for it."""
_LEFT_WORD = 0.1
_LED_SCORE = 0.3
_SOME_EVIDENCE = 0.5
_SOME_SCORE = 0.2
_AHEAD = 1.03
_AHEAD_TO_WRITE = 1.25
_FAR_AHEAD = 1.5


def plain_step(
    clause: str, index: ToolIndex, scene: Scene, *, among: Sequence[IndexedTool]
) -> Step:
    """The call that a clause in plain words clearly means; raises Declined if there is none."""
    candidates = _candidates(clause, index, scene, among)
    nearest = [each.match.tool.spec for each in candidates[:3]]
    spoken = spoken_of(clause)
    if is_timed(spoken):
        scheduler = next((each.spec for each in index.tools if each.schedules), None)
        message = f"{quoted(clause)} speaks of something later, but not clearly of when and what"
        raise Declined(message, nearest if scheduler is None else [scheduler])
    if is_negated(spoken) or is_conditional(spoken):
        message = f"conditions and negations are beyond me: {quoted(clause)}"
        raise Declined(message, nearest)
    ready = [each for each in candidates if each.is_ready]
    if is_report(spoken):
        ready = []
    best = ready[0] if ready else None
    if candidates and (best is None or candidates[0].score > _FAR_AHEAD * best.score):
        first = candidates[0]
        if first.is_incomplete:
            message = needs_more(first.match.tool.spec, first.filling.missing)
            raise Declined(message, [first.match.tool.spec])
    if best is None:
        message = f"I could not match {quoted(clause)} to a tool"
        raise Declined(message, nearest)
    runner_up = ready[1].score if len(ready) > 1 else 0.0
    _check_margin(best, runner_up, [each.match.tool.spec for each in ready], spoken)
    return Step(
        tool=best.match.tool.spec,
        arguments=best.filling.values,
        leftover=len(best.unexplained) + best.filling.left_values,
        left_values=best.filling.left_values,
    )


def needs_more(tool: ToolSpec, missing: Sequence[str]) -> str:
    """What a tool still has to be told."""
    return f"{tool.name} also needs {' and '.join(missing)}"


def spoken_of(clause: str) -> str:
    """The words of a clause without its quotes, JSON, and the text after a colon."""
    return Reading(clause).bare.split(": ", 1)[0]


def quoted(clause: str) -> str:
    """A clause as it is named in an answer."""
    clause = unmarked(clause)
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
    is_small_talk: bool
    """True when a moment is mentioned where nothing is asked."""
    overlooks_verb: bool
    """True when the verb of the clause is nothing that the tool is known for."""
    is_known: bool
    """True when some word of the clause speaks of the tool."""

    @property
    def is_incomplete(self) -> bool:
        """True when this tool is meant, but was not told all it needs."""
        is_meant = (self.leads or self.match.coverage == 1) and not self.is_open_question
        return bool(self.filling.missing) and is_meant and not self.unexplained

    @property
    def _least(self) -> float:
        return _LED_SCORE if self.leads else _CLEAR_SCORE

    @property
    def is_ready(self) -> bool:
        """True when nothing is missing and little is left over that it does not explain."""
        is_backed = self.filling.evidence >= _SOME_EVIDENCE and self.match.score >= _SOME_SCORE
        is_telling = self.is_known or bool(_TELLING & self.match.tool.shapes)
        is_shown = self.filling.evidence >= _STRONG_EVIDENCE and is_telling
        strong = bool(self.match.named) or is_shown or is_backed
        most = _MOST_UNEXPLAINED if is_shown else 1
        wants_more = self.overlooks_verb or bool((ACTIONS | SENDING) & set(self.unexplained))
        overlooked = len(self.unexplained) > most or wants_more
        if not self.match.named and (self.is_open_question or self.is_small_talk):
            return False
        if self.filling.missing or not strong or overlooked or self.score < self._least:
            return False
        if not self.filling.values:
            is_meant = self.match.coverage >= 0.5 and not self.unexplained
            return is_meant and not self.is_open_question
        is_guess = not self.filling.is_exact
        if is_guess and not self.match.tool.shapes and self.match.named:
            return not self.unexplained
        return not is_guess or (bool(self.match.distinct) and not self.is_open_question)


def _candidates(
    clause: str, index: ToolIndex, scene: Scene, among: Sequence[IndexedTool]
) -> list[_Candidate]:
    said = _said(clause)
    shapes = _shapes(said.reading, scene)
    stemmed = stems(clause)
    known = {tool.spec.name: index.match(tool, stemmed).matched for tool in among}
    found = [
        _candidate(said, index, tool, known=known[tool.spec.name], scene=scene)
        for tool in among
        if known[tool.spec.name] or shapes & tool.shapes
    ]
    found = [each for each in found if each.score > 0]
    return sorted(found, key=lambda each: (-each.score, each.match.tool.spec.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """A clause, and what is the same for every tool."""

    reading: Reading
    lead: str
    """The first word that means something."""
    is_led: bool
    """True when that word is a verb of its own, with which the clause begins."""
    sends: bool
    """True when the verb carries something to somebody."""
    tells: bool
    is_open_question: bool


def _said(clause: str) -> _Said:
    spoken = spoken_of(clause)
    reading = Reading(clause)
    lead = next((word for word in words(clause) if word not in STOP_WORDS | FILLERS), "")
    first = re.match(r"[a-z]+", clause[core_start(clause) :].lower())
    begins = first is not None and first[0] == lead
    return _Said(
        reading=reading,
        lead=lead,
        is_led=begins and lead not in GENERIC and is_verb(lead),
        sends=lead in SENDING and f"{lead} address" not in reading.lower,
        tells=tells(spoken),
        is_open_question=is_open_question(spoken),
    )


def _shapes(reading: Reading, scene: Scene) -> frozenset[Kind]:
    """Kinds of values that may be in the clause: only these speak for a tool without words."""
    bare = reading.bare
    has_number = re.search(r"\d", bare) is not None or bool(numbers_in(bare))
    found = {
        Kind.URL: "://" in reading.text,
        Kind.OBJECT: bool(reading.json_values or reading.quotes),
        Kind.JSON: bool(reading.json_values or reading.quotes),
        Kind.LIST: has_number or bool(reading.json_values or reading.quotes),
        Kind.PATH: re.search(r"[./]", reading.text) is not None or bool(reading.quotes),
        Kind.SUM: has_number or scene.has_earlier,
        Kind.UNIT: re.search(r"\b(?:in|to|into|as|how)\b", bare, re.IGNORECASE) is not None,
        Kind.MOMENT: scene.has_earlier
        or "time" in bare
        or "day" in bare
        or "date" in bare
        or bool(moments_in(bare, scene.now)),
        Kind.TEXT: bool(reading.quotes),
    }
    return frozenset(kind for kind, is_there in found.items() if is_there)


def _candidate(
    said: _Said, index: ToolIndex, tool: IndexedTool, *, known: frozenset[str], scene: Scene
) -> _Candidate:
    filling = fill(tool.parameters, said.reading, explained=known, scene=scene)
    match = index.match(tool, stems(filling.rest))
    own = match.matched | tool.own_stems
    left = tuple(
        word
        for word in words(filling.rest)
        if word not in STOP_WORDS and word not in FILLERS and stem(word) not in own
    )
    if said.sends and stem(said.lead) not in tool.name_stems:
        left = (*left, said.lead)
    return _Candidate(
        match=match,
        filling=filling,
        score=match.score
        + filling.evidence
        - _LEFT_VALUE * filling.left_values
        - _LEFT_WORD * len(left),
        unexplained=left,
        is_small_talk=bool(left) and Kind.MOMENT in tool.shapes and said.tells,
        overlooks_verb=said.is_led and said.lead in left,
        leads=stem(said.lead) in tool.name_stems
        or (not filling.missing and not tool.name_stems.isdisjoint(synonyms(stem(said.lead)))),
        is_open_question=said.is_open_question,
        is_known=bool(known),
    )


def _check_margin(
    best: _Candidate, runner_up: float, ready: Sequence[ToolSpec], spoken: str
) -> None:
    """Decline where another tool is about as near; before side effects, be strict."""
    tool = best.match.tool.spec
    if best.score < runner_up * _AHEAD:
        message = f"it could mean {ready[0].name} or {ready[1].name}"
        raise Declined(message, ready[:2])
    if tool.read_only:
        return
    is_clear = best.leads and best.filling.is_exact and not best.unexplained
    is_asked = mood_of(spoken) is Mood.ASKS
    if not is_clear or not is_asked or best.score < runner_up * _AHEAD_TO_WRITE:
        message = f"{tool.name} changes things, so I run it only when it is clearly asked for"
        raise Declined(message, [tool])
