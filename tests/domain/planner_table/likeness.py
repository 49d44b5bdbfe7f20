"""When an argument of a call is what was meant: by value, not by spelling."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

from domain.helpers.errors import HelperError
from domain.helpers.numbers import calculate
from tests.domain.planner_table.rows import CLOCK_AT

Arguments = Mapping[str, Any]
Schema = Mapping[str, Any]

_PROSE = frozenset({"content", "instruction", "query"})
_LITERAL = frozenset({"find", "replacement", "pattern", "encoded"})
_FREE = frozenset({"name"})
_NAMES = ("jan feb mar apr may jun jul aug sep oct nov dec", "sun mon tue wed thu fri sat")
_FIELDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


def same_arguments(tool: str, schema: Schema, expected: Arguments, given: Arguments) -> bool:
    """Tell whether the given arguments say what the expected ones do."""
    if tool == "schedule_task":
        if not (isinstance(given.get("name"), str) and given["name"].strip()):
            return False
        expected, given = _planned(expected), _planned(given)
    properties = cast("Schema", schema.get("properties", {}))
    if not set(given) <= set(properties):
        return False
    meant, said = _by_default(properties, expected), _by_default(properties, given)
    zones = (str(meant.get("zone", "UTC")), str(said.get("zone", "UTC")))
    return all(
        _alike(name, properties[name], meant.get(name), said.get(name), zones)
        for name in properties
        if name not in _FREE or tool != "schedule_task"
    )


def likeliest(arguments: Arguments) -> Arguments:
    """Spell out expected arguments: the first of several values, the bare words of a text."""
    return {name: _likeliest(value) for name, value in arguments.items()}


def _likeliest(value: Any) -> Any:
    if isinstance(value, dict) and "one_of" in value:
        return value["one_of"][0]
    return value["with_words"] if isinstance(value, dict) and "with_words" in value else value


def _by_default(properties: Schema, arguments: Arguments) -> Arguments:
    return {name: arguments.get(name, schema.get("default")) for name, schema in properties.items()}


def _planned(arguments: Arguments) -> Arguments:
    """Minutes from now as a moment; the zone counts only for cron."""
    planned = dict(arguments)
    minutes = planned.pop("in_minutes", None)
    if isinstance(minutes, int):
        planned["times"] = [(CLOCK_AT + timedelta(minutes=minutes)).isoformat()]
    if planned.get("cron") is None:
        planned.pop("timezone", None)
    return planned


def _alike(name: str, schema: Schema, meant: Any, said: Any, zones: tuple[str, str]) -> bool:
    if isinstance(meant, dict) and "one_of" in meant:
        return any(_alike(name, schema, each, said, zones) for each in meant["one_of"])
    if isinstance(meant, dict) and "with_words" in meant:
        words = _words(str(meant["with_words"]))
        return isinstance(said, str) and words <= _words(said)
    if name == "times":
        return _instants(meant, "UTC") == _instants(said, "UTC")
    if schema.get("format") == "date-time":
        return _instants([meant], zones[0]) == _instants([said], zones[1])
    if isinstance(meant, str) and isinstance(said, str):
        return _same_text(name, meant, said)
    return same_value(meant, said)


def _same_text(name: str, meant: str, said: str) -> bool:
    if name == "cron":
        return _cron(meant) is not None and _cron(meant) == _cron(said)
    if name == "expression":
        return _same_number(meant, said)
    if name == "path":
        return _path(meant) == _path(said)
    if name in {"zone", "timezone"}:
        return _zone(meant) == _zone(said)
    if name in _LITERAL:
        return meant == said
    return _trimmed(name, meant) == _trimmed(name, said)


def same_value(meant: Any, said: Any) -> bool:
    """Compare JSON: numbers by value, never with true and false; texts to the letter."""
    if isinstance(meant, bool) or isinstance(said, bool):
        return meant is said
    if isinstance(meant, int | float) and isinstance(said, int | float):
        return math.isclose(meant, said, rel_tol=1e-9)
    if isinstance(meant, list) and isinstance(said, list):
        return len(meant) == len(said) and all(map(same_value, meant, said))
    if isinstance(meant, dict) and isinstance(said, dict):
        return meant.keys() == said.keys() and all(same_value(meant[k], said[k]) for k in meant)
    return type(meant) is type(said) and meant == said


def _trimmed(name: str, text: str) -> str:
    text = text.strip().rstrip(".?!" if name in _PROSE else ".").strip()
    return text[:1].lower() + text[1:] if name in _PROSE else text


def _path(text: str) -> str:
    return text if len(text) < 2 else text.removeprefix("./").rstrip("/")


def _words(text: str) -> set[str]:
    return set(re.findall(r"[\w-]+", text.casefold()))


def _zone(text: str) -> str:
    return "UTC" if text in {"Etc/UTC", "Z", "GMT"} else text


def _instants(moments: Any, zone: str) -> list[datetime] | None:
    """Moments as instants in order; None where one of them is no moment."""
    if not isinstance(moments, list):
        return None
    try:
        read = [datetime.fromisoformat(str(each)) for each in moments]
        tz = ZoneInfo(zone)
    except (ValueError, KeyError):
        return None
    return sorted(
        (each if each.tzinfo else each.replace(tzinfo=tz)).astimezone(UTC) for each in read
    )


def _same_number(meant: str, said: str) -> bool:
    try:
        return same_value(calculate(meant).value, calculate(said).value)
    except HelperError:
        return False


def _cron(text: str) -> list[frozenset[int]] | None:
    """The five fields as the numbers that each allows; None where it is no such cron."""
    fields = text.lower().split()
    if len(fields) != 5:
        return None
    for names, at in zip(_NAMES, (3, 4), strict=True):
        for number, name in enumerate(names.split(), start=4 - at):
            fields[at] = re.sub(rf"\b{name}\w*", str(number), fields[at])
    try:
        read = [_allowed(field, *span) for field, span in zip(fields, _FIELDS, strict=True)]
    except ValueError:
        return None
    return [*read[:4], frozenset(day % 7 for day in read[4])]


def _allowed(field: str, low: int, high: int) -> frozenset[int]:
    allowed: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = (f"{low}-{high}" if span == "*" else span).partition("-")
        until = int(last) if last else (high if step else int(first))
        allowed.update(range(int(first), until + 1, int(step or 1)))
    return frozenset(allowed)
