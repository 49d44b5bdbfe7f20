"""Rules that say the same twice, or the opposite, or that leave others without a say. Pure.

Of advice only what the words alone prove is reported: the same words, whatever their case and
punctuation, and the same words once asked for and once forbidden ("Answer in verse." and "Never
answer in verse!"). What rules mean beyond their words is for people and models to judge. Of
policies it is what their effects prove, see `precedence`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from domain.behavior.effective import overrider
from domain.behavior.merging import SourcedRule, sourced
from domain.behavior.precedence import fits_the_same
from domain.behavior.rules import (
    LimitEffect,
    Rule,
    RuleKind,
    Rules,
    ToolEffect,
    meaning_of,
    strongest_first,
)

Words = tuple[str, ...]

_MARKS = ".,;:!?\u2026\"'()[]\u2018\u2019\u201c\u201d"
SAME_EFFECT = "These rules enforce the same; one is enough."
CONTRADICTED = "These rules decide the same calls differently; the first is the stronger and wins."
SHADOWED = "The first rule fits every call that the others fit and is stronger; they never decide."
LOWER_LIMIT = "These limits bound the same; work ends at the lower one, the first."
_FORBIDDEN: tuple[Words, ...] = (("never",), ("do", "not"), ("don't",))
_ASKED: tuple[Words, ...] = (("always",), ("do",))


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleConflict:
    """Rules that stand against each other; no winner among advice, where the model decides.

    Where there is a winner, it is the first of the rules.
    """

    rules: Rules
    message: str
    winner: Rule | None = None


def conflicts(rules: Iterable[Rule], now_us: int) -> tuple[RuleConflict, ...]:
    """Find them among the rules that are in force, advice first, then those of strong policies."""
    live = [rule for rule in rules if rule.is_in_force(now_us)]
    advice = [rule for rule in live if rule.kind is RuleKind.GUIDANCE]
    policies = [rule for rule in live if rule.kind is RuleKind.POLICY]
    return (*_of_words(advice), *_of_effects(sourced(strongest_first(policies), ())))


def _of_words(advice: Iterable[Rule]) -> list[RuleConflict]:
    said: dict[Words, list[Rule]] = {}
    asked: dict[Words, list[Rule]] = {}
    forbidden: dict[Words, list[Rule]] = {}
    for rule in advice:
        words = _words(rule.statement)
        if words:
            said.setdefault(words, []).append(rule)
            is_forbidding, core = _turned(words)
            (forbidden if is_forbidding else asked).setdefault(core, []).append(rule)
    found = [_repeated(alike) for alike in said.values() if len(alike) > 1]
    found += [
        _opposed(asking, forbidden[core])
        for core, asking in asked.items()
        if core and core in forbidden
    ]
    return found


def _of_effects(policies: tuple[SourcedRule, ...]) -> list[RuleConflict]:
    """Each rule that loses to another, with the first that it loses to; alike ones in one."""
    found: dict[tuple[str, str], list[Rule]] = {}
    for place, one in enumerate(policies):
        winner = overrider(one, policies) or _contradicted(one, policies[:place])
        if winner is not None:
            message = _reason(winner.rule, one.rule)
            found.setdefault((winner.rule.id, message), [winner.rule]).append(one.rule)
    return [
        RuleConflict(rules=tuple(rules), message=message, winner=rules[0])
        for (_, message), rules in found.items()
    ]


def _contradicted(one: SourcedRule, above: Sequence[SourcedRule]) -> SourcedRule | None:
    """Return the first stronger rule that decides the same calls under the same conditions."""
    loser = one.rule.effect
    if not isinstance(loser, ToolEffect):
        return None
    firsts = ((other, other.rule.effect) for other in above)
    return next(
        (
            other
            for other, first in firsts
            if isinstance(first, ToolEffect) and fits_the_same(first, loser)
        ),
        None,
    )


def _reason(winner: Rule, loser: Rule) -> str:
    first, second = winner.effect, loser.effect
    if meaning_of(first) == meaning_of(second):
        return SAME_EFFECT
    if isinstance(first, LimitEffect) and isinstance(second, LimitEffect):
        return LOWER_LIMIT
    if isinstance(first, ToolEffect) and isinstance(second, ToolEffect):
        is_contradicted = first.decision != second.decision and fits_the_same(first, second)
        return CONTRADICTED if is_contradicted else SHADOWED
    return SHADOWED


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
