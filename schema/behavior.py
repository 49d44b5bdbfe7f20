"""Behavior: sets of rules that shape what agents do, and every version of them."""

from enum import Enum
from typing import Annotated, Self, TypeAlias

import strawberry
from strawberry import ID, Private, field

from domain.behavior import rules, service
from domain.behavior.queries import ReachingRule
from domain.behavior.rows import BehaviorProfileRow, BehaviorVersionRow
from domain.kernel.errors import NotFound
from domain.kernel.paging import Page, PageRequest
from schema.context import Info
from schema.declare import api_enum, api_type
from schema.ids import Kind, encode_id
from schema.relay import Connection, Edge, Node, Paged
from schema.scalars import Json, Moment, moment


@api_enum
class RuleKind(Enum):
    """Whether a rule is advice or enforced."""

    GUIDANCE = "Advice to the model."
    POLICY = "Enforced by the runtime, whatever the model does."


@api_enum
class ToolDecision(Enum):
    """Decision on a tool call."""

    ALLOW = "Goes ahead."
    ASK = "A person is asked."
    DENY = "Refused."


@api_enum
class LimitMetric(Enum):
    """What a limit bounds."""

    COST_USD = "Money in US dollars."
    TOKENS = "Tokens in and out."
    STEPS = "Steps."
    TOOL_CALLS = "Tool calls."
    RUNS = "Runs started."


@api_enum
class LimitWindow(Enum):
    """Window of a limit."""

    RUN = "One run and the runs below it."
    HOUR = "One hour."
    DAY = "One day, UTC."
    MONTH = "One month, UTC."


@api_enum
class LimitAction(Enum):
    """What happens when a limit is reached."""

    WARN = "An event is sent; work goes on."
    PAUSE = "The run pauses until a person resumes it."
    STOP = "The run ends with LIMIT_REACHED; new ones are refused."


@api_type
class ToolEffect:
    """Decision on calls of some tools."""

    decision: ToolDecision = field(description="The decision.")
    tools: list[str] = field(description="Tool names or patterns, such as exec.*.")
    when: Json = field(
        description="Conditions on the arguments, in the shape of JsonCondition; empty means any call."  # noqa: E501 - the words of the contract
    )

    @classmethod
    def of(cls, effect: rules.ToolEffect) -> Self:
        """Show an effect."""
        return cls(
            decision=ToolDecision[effect.decision],
            tools=list(effect.tools),
            when=Json([dict(condition) for condition in effect.when]),
        )


@api_type
class LimitEffect:
    """Upper bound over a window; a budget when it bounds money."""

    metric: LimitMetric = field(description="What is bounded.")
    maximum: float = field(description="The bound.")
    window: LimitWindow = field(description="Window it is counted in.")
    on_reach: LimitAction = field(description="What happens when it is reached.")

    @classmethod
    def of(cls, effect: rules.LimitEffect) -> Self:
        """Show an effect."""
        return cls(
            metric=LimitMetric[effect.metric],
            maximum=effect.maximum,
            window=LimitWindow[effect.window],
            on_reach=LimitAction[effect.on_reach],
        )


RuleEffect: TypeAlias = Annotated[
    ToolEffect | LimitEffect,
    strawberry.union("RuleEffect", description="What a policy rule enforces."),
]


def _effect(effect: rules.RuleEffect | None) -> ToolEffect | LimitEffect | None:
    if effect is None:
        return None
    if isinstance(effect, rules.ToolEffect):
        return ToolEffect.of(effect)
    return LimitEffect.of(effect)


@api_type
class BehaviorRule:
    """One rule; its id stays the same across versions of its profile."""

    id: ID = field(description="Id within the profile.")
    statement: str = field(description="The rule in words; agents read it.")
    kind: RuleKind = field(description="Whether it is advice or enforced.")
    effect: RuleEffect | None = field(description="What is enforced; null for GUIDANCE.")
    priority: int = field(description="Higher wins, 0 to 100; at a tie the stricter effect wins.")
    tags: list[str] = field(description="Labels.")
    expires_at: Moment | None = field(description="When it stops applying; null for never.")
    created_by: str = field(description="Who added it.")

    @classmethod
    def of(cls, rule: service.Rule) -> Self:
        """Show a rule."""
        return cls(
            id=encode_id(Kind.BEHAVIOR_RULE, rule.id),
            statement=rule.statement,
            kind=RuleKind[rule.kind],
            effect=_effect(rule.effect),
            priority=rule.priority,
            tags=list(rule.tags),
            expires_at=moment(rule.expires_at),
            created_by=rule.created_by,
        )


