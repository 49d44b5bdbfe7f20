"""Behavior over REST: read and adjusted."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from app.documents.behavior import AdjustBehaviorSuccess, BehaviorProfile
from app.rest import examples
from app.rest.answers import Answer, Outcome
from app.rest.calls import Call
from app.rest.endpoints import Body, Endpoint, Example, Success
from app.rest.queries import Query, of_kind
from domain.access.scopes import Scope
from domain.behavior.adjustment import Adjustment
from domain.kernel.errors import NotFound
from domain.kernel.validation import Text
from schema.ids import Kind, decode_id


class ProfileQuery(Query):
    """Which profile."""

    id: Annotated[
        Text | None,
        of_kind(Kind.BEHAVIOR_PROFILE),
        Field(description="Id of a profile; absent means the workspace's."),
    ] = None


async def read(call: Call) -> Outcome:
    """Show a profile with its rules."""
    text, service = call.query(ProfileQuery).id, call.services.behavior
    raw = None if text is None else decode_id(Kind.BEHAVIOR_PROFILE, text, path="id")
    row = await service.profile(call.principal, raw)
    if row is None:
        raise NotFound(Kind.BEHAVIOR_PROFILE.noun, text or "", path=["id"])
    version = None
    if row.version_id is not None:
        version = await service.version(call.principal, row.version_id)
    return Answer.of(BehaviorProfile.of(row, version))


async def adjust(call: Call) -> Outcome:
    """Save the rules that come of a patch."""
    done = await call.services.behavior.adjust(call.principal, call.values)
    return Answer.of(AdjustBehaviorSuccess.of(done))


READ = Endpoint(
    method="GET",
    path="/behavior",
    operation_id="behaviorProfile",
    tag="Behavior",
    summary="Read behavior",
    description="The workspace's behavior profile with its rules in force, strongest first.",
    scope=Scope.BEHAVIOR_READ,
    perform=read,
    query=ProfileQuery,
    answers={
        200: Success(
            description="The profile.", document=BehaviorProfile, example=examples.BEHAVIOR_PROFILE
        )
    },
    problems=[404],
)

ADJUST = Endpoint(
    method="POST",
    path="/behavior/adjust",
    operation_id="adjustBehavior",
    tag="Behavior",
    summary="Adjust behavior",
    description=(
        "Changes the rules of a profile, all or none. The outcome is a new version, in force from"
        " the next step of every run; without a change there is none."
    ),
    scope=Scope.BEHAVIOR_WRITE,
    perform=adjust,
    body=Body(
        model=Adjustment,
        example=Example(summary="One more rule", value=examples.ADJUST_BEHAVIOR),
        ids={
            "profileId": Kind.BEHAVIOR_PROFILE,
            "update.ruleId": Kind.BEHAVIOR_RULE,
            "remove": Kind.BEHAVIOR_RULE,
        },
        moments=("add.expiresAt", "update.expiresAt"),
    ),
    answers={
        200: Success(
            description="What changed, or would change.",
            document=AdjustBehaviorSuccess,
            example=examples.BEHAVIOR_ADJUSTED,
        )
    },
    problems=[404, 409],
)

BEHAVIOR_ENDPOINTS: Sequence[Endpoint] = (READ, ADJUST)
