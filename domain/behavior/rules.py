"""A rule as it is kept, and the one text that a list of rules is written as. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import orjson

NO_RULES = "[]"
"""What an empty list is written as."""


class RuleKind(StrEnum):
    """Whether a rule is advice or enforced."""

    GUIDANCE = "GUIDANCE"
    POLICY = "POLICY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule; its id stays through all versions. `expires_at` is in microseconds."""

    id: str
    statement: str
    kind: RuleKind
    priority: int
    tags: tuple[str, ...]
    expires_at: int | None
    created_by: str

    @property
    def meaning(self) -> tuple[object, ...]:
        """Everything but whose it is: rules of one meaning are equal to a client."""
        return (self.statement, self.kind, self.priority, frozenset(self.tags), self.expires_at)

    def is_in_force(self, now_us: int) -> bool:
        """False once it has expired."""
        return self.expires_at is None or self.expires_at > now_us


Rules = tuple[Rule, ...]


def strongest_first(rules: Iterable[Rule]) -> Rules:
    """Order by priority, then by age: the ids of older rules are smaller."""
    return tuple(sorted(rules, key=lambda rule: (-rule.priority, rule.id)))


def written(rules: Rules) -> str:
    """Return the rules as canonical JSON: equal rules are equal bytes."""
    kept = [
        {
            "id": rule.id,
            "statement": rule.statement,
            "kind": rule.kind,
            "priority": rule.priority,
            "tags": rule.tags,
            "expiresAt": rule.expires_at,
            "createdBy": rule.created_by,
        }
        for rule in rules
    ]
    return orjson.dumps(kept, option=orjson.OPT_SORT_KEYS).decode()


def read(text: str) -> Rules:
    """Read what `written` wrote."""
    return tuple(
        Rule(
            id=kept["id"],
            statement=kept["statement"],
            kind=RuleKind(kept["kind"]),
            priority=kept["priority"],
            tags=tuple(kept["tags"]),
            expires_at=kept["expiresAt"],
            created_by=kept["createdBy"],
        )
        for kept in orjson.loads(text)
    )
