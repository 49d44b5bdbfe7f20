"""Values that take reckoning: moments, zones, patterns of dates, sums, units."""

import re
from collections.abc import Sequence
from typing import Any

from domain.models.offline.draft import Draft, Earlier
from domain.models.offline.literals import MOMENT, ZONE
from domain.models.offline.measures import conversion_in
from domain.models.offline.moments_spoken import (
    SpokenMoment,
    iso_moment,
    moments_in,
    shifted,
    zones_in,
)
from domain.models.offline.parameters import Kind, Parameter
from domain.models.offline.sums import RESULT, find_sum

_PATTERN_WORDS: Sequence[tuple[str, str]] = (
    (
        r"(?:the\s+)?(?:day\s+of\s+the\s+week|week\s*day(?:\s+name)?)\b|(?:which|what)\s+day\b(?!\s+of\s+the\s+(?:month|year))",
        "%A",
    ),
    (r"day\s+of\s+the\s+year\b", "%j"),
    (
        r"(?:calendar\s+|iso\s+)?week(?:\s+number|\s+of\s+the\s+year)\b|(?:which|what)\s+(?:calendar\s+)?week\b",
        "%V",
    ),
    (r"(?:month\s+name|name\s+of\s+the\s+month)\b", "%B"),
)
_LETTERS = {"yyyy": "%Y", "yy": "%y", "mm": "%m", "dd": "%d", "hh": "%H", "ss": "%S"}
_LETTER_PATTERN = re.compile(
    r"(?<!\w)(?:yyyy|yy|dd|mm|hh)(?:[./ :,-]+(?:yyyy|yy|mm|dd|hh|ss))+(?!\w)", re.IGNORECASE
)
_STRFTIME = re.compile(r"%[A-Za-z%](?:[-/.,: ]*%[A-Za-z%])*")
_UNTIL = re.compile(
    r"\b(?:until|till|til|to\s+go|left|before|remain(?:ing)?|away|to)\b", re.IGNORECASE
)
_SINCE = re.compile(r"\b(?:since|ago|passed|from|old|elapsed|born|after)\b", re.IGNORECASE)
_FROM_NOW = re.compile(r"\b(?:from\s+now|hence)\b", re.IGNORECASE)
_AHEAD = re.compile(
    r"\b(?:ago|from\s+now|hence|earlier|later|in\s+(?=\d|an?\b|one|two|three|four|five|six|ten|half))",
    re.IGNORECASE,
)
_HOW_MANY = re.compile(r"\bhow\s+(?:many|much)\b", re.IGNORECASE)
_TIME_ASKED = re.compile(
    r"\b(?:how\s+(?:long|old|far)|(?:days?|weeks?|months?|years?|hours?|minutes?|time)\b)",
    re.IGNORECASE,
)
_COUNTED = re.compile(
    r"\b(?:\d+|an?|one|two|three|four|five|six|seven|eight|nine|ten)\s+"
    r"(?:second|minute|hour|day|week|month|year)s?\b|\b(?:add|subtract|plus|minus)\b",
    re.IGNORECASE,
)
_NOW_ASKED = re.compile(
    r"\b(?:what(?:['\u2019]?s|\s+is)?\s+(?:the\s+)?(?:current\s+|local\s+|exact\s+)?(?:time|date)(?:\s+(?:is\s+it|now|right\s+now))?"
    r"|(?:what|which)\s+(?:week)?day\s+(?:of\s+the\s+week\s+)?is\s+it|(?:the\s+)?(?:current|local)\s+(?:time|date))\b",
    re.IGNORECASE,
)
_SMALL_UNIT = re.compile(r"\b(?:second|minute|hour)s?\b", re.IGNORECASE)


def take_moment(draft: Draft, parameter: Parameter) -> str | None:
    """The next moment of the clause; one of a pair may be "today"."""
    pair = [each for each in draft.parameters if each.kind is Kind.MOMENT and each.required]
    for quote in draft.reading.quotes:
        if MOMENT.fullmatch(quote.value):
            return str(draft.reading.take(quote))
    found = list(moments_in(draft.reading.bare, draft.scene.now, _zone_said(draft)))
    if len(pair) == 2 and parameter is pair[0] and len(found) == 1:
        return _one_of_pair(draft, pair, found[0])
    if found:
        return _taken(draft, found[0])
    if any(each.kind is Kind.PATTERN for each in draft.parameters):
        return _asked_for_now(draft)
    if parameter.required and not draft.scene.has_earlier and len(pair) == 1:
        return _counted_from_now(draft)
    return None


def _taken(draft: Draft, moment: SpokenMoment) -> str:
    zones = zones_in(draft.reading.bare)
    draft.reading.take_span(moment.start, moment.end)
    if len(zones) > 1 and not moment.is_day:
        start, end, zone = zones[0]
        if start >= moment.end - 4 and not moment.iso.endswith("Z"):
            draft.reading.take_span(max(start, moment.end), end)
            return shifted(moment.iso, zone)
    return moment.iso


