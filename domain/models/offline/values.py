"""Values of a clause by their type: JSON, lists, addresses, paths, choices, numbers, flags."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from domain.models.offline.draft import EVIDENCE, Draft
from domain.models.offline.literals import PATH, URL, Literal
from domain.models.offline.numbers_spoken import number_of, numbers_in
from domain.models.offline.options import (
    is_same,
    take_choice,
    take_flag,
    take_number,
    without_moments,
)
from domain.models.offline.parameters import Kind, Parameter
from domain.models.offline.reckoned_values import (
    take_moment,
    take_pattern,
    take_sum,
    take_unit,
    take_zone,
)
from domain.models.offline.wording import word_set
from domain.models.offline.zones_spoken import is_zone

_ROLES: Mapping[str, frozenset[str]] = {
    "into": frozenset({"base", "target", "to"}),
    "onto": frozenset({"base", "target", "to"}),
    "over": frozenset({"base", "target"}),
    "from": frozenset({"before", "old", "source"}),
    "to": frozenset({"after", "new", "target"}),
}
_SEVERAL = 0.4
"""What several values for one list speak for it, beyond a single one."""
_PLACE = re.compile(
    r"\b(?:in|under|inside|of|from|at)\s+(?:the\s+)?(?:(?:folder|directory|file)\s+)?"
    r"(?P<place>[\w-]+)(?:\s+(?:folder|directory))?\s*[.?!]?\s*$",
    re.IGNORECASE,
)
_NO_PLACES = word_set(
    "workspace folder directory file files here it there the a an this that my our your me them "
    "which what all same root top csv json text markdown in of for to and please now"
)
_FOLDERS = (
    re.compile(
        r"(?:\b(?:folder|directory|file)|^\W*(?:dir|ls|cat|less|open))\s+"
        r"(?:(?:called|named|is|at)\s+)?"
        r"(?<![\w-])(?P<place>\w[\w.-]*)\s*[.?!]?\s*$",
        re.IGNORECASE,
    ),
    re.compile(r"\b(?P<place>\w[\w.-]*)\s+(?:folder|directory)\b", re.IGNORECASE),
    _PLACE,
)
_CAPITALS = re.compile(
    r"(?<![\w/.])(?P<place>[A-Z][A-Z0-9_-]{2,}|Makefile|Dockerfile|Procfile)(?![\w/.])"
)
_KEY = r"(?P<key>[A-Za-z_*][\w.*-]*(?:\[[\w*\"-]+\][\w.*-]*)*)"
_KEY_PATH = re.compile(r"(?<![\w.\"'])[A-Za-z_][\w-]*(?:\.(?:[\w-]+|\*)|\[-?[\w*]+\])+(?![\w\[])")
_MAY_BE_PATH = re.compile(r"(?!\w+://)(?:\S+|[^\n]*\.[A-Za-z]\w{0,7})")
_KEYS = (
    re.compile(
        r"\b(?:fields?|keys?|property|properties|attributes?|elements?|path|at)\s+"
        rf"(?:of\s+|at\s+|for\s+|called\s+|named\s+)?{_KEY}",
        re.IGNORECASE,
    ),
    re.compile(rf"\bvalues?\s+(?:of|at|for|under|from)\s+(?:the\s+)?{_KEY}", re.IGNORECASE),
    re.compile(
        rf"\b(?:pick|get|take|extract|read|select|give\s+me|what['\u2019]?s|what\s+is|find|show|fetch|look\s+up)\s+(?:out\s+)?(?:the\s+)?{_KEY}"
        r"\s+(?:field\s+|key\s+|value\s+)?(?:from|out\s+of|in|of|inside)\b",
        re.IGNORECASE,
    ),
    re.compile(rf"\bthe\s+{_KEY}\s+(?:field|key|value|property|attribute)\b", re.IGNORECASE),
)
_NO_KEYS = word_set("the an value field key this that it me json document object from in of")


def take_typed(draft: Draft, parameter: Parameter) -> None:
    """Take the first value in the clause that is of the parameter's kind."""
    take = _TAKERS.get(parameter.kind)
    value = None if take is None else take(draft, parameter)
    if value is not None:
        draft.values[parameter.name] = value
        if draft.is_exact:
            draft.evidence += _worth(parameter, value)
        if (
            parameter.kind is Kind.LIST
            and isinstance(value, list)
            and len(cast("list[Any]", value)) > 1
        ):
            draft.evidence += _SEVERAL


