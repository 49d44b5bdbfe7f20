"""A rule as it is kept, what it enforces, and the one text a list of them is written as. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson

NO_RULES = "[]"
"""What an empty list is written as."""


class RuleKind(StrEnum):
    """Whether a rule is advice or enforced."""

    GUIDANCE = "GUIDANCE"
    POLICY = "POLICY"


class ToolDecision(StrEnum):
    """What becomes of a tool call."""

    ALLOW = "ALLOW"
    ASK = "ASK"
    DENY = "DENY"


class LimitMetric(StrEnum):
    """What a limit bounds."""

    COST_USD = "COST_USD"
    TOKENS = "TOKENS"
    STEPS = "STEPS"
    TOOL_CALLS = "TOOL_CALLS"
    RUNS = "RUNS"


class LimitWindow(StrEnum):
    """What a limit is counted over."""

    RUN = "RUN"
    HOUR = "HOUR"
    DAY = "DAY"
    MONTH = "MONTH"


class LimitAction(StrEnum):
    """What happens when a limit is reached."""

    WARN = "WARN"
    PAUSE = "PAUSE"
    STOP = "STOP"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolEffect:
    """Decision on calls of some tools, by name or pattern."""

    decision: ToolDecision
    tools: tuple[str, ...]
    when: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    """Conditions on the arguments, each a JsonCondition as it was given; all must hold."""

    @property
    def strictness(self) -> int:
        """Lower is stricter."""
        return _DECISIONS[self.decision]

    def as_json(self) -> dict[str, Any]:
        """As it is stored, in the names of clients."""
        return {
            "decision": self.decision,
            "tools": list(self.tools),
            "when": [dict(condition) for condition in self.when],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitEffect:
    """Upper bound over a window; a budget when it bounds money."""

    metric: LimitMetric
    maximum: float
    window: LimitWindow = LimitWindow.RUN
    on_reach: LimitAction = LimitAction.STOP

    @property
    def strictness(self) -> int:
        """Lower is stricter."""
        return _ACTIONS[self.on_reach]

    def as_json(self) -> dict[str, Any]:
        """As it is stored, in the names of clients."""
        return {
            "metric": self.metric,
            "maximum": self.maximum,
            "window": self.window,
            "onReach": self.on_reach,
        }


RuleEffect = ToolEffect | LimitEffect

_DECISIONS = {ToolDecision.DENY: 0, ToolDecision.ASK: 1, ToolDecision.ALLOW: 2}
_ACTIONS = {LimitAction.STOP: 3, LimitAction.PAUSE: 4, LimitAction.WARN: 5}
_ADVICE = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule; its id stays through all versions. `expires_at` is in microseconds."""

    id: str
    statement: str
    priority: int
    tags: tuple[str, ...]
    expires_at: int | None
    created_by: str
    effect: RuleEffect | None = None

    @property
    def kind(self) -> RuleKind:
        """A rule that enforces something is a policy; any other is advice."""
        return RuleKind.GUIDANCE if self.effect is None else RuleKind.POLICY

    @property
    def strictness(self) -> int:
        """Lower is stricter; decides between rules of one priority."""
        return _ADVICE if self.effect is None else self.effect.strictness

    @property
    def meaning(self) -> tuple[object, ...]:
        """Everything but whose it is: rules of one meaning are equal to a client."""
        tags = frozenset(self.tags)
        return (self.statement, self.priority, tags, self.expires_at, meaning_of(self.effect))

    def is_in_force(self, now_us: int) -> bool:
        """False once it has expired."""
        return self.expires_at is None or self.expires_at > now_us


Rules = tuple[Rule, ...]


def strongest_first(rules: Iterable[Rule]) -> Rules:
    """Order by priority, at a tie the stricter effect, then age: older rules have smaller ids."""
    return tuple(sorted(rules, key=lambda rule: (-rule.priority, rule.strictness, rule.id)))


def meaning_of(effect: RuleEffect | None) -> tuple[object, ...] | None:
    """What an effect comes to, in whatever order its tools and conditions were given."""
    if effect is None:
        return None
    if isinstance(effect, LimitEffect):
        return (effect.metric, effect.maximum, effect.window, effect.on_reach)
    return (effect.decision, frozenset(effect.tools), conditions_of(effect))


def conditions_of(effect: ToolEffect) -> frozenset[str]:
    """The conditions of an effect, each as its canonical text."""
    return frozenset(map(_canonical, effect.when))


def written(rules: Rules) -> str:
    """Return the rules as canonical JSON: equal rules are equal bytes."""
    return _canonical([rule_as_json(rule) for rule in rules])


def is_written_alike(one: Rule, other: Rule) -> bool:
    """True when nothing differs, also where Python counts two values as equal (1 and true)."""
    return _canonical(rule_as_json(one)) == _canonical(rule_as_json(other))


def _canonical(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def rule_as_json(rule: Rule) -> dict[str, Any]:
    """Return a rule as it is stored."""
    kept: dict[str, Any] = {
        "id": rule.id,
        "statement": rule.statement,
        "kind": rule.kind,
        "priority": rule.priority,
        "tags": rule.tags,
        "expiresAt": rule.expires_at,
        "createdBy": rule.created_by,
    }
    # Advice is written without one: versions from before there were effects stay what they are.
    if rule.effect is not None:
        kept["effect"] = rule.effect.as_json()
    return kept


def read(text: str) -> Rules:
    """Read what `written` wrote."""
    return tuple(rule_of(kept) for kept in orjson.loads(text))


def rule_of(kept: Mapping[str, Any]) -> Rule:
    """Read what `rule_as_json` made of a rule."""
    return Rule(
        id=kept["id"],
        statement=kept["statement"],
        priority=kept["priority"],
        tags=tuple(kept["tags"]),
        expires_at=kept["expiresAt"],
        created_by=kept["createdBy"],
        effect=effect_of(kept.get("effect")),
    )


def effect_of(kept: Mapping[str, Any] | None) -> RuleEffect | None:
    """Read what `as_json` made of an effect."""
    if kept is None:
        return None
    if "decision" in kept:
        return ToolEffect(
            decision=ToolDecision(kept["decision"]),
            tools=tuple(kept["tools"]),
            when=tuple(kept["when"]),
        )
    return LimitEffect(
        metric=LimitMetric(kept["metric"]),
        maximum=kept["maximum"],
        window=LimitWindow(kept["window"]),
        on_reach=LimitAction(kept["onReach"]),
    )
