"""Every rule that reaches one agent: which of them apply, and why or why not, in words. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from domain.behavior.merging import SourcedRule
from domain.behavior.precedence import overrides
from domain.behavior.rules import (
    LimitAction,
    LimitEffect,
    LimitMetric,
    LimitWindow,
    Rule,
    ToolDecision,
    ToolEffect,
)
from domain.kernel.moments import format_moment

_DECIDED = {
    ToolDecision.ALLOW: "are allowed",
    ToolDecision.ASK: "wait for a person's approval",
    ToolDecision.DENY: "are refused",
}
_COUNTED = {
    LimitMetric.COST_USD: "US dollars",
    LimitMetric.TOKENS: "tokens",
    LimitMetric.STEPS: "steps",
    LimitMetric.TOOL_CALLS: "tool calls",
    LimitMetric.RUNS: "runs",
}
_REACHED = {
    LimitAction.WARN: "an event warns",
    LimitAction.PAUSE: "runs pause",
    LimitAction.STOP: "runs end and new ones are refused",
}
_STATEMENT_SHOWN = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveRule:
    """A rule as one agent is subject to it."""

    rule: Rule
    is_agents: bool
    """True when it comes from the agent's own profile."""
    applies: bool
    explanation: str


def resolve(rules: Sequence[SourcedRule], now_us: int) -> tuple[EffectiveRule, ...]:
    """Judge each of the merged rules, in their order."""
    live = [one for one in rules if one.rule.is_in_force(now_us)]
    return tuple(_judged(one, live, now_us) for one in rules)


def overrider(one: SourcedRule, live: Iterable[SourcedRule]) -> SourcedRule | None:
    """Return the first rule in force that leaves this one without a say."""
    is_above = True
    for other in live:
        if other is one:
            is_above = False
        elif overrides(other, one, is_above=is_above):
            return other
    return None


def _judged(one: SourcedRule, live: Sequence[SourcedRule], now_us: int) -> EffectiveRule:
    stronger, expires_at = None, one.rule.expires_at
    if expires_at is not None and expires_at <= now_us:
        reason = f"It expired at {format_moment(expires_at)}."
    else:
        stronger = overrider(one, live)
        reason = _applied(one) if stronger is None else _overridden(stronger)
    return EffectiveRule(
        rule=one.rule,
        is_agents=one.is_agents,
        applies=stronger is None and one.rule.is_in_force(now_us),
        explanation=reason,
    )


def _overridden(by: SourcedRule) -> str:
    whose = "the agent's own profile" if by.is_agents else "the workspace's profile"
    named = f"{_quoted(by.rule.statement)} of {whose} (priority {by.rule.priority})"
    if isinstance(by.rule.effect, LimitEffect):
        return f"Never reached: {named} ends the work no later."
    return f"Overridden: {named} is stronger and decides every call that this one fits."


def _applied(one: SourcedRule) -> str:
    effect = one.rule.effect
    if effect is None:
        return "Advice: the model reads it before each step."
    if isinstance(effect, ToolEffect):
        some = " that fit its conditions" if effect.when else ""
        calls = f"Calls of {', '.join(effect.tools)}{some} {_DECIDED[effect.decision]}"
        return f"{calls}, unless a stronger rule or a bound of the run says otherwise."
    return f"{_counted(effect, is_agents=one.is_agents)}: {_REACHED[effect.on_reach]}."


def _counted(effect: LimitEffect, *, is_agents: bool) -> str:
    bound = f"At {effect.maximum:g} {_COUNTED[effect.metric]}"
    if effect.window is LimitWindow.RUN:
        return f"{bound} of one run and the runs below it"
    whose = "this agent" if is_agents else "the whole workspace"
    return f"{bound} of {whose} in one {effect.window.lower()}"


def _quoted(statement: str) -> str:
    line = " ".join(statement.split())
    shown = line if len(line) <= _STATEMENT_SHOWN else f"{line[: _STATEMENT_SHOWN - 1]}\u2026"
    return f"\u201c{shown}\u201d"
