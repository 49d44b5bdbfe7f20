"""How an adjustment turns rules into other rules, and what differs between two lists. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from domain.behavior.adjustment import (
    DEFAULT_PRIORITY,
    MOST_RULES,
    Adjustment,
    NewRule,
    RuleUpdate,
    Strategy,
)
from domain.behavior.rules import Rule, Rules, is_written_alike, strongest_first
from domain.kernel.errors import NotFound, QuotaExceeded


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleChange:
    """A rule that is in both lists and differs."""

    before: Rule
    after: Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class BehaviorDiff:
    """What differs between two versions; version 0 has no rules."""

    from_version: int
    to_version: int
    added: Rules
    removed: Rules
    changed: tuple[RuleChange, ...]


def diff(before: Rules, after: Rules, *, from_version: int, to_version: int) -> BehaviorDiff:
    """Compare two lists rule by rule, by their ids."""
    old = {rule.id: rule for rule in before}
    kept = {rule.id for rule in after}
    return BehaviorDiff(
        from_version=from_version,
        to_version=to_version,
        added=tuple(rule for rule in after if rule.id not in old),
        removed=tuple(rule for rule in before if rule.id not in kept),
        changed=tuple(
            RuleChange(before=old[rule.id], after=rule)
            for rule in after
            if rule.id in old and not is_written_alike(old[rule.id], rule)
        ),
    )


def adjusted(
    rules: Rules, asked: Adjustment, *, new_id: Callable[[], str], created_by: str
) -> Rules:
    """Return the rules after the adjustment, strongest first.

    A new rule of the same meaning as one that is there stands for that one. Raises NotFound for
    a rule that is not there, and QuotaExceeded.
    """
    found = _named(rules, asked)
    for ident in asked.remove or ():
        found.pop(ident, None)
    for change in asked.update or ():
        found[change.rule_id] = _updated(found[change.rule_id], change)
    known = {rule.meaning: rule for rule in reversed(strongest_first(found.values()))}
    named = {change.rule_id for change in asked.update or ()}
    for new in asked.add or ():
        rule = _rule_of(new, ident=new_id(), created_by=created_by)
        rule = known.setdefault(rule.meaning, rule)
        named.add(rule.id)
        found[rule.id] = rule
    if asked.strategy is Strategy.REPLACE:
        found = {ident: rule for ident, rule in found.items() if ident in named}
    if len(found) > MOST_RULES:
        raise QuotaExceeded(
            f"A profile has at most {MOST_RULES} rules; this would make {len(found)}."
            " Remove some, or say several in one.",
            quota="behavior.rules",
            limit=MOST_RULES,
            retry_after_s=None,
        )
    return strongest_first(found.values())


def _named(rules: Rules, asked: Adjustment) -> dict[str, Rule]:
    """The rules by id, when those that are to change are among them."""
    found = {rule.id: rule for rule in rules}
    for place, change in enumerate(asked.update or ()):
        if change.rule_id not in found:
            path = ["update", str(place), "ruleId"]
            raise NotFound("behavior rule", change.rule_id, path=path)
    for place, ident in enumerate(asked.remove or ()):
        if ident not in found:
            raise NotFound("behavior rule", ident, path=["remove", str(place)])
    return found


def _rule_of(new: NewRule, *, ident: str, created_by: str) -> Rule:
    return Rule(
        id=ident,
        statement=new.statement,
        priority=new.priority,
        tags=new.tags or (),
        expires_at=new.expires_at,
        created_by=created_by,
        effect=None if new.effect is None else new.effect.value,
    )


def _updated(rule: Rule, change: RuleUpdate) -> Rule:
    given: Mapping[str, Any] = {
        "statement": change.statement,
        "priority": DEFAULT_PRIORITY if change.priority is None else change.priority,
        "tags": change.tags or (),
        "expires_at": change.expires_at,
        "effect": None if change.effect is None else change.effect.value,
    }
    said = change.model_fields_set
    return replace(rule, **{name: value for name, value in given.items() if name in said})
