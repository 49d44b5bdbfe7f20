"""Values that stand in an instruction: quotes, JSON, numbers, dates, addresses, sums.

A `Reading` hands each out once, so that two arguments never share a value.
"""

import ast
import json
import re
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

URL = re.compile(r"\bhttps?://[^\s'\"<>)\]]*[^\s'\"<>)\].,;:!?]")
MOMENT = re.compile(
    r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?(?![\w-])"
)
PATH = re.compile(
    r"(?<![\w/:@.-])(?:"
    r"(?:\.{0,2}/)?(?:[\w.-]+/)+[\w.-]*\w?"  # a/b, a/b.txt, docs/
    r"|[\w-]+(?:\.[\w-]+)*\.[A-Za-z][A-Za-z0-9]{0,7}\b"  # notes.txt
    r"|[\w-]+(?:\[-?[\d*]+\])[\w.\[\]*-]*"  # items[0].name
    r"|\.(?=\s|$)(?<=\s\.)"  # the folder itself
    r")"
)
FILE = re.compile(
    r"(?<![\w/:@.-])(?:[\w.-]+/)*[\w-]+(?:\.[\w-]+)*\.[A-Za-z][A-Za-z0-9]{0,7}\b(?![\[(])"
)
"""A path that ends in a file name with an extension."""
ZONE = re.compile(r"\bUTC\b|\b[A-Z][A-Za-z]+(?:/[A-Z][A-Za-z_]+){1,2}\b")
_OPENING = re.compile(
    r"```[a-z]*\n?(?P<block>.*?)\n?```"
    r"|`(?P<code>[^`\n]+)`"
    r'|"(?P<double>(?:[^"\\]|\\.)*)"'
    r"|“(?P<curly>[^“”]*)”"
    r"|„(?P<low>[^“”„]*)[”“]"
    r"|«\s?(?P<angled>[^«»]*?)\s?»"
    r"|(?<!\w)[\u2018\u201a](?P<slanted>[^\u2018\u201a\n]*?)[\u2019\u2018](?!\w)"
    r"|(?<!\w)'(?P<single>[^'\n]*(?:\w'\w[^'\n]*)*)'(?!\w)"
    r"|(?P<bracket>[\[{])",
    re.DOTALL,
)
_LONGEST_KEPT = 10_000
_MOST_CLOSINGS = 20
_LONGEST_PYTHON = 10_000
_TAKEN = "\0"
_MOST_BROKEN_BRACKETS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal:
    """A quoted text or a JSON value, and where it stands."""

    start: int
    end: int
    value: Any

    @property
    def is_json(self) -> bool:
        """True for an object or a list."""
        return not isinstance(self.value, str)


class Reading:
    """A clause whose values are taken one by one."""

    def __init__(self, text: str) -> None:
        self.text = text
        # Long texts are read anew each time rather than kept.
        literals, bare = _parts(text) if len(text) <= _LONGEST_KEPT else _parts.__wrapped__(text)
        self.json_values = [each for each in literals if not isinstance(each.value, str)]
        self.quotes = [each for each in literals if isinstance(each.value, str)]
        self.bare = bare
        self.lower = bare.lower()
        """The text without quotes and JSON in lower case; it stays as it is."""
        """The text with everything quoted, JSON or taken blanked out; its length never changes."""

    def copy(self) -> "Reading":
        """The same reading, to be taken from without changing this one."""
        other = copy(self)
        other.json_values = list(self.json_values)
        other.quotes = list(self.quotes)
        return other

    def take(self, literal: Literal) -> Any:
        """Take a quote or a JSON value."""
        if literal in self.quotes:
            self.quotes.remove(literal)
        if literal in self.json_values:
            self.json_values.remove(literal)
        return literal.value

    def take_match(self, match: re.Match[str], *, group: int = 0) -> str:
        """Take what a pattern found in `bare`."""
        self.take_span(match.start(), match.end())
        return match[group]

    def find(self, pattern: re.Pattern[str]) -> str | None:
        """Take the first place in `bare` that the pattern fits."""
        match = pattern.search(self.bare)
        return None if match is None else self.take_match(match)

    def find_all(self, pattern: re.Pattern[str]) -> list[str]:
        """Take every place in `bare` that the pattern fits."""
        found = pattern.findall(self.bare)
        self.bare = pattern.sub(lambda match: _TAKEN * len(match[0]), self.bare)
        return found

    def rest(self) -> str:
        """What nobody took, in words."""
        return self.bare.replace(_TAKEN, " ")

    def take_span(self, start: int, end: int) -> None:
        """Take whatever stands here."""
        self.bare = f"{self.bare[:start]}{_TAKEN * (end - start)}{self.bare[end:]}"


@lru_cache(maxsize=128)
def _parts(text: str) -> tuple[tuple[Literal, ...], str]:
    """The literals of a text, and the text with them blanked out."""
    literals = _literals(text)
    parts: list[str] = []
    at = 0
    for literal in literals:
        parts += (text[at : literal.start], _TAKEN * (literal.end - literal.start))
        at = literal.end
    return tuple(literals), "".join([*parts, text[at:]])


def _quote(match: re.Match[str]) -> Literal:
    value = next(group for group in match.groups() if group is not None)
    if match.lastgroup == "double":
        value = _unescaped(value)
    return Literal(start=match.start(), end=match.end(), value=value)


def _unescaped(text: str) -> str:
    """The text of a JSON string; as it stands if it is none."""
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text


def _literals(text: str) -> list[Literal]:
    """Quotes, objects and lists, the outermost of each."""
    found: list[Literal] = []
    at = broken = 0
    while (match := _OPENING.search(text, at)) is not None:
        literal = _quote(match) if match.lastgroup != "bracket" else _json_literal(text, match)
        if literal is None:
            broken += 1
            at = match.end()
        else:
            found.append(literal)
            at = literal.end
        if broken > _MOST_BROKEN_BRACKETS:
            break
    return found


def _json_literal(text: str, bracket: re.Match[str]) -> Literal | None:
    """The value that begins with the bracket; None for an index such as `items[0]`."""
    start = bracket.start()
    if start and (text[start - 1].isalnum() or text[start - 1] in "_]."):
        return None
    try:
        value, end = json_at(text, start)
    except (ValueError, RecursionError):
        found = _python_literal(text, start)
        if found is None:
            return None
        value, end = found
    return Literal(start=start, end=end, value=value)


def _python_literal(text: str, start: int) -> tuple[Any, int] | None:
    """An object or list written as in Python, in single quotes; None if there is none."""
    if not re.match(r"[\[{]\s*'", text[start : start + 20]):
        return None
    closing = "]" if text[start] == "[" else "}"
    end = text.find(closing, start)
    for _ in range(_MOST_CLOSINGS):
        if end < 0 or end - start > _LONGEST_PYTHON:
            return None
        try:
            value = ast.literal_eval(text[start : end + 1])
            return json.loads(json.dumps(value)), end + 1
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            end = text.find(closing, end + 1)
    return None


def json_at(text: str, start: int) -> tuple[Any, int]:
    """The JSON value that begins here, and where it ends; ValueError if there is none."""
    return json.JSONDecoder().raw_decode(text, start)
