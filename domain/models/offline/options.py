"""Choices, counts, bounds and flags of a clause."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from domain.models.offline.draft import Draft
from domain.models.offline.literals import MOMENT
from domain.models.offline.moments_spoken import moments_in
from domain.models.offline.numbers_spoken import number_of, numbers_in
from domain.models.offline.parameters import Kind, Parameter
from domain.models.offline.times_spoken import minutes_at
from domain.models.offline.wording import stem, words

_ODD_SPAN = re.compile(
    r"\b(?:half\s+an?\s+hour|(?:a\s+)?quarter\s+of\s+an\s+hour|\d+\.\d+\s*(?:hours?|days?|h\b)"
    r"|(?:an?|one|two|three|\d+)\s+(?:hours?\s+and\s+(?:a\s+half|\d+\s+min|[a-z]+\s+min)|and\s+a\s+half\s+hours?)"
    r"|\d+\s*h(?:ours?)?\s+\d+\s*m)",
    re.IGNORECASE,
)
_NO_LETTER = re.compile(r"[^a-z0-9]")
_SINGLE = re.compile(
    r"\b(?P<count>a\s+couple\s+of|an?|one|another)\s+(?:second|minute|hour|day|week|fortnight|month|year)s?\b",
    re.IGNORECASE,
)
_COUNTS = frozenset({"count", "amount", "number", "n", "times"})
_BACKWARDS = re.compile(r"\b(?:subtract|minus|before|ago|earlier|back|less|prior)\b", re.IGNORECASE)
_SIGNS = {
    "underscore": "_", "underscores": "_", "underline": "_", "hyphen": "-", "hyphens": "-",
    "dash": "-", "dashes": "-", "minus": "-", "commas": ",", "tabs": "tab", "pipes": "pipe",
    "links": "urls", "link": "urls", "websites": "urls", "mails": "emails", "e-mails": "emails",
    "mail": "emails", "handles": "mentions", "tags": "hashtags", "ips": "ip_addresses",
    "semicolons": "semicolon", "dots": ".", "sha2": "sha256", "sha": "sha1",
}  # fmt: skip
_IGNORES_CASE = (
    r"case[\s-]*insensitiv\w*|ignor\w*\s+(?:the\s+)?(?:upper|lower|case|capital)\w*"
    r"|(?:regardless|irrespective)\s+of\s+(?:the\s+)?case"
    r"|(?:any|either|upper\s+or\s+lower)\s+case|whatever\s+the\s+case"
)
_KEEPS_EQUAL = (
    r"(?:with|including|keep(?:ing)?|even|all|list|show|allow(?:ing)?)\s+(?:the\s+)?"
    r"(?:duplicates?|repeats|repetitions)|(?:not\s+(?:only\s+(?:the\s+)?)?|non-?)unique"
    r"|not\s+just\s+unique|repeated\s+ones|(?:do\s+not|don['\u2019]?t|without)\s+dedup\w*"
)
_NO_HEADER = (
    r"(?:(?:no|without|missing|lacks?)\s+(?:an?\s+|the\s+|any\s+)?"
    r"(?:headers?|column\s+names)(?:\s+(?:line|row))?|headerless)"
)
_AS_NUMBERS = (
    r"(?:as|into|to|with|parse|parsing|convert(?:ing)?)\s+(?:the\s+)?"
    r"(?:cells\s+(?:as|to|into)\s+)?(?:real\s+)?numbers|numeric(?:\s+cells)?"
)
_FLAGS: Mapping[str, tuple[str, bool]] = {
    "ignore_case": (_IGNORES_CASE, True),
    "unique": (_KEEPS_EQUAL, False),
    "url_safe": (r"url[\s_-]*safe|for\s+(?:use\s+in\s+)?(?:an?\s+)?urls?", True),
    "header": (_NO_HEADER, False),
    "numbers": (_AS_NUMBERS, True),
}
"""Other words for a flag, and what they set it to."""
_MOST = (
    r"(?:(?:only\s+)?(?:the\s+)?first|at\s+most|up\s+to|(?:the\s+)?top|only|no\s+more\s+than|max(?:imum)?(?:\s+of)?"
    r"|limit(?:ed)?(?:\s+(?:it|them|that))?(?:\s+(?:to|of))?\s*[=:]?|not\s+more\s+than|maximal(?:ly)?)\s+(?P<n>\d[\d,]*|[a-z]+)\b"
)
_ONCE = re.compile(
    r"\b(?:only\s+(?:the\s+)?first|just\s+the\s+first|only\s+once|the\s+first)\b(?=\s+(?:one|match|occurrence|time|\0)|\s*[,.]?\s*$)",
    re.IGNORECASE,
)
_SKIP_ONE = re.compile(r"\bskip(?:ping)?\s+the\s+first\s+(?:row|line|one)\b", re.IGNORECASE)
_SKIP = (
    r"(?:skip(?:ping)?(?:\s+the)?(?:\s+first)?|offset(?:\s+of)?\s*[=:]?|start(?:ing)?\s+(?:at|from|with)(?:\s+(?:byte|row|line))?"
    r"|from\s+(?:byte|row|line))\s+(?P<n>\d[\d,]*|[a-z]+)\b"
)


def without_moments(bare: str) -> str:
    """The text with its ISO moments blanked out."""
    return MOMENT.sub(lambda match: "\0" * len(match[0]), bare)


def take_choice(draft: Draft, parameter: Parameter) -> Any:
    """The first of the choices that is said."""
    for match in re.finditer(
        r"[A-Za-z][\w-]*(?!\s+of\s+(?:words|lines|char|sent|para|byte))", draft.reading.bare
    ):
        meant = _SIGNS.get(match[0].lower(), match[0])
        for choice in parameter.choices:
            if isinstance(choice, str) and _is_choice(choice, match[0], meant):
                draft.reading.take_match(match)
                return choice
    return _two_words(draft, parameter)


def _is_choice(choice: str, word: str, meant: str) -> bool:
    if len(choice) == 1:
        return choice == meant
    return is_same(choice, word) or choice == meant


def _two_words(draft: Draft, parameter: Parameter) -> Any:
    """A choice said as two words, such as "ip addresses" or "sha 256"."""
    bare = draft.reading.bare
    for match in re.finditer(r"(?=\b([A-Za-z]\w*[ -]\w+))", bare):
        for choice in parameter.choices:
            if isinstance(choice, str) and len(choice) > 2 and is_same(choice, match[1]):
                draft.reading.take_span(match.start(1), match.end(1))
                return choice
    return None


def is_same(choice: object, word: str) -> bool:
    """Equal but for case, signs and a plural."""
    return _letters(str(choice)) == _letters(word)


@lru_cache(maxsize=4096)
def _letters(word: str) -> str:
    """A word without its signs, its case and its plural."""
    plain = _NO_LETTER.sub("", word.lower())
    return plain.rstrip("s") or plain or word


def take_number(draft: Draft, parameter: Parameter) -> float | None:
    """A number, if it is needed or the only one and the parameter counts something."""
    reading = draft.reading
    if (bounded := _take_bound(draft, parameter)) is not None:
        return bounded
    if (minutes := _take_minutes(draft, parameter)) is not None:
        return minutes
    free = list(numbers_in(_without_days(draft)))
    counts = bool(_COUNTS & set(parameter.words)) and len(free) == 1
    if not free and parameter.required and parameter.kind is Kind.INTEGER:
        return _take_single(draft, parameter)
    if not free or not (parameter.required or counts):
        return None
    first = free[0]
    if parameter.kind is Kind.INTEGER and first.value != int(first.value):
        return None
    reading.take_span(first.start, first.end)
    value = int(first.value) if parameter.kind is Kind.INTEGER else first.value
    goes_back = "negative" in parameter.description.lower()
    return -value if goes_back and value > 0 and _BACKWARDS.search(reading.bare) else value


def _take_minutes(draft: Draft, parameter: Parameter) -> int | None:
    """ "An hour and a half" and "1.5 hours" count in minutes, where minutes can be counted."""
    unit = next((each for each in draft.parameters if "minutes" in each.choices), None)
    if unit is None or not parameter.required or parameter.kind is not Kind.INTEGER:
        return None
    text = draft.reading.text
    match = _ODD_SPAN.search(text)
    found = None if match is None else minutes_at(text, match.start())
    if match is None or found is None:
        return None
    minutes, end = found
    draft.reading.take_span(match.start(), end)
    draft.values[unit.name] = "minutes"
    goes_back = "negative" in parameter.description.lower() and _BACKWARDS.search(text)
    return -minutes if goes_back else minutes


def _without_days(draft: Draft) -> str:
    """The text without its moments: those in words too, where the tool knows of moments."""
    bare = without_moments(draft.reading.bare)
    if any(each.kind is Kind.MOMENT for each in draft.parameters):
        for moment in moments_in(draft.reading.bare, draft.scene.now):
            gone = "\0" * (moment.end - moment.start)
            bare = f"{bare[: moment.start]}{gone}{bare[moment.end :]}"
    return bare


def _take_single(draft: Draft, parameter: Parameter) -> int | None:
    """ "A year" is one, "a couple of weeks" are two."""
    bare = draft.reading.text
    match = _SINGLE.search(bare)
    if match is None:
        return None
    draft.reading.take_span(*match.span("count"))
    value = 2 if "couple" in match["count"].lower() else 1
    goes_back = "negative" in parameter.description.lower() and _BACKWARDS.search(bare)
    return -value if goes_back else value


def _take_bound(draft: Draft, parameter: Parameter) -> int | None:
    """The bound that "at most 5" or "skip 10 rows" puts on an optional number."""
    name = set(parameter.words)
    if parameter.required or not name & {"limit", "offset", "max", "top", "skip"}:
        return None
    cue = _SKIP if name & {"offset", "skip"} else _MOST
    unit = "".join(rf"\s+{word}\b" for word in parameter.words if word in ("bytes", "rows"))
    is_sized = not unit and any("bytes" in other.words for other in draft.parameters)
    if is_sized and cue is _MOST:
        unit = r"(?!\s+bytes)"
    if cue is _MOST and not unit and (once := _ONCE.search(draft.reading.bare)) is not None:
        draft.reading.take_match(once)
        return 1
    match = re.search(cue + unit, draft.reading.bare, re.IGNORECASE)
    if match is None and unit and cue is _MOST:
        match = re.search(rf"(?<!\w)(?P<n>\d[\d,]*){unit}", draft.reading.bare, re.IGNORECASE)
    if match is None and cue is _SKIP and _SKIP_ONE.search(draft.reading.bare):
        return 1
    value = None if match is None else number_of(match["n"])
    if match is None or value is None or value != int(value):
        return None
    draft.reading.take_match(match)
    return int(value)


def take_flag(draft: Draft, parameter: Parameter) -> bool | None:
    """True when all words of the name are said, False with "no" or "without" before them."""
    reading = draft.reading
    phrase = _FLAGS.get(parameter.name)
    if phrase is not None and (match := re.search(phrase[0], reading.bare, re.IGNORECASE)):
        reading.take_match(match)
        return phrase[1]
    said = [stem(word) for word in words(reading.bare)]
    name = [stem(word) for word in parameter.words]
    for place in range(len(said) - len(name) + 1):
        if said[place : place + len(name)] == name:
            before = said[max(0, place - 2) : place]
            return not {"no", "without", "not"} & set(before)
    return None
