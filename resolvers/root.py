"""The whole API: the sum of what each noun reads, changes and streams."""

import strawberry
from graphql import GraphQLInputObjectType, parse, print_ast
from strawberry.schema.config import StrawberryConfig

from resolvers.access import AccessMutation, AccessQuery
from resolvers.agents import AgentsMutation, AgentsQuery
from resolvers.approvals import ApprovalsMutation, ApprovalsQuery, ApprovalsSubscription
from resolvers.audit import AuditQuery
from resolvers.behavior import BehaviorMutation, BehaviorQuery
from resolvers.conversations import ConversationsMutation, ConversationsQuery
from resolvers.events import EventsSubscription
from resolvers.memory import MemoryMutation, MemoryQuery, MemorySubscription
from resolvers.run_control import RunControlMutation
from resolvers.runs import RunsMutation, RunsQuery, RunsSubscription
from resolvers.server import ServerQuery
from resolvers.tasks import TasksMutation, TasksQuery, TasksSubscription
from resolvers.tools import ToolsQuery
from resolvers.usage import UsageQuery
from schema.behavior_events import BehaviorUpdate
from schema.declare import api_type
from schema.scalars import SCALARS
from schema.schedules import AdhocSchedule, CronSchedule, PlannedSchedule
from schema.steps import DelegationStep, ModelCallStep, ToolCallStep


@api_type
class Query(
    ServerQuery,
    AgentsQuery,
    ApprovalsQuery,
    AccessQuery,
    AuditQuery,
    BehaviorQuery,
    ConversationsQuery,
    MemoryQuery,
    RunsQuery,
    TasksQuery,
    ToolsQuery,
    UsageQuery,
):
    """Reads; a missing object is null, not an error."""


@api_type
class Mutation(
    AccessMutation,
    AgentsMutation,
    ApprovalsMutation,
    BehaviorMutation,
    ConversationsMutation,
    MemoryMutation,
    RunControlMutation,
    RunsMutation,
    TasksMutation,
):
    """Changes; each takes one input and answers a success or a typed error."""


@api_type
class Subscription(
    ApprovalsSubscription,
    EventsSubscription,
    MemorySubscription,
    RunsSubscription,
    TasksSubscription,
):
    """Streams; each replays what came after the cursor, then goes on live, with heartbeats in between."""  # noqa: E501 - the words of the contract


def build_schema() -> strawberry.Schema:
    """Make the schema that is served."""
    schema = strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[
            ModelCallStep,
            DelegationStep,
            ToolCallStep,
            AdhocSchedule,
            PlannedSchedule,
            CronSchedule,
            BehaviorUpdate,
        ],
        config=StrawberryConfig(scalar_map=SCALARS, disable_field_suggestions=True),
    )
    core = schema._schema  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - no public way
    for kind in core.type_map.values():
        if isinstance(kind, GraphQLInputObjectType):
            # Strawberry checks literals only; graphql-core checks variables when it is told.
            kind.is_one_of = kind.extensions["strawberry-definition"].is_one_of
    return schema


def print_sdl() -> str:
    """Write the served schema as `docs/api/schema.graphql` keeps it."""
    return print_ast(parse(build_schema().as_str())) + "\n"
