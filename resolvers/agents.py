"""Agents: found, made, changed, archived and returned to what they were."""

from typing import Annotated, TypeAlias

import strawberry
from strawberry import UNSET, field

from domain.agents.service import AgentFilter as DomainFilter
from domain.agents.service import AgentOrder as DomainOrder
from domain.kernel.paging import PageRequest
from resolvers.fields import needs
from resolvers.outcomes import answers
from resolvers.services import Info
from schema.access import Scope
from schema.agent_inputs import (
    AgentFilter,
    AgentOrder,
    AgentRef,
    ArchiveAgentInput,
    CreateAgentInput,
    RollbackAgentInput,
    UpdateAgentInput,
)
from schema.agents import Agent, AgentConnection, AgentSuccess
from schema.declare import api_type
from schema.errors import Conflict, Forbidden, NotFound, QuotaExceeded, ValidationFailed
from schema.inputs import values_of
from schema.relay import Paged

CreateAgentResult: TypeAlias = Annotated[
    AgentSuccess | ValidationFailed | NotFound | Conflict | Forbidden | QuotaExceeded,
    strawberry.union("CreateAgentResult", description="Outcome of createAgent."),
]
UpdateAgentResult: TypeAlias = Annotated[
    AgentSuccess | ValidationFailed | NotFound | Conflict | Forbidden,
    strawberry.union("UpdateAgentResult", description="Outcome of updateAgent."),
]
ArchiveAgentResult: TypeAlias = Annotated[
    AgentSuccess | NotFound | Conflict | Forbidden,
    strawberry.union("ArchiveAgentResult", description="Outcome of archiveAgent."),
]
RollbackAgentResult: TypeAlias = Annotated[
    AgentSuccess | ValidationFailed | NotFound | Forbidden,
    strawberry.union("RollbackAgentResult", description="Outcome of rollbackAgent."),
]


@api_type
class AgentsQuery:
    """Reads of agents."""

    @field(
        description="Agents of the workspace.",
        directives=needs(Scope.AGENTS_READ),
        extensions=[Paged()],
    )
    async def agents(
        self,
        info: Info,
        page: PageRequest,
        narrow: Annotated[
            AgentFilter | None, strawberry.argument(name="filter", description="Narrows the list.")
        ] = UNSET,
        order_by: Annotated[
            AgentOrder, strawberry.argument(description="Sort order.")
        ] = AgentOrder.NAME_ASC,
    ) -> AgentConnection:
        """List them."""
        service, principal = info.context.services.agents, info.context.principal
        wanted = values_of(narrow) if narrow else {}
        narrowing = DomainFilter(search=wanted.get("search"), archived=bool(wanted.get("archived")))
        found = await service.agents(principal, narrowing, DomainOrder[order_by.name], page)
        return AgentConnection.of(found, count=lambda: service.count(principal, narrowing))

    @field(description="One agent by id or slug.", directives=needs(Scope.AGENTS_READ))
    async def agent(
        self,
        info: Info,
        by: Annotated[AgentRef, strawberry.argument(description="Which one.")],
    ) -> Agent | None:
        """Find it."""
        wanted = values_of(by, above="by")
        row = await info.context.services.agents.agent(
            info.context.principal, agent_id=wanted.get("id"), slug=wanted.get("slug")
        )
        return None if row is None else Agent.of(row)


@api_type
class AgentsMutation:
    """Changes of agents."""

    @strawberry.mutation(description="Creates an agent.", directives=needs(Scope.AGENTS_WRITE))
    @answers
    async def create_agent(
        self,
        info: Info,
        given: Annotated[
            CreateAgentInput, strawberry.argument(name="input", description="What to create.")
        ],
    ) -> CreateAgentResult:
        """Make it."""
        service, principal = info.context.services.agents, info.context.principal
        return AgentSuccess(agent=Agent.of(await service.create(principal, values_of(given))))

    @strawberry.mutation(
        description="Changes an agent; each save is a new version.",
        directives=needs(Scope.AGENTS_WRITE),
    )
    @answers
    async def update_agent(
        self,
        info: Info,
        given: Annotated[
            UpdateAgentInput, strawberry.argument(name="input", description="What to change.")
        ],
    ) -> UpdateAgentResult:
        """Save what is given."""
        values = values_of(given)
        row = await info.context.services.agents.update(
            info.context.principal,
            values.pop("agentId"),
            values,
            expected_version=values.pop("expectedVersion", None),
            comment=values.pop("comment", None),
        )
        return AgentSuccess(agent=Agent.of(row))

    @strawberry.mutation(
        description="Archives an agent or brings it back; runs at work go on.",
        directives=needs(Scope.AGENTS_WRITE),
    )
    @answers
    async def archive_agent(
        self,
        info: Info,
        given: Annotated[
            ArchiveAgentInput,
            strawberry.argument(name="input", description="What to act on, and how."),
        ],
    ) -> ArchiveAgentResult:
        """Archive it or bring it back."""
        values = values_of(given)
        row = await info.context.services.agents.archive(
            info.context.principal, values["agentId"], archived=values["archived"]
        )
        return AgentSuccess(agent=Agent.of(row))

    @strawberry.mutation(
        description="Returns an agent to an earlier version.",
        directives=needs(Scope.AGENTS_WRITE),
    )
    @answers
    async def rollback_agent(
        self,
        info: Info,
        given: Annotated[
            RollbackAgentInput,
            strawberry.argument(name="input", description="What to act on, and how."),
        ],
    ) -> RollbackAgentResult:
        """Save the earlier version anew."""
        values = values_of(given)
        row = await info.context.services.agents.rollback(
            info.context.principal,
            values["agentId"],
            to_version=values["toVersion"],
            comment=values.get("comment"),
        )
        return AgentSuccess(agent=Agent.of(row))
