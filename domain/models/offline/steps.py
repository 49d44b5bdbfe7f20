"""Steps of an instruction: lines, list items, sentences, and clauses joined by "then"."""

import re
from collections.abc import Sequence

from domain.models.offline.literals import Reading
from domain.models.offline.mood import core_start

_I = re.IGNORECASE
_ITEM = re.compile(
    r"[ \t]*(?:\(?\d{1,2}[.):]|[-*\u2022\u2013]|step\s+\d{1,2}[.:)]?|[a-e]\))[ \t]+(?=\S)", _I
)
_INLINE_ITEM = re.compile(
    r"(?:^|(?<=[\s,;.:]))\(?(?:step\s+)?(?P<number>\d{1,2})(?:[.)]|(?<=step\s\d):)\s+(?=[A-Za-z/\"'`\0])"
)
_NEW_LINE = re.compile(r"\s*\n\s*")
_SEMICOLON = re.compile(r"\s*;(?!\s*-?[\d.,]+\s*(?:;|and\b|$))\s*")
_THEN = re.compile(
    r"(?:\s*[,.;:!\u2013]?\s+(?:and\s+)?|\s*[,.;:]\s*|^\s*)"
    r"(?:then|afterwards?|after\s+that|after\s+this|thereafter|subsequently|next(?=\s*,)|and\s+finally|finally|lastly"
    r"|second(?:ly)?(?=[,:\s]\s*)(?!\s+(?:of|in|from|to|and|\d))|third(?:ly)?(?=,)|followed\s+by|once\s+(?:that['\u2019]?s|that\s+is|this\s+is|you['\u2019]re|it\s+is)\s+done|when\s+(?:that['\u2019]?s|that\s+is|you['\u2019]re)\s+done)"
    r"\b[,:]?\s+|\s*(?:->|=>|\u2192|&&|\|>?)\s*",
    _I,
)
_SENTENCE = re.compile(
    r"(?<=[\w\0\"')\]}%])(?:[.!?]+\s+(?=[A-Z\"'`\u201c\0/])|\?\s+(?:and\s+)?(?=\w))"
)
_PLACE = re.compile(
    r"(?:step\s+\w+\s*[:.)]|(?:first|second|third|fourth|last)(?:ly)?\b(?!\s+of\b)"
    r"|to\s+(?:start|begin)(?:\s+with)?\b|finally\b|next\b(?=\s*,))[\s,:]*",
    _I,
)
_THEN_LAST = re.compile(r"[\s,]+(?:and\s+)?(?:then|next|and)\s*$", _I)
_AND = re.compile(
    r"\s*,?\s+(?:and|&|plus|also|as\s+well\s+as)\s+(?:also\s+|please\s+)?|\s*,\s+(?=[a-z])", _I
)
_INTRO = re.compile(
    r"[^\n]*\b(?:following|steps?|this|these|things|do|tasks?)\b[^\n]*:[ \t]*\n", _I
)
_INTRO_WORDS = re.compile(
    r"\W*(?:(?:please|pls|hi|hello|hey|gob|now|first(?:ly)?|do|carry\s+out|run|the|this|these|following|"
    r"steps?|things?|tasks?|in\s+order|two|three|four|\d|instructions?|task|to\s+do|todo|can|could|you)\b\W*)*",
    _I,
)
_COURTESY_ONLY = re.compile(
    r"\W*(?:thanks?|thank\s+you|please|cheers|hello|hi|hey|good\s+(?:morning|afternoon|evening|day)|ok(?:ay)?|great|"
    r"in\s+advance|very\s+much|a\s+lot|there|gob|thx|\W)+\W*",
    _I,
)


def segments(text: str) -> list[str]:
    """Lines, list items and parts between semicolons; a text after a colon stays whole."""
    listed = _listed(text)
    if listed is not None:
        return listed
    if re.match(r"[^\n]*:[ \t]*\n", text):
        return [text.strip()]
    return [
        part
        for line in _split(text, _NEW_LINE)
        for part in _split(line, _SEMICOLON, stop=text_start(line))
    ]