@api_type
class RuleChange:
    """Rule that differs between two versions."""

    before: BehaviorRule = field(description="As it was.")
    after: BehaviorRule = field(description="As it is.")

    @classmethod
    def of(cls, change: service.RuleChange) -> Self:
        """Show a rule that differs."""
        return cls(before=BehaviorRule.of(change.before), after=BehaviorRule.of(change.after))


@api_type
class BehaviorDiff:
    """Difference between two versions of a profile."""

    older: int = field(name="from", description="Older version; 0 for none.")
    newer: int = field(name="to", description="Newer version.")
    added: list[BehaviorRule] = field(description="Rules only in the newer.")
    removed: list[BehaviorRule] = field(description="Rules only in the older.")
    changed: list[RuleChange] = field(description="Rules in both that differ.")

    @classmethod
    def of(cls, diff: service.BehaviorDiff) -> Self:
        """Show what differs."""
        return cls(
            older=diff.from_version,
            newer=diff.to_version,
            added=[BehaviorRule.of(rule) for rule in diff.added],
            removed=[BehaviorRule.of(rule) for rule in diff.removed],
            changed=[RuleChange.of(change) for change in diff.changed],
        )


@api_type
class RuleConflict:
    """Rules that contradict each other."""

    rules: list[BehaviorRule] = field(description="The rules.")
    winner: BehaviorRule | None = field(
        description="Rule that wins; null for advice, where the model decides."
    )
    message: str = field(description="What the contradiction is.")

    @classmethod
    def of(cls, conflict: service.RuleConflict) -> Self:
        """Show rules that stand against each other."""
        winner = conflict.winner
        return cls(
            rules=[BehaviorRule.of(rule) for rule in conflict.rules],
            winner=None if winner is None else BehaviorRule.of(winner),
            message=conflict.message,
        )


@api_type
class BehaviorVersion(Node):
    """Rules of a profile as they were saved once."""

    id: ID = field(description="Opaque global id.")
    version: int = field(description="Number of the version.")
    restored_from: int | None = field(
        description="Version it returned to; null unless it is a rollback."
    )
    comment: str | None = field(description="Why it was saved.")
    created_by: str = field(description="Who saved it.")
    created_at: Moment = field(description="When it was created.")

    row: Private[BehaviorVersionRow]

    @classmethod
    def of(cls, row: BehaviorVersionRow) -> Self:
        """Show a row."""
        return cls(
            id=encode_id(Kind.BEHAVIOR_VERSION, row.id),
            version=row.version,
            restored_from=row.restored_from,
            comment=row.comment,
            created_by=row.created_by,
            created_at=Moment(row.created_at),
            row=row,
        )

    @field(description="Its rules, strongest first.")
    def rules(self) -> list[BehaviorRule]:
        """Read them."""
        return [BehaviorRule.of(rule) for rule in service.read(self.row.rules)]

    @field(description="Profile it belongs to.")
    async def profile(
        self, info: Info
    ) -> Annotated["BehaviorProfile", strawberry.lazy("schema.behavior")]:
        """Load it."""
        row = await info.context.loaders.behavior_profile(self.row.profile_id)
        if row is None:
            kind = Kind.BEHAVIOR_PROFILE
            raise NotFound(kind.noun, encode_id(kind, self.row.profile_id))
        return BehaviorProfile.of(row)


@api_type
class BehaviorVersionEdge(Edge[BehaviorVersion]):
    """Place of one behavior version in a page."""


