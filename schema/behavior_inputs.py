"""What clients say to change behavior."""

from enum import Enum

from strawberry import ID, UNSET, field

from schema.behavior import LimitAction, LimitMetric, LimitWindow, ToolDecision
from schema.declare import api_choice, api_enum, api_input
from schema.ids import Kind
from schema.inputs import refers_to
from schema.memory_inputs import JsonCondition
from schema.scalars import Moment


@api_input
class ToolEffectInput:
    """Decision on calls of some tools."""

    decision: ToolDecision = field(description="The decision.")
    tools: list[str] = field(description="Tool names or patterns, such as exec.*.")
    when: list[JsonCondition] | None = field(
        description="Conditions on the arguments; all hold. Absent means any call.", default=UNSET
    )


@api_input
class LimitEffectInput:
    """Upper bound over a window."""

    metric: LimitMetric = field(description="What is bounded.")
    maximum: float = field(description="The bound.")
    window: LimitWindow = field(description="Window it is counted in.", default=LimitWindow.RUN)
    on_reach: LimitAction = field(
        description="What happens when it is reached.", default=LimitAction.STOP
    )


@api_choice
class RuleEffectInput:
    """Effect of a policy rule; exactly one."""

    tool: ToolEffectInput | None = field(description="Decision on tool calls.", default=UNSET)
    limit: LimitEffectInput | None = field(description="Upper bound.", default=UNSET)


@api_input
class BehaviorRuleInput:
    """New rule."""

    statement: str = field(description="The rule in words.")
    effect: RuleEffectInput | None = field(
        description="What to enforce; absent makes it advice.", default=UNSET
    )
    priority: int = field(description="Higher wins, 0 to 100.", default=50)
    tags: list[str] | None = field(description="Labels.", default=UNSET)
    expires_at: Moment | None = field(description="When it stops applying.", default=UNSET)


@api_input
class BehaviorRuleUpdate:
    """Changes to a rule."""

    rule_id: ID = field(description="The rule.", metadata=refers_to(Kind.BEHAVIOR_RULE))
    statement: str | None = field(description="The rule in words.", default=UNSET)
    effect: RuleEffectInput | None = field(
        description="What to enforce; null makes it advice.", default=UNSET
    )
    priority: int | None = field(description="Higher wins, 0 to 100.", default=UNSET)
    tags: list[str] | None = field(description="Labels; replaces the old.", default=UNSET)
    expires_at: Moment | None = field(description="When it stops applying.", default=UNSET)


@api_enum
class AdjustStrategy(Enum):
    """What happens to rules that an adjustment does not name."""

    MERGE = "They stay."
    REPLACE = "They go."


@api_input
class AdjustBehaviorInput:
    """Changes to a profile, applied all or none, in force from the next step of every run."""

    profile_id: ID | None = field(
        description="The profile; absent means the workspace's.",
        default=UNSET,
        metadata=refers_to(Kind.BEHAVIOR_PROFILE),
    )
    strategy: AdjustStrategy = field(
        description="MERGE keeps rules that are not named, REPLACE drops them.",
        default=AdjustStrategy.MERGE,
    )
    add: list[BehaviorRuleInput] | None = field(
        description="Rules to add; one equal to an existing rule changes nothing.", default=UNSET
    )
    update: list[BehaviorRuleUpdate] | None = field(description="Rules to change.", default=UNSET)
    remove: list[ID] | None = field(
        description="Rules to remove.", default=UNSET, metadata=refers_to(Kind.BEHAVIOR_RULE)
    )
    expected_version: int | None = field(
        description="Version the change is based on; a newer one is a Conflict.", default=UNSET
    )
    comment: str | None = field(description="Why, for the version list.", default=UNSET)
    dry_run: bool = field(description="True only shows the outcome.", default=False)


@api_input
class RollbackBehaviorInput:
    """Return of a profile to an earlier version, saved as a new version."""

    profile_id: ID | None = field(
        description="The profile; absent means the workspace's.",
        default=UNSET,
        metadata=refers_to(Kind.BEHAVIOR_PROFILE),
    )
    to_version: int = field(description="Version to return to.")
    comment: str | None = field(description="Why, for the version list.", default=UNSET)
    dry_run: bool = field(description="True only shows the outcome.", default=False)


@api_input
class CreateBehaviorProfileInput:
    """New profile, empty until adjusted."""

    name: str = field(description="Unique name.")
    description: str = field(description="What it is for.", default="")


@api_input
class ActivateBehaviorProfileInput:
    """Profile to put in force for the workspace."""

    profile_id: ID = field(description="The profile.", metadata=refers_to(Kind.BEHAVIOR_PROFILE))


@api_input
class DeleteBehaviorProfileInput:
    """Object that deleteBehaviorProfile acts on."""

    profile_id: ID = field(description="The profile.", metadata=refers_to(Kind.BEHAVIOR_PROFILE))
