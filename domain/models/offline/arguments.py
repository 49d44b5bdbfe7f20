"""Arguments for a tool out of an instruction's words, by the types its schema asks for."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from domain.models.offline.draft import EVIDENCE, Draft, Earlier, Scene
from domain.models.offline.literals import PATH, URL, Reading
from domain.models.offline.parameters import Kind, Parameter
from domain.models.offline.values import fits, take_typed, typed
from domain.models.offline.wording import STOP_WORDS, stem, word_set

_ORDER = {kind: place for place, kind in enumerate(Kind)}
_RESULT_NOUNS = (
    r"results?|outputs?|text|contents?|file|table|answer|values?|numbers?|rows|slug|hash|digest|json"
    r"|csv|list|date|sum|total|merged \w+|data|decoded \w+|encoded \w+|matches|document|object"
)
_EARLIER = re.compile(
    rf"\b(?:it|its|them|their|(?:the|that|this|its) (?:{_RESULT_NOUNS}))\b"
    r"|\b(?:this|that|those|these)\b(?=\s*[.!?]?$|\s+(?:as|to|into|with|in|from|by)\b)",
    re.IGNORECASE,
)
_POINTED = re.compile(r"\b(?:this|that|these|those|my|our|your)\s*$", re.IGNORECASE)
_POINTS = re.compile(r"(?:this|that|these|those)\s+[a-z]+\b", re.IGNORECASE)
_PRONOUN = re.compile(r"\b(?:it|its|them|their)\b", re.IGNORECASE)
_LEAD_NOUN = re.compile(
    r"^(?:the\s+|this\s+|following\s+)*(?:text|string|phrase|sentence|title|word|words)\s*:?\s+"
    r"(?=\S)",
    re.IGNORECASE,
)
_TAKEN_TAIL = re.compile(r"(?:\s+(?:with|as|using|in|by|and|to))?\s*\0+[\s.?!]*$")
_TEXT_NOUNS = frozenset({"text", "string", "phrase", "sentence", "title"})
_OPENERS = frozenset({"of", "in", "for", "from", "on", "with", "to"})
_ROLES: Mapping[str, frozenset[str]] = {
    "with": frozenset({"replacement", "new", "by"}),
    "for": frozenset({"replacement", "new", "by"}),
    "replace": frozenset({"find", "old"}),
    "by": frozenset({"replacement", "new", "by"}),
    "in": frozenset({"text", "content", "source", "document", "input"}),
    "of": frozenset({"text", "content", "source", "document", "input"}),
    "from": frozenset({"text", "content", "source", "document", "input"}),
    "to": frozenset({"to", "target", "path", "destination", "recipient"}),
    "into": frozenset({"to", "target", "path", "destination"}),
    "as": frozenset({"name", "title", "pattern", "format"}),
}
_FROM_EARLIER = frozenset(
    {Kind.TEXT, Kind.OBJECT, Kind.LIST, Kind.JSON, Kind.NUMBER, Kind.INTEGER, Kind.MOMENT}
)
_UNSAID = frozenset({Kind.TEXT, Kind.OBJECT, Kind.LIST, Kind.JSON})
_WORD_OR_QUOTE = r"(?:\0+|[^\s\0,]+)"
_REPLACE = re.compile(
    r"\b(?:replace|replacing|change|substitute|swap|exchange|turn)\s+(?:out\s+)?"
    r"(?:(?:every|each|all|any|the)\s+)*(?:(?:occurrences?|instances?)\s+of\s+|words?\s+|text\s+|letters?\s+|string\s+)?"
    rf"(?P<find>{_WORD_OR_QUOTE})\s+(?:with|by|for|to|into)\s+(?:(?:the|a)\s+)?"
    rf"(?:words?\s+|text\s+|letters?\s+)?(?P<by>{_WORD_OR_QUOTE})",
    re.IGNORECASE,
)
_REMOVE = re.compile(
    r"\b(?:remove|strip|drop|delete|cut|erase)\s+(?:out\s+)?(?:(?:every|each|all|any|the)\s+)*"
    r"(?:(?:occurrences?|instances?)\s+of\s+|words?\s+|letters?\s+)?"
    r"(?P<find>\0+|\S+)\s+(?=from\b|in\b|out\b)",
    re.IGNORECASE,
)
_LEADING = STOP_WORDS | word_set("make give get create generate tell show what's find run use")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """The arguments a clause gives a tool."""

    values: Mapping[str, Any]
    missing: tuple[str, ...]
    rest: str
    """What of the clause no argument took."""
    evidence: float
    left_values: int
    """Quotes and JSON values that no argument took."""
    is_exact: bool
    """False when a text or a place was guessed from bare words, not quoted or after a colon."""


def fill(
    parameters: Sequence[Parameter],
    reading: Reading,
    *,
    explained: frozenset[str],
    scene: Scene,
) -> Filling:
    """Find a value for each parameter; `explained` are stems that belong to the tool itself.

    After an earlier step, words such as "it" stand for its result.
    """
    draft = Draft(parameters=parameters, reading=reading.copy(), scene=scene)
    for parameter in parameters:
        _take_named(draft, parameter)
    by_need = sorted(parameters, key=lambda each: (not each.required, _ORDER[each.kind]))
    for parameter in by_need:
        if parameter.name not in draft.values:
            take_typed(draft, parameter)
    _take_replacement(draft)
    _take_quotes(draft)
    if scene.has_earlier:
        _take_earlier(draft)
    _take_texts(draft, explained)
    if scene.has_earlier:
        _take_unsaid(draft)
    required = (each.name for each in parameters if each.required)
    return Filling(
        values=draft.values,
        missing=tuple(name for name in required if name not in draft.values),
        rest=draft.reading.rest(),
        evidence=draft.evidence,
        left_values=len(draft.reading.quotes) + len(draft.reading.json_values),
        is_exact=draft.is_exact,
    )


def _take_named(draft: Draft, parameter: Parameter) -> None:
    """Take `name=value`, `name: value`, `name "value"` and `name 3`."""
    if parameter.words[-1] not in draft.reading.lower:
        return
    name = r"[ _-]".join(re.escape(word) for word in parameter.words)
    reading = draft.reading
    for literal in (*reading.quotes, *reading.json_values):
        before = reading.text[: literal.start]
        if found := re.search(
            rf"(?<![\w]){name}\s*(=|:|\bis\b|\bas\b|)\s*$", before, re.IGNORECASE
        ):
            is_sure = bool(found[1]) or not parameter.required or literal.is_json
            if is_sure and fits(parameter, literal.value):
                draft.values[parameter.name] = reading.take(literal)
                return
    given = re.compile(rf"(?<![\w]){name}\s*(?:=|:(?!//))\s*(?P<value>[^\s,;\0]+)", re.IGNORECASE)
    if (match := given.search(reading.bare)) is not None:
        value = typed(parameter, match["value"])
        if value is not None:
            draft.values[parameter.name] = value
            reading.take_match(match)
    elif parameter.kind in (Kind.INTEGER, Kind.NUMBER):
        spoken = re.compile(
            rf"(?<![\w]){name}\s+(?:of\s+|to\s+)?(?P<value>-?\d+(?:\.\d+)?)\b(?!\s*%)",
            re.IGNORECASE,
        )
        if (match := spoken.search(reading.bare)) is not None:
            draft.values[parameter.name] = typed(parameter, match["value"])
            reading.take_match(match)


def _take_replacement(draft: Draft) -> None:
    """Take `replace A with B`, quoted or not, and `remove A from ...`."""
    open_texts = {each.name: each for each in draft.wants(Kind.TEXT)}
    if not {"find", "replacement"} <= open_texts.keys():
        return
    bare = draft.reading.bare
    if (match := _REPLACE.search(bare)) is not None:
        draft.values["find"] = _said(draft, *match.span("find"))
        draft.values["replacement"] = _said(draft, *match.span("by"))
        draft.evidence += EVIDENCE[Kind.TEXT]
    elif (match := _REMOVE.search(bare)) is not None:
        draft.values["find"] = _said(draft, *match.span("find"))
        draft.values["replacement"] = ""
        draft.evidence += 2 * EVIDENCE[Kind.TEXT]
        draft.reading.take_span(match.start(), match.start("find"))


def _said(draft: Draft, start: int, end: int) -> str:
    """Take a quote or a word from a place."""
    for quote in tuple(draft.reading.quotes):
        if quote.start == start:
            return str(draft.reading.take(quote))
    text = draft.reading.text[start:end]
    draft.reading.take_span(start, end)
    return text


def _take_quotes(draft: Draft) -> None:
    """Give quotes to the texts that are needed, by preposition or order."""
    open_texts = draft.wants(Kind.TEXT)
    quoted = len(draft.reading.quotes)
    for quote in tuple(draft.reading.quotes):
        before = re.search(r"(\w+)\s*$", draft.reading.text[max(0, quote.start - 40) : quote.start])
        roles = _ROLES.get(before[1].lower() if before else "", frozenset())
        chosen = next((each for each in open_texts if roles & set(each.words)), None)
        if chosen is not None:
            draft.values[chosen.name] = draft.reading.take(quote)
            open_texts.remove(chosen)
    for quote in tuple(draft.reading.quotes):
        if open_texts:
            draft.values[open_texts.pop(0).name] = draft.reading.take(quote)
    if len(draft.reading.quotes) < quoted:
        draft.evidence += EVIDENCE[Kind.TEXT]


def _take_texts(draft: Draft, explained: frozenset[str]) -> None:
    """Give the bare words to the one text that is still needed."""
    open_texts = draft.wants(Kind.TEXT)
    is_simple = len([p for p in draft.parameters if p.required]) <= 3
    if len(open_texts) == 1 and is_simple:
        _take_bare_text(draft, open_texts[0], explained)


def _take_bare_text(draft: Draft, parameter: Parameter, explained: frozenset[str]) -> None:
    reading = draft.reading
    after_colon = re.search(r":\s+(?=\S)", reading.bare)
    start = after_colon.end() if after_colon else _text_start(reading.bare, explained, parameter)
    end = _text_end(reading.bare, start)
    raw = reading.text[start:end].strip()
    text = raw if after_colon else _LEAD_NOUN.sub("", raw).rstrip("?")
    points = _POINTS.match(text) or (after_colon is None and _POINTED.search(reading.bare[:start]))
    is_reference = bool(points) or _EARLIER.fullmatch(text) is not None
    if not text or is_reference or PATH.fullmatch(text) or URL.fullmatch(text):
        return
    draft.values[parameter.name] = text
    draft.is_exact = after_colon is not None
    if after_colon is not None:
        draft.evidence += EVIDENCE[Kind.TEXT]
    reading.take_span(start, end)


def _text_end(bare: str, start: int) -> int:
    """Where the text ends: before "with" and what another argument took, if that comes last."""
    tail = _TAKEN_TAIL.search(bare, start)
    if tail is not None:
        return tail.start()
    return start if "\0" in bare[start:] else len(bare)


def _text_start(bare: str, explained: frozenset[str], parameter: Parameter) -> int:
    """Where the text begins: after the tool's own words and the preposition or noun behind them."""
    nouns = _TEXT_NOUNS | {parameter.name.lower()}
    after_tool = False
    for word in re.finditer(r"[^\s,:]+", bare):
        plain = word[0].strip(".,!?'\"\0").lower()
        if not plain:
            continue
        if after_tool and (plain in _OPENERS or plain in nouns):
            return word.end()
        is_known = stem(plain) in explained
        if not is_known and plain not in _LEADING:
            return word.start() if after_tool else len(bare)
        after_tool = after_tool or is_known
    return len(bare)


def _take_earlier(draft: Draft) -> None:
    """Let one missing value be the result of the step before, if the clause speaks of it."""
    missing = draft.wants(*Kind)
    if len(missing) != 1 or missing[0].kind not in _FROM_EARLIER:
        return
    bare = draft.reading.bare
    if (match := _PRONOUN.search(bare) or _EARLIER.search(bare)) is not None:
        draft.values[missing[0].name] = Earlier(kind=missing[0].kind)
        draft.evidence += EVIDENCE[Kind.TEXT]
        draft.reading.take_match(match)


def _take_unsaid(draft: Draft) -> None:
    """Let the one missing text or value be the result of the step before, unsaid."""
    missing = draft.wants(*Kind)
    if len(missing) == 1 and missing[0].kind in _UNSAID and not draft.reading.quotes:
        draft.values[missing[0].name] = Earlier(kind=missing[0].kind)