@api_type
class BehaviorVersionConnection(Connection[BehaviorVersion, BehaviorVersionEdge]):
    """Page of behavior versions."""

    @classmethod
    def of(cls, page: Page[BehaviorVersionRow]) -> Self:
        """Show a page of rows."""
        return cls.over(page, [BehaviorVersion.of(row) for row in page.items], BehaviorVersionEdge)


@api_type
class BehaviorProfile(Node):
    """Set of rules that shapes and bounds what agents do."""

    id: ID = field(description="Opaque global id.")
    name: str = field(description="Unique name.")
    description: str = field(description="What it is for.")
    active: bool = field(description="True when it is the workspace's profile.")
    version: int = field(description="Number of the version in force.")
    created_at: Moment = field(description="When it was created.")
    updated_at: Moment = field(description="When it last changed.")

    row: Private[BehaviorProfileRow]

    @classmethod
    def of(cls, row: BehaviorProfileRow) -> Self:
        """Show a row."""
        return cls(
            id=encode_id(Kind.BEHAVIOR_PROFILE, row.id),
            name=row.shown_name,
            description=row.description,
            active=row.active,
            version=row.version,
            created_at=Moment(row.created_at),
            updated_at=Moment(row.updated_at),
            row=row,
        )

    @field(description="Rules in force, strongest first.")
    async def rules(self, info: Info) -> list[BehaviorRule]:
        """Load the version in force; there is none before the first adjustment."""
        version_id = self.row.version_id
        version = None if version_id is None else await behavior_version(info, version_id)
        return [] if version is None else version.rules()

    @field(description="All versions, newest first.", extensions=[Paged()])
    async def versions(self, info: Info, page: PageRequest) -> BehaviorVersionConnection:
        """List them."""
        found = await info.context.loaders.behavior_versions(self.row.id, page)
        return BehaviorVersionConnection.of(found)

    @field(description="Difference between two versions; null when one does not exist.")
    async def diff(
        self,
        info: Info,
        older: Annotated[int, strawberry.argument(name="from", description="Older version.")],
        newer: Annotated[int, strawberry.argument(name="to", description="Newer version.")],
    ) -> BehaviorDiff | None:
        """Compare them."""
        found = await info.context.loaders.behavior_diff(self.row.id, older=older, newer=newer)
        return None if found is None else BehaviorDiff.of(found)


@api_type
class EffectiveRule:
    """Rule as one agent is subject to it."""

    rule: BehaviorRule = field(description="The rule.")
    profile: BehaviorProfile = field(description="Profile it comes from.")
    applies: bool = field(description="False when it expired or a stronger rule overrides it.")
    explanation: str = field(description="Why it applies or not.")

    @classmethod
    def of(cls, reaching: ReachingRule) -> Self:
        """Show a rule that reaches an agent."""
        found = reaching.found
        return cls(
            rule=BehaviorRule.of(found.rule),
            profile=BehaviorProfile.of(reaching.profile_row),
            applies=found.applies,
            explanation=found.explanation,
        )


@api_type
class BehaviorProfileSuccess:
    """The profile as saved."""

    profile: BehaviorProfile = field(description="The profile.")

    @classmethod
    def of(cls, row: BehaviorProfileRow) -> Self:
        """Show what was saved."""
        return cls(profile=BehaviorProfile.of(row))


@api_type
class AdjustBehaviorSuccess:
    """Outcome of an adjustment or a rollback."""

    profile: BehaviorProfile = field(description="The profile as it is now.")
    diff: BehaviorDiff = field(description="What changed or would change.")
    conflicts: list[RuleConflict] = field(description="Contradictions in the outcome.")
    dry_run: bool = field(description="True when nothing was changed.")

    @classmethod
    def of(cls, done: service.Adjusted) -> Self:
        """Show what came of an adjustment."""
        return cls(
            profile=BehaviorProfile.of(done.profile_row),
            diff=BehaviorDiff.of(done.diff),
            conflicts=[RuleConflict.of(conflict) for conflict in done.conflicts],
            dry_run=done.dry_run,
        )


async def behavior_version(info: Info, version_id: str) -> BehaviorVersion | None:
    """Load a version by the id of its row."""
    row = await info.context.loaders.behavior_version(version_id)
    return None if row is None else BehaviorVersion.of(row)