def _worth(parameter: Parameter, value: Any) -> float:
    """How much a value speaks for its tool; a file is no folder."""
    worth = EVIDENCE.get(parameter.kind, 0.0)
    if parameter.kind is Kind.PATH and isinstance(value, str):
        is_file = re.search(r"\.[A-Za-z]\w{0,7}$", value) is not None
        wants_folder = parameter.description.lower().startswith(("folder", "directory"))
        if is_file:
            return 0.1 if wants_folder else 0.8
        if wants_folder:
            return worth + 0.2
        return worth - 0.2 if parameter.description.lower().startswith("file") else worth
    return worth


def _take_json(draft: Draft, parameter: Parameter) -> Any:
    """The first JSON value that fits, in quotes or not; "into" and "with" say which is which."""
    if not parameter.required:
        return None
    reading = draft.reading
    fitting: list[tuple[Literal, object]] = []
    for literal in sorted((*reading.json_values, *reading.quotes), key=lambda each: each.start):
        value = _json_of(literal.value)
        if value is not None and fits(parameter, value):
            fitting.append((literal, value))
    if not fitting:
        return None
    roles = [_role(reading.text, literal) for literal, _ in fitting]
    mine = next((n for n, role in enumerate(roles) if role & set(parameter.words)), None)
    others = {word for p in draft.parameters if p is not parameter for word in p.words}
    free = next((n for n, role in enumerate(roles) if not role & others), 0)
    literal, value = fitting[free if mine is None else mine]
    reading.take(literal)
    return value


def _role(text: str, literal: Literal) -> frozenset[str]:
    """Words of parameters that the preposition before a value points at."""
    before = re.search(
        r"(\w+)\s*(?:the\s+)?[\"'`]?$", text[max(0, literal.start - 30) : literal.start]
    )
    return _ROLES.get(before[1].lower() if before else "", frozenset())


def _json_of(value: object) -> object:
    """A JSON value as it is, or the object or list that a quote holds."""
    if not isinstance(value, str):
        return value
    if not value.lstrip().startswith(("{", "[")):
        return None
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


def _take_list(draft: Draft, parameter: Parameter) -> Any:
    """A JSON list; else all values in the clause that the list can hold."""
    found = _take_json(draft, parameter)
    if found is not None:
        return found
    reading = draft.reading
    if not parameter.required:
        return _listed_after_name(draft, parameter)
    if parameter.items in (Kind.NUMBER, Kind.INTEGER):
        return _all_numbers(draft, whole=parameter.items is Kind.INTEGER)
    if parameter.items is Kind.OBJECT:
        objects = [each for each in reading.json_values if isinstance(each.value, dict)]
        return [reading.take(each) for each in objects] or None
    if parameter.items is Kind.TEXT:
        return [reading.take(each) for each in tuple(reading.quotes)] or None
    return None


def _listed_after_name(draft: Draft, parameter: Parameter) -> list[str] | None:
    """Names that follow the parameter's own: "columns b, a"."""
    if parameter.items is not Kind.TEXT:
        return None
    name = r"[ _-]".join(re.escape(word) for word in parameter.words).removesuffix("s")
    reading = draft.reading
    match = re.search(
        rf"\b{name}s?\s*[:=]?\s+(?:of\s+)?(?P<list>[\w-]+(?:\s*(?:,\s*and|,|and)\s+[\w-]+|,[\w-]+)*)",
        reading.bare,
        re.IGNORECASE,
    )
    if match is None:
        return None
    reading.take_match(match)
    return re.split(r"\s*(?:,\s*and\s|,|\band\b)\s*", match["list"])


def _all_numbers(draft: Draft, *, whole: bool) -> list[float] | None:
    """Every number of the clause, or of a quote that holds nothing else."""
    reading = draft.reading
    for quote in tuple(reading.quotes):
        listed: list[float] = [number.value for number in numbers_in(quote.value)]
        if listed and not re.search(r"[A-Za-z]{3}", quote.value):
            reading.take(quote)
            return listed
    found = list(numbers_in(without_moments(reading.bare)))
    for number in found:
        reading.take_span(number.start, number.end)
    values: list[float] = [number.value for number in found]
    if len(found) == 1:
        # "100,200,300" is a list here and one number elsewhere.
        written = reading.text[found[0].start : found[0].end]
        if written.count(",") > 1:
            values = [float(part) if "." in part else int(part) for part in written.split(",")]
    return ([int(number) for number in values] if whole else values) or None


