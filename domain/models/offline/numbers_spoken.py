"""Numbers as people write and say them: `1,000`, `1.5k`, `$40`, `twenty-five`, `two dozen`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

_SMALL = {
    word: value
    for value, word in enumerate(
        (
            *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
            *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen"),
            *("seventeen", "eighteen", "nineteen"),
        )
    )
}
_TENS = {
    word: 10 * value
    for value, word in enumerate(
        ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"), 2
    )
}
_SCALES = {
    "dozen": 12,
    "hundred": 100,
    "thousand": 1_000,
    "million": 1_000_000,
    "billion": 1_000_000_000,
}
_WORDS = {**_SMALL, **_TENS}
_BELOW_100 = (
    rf"(?:(?:{'|'.join(_TENS)})(?:[\s-](?:{'|'.join(list(_SMALL)[1:10])}))?|{'|'.join(_SMALL)})"
)
_SCALE = rf"(?:{'|'.join(_SCALES)})"
_SPOKEN = (
    r"\bhalf\s+a\s+dozen\b"
    rf"|\b(?:{_BELOW_100}|an?(?=\s+{_SCALE}\b))"
    rf"(?:\s+{_SCALE}\b(?:\s+(?:and\s+)?{_BELOW_100}\b)?){{0,6}}(?:\s+and\s+a\s+half)?\b"
)
_SIGN = r"(?:(?<![\w.)\]])[-\u2212](?=[$\u20ac\u00a3\u00a5\d]))?"
_UNSIGNED = (
    r"(?:[$\u20ac\u00a3\u00a5]\s?)?(?<![\w.,:])"
    r"(?:\d{1,3}(?:,\d{3})+(?![\d,])|\d+)(?:\.\d+)?(?:e[+-]?\d+)?"
    r"(?:[kK](?![\w/])|\s+(?:dozen|hundred|thousand|million|billion)\b)?"
)
_WRITTEN = _SIGN + _UNSIGNED
NUMBER = re.compile(
    rf"(?P<written>{_WRITTEN})(?![\w]|\.\d|:\d)|(?P<spoken>{_SPOKEN})", re.IGNORECASE
)
"""A number that stands by itself, not within a word, a version or a time of day."""
MEASURE = re.compile(rf"(?P<written>{_WRITTEN})|(?P<spoken>{_SPOKEN})", re.IGNORECASE)
"""A number that a unit may follow at once, as in `10km`."""
UNSIGNED = re.compile(rf"(?P<written>{_UNSIGNED})|(?P<spoken>{_SPOKEN})", re.IGNORECASE)
"""A number without its sign, as an operand of a sum."""
_PARTS = re.compile(
    r"(?P<sign>[-\u2212])?(?:[$\u20ac\u00a3\u00a5]\s?)?"
    r"(?P<digits>[\d,]+(?:\.\d+)?(?:e[+-]?\d+)?)\s*(?P<scale>[a-z]+)?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenNumber:
    """A number, and where it stands."""

    start: int
    end: int
    value: int | float


@lru_cache(maxsize=256)
def numbers_in(text: str) -> Sequence[SpokenNumber]:
    """All numbers of a text, in order."""
    return tuple(
        SpokenNumber(start=match.start(), end=match.end(), value=value_of(match))
        for match in NUMBER.finditer(text)
    )


def number_of(text: str) -> int | float | None:
    """The number that a text is as a whole; None if it is none."""
    match = NUMBER.fullmatch(text.strip())
    return None if match is None else value_of(match)


def value_of(match: re.Match[str]) -> int | float:
    """The value of what NUMBER or MEASURE has found."""
    if match.lastgroup == "spoken" or match["spoken"] is not None:
        return _spoken_value(match[0].lower())
    parts = _PARTS.match(match[0])
    if parts is None:
        return 0
    digits = parts["digits"].replace(",", "")
    is_whole = digits.isdecimal()
    value: int | float = int(digits) if is_whole else float(digits)
    if not is_whole and "." not in digits and value < 1e15 and value == int(value):
        value = int(value)
    scale = (parts["scale"] or "").lower()
    if scale:
        scaled = value * (1_000 if scale == "k" else _SCALES[scale])
        value = int(scaled) if scaled == int(scaled) else scaled
    return -value if parts["sign"] else value


def _spoken_value(text: str) -> int | float:
    """Read number words from left to right: a scale multiplies what came before it."""
    if text.startswith("half"):
        return 6
    if text.endswith("half"):
        return _spoken_value(text.removesuffix("half").rstrip("a ").removesuffix("and")) + 0.5
    whole = part = 0
    for word in re.findall(r"[a-z]+", text):
        if word in _WORDS:
            part += _WORDS[word]
        elif word in ("dozen", "hundred"):
            part = max(part, 1) * _SCALES[word]
        elif word in _SCALES:
            whole += max(part, 1) * _SCALES[word]
            part = 0
    return whole + part


def written(value: float) -> str:
    """A number as a calculator takes it."""
    return str(value) if isinstance(value, int) else f"{value:.15g}"
