"""Work for later in plain words: `every weekday at 9 in Berlin check the disk`, `remind me ...`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from domain.models.offline.due_times import UnclearScheduleError, When, arguments_of
from domain.models.offline.literals import Reading
from domain.models.offline.long_values import unmarked
from domain.models.offline.mood import core_end, core_start, is_hedged, is_imperative, is_verb
from domain.models.offline.schedules_spoken import read_when

LONGEST_NAME = 60
_I = re.IGNORECASE
_STARTERS = re.compile(
    r"(?<![\w/.-])(?:use|using|every|each|all|daily|nightly|hourly|weekly|monthly|yearly|annually|twice|thrice"
    r"|once|in|after|at|on|by|for|tomorrow|today|tonight|next|this|the|noon|midday|midnight|from|cron"
    r"|with|regularly|bi-?weekly|fortnightly|quarterly|day|"
    r"(?:mon|tue|wed|thu|fri|sat|sun)\w*|week\w*|work\w*|half|a|an|\*|\d|"
    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*|(?:two|three|four|five|six|ten))"
    r"(?![\w])|(?<![\w/.-])\*/?\d*\s|(?<![\w/.:-])\d+(?=[\s:.,a-z/-])",
    _I,
)
_REMIND = re.compile(r"remind\s+(?:me|us|him|her|them|everyone|everybody|the\s+\w+|[A-Z]\w+)\b", _I)
_SET = re.compile(
    r"(?:set(?:\s+up)?|create|make|add|plan|schedule|arrange|book|register|put\s+in(?:\s+place)?|start)\s+"
    r"(?:me\s+)?(?:an?|the|another|one|my)?\s*"
    r"(?:(?:new|recurring|repeating|repeated|regular|scheduled|planned|timed|periodic|cron|automatic"
    r"|daily|hourly|weekly|monthly|nightly|yearly)\s+)*"
    r"(?P<noun>reminder|task|job|alarm|cron\s*job|timer|schedule|event|appointment)\b"
    r"|(?:set\s+up|create|make|arrange)\s+(?:me\s+)?an?\s+(?=(?:daily|hourly|weekly|monthly|nightly)\s)",
    _I,
)
_SCHEDULE = re.compile(r"(?:schedule_task|schedule|reschedule|plan)\b(?!\s*[({?])(?:\s+it)?", _I)
_NAMED = re.compile(r"\b(?:called|named)\s+(?=[\0\w])", _I)
_CONNECTOR = re.compile(
    r"^(?:[\s,:;.-]|\b(?:to|that|which|for|of|about|please|so\s+that\s+it|it|and|which\s+will|will"
    r"|with\s+the\s+instruction|an?|from\s+now\s+on)\b)+",
    _I,
)
_DANGLING = re.compile(r"[\s,:;-]+(?:to|for|at|on|in|and|that)?[\s,:;.-]*$", _I)
_RUN = re.compile(
    r"^(?:please\s+)?(?:run|execute|do|perform|carry\s+out|start|call|the\s+instruction)\s+", _I
)
_BOUNDS = re.compile(
    r"[\s,]*\b(?:starting|beginning|until|till|except|excluding|but\s+not|unless|ending"
    r"|for\s+(?:the\s+next\s+)?(?:\d+|an?|one|two|three|four|a\s+few)\s+(?:day|week|month|year|time)s?)\b",
    _I,
)
_GOVERNED = re.compile(
    r"\b(?:to|from|between|until|till|since|of|before|than|into|and|or|is)\s*$", _I
)
_ADVERB = re.compile(r"[A-Za-z*]")
_QUOTED_CRON = re.compile(
    r"(?:(?:with|by|on|using|at)\s+)?(?:the\s+)?(?:cron(?:\s*tab)?(?:\s+(?:schedule|expression|fields))?\s*[:=]?\s*)"
    r"[\"'`](?P<cron>[\d*@][\w*/,# @-]*)[\"'`]",
    _I,
)
_THIRD_PERSON = re.compile(r"^(?P<verb>[a-z]+?)(?P<ending>es|s)\b", _I)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenTask:
    """Work for later: what to do, and the arguments that say when."""

    name: str
    instruction: str
    when: Mapping[str, Any]


def schedule_in(clause: str, now: datetime) -> SpokenTask | None:
    """The task that a clause asks for; None if it asks for none.

    Raises UnclearScheduleError where a task is asked for, but not when or what.
    """
    found = _found(clause)
    if found is None:
        return None
    when, instruction, name, bound = found
    if bound:
        raise UnclearScheduleError("its beginning and end can only be set with createTask")
    if when is None:
        raise UnclearScheduleError("it does not say when")
    if not instruction:
        raise UnclearScheduleError("it does not say what to do")
    return SpokenTask(
        name=name or short_name(instruction),
        instruction=instruction,
        when=arguments_of(when, now),
    )


def asks_for_schedule(clause: str) -> bool:
    """True when the clause asks for work later, clear or not."""
    return _found(clause) is not None


def begins_schedule(clause: str) -> bool:
    """True when the clause begins with a time or an order for later: all that follows is its."""
    bare = Reading(clause).bare
    start, end = core_start(bare), core_end(bare)
    if _opening(bare, start) is not None:
        return _found(clause) is not None
    first = read_when(bare[:end], start)
    return first is not None and _found(clause) is not None


def reminder_in(clause: str) -> str | None:
    """What to be reminded of, where no time is said."""
    bare = Reading(clause).bare
    opening = _opening(bare, core_start(bare))
    if opening is None or not opening.keeps_verb or bare.rstrip().endswith("?"):
        return None
    said = _CONNECTOR.sub("", clause[opening.end : core_end(bare)]).strip(" .,")
    return said if said and not _phrases(bare, opening.end) else None


_Found = tuple[When | None, str, str | None, bool]


def _found(clause: str) -> _Found | None:
    bare = Reading(clause).bare
    start, end = core_start(bare), core_end(bare)
    is_question = bare.rstrip().endswith("?") and not re.search(
        r"\b(?:can|could|would|will)\s+you\b", bare[:start], _I
    )
    if is_question or start >= end or is_hedged(bare[: start + 200]):
        return None
    if (cron := _QUOTED_CRON.search(clause)) is not None:
        shown = re.sub(r"[\"'`]", " ", cron[0])
        bare = f"{bare[: cron.start()]}{shown}{bare[cron.end() :]}"
    phrases = _phrases(bare[:end], start)
    opening = _opening(bare, start)
    if opening is not None:
        return _ordered(clause, opening, phrases, end)
    said = _Said(clause=clause, bare=bare, phrases=phrases, start=start, end=end)
    return _led(said) or _trailed(said)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opening:
    """A verb that orders something for later, such as "remind me" or "schedule"."""

    start: int
    end: int
    reminds: bool
    keeps_verb: bool


def _opening(bare: str, start: int) -> _Opening | None:
    if (match := _REMIND.match(bare, start)) is not None:
        return _Opening(start=start, end=match.end(), reminds=True, keeps_verb=True)
    if (match := _SET.match(bare, start)) is not None:
        reminds = (match["noun"] or "").lower() in ("reminder", "alarm", "timer")
        return _Opening(start=start, end=match.end(), reminds=reminds, keeps_verb=False)
    if (match := _SCHEDULE.match(bare, start)) is not None:
        return _Opening(start=start, end=match.end(), reminds=False, keeps_verb=False)
    return None


def _phrases(bare: str, start: int) -> list[When]:
    """What is said of when, each phrase once and as long as possible."""
    found: list[When] = []
    at = start
    while (match := _STARTERS.search(bare, at)) is not None:
        when = read_when(bare, match.start())
        if when is None:
            at = match.end()
            continue
        found.append(when)
        at = max(when.end, match.end())
    return found


def _ordered(clause: str, opening: _Opening, phrases: Sequence[When], end: int) -> _Found | None:
    """An order with a verb of its own: the phrase may stand anywhere."""
    after = [each for each in phrases if each.start >= opening.start]
    chosen, spans = _chosen(clause, after)
    bound = any(_BOUNDS.match(clause, stop) for _, stop in spans)
    rest = _without(clause, spans, opening.end, end)
    name, rest = _name(rest)
    said = _DANGLING.sub("", rest).strip(" ,;:")
    if opening.keeps_verb:
        verb = clause[opening.start : opening.end]
        verb += ":" if clause[opening.end : end].lstrip().startswith(":") else ""
        return chosen, f"{verb} {said}".strip() if said else "", name or _reminder_name(said), bound
    instruction = _unwrapped(_base_form(_CONNECTOR.sub("", said), said))
    if opening.reminds and instruction:
        joint = re.match(r"(?:to|about|of|that)\b", said, _I)
        instruction = f"remind me{':' if joint is None else f' {joint[0]}'} {instruction}"
    return chosen, instruction, name or (_reminder_name(said) if opening.reminds else None), bound


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """A clause, its phrases of when, and where it begins and ends without courtesies."""

    clause: str
    bare: str
    phrases: Sequence[When]
    start: int
    end: int


def _led(clause: _Said) -> _Found | None:
    """The phrase comes first: "every day at 9, list the files"."""
    starting = (each for each in clause.phrases if each.start == clause.start)
    first = next((each for each in starting if each.is_precise), None)
    if first is None:
        return None
    bound = _BOUNDS.match(clause.clause, first.end) is not None
    rest = _without(clause.clause, [(first.start, first.end)], clause.start, clause.end)
    at = core_start(rest)
    said = rest[at:].strip(" ,;:")
    opening = _opening(Reading(said).bare, 0)
    if opening is not None and not opening.keeps_verb:
        instruction = _unwrapped(_CONNECTOR.sub("", said[opening.end :]).strip())
        if opening.reminds and instruction:
            instruction = f"remind me to {instruction}"
        return first, instruction, None, bound
    said = re.sub(r"^to\s+", "", said)
    is_asked = is_imperative(said) or said[:1] in "\"'`\u201c"
    if not is_asked and not bound:
        return None
    name = _reminder_name(said[opening.end :]) if opening is not None else None
    return first, _unwrapped(said), name, bound


def _trailed(clause: _Said) -> _Found | None:
    """The phrase comes last: "list the files every day at 9"."""
    last = clause.phrases[-1] if clause.phrases else None
    if last is None or not last.is_precise:
        return None
    bound = _BOUNDS.match(clause.bare, last.end) is not None
    if clause.bare[last.end : clause.end].strip(" .!,;)") and not bound:
        return None
    before = clause.clause[clause.start : last.start]
    said = before.strip(" ,;:")
    is_governed = (
        _GOVERNED.search(before) is not None or _ADVERB.match(clause.bare, last.start) is None
    )
    if is_governed or len(said.split()) < 2 or not is_imperative(said):
        return None
    return last, _unwrapped(said), None, bound


def _chosen(clause: str, phrases: Sequence[When]) -> tuple[When | None, list[tuple[int, int]]]:
    """All phrases read as one, as in "a daily check at 7"; else the one that says most."""
    if len(phrases) > 1:
        together = ", ".join(clause[each.start : each.end] for each in phrases)
        merged = read_when(together, 0)
        if merged is not None and merged.end == len(together):
            return merged, [(each.start, each.end) for each in phrases]
    chosen = next((each for each in phrases if each.repeats), None)
    chosen = chosen or next((each for each in phrases if each.is_precise), None)
    chosen = chosen or next(iter(phrases), None)
    return chosen, [] if chosen is None else [(chosen.start, chosen.end)]


def _without(clause: str, spans: Sequence[tuple[int, int]], start: int, end: int) -> str:
    """The text without the phrases."""
    parts: list[str] = []
    at = start
    for begin, stop in spans:
        if begin >= at:
            parts.append(clause[at:begin].strip(" ,"))
        at = max(at, stop)
    parts.append(clause[at:end].strip(" ,"))
    return " ".join(part for part in parts if part)


def _name(rest: str) -> tuple[str | None, str]:
    """A name that was given, and the text without it."""
    reading = Reading(rest)
    match = _NAMED.search(reading.bare)
    if match is None:
        return None, rest
    for quote in reading.quotes:
        if quote.start == match.end():
            return str(quote.value), f"{rest[: match.start()]} {rest[quote.end :]}".strip()
    word = re.compile(r"[\w-]+").match(rest, match.end())
    if word is None:
        return None, rest
    return word[0], f"{rest[: match.start()]} {rest[word.end() :]}".strip()


def _unwrapped(said: str) -> str:
    """What stands in quotes, where the text is nothing else; else the text."""
    text = _RUN.sub("", said)
    quotes = Reading(text.strip()).quotes
    if len(quotes) == 1 and quotes[0].start == 0 and quotes[0].end == len(text.strip(" .")):
        return str(quotes[0].value).strip()
    return said


def _base_form(text: str, said: str) -> str:
    """Turn "that lists the files" into "list the files"."""
    if re.match(r"[\s,:]*(?:that|which)\b", said, _I) is None:
        return text
    match = _THIRD_PERSON.match(text)
    if match is None:
        return text
    for verb in (match["verb"], match["verb"] + match["ending"][:-1]):
        if is_verb(verb):
            return verb + text[match.end() :]
    return text


def _reminder_name(said: str) -> str | None:
    return short_name(_CONNECTOR.sub("", said)) if said.strip(" .,:") else None


def short_name(instruction: str) -> str:
    """A name of a task out of its instruction: its first words."""
    plain = " ".join(_CONNECTOR.sub("", unmarked(instruction)).split()).rstrip(".!,;:")
    if len(plain) > LONGEST_NAME:
        plain = plain[:LONGEST_NAME].rsplit(" ", 1)[0].rstrip(".,;:")
    return plain[:1].upper() + plain[1:]
