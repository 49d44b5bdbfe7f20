"""What search reads of a text: its words, folded, without stop words, cut to light English stems.

The stemmer takes off plurals (Harman, "How effective is suffixing?", 1991) and -ed, -ing, -ly, as
the first steps of Porter (1980) do. Scripts without blanks are read by pairs of characters.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

LONGEST_WORD = 64

_TOKEN = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_ACCENTS = re.compile(r"[\u0300-\u036f]")
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+"
)
_VOWEL = re.compile(r"[aeiouy]")
_DOUBLED = re.compile(r"([bcdfghjkmnpqrtvwx])\1$")
_HISSING = ("ses", "xes", "zes", "ches", "shes")


def _word_set(text: str) -> frozenset[str]:
    """The words of a list written as text."""
    return frozenset(text.split())


STOP_WORDS = _word_set(
    """
    a about above after again all also am an and any are arent as at be because been before
    being below between both but by can cannot cant could couldnt did didnt do does doesnt
    doing dont down during each few for from further had hadnt has hasnt have havent having he
    her here hers herself him himself his how i if im in into is isnt it its itself ive just
    let lets me more most my myself no nor not now of off on once only or other our ours
    ourselves out over please same she should shouldnt so some such than that thats the their
    theirs them themselves then there these they this those through to too under until up us
    very was wasnt we were werent what whats when where which while who whom whose why will
    with wont would wouldnt you your yours yourself yourselves
    """
)


def words_of(text: str) -> Iterator[str]:
    """The words of a text in order, as the index keeps them."""
    for token in _tokens(text):
        if token not in STOP_WORDS:
            yield stem(token)


def asked_words(query: str) -> dict[str, str]:
    """Each word of a query as the index keeps it, and how it was written."""
    written: dict[str, str] = {}
    for token in _tokens(query):
        if token not in STOP_WORDS:
            written.setdefault(stem(token), token)
    return written


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """A word without its ending; only equality of stems means anything."""
    if len(word) <= 3 or not word.isascii() or not word.isalpha():
        return word
    base = _without_suffix(_singular(word))
    return base[:-1] if len(base) > 3 and base.endswith("e") else base


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    if word.endswith(_HISSING):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def _without_suffix(word: str) -> str:
    for suffix in ("ing", "ed", "ly"):
        base = word.removesuffix(suffix)
        if base != word and len(base) >= 3 and _VOWEL.search(base):
            return base[:-1] if suffix != "ly" and _DOUBLED.search(base) else base
    return word


def _tokens(text: str) -> Iterator[str]:
    for match in _TOKEN.finditer(_folded(text)):
        token = match[0].replace("\u2019", "'").removesuffix("'s").replace("'", "")
        if token.isascii():
            yield token[:LONGEST_WORD]
        else:
            yield from _apart(token)


def _folded(text: str) -> str:
    """Lower case without accents, compatible forms made equal."""
    if text.isascii():
        return text.lower()
    plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", text.casefold()))
    return unicodedata.normalize("NFC", plain)


def _apart(token: str) -> Iterator[str]:
    """A word whole; what is written without blanks as pairs of characters."""
    start = 0
    for run in _UNSPACED.finditer(token):
        if run.start() > start:
            yield token[start : run.start()][:LONGEST_WORD]
        characters = run[0]
        yield from (characters[at : at + 2] for at in range(max(1, len(characters) - 1)))
        start = run.end()
    if start < len(token):
        yield token[start:][:LONGEST_WORD]
