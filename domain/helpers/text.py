"""Text: count it, replace in it, make names of it, take things out of it."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Literal

from pydantic import Field

from domain.helpers.bounds import MAX_TEXT_CHARS
from domain.helpers.errors import HelperError

Extractable = Literal["emails", "urls", "numbers", "dates", "hashtags", "mentions", "ip_addresses"]
MAX_MATCHES = 1_000
_WORD = re.compile(r"\w+(?:['\u2019-]\w+)*")
_SENTENCE_END = re.compile(r"(?<![.!?…])[.!?…]+(?=\s|\Z)")
# Each pattern starts at a boundary only and bounds its repeats, so that no text takes long.
_PATTERNS: Mapping[Extractable, re.Pattern[str]] = {
    "emails": re.compile(
        r"(?<![\w.+-])[\w+-][\w.+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w-])"
    ),
    "urls": re.compile(r"\bhttps?://[^\s<>\"'`]{1,2000}", re.IGNORECASE),
    "numbers": re.compile(r"(?<![\w.])[-+]?(?:\d{1,3}(?:,\d{3}){1,9}(?!\d)|\d+)(?:\.\d+)?"),
    "dates": re.compile(r"(?<!\d)\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])(?!\d)"),
    "hashtags": re.compile(r"(?<![\w#])#\w{1,100}"),
    "mentions": re.compile(r"(?<![\w@.])@\w[\w.-]{0,99}"),
    "ip_addresses": re.compile(
        r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d]|\.\d)"
    ),
}
_LETTERS = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextStats:
    """Counts of one text; `size_bytes` is its length in UTF-8."""

    characters: int
    size_bytes: int
    words: int
    unique_words: int
    sentences: int
    lines: int
    paragraphs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TextReplacement:
    """The new text, and how often something was replaced in it."""

    text: str
    replacements: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TextMatches:
    """What was found, in order; `truncated` says that there is more."""

    matches: list[str]
    truncated: bool


def text_stats(
    text: Annotated[str, Field(description="The text to count.", max_length=MAX_TEXT_CHARS)],
) -> TextStats:
    """Count characters, bytes, words, sentences, lines and paragraphs of a text."""
    words = [word.casefold() for word in _WORD.findall(text)]
    lines = text.splitlines()
    paragraphs = sum(
        bool(line.strip()) and (place == 0 or not lines[place - 1].strip())
        for place, line in enumerate(lines)
    )
    ends = sum(1 for _ in _SENTENCE_END.finditer(text))
    is_open = bool(words) and text.rstrip()[-1] not in ".!?…"
    return TextStats(
        characters=len(text),
        size_bytes=len(text.encode()),
        words=len(words),
        unique_words=len(set(words)),
        sentences=ends + is_open if words else 0,
        lines=len(lines),
        paragraphs=paragraphs,
    )


def text_replace(
    text: Annotated[str, Field(description="The text to change.", max_length=MAX_TEXT_CHARS)],
    find: Annotated[
        str, Field(description="What to look for, taken literally.", min_length=1, max_length=1_000)
    ],
    replacement: Annotated[str, Field(description="What to put there.", max_length=10_000)],
    *,
    ignore_case: Annotated[bool, Field(description="True finds any upper or lower case.")] = False,
    limit: Annotated[int, Field(description="Most replacements, from the start.", ge=1)] = 100_000,
) -> TextReplacement:
    """Replace a literal text wherever it occurs."""
    if not find:
        raise HelperError("find: is empty; send the text to look for.")
    places = list(islice(_occurrences(text, find, ignore_case=ignore_case), limit))
    size = len(text) + len(places) * (len(replacement) - len(find))
    if size > 2 * MAX_TEXT_CHARS:
        raise HelperError(
            f"replacement: the new text would have {size} characters, at most "
            f"{2 * MAX_TEXT_CHARS} can be made; lower limit or shorten the replacement."
        )
    parts: list[str] = []
    end = 0
    for place in places:
        parts += (text[end:place], replacement)
        end = place + len(find)
    return TextReplacement(text="".join(parts) + text[end:], replacements=len(places))


def text_slug(
    text: Annotated[str, Field(description="The text to name.", max_length=10_000)],
    *,
    separator: Annotated[Literal["-", "_"], Field(description="Sign between words.")] = "-",
    limit: Annotated[int, Field(description="Most characters.", ge=1, le=200)] = 80,
    alphabet: Annotated[
        Literal["ascii", "unicode"],
        Field(description="ascii drops accents and other scripts, unicode keeps all letters."),
    ] = "ascii",
) -> str:
    """Make a lower-case name of a text, for addresses, files and keys."""
    form = "NFKD" if alphabet == "ascii" else "NFKC"
    plain = unicodedata.normalize(form, text.lower().translate(_LETTERS))
    if alphabet == "ascii":
        plain = plain.encode("ascii", "ignore").decode()
    words = re.findall(r"[^\W_]+", plain)
    slug = separator.join(words)[:limit].rstrip(separator)
    if not slug:
        raise HelperError(
            f"text: no {alphabet} letter or digit is left of it; "
            "send words, or set alphabet to unicode for other scripts."
        )
    return slug


def text_extract(
    text: Annotated[str, Field(description="The text to search.", max_length=MAX_TEXT_CHARS)],
    kind: Annotated[Extractable, Field(description="What to take out; dates are YYYY-MM-DD.")],
    *,
    unique: Annotated[bool, Field(description="True lists equal matches once.")] = True,
    limit: Annotated[int, Field(description="Most matches.", ge=1, le=MAX_MATCHES)] = 100,
) -> TextMatches:
    """Take all email addresses, URLs, numbers, dates or similar out of a text."""
    found = (_trimmed(match[0], kind) for match in _PATTERNS[kind].finditer(text))
    seen = dict.fromkeys(found) if unique else list(found)
    return TextMatches(matches=list(islice(seen, limit)), truncated=len(seen) > limit)


def _trimmed(match: str, kind: Extractable) -> str:
    """Drop what belongs to the sentence around a match and not to the match."""
    if kind == "mentions":
        return match.rstrip(".-")
    if kind != "urls":
        return match
    bare = match.rstrip(".,;:!?…")
    while bare.endswith((")", "]")) and not _is_balanced(bare):
        bare = bare[:-1].rstrip(".,;:!?…")
    return bare


def _is_balanced(url: str) -> bool:
    return url.count("(") >= url.count(")") and url.count("[") >= url.count("]")


def _occurrences(text: str, find: str, *, ignore_case: bool) -> Iterator[int]:
    if ignore_case:
        text, find = _lowered(text), _lowered(find)
    place = text.find(find)
    while place >= 0:
        yield place
        place = text.find(find, place + len(find))


def _lowered(text: str) -> str:
    """Lower-case letter by letter, so that places stay the same."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(low if len(low := sign.lower()) == 1 else sign for sign in text)
