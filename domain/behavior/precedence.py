"""Which rule leaves another without a say. Pure, and only what can be proved.

Decisions on tools stand in one order, strongest first: a rule is without a say when one above it
fits every call that it fits. Limits have no order, each counts by itself: one is without a say when
another of the same metric and window ends the work no later.
"""

from domain.behavior.merging import SourcedRule
from domain.behavior.rules import (
    LimitAction,
    LimitEffect,
    LimitWindow,
    ToolDecision,
    ToolEffect,
    conditions_of,
)
from domain.tools.patterns import cover


def overrides(one: SourcedRule, other: SourcedRule, *, is_above: bool) -> bool:
    """True when the other never decides beside the one; `is_above` if the one is stronger."""
    effect, without = one.rule.effect, other.rule.effect
    if isinstance(effect, ToolEffect) and isinstance(without, ToolEffect):
        return is_above and _always_fits_with(effect, without)
    if isinstance(effect, LimitEffect) and isinstance(without, LimitEffect):
        if not _counts_all_of(one, other) or not is_reached_first(effect, without):
            return False
        # Of two that say the same, one stays.
        is_mutual = _counts_all_of(other, one) and is_reached_first(without, effect)
        return is_above or not is_mutual
    return False


def fits_the_same(one: ToolEffect, other: ToolEffect) -> bool:
    """True when both name the same tools under the same conditions."""
    return _covers(one, other) and _covers(other, one)


def counts_the_same(one: LimitEffect, other: LimitEffect) -> bool:
    """True when both bound one number."""
    return (one.metric, one.window) == (other.metric, other.window)


def is_reached_first(one: LimitEffect, other: LimitEffect) -> bool:
    """True when work ends at the one before the other is reached, or both say the same."""
    if not counts_the_same(one, other):
        return False
    if one.on_reach is LimitAction.STOP:
        return one.maximum <= other.maximum
    return (one.maximum, one.on_reach) == (other.maximum, other.on_reach)


def _counts_all_of(one: SourcedRule, other: SourcedRule) -> bool:
    """True unless the one counts the work of one agent, and the other that of all."""
    effect = one.rule.effect
    in_run = isinstance(effect, LimitEffect) and effect.window is LimitWindow.RUN
    return in_run or not one.is_agents or other.is_agents


def _always_fits_with(one: ToolEffect, other: ToolEffect) -> bool:
    """True when the one fits every call that the other fits.

    A rule that allows must fit all forms of the arguments, as sent and as converted, any other
    needs to fit one: so a condition of the former may fail where that of the latter holds.
    """
    allow = ToolDecision.ALLOW
    if one.when and one.decision is allow and other.decision is not allow:
        return False
    return _covers(one, other)


def _covers(wider: ToolEffect, narrower: ToolEffect) -> bool:
    if not cover(wider.tools, narrower.tools):
        return False
    return not wider.when or conditions_of(wider) <= conditions_of(narrower)
