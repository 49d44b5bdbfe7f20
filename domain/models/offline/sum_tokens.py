"""The words and signs that arithmetic is said with."""

import re
from dataclasses import dataclass

from domain.models.offline.numbers_spoken import UNSIGNED

_TOKENS: tuple[tuple[str, str], ...] = (
    ("function", r"(?:sqrt|abs|round|floor|ceil|exp|log10|log2|log|sin|cos|tan|min|max|sum)\s*\("),
    ("sum_of", r"(?:the\s+)?sum\s+of\b"),
    ("product_of", r"(?:the\s+)?product\s+of\b"),
    ("difference", r"(?:the\s+)?difference\s+(?:between|of)\b"),
    ("remainder", r"(?:the\s+)?remainder\s+(?:of|when)\b"),
    ("share", r"what\s+(?:percent(?:age)?|%)\s+of\b"),
    ("share_of", r"(?:is\s+)?what\s+(?:percent(?:age)?|%)\s+of\b"),
    ("root", r"(?:the\s+)?(?:square\s+root|sqrt|root)\s+(?:of\b)?"),
    ("cube_root", r"(?:the\s+)?cube\s+root\s+of\b"),
    ("then_rounded", r"(?:,?\s*)rounded\b"),
    ("square_of", r"(?:the\s+)?square\s+of\b"),
    ("cube_of", r"(?:the\s+)?cube\s+of\b"),
    ("rounded", r"round(?:\s+off|\s+up|\s+down)?\b(?!\s*\()"),
    ("root_sign", r"\u221a\s*"),
    ("absolute", r"(?:the\s+)?absolute\s+value\s+of\b"),
    ("log10", r"(?:the\s+)?(?:log(?:arithm)?\s+base\s+10|log10)\s+of\b"),
    ("log2", r"(?:the\s+)?(?:log(?:arithm)?\s+base\s+2|log2)\s+of\b"),
    ("ln", r"(?:the\s+)?(?:natural\s+log(?:arithm)?|ln)\s+of\b"),
    ("half", r"(?:one\s+|a\s+)?half(?:\s+of)?\b(?!\s+an?\b)"),
    ("third", r"(?:one|a)\s+third\s+of\b"),
    ("two_thirds", r"two\s+thirds\s+of\b"),
    ("quarter", r"(?:one|a)\s+quarter\s+of\b"),
    ("three_quarters", r"three\s+quarters\s+of\b"),
    ("double", r"(?:double|twice)\b"),
    ("triple", r"(?:triple|thrice)\b"),
    ("square_it", r"square\b(?!\s+(?:root|f|m|k|i|y))"),
    ("add", r"add(?:ing)?\b"),
    ("subtract", r"subtract(?:ing)?\b|take\s+(?=[\d$])"),
    ("multiply", r"multiply(?:ing)?\b"),
    ("divide", r"divid(?:e|ing)\b"),
    ("raise", r"(?:increase|raise|grow)\b"),
    ("lower", r"(?:decrease|reduce|lower)\b"),
    ("squared", r"squared\b|\u00b2"),
    ("cubed", r"cubed\b|\u00b3"),
    ("plus", r"plus\b|\+"),
    ("minus", r"minus\b|less\b|-|\u2212"),
    ("power", r"to\s+the\s+power\s+of\b|raised\s+to(?:\s+the\s+power\s+of)?\b|\*\*|\^"),
    (
        "times",
        r"times\b|multiplied\s+(?:by|with)\b|x(?=[\s\d(])|\*|\u00d7|\u00b7",
    ),
    ("whole", r"//"),
    ("over", r"(?:is\s+)?divided\s+by\b|over\b|/|\u00f7"),
    ("modulo", r"mod(?:ulo)?\b"),
    ("percent", r"%|percent\b|per\s+cent\b"),
    ("constant", r"(?:pi|e)\b"),
    ("it", r"(?:it|that|this|(?:the|that|this)\s+(?:result|answer|number|value|total|sum))\b"),
    ("open", r"\("),
    ("close", r"\)"),
    ("comma", r","),
    ("and", r"and\b"),
    ("to", r"to\b"),
    ("from", r"from\b"),
    ("by", r"(?:by|with)\b"),
    ("off", r"(?:off|discount\s+on)\b"),
    ("of", r"(?:tip\s+|tax\s+|vat\s+)?(?:of|on)\b"),
    ("is", r"(?:is|are)\b"),
)
_TOKEN = re.compile(
    "|".join(f"(?P<{name}>(?<![A-Za-z_])(?:{pattern}))" for name, pattern in _TOKENS),
    re.IGNORECASE,
)
_WORD = re.compile(r"[\w:]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A number, sign or word, and where it stands."""

    kind: str
    start: int
    end: int
    text: str


def tokens_of(text: str, *, has_earlier: bool) -> list[Token]:
    """Numbers, signs and words of sums; any other word is a token that ends a sum."""
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        kind, end = _token_at(text, at)
        if kind == "it" and not has_earlier:
            kind = "other"
        tokens.append(Token(kind=kind, start=at, end=end, text=text[at:end]))
        at = end
    return tokens


def _token_at(text: str, at: int) -> tuple[str, int]:
    for pattern in (_TOKEN, UNSIGNED):
        match = pattern.match(text, at)
        if match is None or match.end() == at:
            continue
        follows = text[match.end() : match.end() + 1]
        if pattern is UNSIGNED and (follows.isalpha() or follows in ("_", "\0", ":")):
            return "other", _word_end(text, at)
        return (match.lastgroup or "other") if pattern is _TOKEN else "number", match.end()
    return "other", _word_end(text, at)


def _word_end(text: str, at: int) -> int:
    match = _WORD.match(text, at)
    return at + 1 if match is None else match.end()
