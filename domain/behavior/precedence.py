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
from domain.tools.patterns import cover, is_exact


def overrides(one: SourcedRule, other: SourcedRule, *, is_above: bool) -> bool:
    """True when the other never decides beside the one; `is_above` if the one is stronger."""
    effect, without = one.rule.effect, other.rule.effect
    if isinstance(effect, ToolEffect) and isinstance(without, ToolEffect):
        return is_above and fits_all_of(effect, without) and not _lets_out(effect, without)
    if isinstance(effect, LimitEffect) and isinstance(without, LimitEffect):
        if not _counts_all_of(one, other) or not is_reached_first(effect, without):
            return False
        # Of two that say the same, one stays.
        is_mutual = _counts_all_of(other, one) and is_reached_first(without, effect)
        return is_above or not is_mutual
    return False


def fits_all_of(wider: ToolEffect, narrower: ToolEffect) -> bool:
    """True when every call that the narrower one fits, fits the wider one too."""
    conditions = conditions_of(wider) <= conditions_of(narrower)
    return conditions and cover(wider.tools, narrower.tools)


def fits_the_same(one: ToolEffect, other: ToolEffect) -> bool:
    """True when both fit the same calls."""
    return fits_all_of(one, other) and fits_all_of(other, one)


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


def _lets_out(above: ToolEffect, below: ToolEffect) -> bool:
    """True when only the weaker rule names its tools, which a run that read untrusted text needs.

    Such a run may carry data out with a tool that a rule allows by its exact name.
    """
    allow = ToolDecision.ALLOW
    if above.decision is not allow or below.decision is not allow:
        return False
    return any(is_exact(name) and name not in above.tools for name in below.tools)
