"""Behavior: found, adjusted and returned to what it was."""

from typing import Annotated, TypeAlias

import strawberry
from strawberry import ID, UNSET, field

from resolvers.fields import needs
from resolvers.outcomes import answers
from resolvers.services import Info
from schema.access import Scope
from schema.behavior import AdjustBehaviorSuccess, BehaviorProfile, BehaviorProfileSuccess
from schema.behavior_inputs import (
    ActivateBehaviorProfileInput,
    AdjustBehaviorInput,
    CreateBehaviorProfileInput,
    DeleteBehaviorProfileInput,
    RollbackBehaviorInput,
)
from schema.conversations import DeleteSuccess
from schema.declare import api_type
from schema.errors import Conflict, Forbidden, NotFound, QuotaExceeded, ValidationFailed
from schema.ids import Kind, decode_id, encode_id
from schema.inputs import values_of

CreateBehaviorProfileResult: TypeAlias = Annotated[
    BehaviorProfileSuccess | ValidationFailed | Conflict | Forbidden | QuotaExceeded,
    strawberry.union(
        "CreateBehaviorProfileResult", description="Outcome of createBehaviorProfile."
    ),
]
ActivateBehaviorProfileResult: TypeAlias = Annotated[
    BehaviorProfileSuccess | NotFound | Forbidden,
    strawberry.union(
        "ActivateBehaviorProfileResult", description="Outcome of activateBehaviorProfile."
    ),
]
DeleteBehaviorProfileResult: TypeAlias = Annotated[
    DeleteSuccess | NotFound | Conflict | Forbidden,
    strawberry.union(
        "DeleteBehaviorProfileResult", description="Outcome of deleteBehaviorProfile."
    ),
]
AdjustBehaviorResult: TypeAlias = Annotated[
    AdjustBehaviorSuccess | ValidationFailed | NotFound | Conflict | Forbidden | QuotaExceeded,
    strawberry.union("AdjustBehaviorResult", description="Outcome of adjustBehavior."),
]
RollbackBehaviorResult: TypeAlias = Annotated[
    AdjustBehaviorSuccess | NotFound | Conflict | Forbidden,
    strawberry.union("RollbackBehaviorResult", description="Outcome of rollbackBehavior."),
]


@api_type
class BehaviorQuery:
    """Reads of behavior."""

    @field(description="Behavior profiles, by name.", directives=needs(Scope.BEHAVIOR_READ))
    async def behavior_profiles(self, info: Info) -> list[BehaviorProfile]:
        """List them."""
        rows = await info.context.services.behavior.profiles(info.context.principal)
        return [BehaviorProfile.of(row) for row in rows]

    @field(
        description="One profile; the workspace's when no id is given.",
        directives=needs(Scope.BEHAVIOR_READ),
    )
    async def behavior_profile(
        self,
        info: Info,
        ident: Annotated[ID | None, strawberry.argument(name="id", description="Its id.")] = UNSET,
    ) -> BehaviorProfile | None:
        """Find it."""
        raw: str | None = None
        if ident is not None and ident is not UNSET:
            raw = decode_id(Kind.BEHAVIOR_PROFILE, ident, path="id")
        row = await info.context.services.behavior.profile(info.context.principal, raw)
        return None if row is None else BehaviorProfile.of(row)


@api_type
class BehaviorMutation:
    """Changes of behavior."""

    @strawberry.mutation(
        description="Creates an empty profile.", directives=needs(Scope.BEHAVIOR_WRITE)
    )
    @answers
    async def create_behavior_profile(
        self,
        info: Info,
        given: Annotated[
            CreateBehaviorProfileInput,
            strawberry.argument(name="input", description="What to create."),
        ],
    ) -> CreateBehaviorProfileResult:
        """Make it."""
        context = info.context
        row = await context.services.behavior.create(context.principal, values_of(given))
        return BehaviorProfileSuccess.of(row)

    @strawberry.mutation(
        description="Puts a profile in force for the workspace.",
        directives=needs(Scope.BEHAVIOR_WRITE),
    )
    @answers
    async def activate_behavior_profile(
        self,
        info: Info,
        given: Annotated[
            ActivateBehaviorProfileInput,
            strawberry.argument(name="input", description="What to act on, and how."),
        ],
    ) -> ActivateBehaviorProfileResult:
        """Put it in force."""
        context, raw = info.context, values_of(given)["profileId"]
        row = await context.services.behavior.activate(context.principal, raw)
        return BehaviorProfileSuccess.of(row)

    @strawberry.mutation(
        description="Changes the rules of a profile; the outcome is a new version.",
        directives=needs(Scope.BEHAVIOR_WRITE),
    )
    @answers
    async def adjust_behavior(
        self,
        info: Info,
        given: Annotated[
            AdjustBehaviorInput,
            strawberry.argument(name="input", description="What to act on, and how."),
        ],
    ) -> AdjustBehaviorResult:
        """Save the rules that come of it."""
        context = info.context
        done = await context.services.behavior.adjust(context.principal, values_of(given))
        return AdjustBehaviorSuccess.of(done)

    @strawberry.mutation(
        description="Returns a profile to an earlier version.",
        directives=needs(Scope.BEHAVIOR_WRITE),
    )
    @answers
    async def rollback_behavior(
        self,
        info: Info,
        given: Annotated[
            RollbackBehaviorInput,
            strawberry.argument(name="input", description="What to act on, and how."),
        ],
    ) -> RollbackBehaviorResult:
        """Save the earlier rules anew."""
        context = info.context
        done = await context.services.behavior.rollback(context.principal, values_of(given))
        return AdjustBehaviorSuccess.of(done)

    @strawberry.mutation(
        description="Deletes a profile that is not in use.",
        directives=needs(Scope.BEHAVIOR_WRITE),
    )
    @answers
    async def delete_behavior_profile(
        self,
        info: Info,
        given: Annotated[
            DeleteBehaviorProfileInput,
            strawberry.argument(name="input", description="What to act on, and how."),
        ],
    ) -> DeleteBehaviorProfileResult:
        """Delete it."""
        context, raw = info.context, values_of(given)["profileId"]
        await context.services.behavior.delete(context.principal, raw)
        return DeleteSuccess(deleted_id=encode_id(Kind.BEHAVIOR_PROFILE, raw))