def _take_pattern(draft: Draft, pattern: re.Pattern[str]) -> str | None:
    """A match in the bare text, or a quote that is one as a whole."""
    for quote in draft.reading.quotes:
        if pattern.fullmatch(quote.value):
            return str(draft.reading.take(quote))
    return draft.reading.find(pattern)


def _take_url(draft: Draft, _: Parameter) -> str | None:
    return _take_pattern(draft, URL)


def _take_path(draft: Draft, parameter: Parameter) -> str | None:
    reading = draft.reading
    if URL.search(reading.bare):
        return None
    if any(each.kind in (Kind.JSON, Kind.OBJECT) for each in draft.parameters):
        written = reading.find(_KEY_PATH)
        return _take_key(draft) if written is None else written
    found = PATH.search(reading.bare)
    if found is None or not is_zone(found[0]):
        written = _take_pattern(draft, PATH)
        if written is not None:
            return written
    wants_text = any(each.kind is Kind.TEXT and each.required for each in draft.parameters)
    if (
        not wants_text
        and len(reading.quotes) == 1
        and _MAY_BE_PATH.fullmatch(reading.quotes[0].value)
    ):
        return str(reading.take(reading.quotes[0]))
    if (capitals := _CAPITALS.search(reading.bare)) is not None and parameter.required:
        return reading.take_match(capitals)
    for pattern in _FOLDERS:
        for match in pattern.finditer(reading.bare):
            place = match["place"]
            if place.lower() in _NO_PLACES or place.isdecimal():
                continue
            draft.is_exact = pattern is not _PLACE
            reading.take_span(*match.span("place"))
            return place
    return None


def _take_key(draft: Draft) -> str | None:
    """A path within JSON: a quote, or the word that names a field."""
    reading = draft.reading
    for quote in reading.quotes:
        if not quote.value.lstrip().startswith(("{", "[")):
            return str(reading.take(quote))
    for pattern in _KEYS:
        for match in pattern.finditer(reading.bare):
            if match["key"].lower() not in _NO_KEYS:
                reading.take_span(*match.span("key"))
                return match["key"]
    return None


_TAKERS: Mapping[Kind, Callable[[Draft, Parameter], Any]] = {
    Kind.OBJECT: _take_json,
    Kind.JSON: _take_json,
    Kind.LIST: _take_list,
    Kind.URL: _take_url,
    Kind.MOMENT: take_moment,
    Kind.SUM: take_sum,
    Kind.UNIT: take_unit,
    Kind.CHOICE: take_choice,
    Kind.INTEGER: take_number,
    Kind.NUMBER: take_number,
    Kind.BOOLEAN: take_flag,
    Kind.ZONE: take_zone,
    Kind.PATTERN: take_pattern,
    Kind.PATH: _take_path,
}


def fits(parameter: Parameter, value: object) -> bool:
    """Tell whether a quoted text or a JSON value can be this parameter's."""
    match parameter.kind:
        case Kind.OBJECT:
            return isinstance(value, dict)
        case Kind.LIST:
            return isinstance(value, list)
        case Kind.JSON:
            return True
        case Kind.CHOICE:
            return value in parameter.choices
        case Kind.INTEGER | Kind.NUMBER | Kind.BOOLEAN:
            return False
        case _:
            return isinstance(value, str)


def typed(parameter: Parameter, text: str) -> Any:
    """A bare word as a value of the parameter's kind; None when it is none."""
    match parameter.kind:
        case Kind.INTEGER:
            return int(text) if re.fullmatch(r"-?\d+", text) else None
        case Kind.NUMBER:
            return number_of(text)
        case Kind.BOOLEAN:
            return {"true": True, "yes": True, "false": False, "no": False}.get(text.lower())
        case Kind.CHOICE:
            return next((each for each in parameter.choices if is_same(each, text)), None)
        case Kind.OBJECT | Kind.LIST | Kind.JSON:
            return None
        case _:
            return text.rstrip(".,!?") or text
