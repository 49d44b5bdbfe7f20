"""Values of a clause by their type: JSON, addresses, moments, sums, units, choices, numbers."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from domain.models.literals import MEASURE_NUMBER, MOMENT, NUMBER, PATH, URL, ZONE, Reading
from domain.models.parameters import Kind, Parameter
from domain.models.sums import find_sum
from domain.models.wording import stem, words

EVIDENCE = {
    Kind.SUM: 1.2,
    Kind.URL: 0.8,
    Kind.UNIT: 0.8,
    Kind.OBJECT: 0.5,
    Kind.JSON: 0.4,
    Kind.PATH: 0.5,
    Kind.MOMENT: 0.4,
    Kind.CHOICE: 0.4,
    Kind.LIST: 0.3,
    Kind.ZONE: 0.2,
    Kind.TEXT: 0.4,
}
"""How much a value of this kind speaks for a tool that takes one."""
_COUNTS = frozenset({"count", "amount", "number", "n", "times"})
_BACKWARDS = re.compile(r"\b(subtract|minus|before|ago|earlier|back)\b", re.IGNORECASE)
_UNIT_PAIR = re.compile(
    r"(?<![\w.])-?\d+(?:\.\d+)?\s*([^\W\d_][\w/°]*(?:\s(?!to\b|in\b|into\b|as\b)[a-z]+)?)"
    r"\s+(?:to|in|into|as)\s+([^\W\d_][\w/°]*(?:\sper\s\w+)?)",
    re.IGNORECASE,
)
_PLACE = re.compile(
    r"\b(?:in|under|inside|of|from|at)\s+(?:the\s+)?(?:(?:folder|directory|file)\s+)?"
    r"(?P<place>[\w-]+)(?:\s+(?:folder|directory))?\s*[.?!]?\s*$",
    re.IGNORECASE,
)
_NO_PLACES = frozenset({"workspace", "folder", "directory", "file", "files", "here", "it", "there"})
_UNITS = {
    "kilometers": "km", "kilometres": "km", "kilometer": "km", "meters": "m", "metres": "m",
    "centimeters": "cm", "millimeters": "mm", "miles": "mi", "mile": "mi", "inches": "in",
    "inch": "in", "feet": "ft", "foot": "ft", "yards": "yd", "kilograms": "kg", "kilos": "kg",
    "grams": "g", "pounds": "lb", "lbs": "lb", "ounces": "oz", "tons": "t", "tonnes": "t",
    "liters": "l", "litres": "l", "gallons": "gal", "seconds": "s", "minutes": "min",
    "hours": "h", "days": "d", "weeks": "wk", "celsius": "C", "fahrenheit": "F", "kelvin": "K",
    "°c": "C", "°f": "F", "bytes": "B", "kilobytes": "kB", "megabytes": "MB", "gigabytes": "GB",
    "knots": "kn", "kmh": "km/h", "kph": "km/h", "degrees": "deg", "radians": "rad",
}  # fmt: skip


@dataclass(slots=True)
class Draft:
    """The arguments found so far, and what of the clause is still to be had."""

    parameters: Sequence[Parameter]
    reading: Reading
    values: dict[str, Any] = field(default_factory=dict[str, Any])
    evidence: float = 0.0
    is_exact: bool = True


def take_typed(draft: Draft, parameter: Parameter) -> None:
    """Take the first value in the clause that is of the parameter's kind."""
    take = _TAKERS.get(parameter.kind)
    value = None if take is None else take(draft, parameter)
    if value is not None:
        draft.values[parameter.name] = value
        if draft.is_exact:
            draft.evidence += EVIDENCE.get(parameter.kind, 0.0)


def _take_json(draft: Draft, parameter: Parameter) -> Any:
    """The first JSON value that fits, in quotes or not."""
    if not parameter.required:
        return None
    reading = draft.reading
    for literal in sorted((*reading.json_values, *reading.quotes), key=lambda each: each.start):
        value = _json_of(literal.value)
        if value is not None and fits(parameter, value):
            reading.take(literal)
            return value
    return None


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
    if found is not None or not parameter.required:
        return found
    reading = draft.reading
    if parameter.items in (Kind.NUMBER, Kind.INTEGER):
        return _all_numbers(reading, whole=parameter.items is Kind.INTEGER)
    if parameter.items is Kind.OBJECT:
        objects = [each for each in reading.json_values if isinstance(each.value, dict)]
        return [reading.take(each) for each in objects] or None
    if parameter.items is Kind.TEXT:
        return [reading.take(each) for each in tuple(reading.quotes)] or None
    return None


def _all_numbers(reading: Reading, *, whole: bool) -> list[float] | None:
    numbers = [_number(text) for text in reading.find_all(NUMBER)]
    return ([int(number) for number in numbers] if whole else numbers) or None


def _take_pattern(draft: Draft, pattern: re.Pattern[str]) -> str | None:
    """A match in the bare text, or a quote that is one as a whole."""
    for quote in draft.reading.quotes:
        if pattern.fullmatch(quote.value):
            return str(draft.reading.take(quote))
    return draft.reading.find(pattern)


