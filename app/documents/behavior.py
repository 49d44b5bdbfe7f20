"""Behavior as JSON: a profile, its rules, and what an adjustment did."""

from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import Field

from app.documents.base import Document, MomentText, Reference, id_field, moment_text
from domain.behavior import rules, service
from domain.behavior.rows import BehaviorProfileRow, BehaviorVersionRow
from schema.ids import Kind, encode_id
from schema.scalars import format_moment


class ToolEffect(Document):
    """Decision on calls of some tools."""

    decision: rules.ToolDecision
    tools: list[str]
    when: list[dict[str, Any]]


class LimitEffect(Document):
    """Upper bound over a window; a budget when it bounds money."""

    metric: rules.LimitMetric
    maximum: float
    window: rules.LimitWindow
    on_reach: rules.LimitAction


class RuleEffect(Document):
    """What a policy rule enforces, as it is sent: one of both, and null for the other."""

    tool: ToolEffect | None = Field(description="Decision on tool calls; null for a bound.")
    limit: LimitEffect | None = Field(description="Upper bound; null for a decision.")

    @classmethod
    def of(cls, effect: rules.RuleEffect) -> Self:
        """Show an effect."""
        shown = effect.as_json()
        if isinstance(effect, rules.ToolEffect):
            return cls(tool=ToolEffect.model_validate(shown), limit=None)
        return cls(tool=None, limit=LimitEffect.model_validate(shown))


class BehaviorRule(Document):
    """One rule; its id stays the same across versions of its profile."""

    id: Annotated[str, id_field(Kind.BEHAVIOR_RULE)]
    statement: str
    kind: service.RuleKind
    effect: RuleEffect | None
    priority: int
    tags: list[str]
    expires_at: MomentText | None
    created_by: str

    @classmethod
    def of(cls, rule: service.Rule) -> Self:
        """Show a rule."""
        return cls(
            id=encode_id(Kind.BEHAVIOR_RULE, rule.id),
            statement=rule.statement,
            kind=rule.kind,
            effect=None if rule.effect is None else RuleEffect.of(rule.effect),
            priority=rule.priority,
            tags=list(rule.tags),
            expires_at=moment_text(rule.expires_at),
            created_by=rule.created_by,
        )


class RuleChange(Document):
    """Rule that differs between two versions."""

    before: BehaviorRule
    after: BehaviorRule


class BehaviorDiff(Document):
    """Difference between two versions of a profile."""

    older: int = Field(serialization_alias="from")
    newer: int = Field(serialization_alias="to")
    added: list[BehaviorRule]
    removed: list[BehaviorRule]
    changed: list[RuleChange]

    @classmethod
    def of(cls, diff: service.BehaviorDiff) -> Self:
        """Show what differs."""
        return cls(
            older=diff.from_version,
            newer=diff.to_version,
            added=_rules(diff.added),
            removed=_rules(diff.removed),
            changed=[
                RuleChange(before=BehaviorRule.of(one.before), after=BehaviorRule.of(one.after))
                for one in diff.changed
            ],
        )


class RuleConflict(Document):
    """Rules that contradict each other."""

    rules: list[BehaviorRule]
    winner: BehaviorRule | None
    message: str

    @classmethod
    def of(cls, conflict: service.RuleConflict) -> Self:
        """Show rules that stand against each other."""
        winner = conflict.winner
        return cls(
            rules=_rules(conflict.rules),
            winner=None if winner is None else BehaviorRule.of(winner),
            message=conflict.message,
        )


class BehaviorProfile(Document):
    """Set of rules that shapes and bounds what agents do."""

    id: Annotated[str, id_field(Kind.BEHAVIOR_PROFILE)]
    name: str
    description: str
    active: bool
    version: int
    rules: list[BehaviorRule]
    created_at: MomentText
    updated_at: MomentText

    @classmethod
    def of(cls, row: BehaviorProfileRow, version: BehaviorVersionRow | None) -> Self:
        """Show a profile with the version in force; there is none before the first adjustment."""
        return cls(
            id=encode_id(Kind.BEHAVIOR_PROFILE, row.id),
            name=row.shown_name,
            description=row.description,
            active=row.active,
            version=row.version,
            rules=[] if version is None else _rules(service.read(version.rules)),
            created_at=format_moment(row.created_at),
            updated_at=format_moment(row.updated_at),
        )


class BehaviorVersion(Document):
    """Rules of a profile as they were saved once."""

    id: Annotated[str, id_field(Kind.BEHAVIOR_VERSION)]
    profile: Reference
    version: int
    rules: list[BehaviorRule]
    restored_from: int | None
    comment: str | None
    created_by: str
    created_at: MomentText

    @classmethod
    def of(cls, row: BehaviorVersionRow) -> Self:
        """Show a version."""
        return cls(
            id=encode_id(Kind.BEHAVIOR_VERSION, row.id),
            profile=Reference.of(Kind.BEHAVIOR_PROFILE, row.profile_id),
            version=row.version,
            rules=_rules(service.read(row.rules)),
            restored_from=row.restored_from,
            comment=row.comment,
            created_by=row.created_by,
            created_at=format_moment(row.created_at),
        )


class AdjustBehaviorSuccess(Document):
    """Outcome of an adjustment or a rollback."""

    profile: BehaviorProfile
    diff: BehaviorDiff
    conflicts: list[RuleConflict]
    dry_run: bool

    @classmethod
    def of(cls, done: service.Adjusted) -> Self:
        """Show what came of an adjustment."""
        return cls(
            profile=BehaviorProfile.of(done.profile_row, done.version_row),
            diff=BehaviorDiff.of(done.diff),
            conflicts=[RuleConflict.of(conflict) for conflict in done.conflicts],
            dry_run=done.dry_run,
        )


def _rules(rules: Sequence[service.Rule]) -> list[BehaviorRule]:
    return [BehaviorRule.of(rule) for rule in rules]
