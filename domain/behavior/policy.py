"""What the rules in force say to one call of a tool. Pure.

The strongest rule that fits the call decides: the highest priority, at a tie the stricter
decision. Where no rule fits, the tool's own default does.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

from domain.behavior.rules import Rule, ToolDecision, ToolEffect, strongest_first
from domain.kernel.conditions import JsonCondition, holds
from domain.tools.manifest import SideEffect, ToolManifest
from domain.tools.patterns import fits, named

CARRIERS = ("net", "exec", "mail", "message")
"""Capabilities by which a tool can carry data out, with what follows a dot or a colon."""

PLANNERS = ("tasks.write",)
"""Capabilities by which a tool has work done later, or changed, by a run of its own."""

_SAID = {
    ToolDecision.ALLOW: "allows {}",
    ToolDecision.ASK: "asks a person before {} is called",
    ToolDecision.DENY: "forbids {}",
}
_STRICTNESS = {ToolDecision.ALLOW: 0, ToolDecision.ASK: 1, ToolDecision.DENY: 2}
_SHOWN = 160

Arguments = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What becomes of a call, and why; `rule` is None where a default or a bound decides."""

    decision: ToolDecision
    rule: Rule | None
    explanation: str
    is_named: bool = False
    """True when a rule says so that names the tool itself, not by a wildcard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFacts:
    """What a decision depends on, of the tool itself."""

    name: str
    default: ToolDecision
    carries_out: bool
    """True when it can carry data out of the workspace."""
    plans: bool = False
    """True when it has work done later, by runs that nothing of this run binds."""
    hands_on: bool = False
    """True for handing work to another agent, which is no tool of its own."""

    @classmethod
    def of(cls, manifest: ToolManifest) -> "ToolFacts":
        """Read them from what the tool says about itself."""
        return cls(
            name=manifest.name,
            default=default_of(manifest.side_effect),
            carries_out=carries_out(manifest.capabilities),
            plans=not frozenset(manifest.capabilities).isdisjoint(PLANNERS),
        )

    @classmethod
    def of_delegation(cls, name: str) -> "ToolFacts":
        """Handing work on is allowed where no rule says otherwise, within the agent's delegates."""
        return cls(name=name, default=ToolDecision.ALLOW, carries_out=False, hands_on=True)


def default_of(side_effect: SideEffect) -> ToolDecision:
    """Decide where no rule does: a person is asked before what cannot be undone."""
    return ToolDecision.ASK if side_effect is SideEffect.DANGEROUS else ToolDecision.ALLOW


def carries_out(capabilities: Iterable[str]) -> bool:
    """Tell whether a tool with these capabilities can carry data out."""
    return not kinds_of(capabilities).isdisjoint(CARRIERS)


def kinds_of(capabilities: Iterable[str]) -> frozenset[str]:
    """Return the capabilities without what follows a dot or a colon."""
    return frozenset(each.partition(":")[0].partition(".")[0] for each in capabilities)


def decide(
    rules: Iterable[Rule], tool: ToolFacts, forms: Sequence[Arguments], now_us: int
) -> Decision:
    """Decide on a call whose arguments come in several forms, as sent and as converted.

    A rule that allows must fit every form, any other needs to fit one: what a tool makes of
    "150" is not hidden from a rule on numbers.
    """
    fitting = _fitting(rules, tool, forms, now_us)
    for rule, effect in fitting:
        said = _SAID[effect.decision].format(tool.name)
        words = f"The rule {_short(rule.statement)!r} (priority {rule.priority}) {said}."
        return Decision(
            decision=effect.decision,
            rule=rule,
            explanation=words,
            is_named=_is_named(tool, effect, fitting),
        )
    if tool.default is ToolDecision.ALLOW:
        words = f"No rule says anything of {tool.name}, so it may be called."
    else:
        words = f"{tool.name} does what cannot be undone, and no rule allows it without a question."
    return Decision(decision=tool.default, rule=None, explanation=words)


def _is_named(
    tool: ToolFacts, first: ToolEffect, weaker: Iterator[tuple[Rule, ToolEffect]]
) -> bool:
    """Tell whether the deciding rule names a tool, or a weaker one that nothing else precedes."""
    alike = takewhile(lambda other: other[1].decision is first.decision, weaker)
    return named(tool.name, first.tools) or any(named(tool.name, one.tools) for _, one in alike)


def _fitting(
    rules: Iterable[Rule], tool: ToolFacts, forms: Sequence[Arguments], now_us: int
) -> Iterator[tuple[Rule, ToolEffect]]:
    """The rules that fit a call, the strongest first."""
    for rule in strongest_first(rules):
        effect = rule.effect
        if not isinstance(effect, ToolEffect) or not rule.is_in_force(now_us):
            continue
        if fits(tool.name, effect.tools) and _holds(effect, forms):
            yield rule, effect


def forbids(rules: Iterable[Rule], name: str, now_us: int) -> bool:
    """Tell whether every call of a tool is denied, whatever its arguments."""
    for rule in strongest_first(rules):
        effect = rule.effect
        if not isinstance(effect, ToolEffect) or not rule.is_in_force(now_us):
            continue
        if fits(name, effect.tools):
            if effect.decision is not ToolDecision.DENY:
                return False
            if not effect.when:
                return True
    return False


def strictest(decisions: Iterable[Decision]) -> Decision:
    """Return the strictest; the first of them where several are."""
    return max(decisions, key=lambda found: _STRICTNESS[found.decision])


def with_taint(found: Decision, tool: ToolFacts) -> Decision:
    """Ask before a run that has read untrusted text carries data out, unless a rule names it."""
    if tool.carries_out:
        why = f"The run has read text that is not trusted, and {tool.name} can carry data out;"
    elif tool.plans:
        why = (
            "The run has read text that is not trusted, and runs that"
            f" {tool.name} plans would not be known to have;"
        )
    else:
        return found
    return _asked_unless_named(found, why)


def with_bounds(found: Decision, tool: ToolFacts) -> Decision:
    """Ask before a run of less than its agent's rights plans one of all of them, likewise."""
    if not tool.plans:
        return found
    why = f"The run may do less than its agent, and runs that {tool.name} plans may do all of it;"
    return _asked_unless_named(found, why)


def _asked_unless_named(found: Decision, why: str) -> Decision:
    if found.decision is not ToolDecision.ALLOW or found.is_named:
        return found
    words = f"{why} only a rule that names the tool allows that without a question."
    return replace(found, decision=ToolDecision.ASK, rule=None, explanation=words)


def _holds(effect: ToolEffect, forms: Sequence[Arguments]) -> bool:
    if not effect.when:
        return True
    conditions = [JsonCondition.model_validate(condition) for condition in effect.when]
    of_each = [all(holds(condition, form) for condition in conditions) for form in forms]
    return all(of_each) if effect.decision is ToolDecision.ALLOW else any(of_each)


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _SHOWN else f"{flat[:_SHOWN]}\u2026"
