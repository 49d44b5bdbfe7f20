"""Names of tools and patterns of names, such as `fs.*`. Pure."""

import re
from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic.config import JsonDict

from domain.kernel.validation import Text, refusal

LONGEST_PATTERN = 200
LONGEST_PROVED = 64
MOST_PARTS = 8
"""Most stars of a pattern that is seen to cover others."""
_PATTERN = re.compile(r"[A-Za-z0-9_.*?-]+")
_WILD = re.compile(r"[*?]+")
# What the validator below asks for, as JSON Schema says it.
_SCHEMA: JsonDict = {"pattern": f"^{_PATTERN.pattern}$", "maxLength": LONGEST_PATTERN}


def _is_pattern(text: str) -> str:
    if len(text) > LONGEST_PATTERN or not _PATTERN.fullmatch(text):
        raise refusal(f"Use letters, digits and _ . * ? -, at most {LONGEST_PATTERN} characters.")
    return text


Pattern = Annotated[Text, AfterValidator(_is_pattern), Field(json_schema_extra=_SCHEMA)]
"""The name of a tool, or a pattern of names: `*` stands for any text, `?` for one character.

A dot stands for an underscore, as the wires of model providers take no dots: `fs.*` is `fs_*`.
"""


def fits(name: str, patterns: Iterable[str]) -> bool:
    """Tell whether a tool is named by one of the patterns."""
    return any(fnmatchcase(name, _undotted(pattern)) for pattern in patterns)


def named(name: str, patterns: Iterable[str]) -> bool:
    """Tell whether a tool is named by one of the patterns, not by a wildcard in it."""
    return any(name == _undotted(pattern) for pattern in patterns)


def is_exact(pattern: str) -> bool:
    """True for the name of one tool, without wildcards."""
    return _WILD.search(pattern) is None


def cover(wider: Collection[str], narrower: Iterable[str]) -> bool:
    """True when every name that fits the narrower patterns provably fits the wider ones.

    Each pattern is proved by one other: `a?` and `a??` are not seen to cover `a??*` together.
    """
    wide = {_undotted(pattern) for pattern in wider}
    patterns = [pattern for pattern in wide if not is_exact(pattern)]
    narrow = map(_undotted, narrower)
    return all(
        other in wide or any(_covers(pattern, other) for pattern in patterns) for other in narrow
    )


def _undotted(pattern: str) -> str:
    return pattern.replace(".", "_")


def _covers(wider: str, narrower: str) -> bool:
    """Match one pattern against another as if that were a name with unknown parts."""
    prefix, suffix, is_one_star = _ends(wider)
    if not narrower.startswith(prefix) or not narrower.endswith(suffix):
        return False
    if is_one_star:
        return len(narrower) >= len(prefix) + len(suffix)
    known = _with_unknown_parts(wider)
    return known is not None and known.fullmatch(_ordered(narrower)) is not None


@lru_cache(maxsize=8192)
def _ends(pattern: str) -> tuple[str, str, bool]:
    """What stands before the first wildcard and after the last; true where one star is all."""
    parts = _WILD.split(pattern)
    first, last = parts[0], parts[-1]
    return first, last, len(first) + len(last) + 1 == len(pattern) and "*" in pattern


@lru_cache(maxsize=4096)
def _with_unknown_parts(pattern: str) -> re.Pattern[str] | None:
    """A `?` takes one unknown character, and only a `*` takes any number of them.

    The groups keep what they found first (atomic), so that no pattern takes long. None for a
    long pattern or one of many parts, of which nothing is proved.
    """
    first, *others = [
        "".join("[^*]" if sign == "?" else re.escape(sign) for sign in part)
        for part in _ordered(pattern).split("*")
    ]
    if len(others) > MOST_PARTS or len(pattern) > LONGEST_PROVED:
        return None
    if not others:
        return re.compile(first)
    *middle, last = others
    return re.compile("".join([first, *(f"(?>.*?{part})" for part in middle), ".*", last]))


def _ordered(pattern: str) -> str:
    """Write a run of wildcards in one way: `*?*` and `?*` fit the same names."""
    return _WILD.sub(lambda run: "?" * run[0].count("?") + "*" * ("*" in run[0]), pattern)
