"""Rules that say the same twice or the opposite of each other. Pure.

Only what the words alone prove is reported: the same words, whatever their case and punctuation,
and the same words once asked for and once forbidden ("Answer in verse." and "Never answer in
verse!"). What rules mean beyond their words is for people and models to judge.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from domain.behavior.rules import Rule, Rules

Words = tuple[str, ...]

_MARKS = ".,;:!?\u2026\"'()[]\u2018\u2019\u201c\u201d"
_FORBIDDEN: tuple[Words, ...] = (("never",), ("do", "not"), ("don't",))
_ASKED: tuple[Words, ...] = (("always",), ("do",))


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleConflict:
    """Rules that stand against each other; no winner among advice, where the model decides."""

    rules: Rules
    message: str
    winner: Rule | None = None


def conflicts(rules: Iterable[Rule], now_us: int) -> tuple[RuleConflict, ...]:
    """Find them among the rules that are in force, those of the strongest rules first."""
    said: dict[Words, list[Rule]] = {}
    asked: dict[Words, list[Rule]] = {}
    forbidden: dict[Words, list[Rule]] = {}
    for rule in rules:
        words = _words(rule.statement)
        if rule.is_in_force(now_us) and words:
            said.setdefault(words, []).append(rule)
            is_forbidding, core = _turned(words)
            (forbidden if is_forbidding else asked).setdefault(core, []).append(rule)
    found = [_repeated(alike) for alike in said.values() if len(alike) > 1]
    found += [
        _opposed(asking, forbidden[core])
        for core, asking in asked.items()
        if core and core in forbidden
    ]
    return tuple(found)


def _words(statement: str) -> Words:
    plain = statement.casefold().replace("\u2019", "'")
    return tuple(filter(None, (word.strip(_MARKS) for word in plain.split())))


def _turned(words: Words) -> tuple[bool, Words]:
    """Whether a rule forbids, and what."""
    if words[:1] == ("please",):
        words = words[1:]
    for opening in _FORBIDDEN:
        if words[: len(opening)] == opening:
            return True, words[len(opening) :]
    for opening in _ASKED:
        if words[: len(opening)] == opening:
            return False, words[len(opening) :]
    return False, words


def _repeated(alike: list[Rule]) -> RuleConflict:
    return RuleConflict(
        rules=tuple(alike), message="These rules have the same words; one is enough."
    )


def _opposed(asking: list[Rule], forbidding: list[Rule]) -> RuleConflict:
    return RuleConflict(
        rules=(*asking, *forbidding), message="One of these rules asks for what another forbids."
    )
