"""Runs: found, started and watched."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, TypeAlias, cast

import strawberry
from strawberry import UNSET, field

from domain.kernel.paging import PageRequest
from domain.runs.queries import RunOrder as DomainOrder
from resolvers.fields import IdOf, RunId, needs
from resolvers.outcomes import answers, public_ids
from resolvers.services import Info
from schema.access import Scope
from schema.declare import api_type
from schema.errors import (
    Conflict,
    Forbidden,
    NotFound,
    ProviderUnavailable,
    QuotaExceeded,
    ValidationFailed,
)
from schema.events import RunStreamItem, TokenChunk
from schema.ids import Kind, decode_id
from schema.inputs import values_of
from schema.relay import Paged
from schema.run_inputs import ExecuteAgentInput, RunOrder
from schema.runs import Run, RunConnection, RunFilter, RunSuccess, run_filter

ExecuteAgentResult: TypeAlias = Annotated[
    RunSuccess
    | ValidationFailed
    | NotFound
    | Conflict
    | Forbidden
    | QuotaExceeded
    | ProviderUnavailable,
    strawberry.union("ExecuteAgentResult", description="Outcome of executeAgent."),
]


@api_type
class RunsQuery:
    """Reads of runs."""

    @field(
        description="Runs of the workspace, delegated ones included.",
        directives=needs(Scope.RUNS_READ),
        extensions=[Paged()],
    )
    async def runs(
        self,
        info: Info,
        page: PageRequest,
        narrow: Annotated[
            RunFilter | None, strawberry.argument(name="filter", description="Narrows the list.")
        ] = UNSET,
        order_by: Annotated[
            RunOrder, strawberry.argument(description="Sort order.")
        ] = RunOrder.CREATED_AT_DESC,
    ) -> RunConnection:
        """List them."""
        found = await info.context.services.runs.runs(
            info.context.principal, run_filter(narrow), DomainOrder[order_by.name], page
        )
        return RunConnection.of(found)

    @field(description="One run; null when unknown.", directives=needs(Scope.RUNS_READ))
    async def run(self, info: Info, ident: IdOf) -> Run | None:
        """Find it."""
        raw = decode_id(Kind.RUN, ident, path="id")
        row = await info.context.services.runs.run(info.context.principal, raw)
        return None if row is None else Run.of(row)


@api_type
class RunsMutation:
    """Starting and stopping of runs."""

    @strawberry.mutation(
        description="Runs an instruction, in the background or waiting for the answer.",
        directives=needs(Scope.RUNS_EXECUTE),
    )
    @answers
    async def execute_agent(
        self,
        info: Info,
        given: Annotated[
            ExecuteAgentInput,
            strawberry.argument(name="input", description="What to act on, and how."),
        ],
    ) -> ExecuteAgentResult:
        """Accept the run, and wait for its end as long as asked."""
        context = info.context
        done = await context.services.runs.execute(context.principal, values_of(given))
        return RunSuccess(run=Run.of(done.row), replayed=done.replayed)


@api_type
class RunsSubscription:
    """Streams of runs."""

    @strawberry.subscription(
        description=(
            "Events of one run; ends with it. Deltas written before joining arrive merged."
        ),
        directives=needs(Scope.RUNS_READ),
    )
    async def run_events(
        self,
        info: Info,
        run_id: RunId,
        after: Annotated[
            str | None,
            strawberry.argument(
                description="Cursor of the last event seen; absent starts with the run's first."
            ),
        ] = UNSET,
        *,
        include_descendants: Annotated[
            bool,
            strawberry.argument(description="True adds the events of all runs below it."),
        ] = False,
    ) -> AsyncGenerator[RunStreamItem, None]:
        """Replay, then go on live."""
        context = info.context
        raw = decode_id(Kind.RUN, run_id, path="runId")
        views = context.services.views
        stream = context.services.runs.stream(
            context.principal, raw, after=after or None, include_descendants=include_descendants
        )
        with public_ids():
            async with aclosing(stream):
                async for item in stream:
                    view = views.of(item)
                    if view is not None:
                        yield cast("RunStreamItem", view)

    @strawberry.subscription(
        description="Answer of one run as bare text; ends with it.",
        directives=needs(Scope.RUNS_READ),
    )
    async def agent_tokens(
        self,
        info: Info,
        run_id: RunId,
        after: Annotated[
            int,
            strawberry.argument(
                description="Number of the last chunk seen; 0 starts with the first."
            ),
        ] = 0,
    ) -> AsyncGenerator[TokenChunk, None]:
        """Replay, then go on live."""
        context = info.context
        raw = decode_id(Kind.RUN, run_id, path="runId")
        views = context.services.views
        pieces = context.services.runs.tokens(context.principal, raw, after=after)
        with public_ids():
            async with aclosing(pieces):
                async for piece in pieces:
                    yield views.chunk_of(piece)