def sentences(text: str) -> list[str]:
    """Sentences; those that begin with "then" stay with the one before them."""
    return [each for each in _split(text, _SENTENCE) if not is_courtesy(each)]


def parts(text: str) -> list[str]:
    """Clauses joined by "then", "after that" and the like; a text after a colon stays whole."""
    found = _split(text, _THEN, stop=text_start(text))
    return [each for each in found if not is_courtesy(each)]


def text_start(text: str) -> int:
    """Where a text after a colon begins, as in "count the words: ..."; else the end."""
    bare = Reading(text).bare
    colon = re.search(r":\s", bare)
    if colon is None or _INTRO_WORDS.fullmatch(bare[: colon.start()]):
        return len(text)
    return colon.end()


def conjuncts(text: str, leads: "LeadWord") -> list[str]:
    """Clauses joined by "and" or a comma, where each begins with a word that leads a step."""
    reading = Reading(text)
    colon = re.search(r":\s", reading.bare)
    last = len(text) if colon is None else colon.start()
    found: list[str] = []
    start = 0
    for joint in _AND.finditer(reading.bare):
        following = text[joint.end() :]
        word = re.match(r"/?([A-Za-z]\w*)", following[core_start(following) :])
        if word is not None and joint.start() < last and leads(word[1]) and joint.start() > start:
            found.append(text[start : joint.start()].strip())
            start = joint.end()
    found.append(text[start:].strip())
    return [each for each in found if each]


def elliptic(text: str) -> tuple[str, str] | None:
    """Two clauses that share a verb: "hash A and B" is "hash A" and "hash B"."""
    reading = Reading(text)
    joint = next(reversed(list(re.finditer(r"\s*,?\s+and\s+", reading.bare))), None)
    verb = re.match(r"(?:\W*(?:please|can\s+you|could\s+you)\W+)*(?P<verb>[A-Za-z]\w*)", text, _I)
    if joint is None or verb is None or joint.start() <= verb.end():
        return None
    return text[: joint.start()].strip(), f"{verb['verb']} {text[joint.end() :].strip()}"


class LeadWord:
    """Tells whether a word begins a step of its own."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = frozenset(words)

    def __call__(self, word: str) -> bool:
        """True when a clause that begins with the word asks for something."""
        return word.lower() in self._words


def is_courtesy(text: str) -> bool:
    """True for words such as "Thanks!" that ask for nothing."""
    return len(text) < 80 and _COURTESY_ONLY.fullmatch(text) is not None


def _listed(text: str) -> list[str] | None:
    """Items of a list, one a line or in a line; None if the text is no list."""
    intro = _INTRO.match(text)
    body = text if intro is None else text[intro.end() :]
    lines = [line for line in body.strip().split("\n") if line.strip()]
    if len(lines) > 1 and all(_ITEM.match(line) for line in lines):
        return [_ITEM.sub("", line, count=1).strip() for line in lines]
    bare = Reading(text).bare
    marks = list(_INLINE_ITEM.finditer(bare))
    numbers = [int(mark["number"]) for mark in marks]
    if len(marks) > 1 and numbers == list(range(1, len(marks) + 1)):
        ends = [*(mark.start() for mark in marks[1:]), len(text)]
        found = [text[m.end() : e].strip(" ,;\n") for m, e in zip(marks, ends, strict=True)]
        return [each for each in found if each]
    return None


def _placeless(text: str) -> str:
    """The text without "first", "step 2:" and the like before it."""
    match = _PLACE.match(text)
    return text if match is None else text[match.end() :]


def _split(text: str, separator: re.Pattern[str], *, stop: int | None = None) -> list[str]:
    """Parts between separators that stand outside quotes and JSON."""
    reading = Reading(text)
    found: list[str] = []
    start = 0
    for joint in separator.finditer(reading.bare, 0, len(text) if stop is None else stop):
        found.append(text[start : joint.start()])
        start = joint.end()
    found.append(text[start:])
    plain = (_THEN_LAST.sub("", _placeless(each.strip())) for each in found)
    return [each for each in plain if each]
