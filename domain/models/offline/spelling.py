"""Words that are spelled nearly right."""

import re
from collections.abc import Collection, Iterable

from domain.models.offline.mood import is_verb
from domain.models.offline.wording import stem

_SHORTEST = 5
_LEADS = ("remember", "remind", "schedule", "recall", "memorize")
_VERB = re.compile(
    r"(?:(?:please|can\s+you|could\s+you|pls|hey|hi)\W+)*(?P<verb>[A-Za-z]{5,12})\b", re.IGNORECASE
)


def respelled_lead(text: str, verbs: Collection[str] = ()) -> str:
    """The text with its first verb spelled right, if it nearly is one that orders begin with."""
    match = _VERB.match(text)
    verb = "" if match is None else match["verb"].lower()
    if match is None or verb in _LEADS or verb in verbs or is_verb(verb):
        return text
    meant = respelled(verb, _LEADS) or respelled(verb, verbs)
    if meant is None or stem(meant) == stem(verb):
        return text
    return f"{text[: match.start('verb')]}{meant}{text[match.end('verb') :]}"


def respelled(word: str, known: Iterable[str]) -> str | None:
    """The known word that differs by one letter, or by two swapped ones; None if there is none."""
    if len(word) < _SHORTEST:
        return None
    near = (each for each in known if len(each) >= _SHORTEST and _is_near(word, each))
    return min(near, default=None)


def _is_near(word: str, other: str) -> bool:
    if abs(len(word) - len(other)) > 1 or word[0] != other[0]:
        return False
    same = 0
    while same < min(len(word), len(other)) and word[same] == other[same]:
        same += 1
    rest, meant = word[same:], other[same:]
    swapped = rest[1:2] + rest[:1] + rest[2:]
    return meant in (rest[1:], swapped) or rest == meant[1:] or rest[1:] == meant[1:]
