"""Approvals: found, decided and watched."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, TypeAlias, cast

import strawberry
from strawberry import UNSET, field

from domain.access.scopes import Scope as DomainScope
from domain.kernel.paging import PageRequest
from domain.runs import approvals
from domain.runs.state import EventType
from resolvers.feeds import workspace_stream
from resolvers.fields import needs
from resolvers.outcomes import answers
from resolvers.services import Info
from schema.access import Scope
from schema.approval_streams import ApprovalStreamItem
from schema.approvals import (
    Approval,
    ApprovalConnection,
    ApprovalFilter,
    DecideApprovalInput,
    DecideApprovalSuccess,
)
from schema.behavior import BehaviorRule
from schema.declare import api_type
from schema.errors import Conflict, Forbidden, NotFound, ValidationFailed
from schema.inputs import values_of
from schema.relay import Paged, TimeOrder

DecideApprovalResult: TypeAlias = Annotated[
    DecideApprovalSuccess | ValidationFailed | NotFound | Conflict | Forbidden,
    strawberry.union("DecideApprovalResult", description="Outcome of decideApproval."),
]


@api_type
class ApprovalsQuery:
    """Reads of approvals."""

    @field(
        description="Approvals, such as those that wait for a decision.",
        directives=needs(Scope.RUNS_READ),
        extensions=[Paged()],
    )
    async def approvals(
        self,
        info: Info,
        page: PageRequest,
        narrow: Annotated[
            ApprovalFilter | None,
            strawberry.argument(name="filter", description="Narrows the list."),
        ] = UNSET,
        order_by: Annotated[
            TimeOrder, strawberry.argument(description="Sort order, by time asked.")
        ] = TimeOrder.OLDEST_FIRST,
    ) -> ApprovalConnection:
        """List them."""
        service, principal = info.context.services.approvals, info.context.principal
        wanted = values_of(narrow, above="filter") if narrow else {}
        narrowing = approvals.ApprovalFilter(
            statuses=wanted.get("statuses"),
            run_id=wanted.get("runId"),
            agent_id=wanted.get("agentId"),
        )
        newest_first = order_by is TimeOrder.NEWEST_FIRST
        found = await service.approvals(principal, narrowing, page, newest_first=newest_first)
        return ApprovalConnection.of(found, count=lambda: service.count(principal, narrowing))


@api_type
class ApprovalsMutation:
    """Answers to approvals."""

    @strawberry.mutation(
        description="Decides an approval; the run goes on at once.",
        directives=needs(Scope.RUNS_APPROVE),
    )
    @answers
    async def decide_approval(
        self,
        info: Info,
        given: Annotated[
            DecideApprovalInput,
            strawberry.argument(name="input", description="What to act on, and how."),
        ],
    ) -> DecideApprovalResult:
        """Decide it."""
        context = info.context
        done = await context.services.approvals.decide(context.principal, values_of(given))
        return DecideApprovalSuccess(
            approval=Approval.of(done.row),
            rule=None if done.rule is None else BehaviorRule.of(done.rule),
        )


@api_type
class ApprovalsSubscription:
    """The stream of approvals."""

    @strawberry.subscription(
        description="Approvals asked for and decided.", directives=needs(Scope.RUNS_READ)
    )
    async def approval_requests(
        self,
        info: Info,
        after: Annotated[
            str | None,
            strawberry.argument(description="Cursor of the last event seen; absent starts live."),
        ] = UNSET,
    ) -> AsyncGenerator[ApprovalStreamItem, None]:
        """Replay, then go on live."""
        info.context.principal.needs(DomainScope.RUNS_READ)
        types = [EventType.APPROVAL_REQUESTED, EventType.APPROVAL_RESOLVED]
        stream = workspace_stream(info, types, after=after or None)
        async with aclosing(stream):
            async for item in stream:
                yield cast("ApprovalStreamItem", item)