def _take_url(draft: Draft, _: Parameter) -> str | None:
    return _take_pattern(draft, URL)


def _take_moment(draft: Draft, _: Parameter) -> str | None:
    return _take_pattern(draft, MOMENT)


def _take_path(draft: Draft, parameter: Parameter) -> str | None:
    reading = draft.reading
    if URL.search(reading.bare):
        return None
    if (found := _take_pattern(draft, PATH)) is not None:
        return found
    wants_text = any(each.kind is Kind.TEXT and each.required for each in draft.parameters)
    if parameter.required and not wants_text and len(reading.quotes) == 1:
        return str(reading.take(reading.quotes[0]))
    place = _PLACE.search(reading.bare)
    if place is None or place["place"].lower() in _NO_PLACES or place["place"].isdecimal():
        return None
    draft.is_exact = False
    return reading.take_match(place, group=place.re.groupindex["place"])


def _take_zone(draft: Draft, _: Parameter) -> str | None:
    return _take_pattern(draft, ZONE)


def _take_sum(draft: Draft, _: Parameter) -> str | None:
    for quote in draft.reading.quotes:
        if find_sum(quote.value):
            return str(draft.reading.take(quote))
    found = find_sum(MOMENT.sub(lambda match: "\0" * len(match[0]), draft.reading.bare))
    if found is None:
        return None
    start, end, written = found
    draft.reading.take_span(start, end)
    return written


def _take_unit(draft: Draft, _: Parameter) -> str | None:
    """The unit after a number; the pair's other half goes to the parameter that wants it."""
    match = _UNIT_PAIR.search(draft.reading.bare)
    target = next((each for each in draft.parameters if each.kind is Kind.TARGET_UNIT), None)
    if match is None or target is None:
        return None
    number = MEASURE_NUMBER.match(draft.reading.bare, match.start())
    amount = next((p for p in draft.parameters if p.kind in (Kind.NUMBER, Kind.INTEGER)), None)
    if number is not None and amount is not None:
        draft.values.setdefault(amount.name, _number(number[0]))
    draft.values.setdefault(target.name, _unit(match[2]))
    draft.reading.take_match(match)
    return _unit(match[1])


def _unit(text: str) -> str:
    return _UNITS.get(text.lower(), text)


def _take_choice(draft: Draft, parameter: Parameter) -> Any:
    for match in re.finditer(r"[A-Za-z][\w-]*", draft.reading.bare):
        for choice in parameter.choices:
            if isinstance(choice, str) and len(choice) > 1 and _same(choice, match[0]):
                draft.reading.take_match(match)
                return choice
    return None


def _same(choice: object, word: str) -> bool:
    """Equal but for case, signs and a plural."""
    one, other = (re.sub(r"[^a-z0-9]", "", str(each).lower()) for each in (choice, word))
    return one == other or one.rstrip("s") == other.rstrip("s") != ""


def _take_number(draft: Draft, parameter: Parameter) -> float | None:
    """A number, if it is needed or the only one and the parameter counts something."""
    free = NUMBER.findall(MOMENT.sub(" ", draft.reading.bare))
    counts = bool(_COUNTS & set(parameter.words)) and len(free) == 1
    if not free or not (parameter.required or counts):
        return None
    if parameter.kind is Kind.INTEGER and not re.fullmatch(r"-?\d+", free[0]):
        return None
    text = draft.reading.find(NUMBER) or free[0]
    value = int(text) if parameter.kind is Kind.INTEGER else _number(text)
    goes_back = "negative" in parameter.description.lower()
    return -value if goes_back and value > 0 and _BACKWARDS.search(draft.reading.bare) else value


def _number(text: str) -> float:
    return float(text) if "." in text else int(text)


def _take_flag(draft: Draft, parameter: Parameter) -> bool | None:
    """True when all words of the name are said, False with "no" or "without" before them."""
    said = [stem(word) for word in words(draft.reading.bare)]
    name = [stem(word) for word in parameter.words]
    for place in range(len(said) - len(name) + 1):
        if said[place : place + len(name)] == name:
            before = said[max(0, place - 2) : place]
            return not {"no", "without", "not"} & set(before)
    return None


_TAKERS: Mapping[Kind, Callable[[Draft, Parameter], Any]] = {
    Kind.OBJECT: _take_json,
    Kind.JSON: _take_json,
    Kind.LIST: _take_list,
    Kind.URL: _take_url,
    Kind.MOMENT: _take_moment,
    Kind.SUM: _take_sum,
    Kind.UNIT: _take_unit,
    Kind.CHOICE: _take_choice,
    Kind.INTEGER: _take_number,
    Kind.NUMBER: _take_number,
    Kind.BOOLEAN: _take_flag,
    Kind.ZONE: _take_zone,
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
            return _number(text) if NUMBER.fullmatch(text) else None
        case Kind.BOOLEAN:
            return {"true": True, "yes": True, "false": False, "no": False}.get(text.lower())
        case Kind.CHOICE:
            return next((each for each in parameter.choices if _same(each, text)), None)
        case Kind.OBJECT | Kind.LIST | Kind.JSON:
            return None
        case _:
            return text.rstrip(".,!?") or text