def _one_of_pair(draft: Draft, pair: Sequence[Parameter], moment: SpokenMoment) -> str | None:
    """The side of a difference that the words say; the other side is today or now."""
    bare = draft.reading.bare
    now = draft.scene.now
    today = now.date().isoformat() if moment.is_day else iso_moment(now)
    is_asked = _TIME_ASKED.search(bare) is not None and _COUNTED.search(bare) is None
    if moment.iso == today or not is_asked:
        return None
    if (cue := _UNTIL.search(bare)) is not None:
        draft.values[pair[1].name] = _taken(draft, moment)
        first = today
    elif (cue := _SINCE.search(bare)) is not None:
        draft.values[pair[1].name] = today
        first = _taken(draft, moment)
    else:
        return None
    draft.reading.take_match(cue)
    draft.evidence += 0.8
    return first


def _asked_for_now(draft: Draft) -> str | None:
    """ "What time is it" asks for now."""
    match = _NOW_ASKED.search(draft.reading.bare)
    if match is None or (draft.scene.has_earlier and match[0].lower().endswith(" it")):
        return None
    draft.reading.take_match(match)
    draft.evidence += 1.0
    if "day" in match[0].lower():
        draft.values.setdefault("pattern", "%A")
    return iso_moment(draft.scene.now)


def _counted_from_now(draft: Draft) -> str | None:
    """ "3 weeks ago" counts from today, "2 hours from now" from now."""
    counts = any(each.kind in (Kind.INTEGER, Kind.NUMBER) for each in draft.parameters)
    bare = draft.reading.bare
    if not counts or _AHEAD.search(bare) is None or _HOW_MANY.search(bare) is not None:
        return None
    draft.evidence += 0.3
    if _FROM_NOW.search(bare) or _SMALL_UNIT.search(bare):
        return iso_moment(draft.scene.now)
    return draft.scene.now.date().isoformat()


def _zone_said(draft: Draft) -> str | None:
    if not any(each.kind is Kind.ZONE for each in draft.parameters):
        return None
    zones = zones_in(draft.reading.bare)
    return zones[-1][2] if zones else None


def take_zone(draft: Draft, _: Parameter) -> str | None:
    """A zone by its name or by a place."""
    for quote in draft.reading.quotes:
        if ZONE.fullmatch(quote.value):
            return str(draft.reading.take(quote))
    zones = zones_in(draft.reading.bare)
    if not zones:
        return draft.reading.find(ZONE)
    start, end, zone = zones[-1]
    draft.reading.take_span(start, end)
    return zone


def take_pattern(draft: Draft, _: Parameter) -> str | None:
    """A strftime pattern: as it is, in letters such as DD.MM.YYYY, or in words."""
    for quote in draft.reading.quotes:
        if "%" in quote.value:
            return str(draft.reading.take(quote))
        if _LETTER_PATTERN.fullmatch(quote.value):
            return _from_letters(str(draft.reading.take(quote)))
    if (written := draft.reading.find(_STRFTIME)) is not None:
        return written
    if (letters := draft.reading.find(_LETTER_PATTERN)) is not None:
        return _from_letters(letters)
    for words, pattern in _PATTERN_WORDS:
        match = re.search(words, draft.reading.bare, re.IGNORECASE)
        if match is not None:
            draft.reading.take_match(match)
            return pattern
    return None


def _from_letters(text: str) -> str:
    """ "HH:MM" are minutes, any other MM is a month."""
    parts = re.split(r"([A-Za-z]+)", text)
    after_hour = False
    for place, part in enumerate(parts):
        word = part.lower()
        if word in _LETTERS:
            parts[place] = "%M" if word == "mm" and after_hour else _LETTERS[word]
            after_hour = word == "hh"
    return "".join(parts)


def take_sum(draft: Draft, _: Parameter) -> Any:
    """A sum, quoted or not."""
    for quote in draft.reading.quotes:
        if find_sum(quote.value):
            return str(draft.reading.take(quote))
    bare = MOMENT.sub(lambda match: "\0" * len(match[0]), draft.reading.bare)
    found = find_sum(bare, has_earlier=draft.scene.has_earlier)
    if found is None:
        return None
    start, end, written = found
    draft.reading.take_span(start, end)
    return Earlier(kind=Kind.NUMBER, template=written) if RESULT in written else written


def take_unit(draft: Draft, _: Parameter) -> str | None:
    """The unit after a number; number and target go to the parameters that want them."""
    target = next((each for each in draft.parameters if each.kind is Kind.TARGET_UNIT), None)
    amount = next((p for p in draft.parameters if p.kind in (Kind.NUMBER, Kind.INTEGER)), None)
    if target is None or amount is None:
        return None
    found = conversion_in(draft.reading.bare, has_earlier=draft.scene.has_earlier)
    if found is None:
        return None
    if found.value is None:
        if found.unit is None:
            return None
        draft.values[amount.name] = Earlier(kind=Kind.NUMBER)
    else:
        draft.values.setdefault(amount.name, found.value)
    draft.values.setdefault(target.name, found.target)
    draft.reading.take_span(found.start, found.end)
    return found.unit
