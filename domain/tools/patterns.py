"""Names of tools and patterns of names, such as `fs.*`. Pure."""

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic.config import JsonDict

from domain.kernel.validation import Text, refusal

LONGEST_PATTERN = 200
_PATTERN = re.compile(r"[A-Za-z0-9_.*?-]+")
_WILD = re.compile(r"[*?]+")
# What the validator below asks for, as JSON Schema says it.
_SCHEMA: JsonDict = {"pattern": f"^{_PATTERN.pattern}$", "maxLength": LONGEST_PATTERN}


def _is_pattern(text: str) -> str:
    if len(text) > LONGEST_PATTERN or not _PATTERN.fullmatch(text):
        raise refusal(f"Use letters, digits and _ . * ? -, at most {LONGEST_PATTERN} characters.")
    return text


Pattern = Annotated[Text, AfterValidator(_is_pattern), Field(json_schema_extra=_SCHEMA)]
"""The name of a tool, or a pattern of names: `*` stands for any text, `?` for one character."""


def fits(name: str, patterns: Iterable[str]) -> bool:
    """Tell whether a tool is named by one of the patterns."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def is_exact(pattern: str) -> bool:
    """True for the name of one tool, without wildcards."""
    return _WILD.search(pattern) is None


def cover(wider: Iterable[str], narrower: Iterable[str]) -> bool:
    """True when every name that fits the narrower patterns provably fits the wider ones.

    Each pattern is proved by one other: `a?` and `a??` are not seen to cover `a??*` together.
    """
    known = tuple(wider)
    return all(any(_covers(pattern, other) for pattern in known) for other in narrower)


@lru_cache(maxsize=4096)
def _covers(wider: str, narrower: str) -> bool:
    """Match one pattern against another, where `*` of the narrower needs `*` of the wider."""
    wide, narrow = _ordered(wider), _ordered(narrower)
    reached = [True, *[False] * len(narrow)]
    for sign in wide:
        reached = _after(sign, narrow, reached)
    return reached[-1]


def _after(sign: str, narrow: str, reached: Sequence[bool]) -> list[bool]:
    """The places of the narrower pattern that are reached once `sign` has taken its part."""
    if sign == "*":
        found = list(reached)
        for place in range(len(narrow)):
            found[place + 1] = found[place + 1] or found[place]
        return found
    taken = [
        reached[place] and (one == sign or (sign == "?" and one != "*"))
        for place, one in enumerate(narrow)
    ]
    return [False, *taken]


def _ordered(pattern: str) -> str:
    """Write a run of wildcards in one way: `*?*` and `?*` fit the same names."""
    return _WILD.sub(lambda run: "?" * run[0].count("?") + "*" * ("*" in run[0]), pattern)
