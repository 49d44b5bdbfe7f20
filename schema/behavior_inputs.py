"""What clients say to change behavior."""

from enum import Enum

from strawberry import ID, UNSET, field

from schema.declare import api_enum, api_input
from schema.ids import Kind
from schema.inputs import refers_to
from schema.scalars import Moment


@api_input
class BehaviorRuleInput:
    """New rule."""

    statement: str = field(description="The rule in words.")
    priority: int = field(description="Higher wins, 0 to 100.", default=50)
    tags: list[str] | None = field(description="Labels.", default=UNSET)
    expires_at: Moment | None = field(description="When it stops applying.", default=UNSET)


@api_input
class BehaviorRuleUpdate:
    """Changes to a rule."""

    rule_id: ID = field(description="The rule.", metadata=refers_to(Kind.BEHAVIOR_RULE))
    statement: str | None = field(description="The rule in words.", default=UNSET)
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
