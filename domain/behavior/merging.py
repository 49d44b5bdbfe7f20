"""How the rules of the workspace and those of one agent make one list. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from domain.behavior.rules import Rule, Rules


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcedRule:
    """A rule and whose it is: the workspace's, or the agent's own."""

    rule: Rule
    is_agents: bool


def merged(of_workspace: Rules, of_agent: Rules) -> Rules:
    """Put both in one order; see `sourced`."""
    if not of_agent:
        return of_workspace
    return tuple(one.rule for one in sourced(of_workspace, of_agent))


def sourced(of_workspace: Iterable[Rule], of_agent: Iterable[Rule]) -> tuple[SourcedRule, ...]:
    """Strongest first: by priority, then the stricter, then the workspace's, then the older."""
    found = [SourcedRule(rule=rule, is_agents=False) for rule in of_workspace]
    found += [SourcedRule(rule=rule, is_agents=True) for rule in of_agent]
    return tuple(sorted(found, key=_place))


def _place(one: SourcedRule) -> tuple[int, int, bool, str]:
    return (-one.rule.priority, one.rule.strictness, one.is_agents, one.rule.id)
