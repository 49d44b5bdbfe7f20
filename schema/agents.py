"""Agents: workers that follow instructions, and every version they were saved as."""

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Self

import strawberry
from strawberry import ID, UNSET, Private, field

from domain.agents import settings
from domain.agents.rows import AgentRow, AgentVersionRow
from domain.kernel.changes import changes_between
from domain.kernel.paging import Page, PageRequest
from domain.memory import policy
from schema.behavior import BehaviorProfile, EffectiveRule
from schema.context import Info
from schema.declare import api_enum, api_type
from schema.ids import Kind, encode_id
from schema.relay import Change, Connection, Count, CountedConnection, Edge, Node, Paged
from schema.scalars import Json, Long, Moment, moment
from schema.tools import ToolConnection

if TYPE_CHECKING:
    from schema.runs import RunConnection, RunFilter


@api_type
class Model:
    """Model and its parameters."""

    provider: str = field(description="Provider, such as openai, anthropic, ollama or offline.")
    name: str = field(description="Model name at the provider.")
    parameters: Json = field(description="Parameters passed on, such as temperature.")

    @classmethod
    def of(cls, choice: settings.ModelChoice) -> Self:
        """Show what an agent or a run names."""
        return cls(provider=choice.provider, name=choice.name, parameters=Json(choice.parameters))


@api_type
class RunLimits:
    """Bounds of a run; reaching one ends the run as FAILED with LIMIT_REACHED, or as TIMED_OUT."""

    max_steps: int = field(description="Most steps.")
    max_seconds: int = field(description="Longest time, waiting for approvals left out.")
    max_delegation_depth: int = field(description="Deepest chain of delegations below the run.")
    max_parallel_delegations: int = field(description="Most child runs at a time.")
    max_tokens: Long | None = field(
        description="Most tokens, child runs included; null for no limit."
    )
    max_cost_usd: float | None = field(
        description="Most money, child runs included; null for no limit."
    )

    @classmethod
    def of(cls, limits: settings.RunLimits) -> Self:
        """Show bounds."""
        return cls(
            max_steps=limits.max_steps,
            max_seconds=limits.max_seconds,
            max_delegation_depth=limits.max_delegation_depth,
            max_parallel_delegations=limits.max_parallel_delegations,
            max_tokens=None if limits.max_tokens is None else Long(limits.max_tokens),
            max_cost_usd=limits.max_cost_usd,
        )


@api_enum
class MemoryScope(Enum):
    """Whose memory an agent uses."""

    NONE = "No memory at all."
    CONVERSATION = "Only that of the conversation."
    AGENT = "Only its own."
    WORKSPACE = "Its own and that of the whole workspace."


@api_enum
class MemoryKind(Enum):
    """Kind of memory."""

    USER_DATA = "Fact about the user or the workspace."
    FRAGMENT = "Piece of context kept from a conversation."
    SOLUTION = "Way to solve a problem, with code when there is any."
    KNOWLEDGE = "Passage of an ingested document."


@api_type
class MemoryPolicy:
    """What a run recalls from memory and writes to it."""

    scope: MemoryScope = field(description="Whose memory is used.")
    recall_kinds: list[MemoryKind] = field(description="Kinds that are recalled.")
    recall_limit: int = field(description="Most memories recalled per step.")
    memorize: bool = field(
        description="True when fragments and solutions are saved without being asked."
    )

    @classmethod
    def of(cls, kept: policy.MemoryPolicy) -> Self:
        """Show a policy."""
        return cls(
            scope=MemoryScope[kept.scope],
            recall_kinds=[MemoryKind[kind] for kind in kept.recall_kinds],
            recall_limit=kept.recall_limit,
            memorize=kept.memorize,
        )


@api_type
class AgentVersion:
    """Agent as it was saved once."""

    version: int = field(description="Number of the version.")
    settings: Json = field(description="Settings as they were, in the shape of CreateAgentInput.")
    comment: str | None = field(description="Why it was saved.")
    created_by: str = field(description="Who saved it.")
    created_at: Moment = field(description="When it was saved.")

    row: Private[AgentVersionRow]

    @classmethod
    def of(cls, row: AgentVersionRow) -> Self:
        """Show a row."""
        return cls(
            version=row.version,
            settings=Json(public_settings(row.settings)),
            comment=row.comment,
            created_by=row.created_by,
            created_at=Moment(row.created_at),
            row=row,
        )

    @field(description="What changed against the version before.")
    async def changes(self, info: Info) -> list[Change]:
        """Compare with the version before."""
        row = self.row
        before = await info.context.loaders.agent_settings(row.agent_id, row.version - 1)
        if before is None:
            return []
        stored = public_settings(before.stored())
        return [
            Change.of(change) for change in changes_between(stored, public_settings(row.settings))
        ]


@api_type
class AgentVersionEdge(Edge[AgentVersion]):
    """Place of one agent version in a page."""


@api_type
class AgentVersionConnection(Connection[AgentVersion, AgentVersionEdge]):
    """Page of agent versions."""

    @classmethod
    def of(cls, page: Page[AgentVersionRow]) -> Self:
        """Show a page of rows."""
        return cls.over(page, [AgentVersion.of(row) for row in page.items], AgentVersionEdge)


@api_type
class Agent(Node):
    """Worker that follows instructions with a model, tools, memory and rules."""

    id: ID = field(description="Opaque global id.")
    slug: str = field(description="Short unique name for URLs and scripts.")
    name: str = field(description="Display name.")
    description: str = field(
        description="What it is for; other agents read it before they delegate."
    )
    instructions: str = field(description="Standing instructions given to the model.")
    model: Model | None = field(
        description="Model it thinks with; null follows the server's default."
    )
    fallback_models: list[Model] = field(description="Models tried in order when the first fails.")
    allowed_tools: list[str] = field(
        description="Names or patterns of allowed tools, such as fs.*."
    )
    limits: RunLimits = field(description="Bounds of each run.")
    memory: MemoryPolicy = field(description="What it recalls and remembers.")
    metadata: Json = field(description="Free data of the client.")
    version: int = field(description="Counts saves; send it back as expectedVersion.")
    created_at: Moment = field(description="When it was created.")
    updated_at: Moment = field(description="When it last changed.")
    archived_at: Moment | None = field(description="When it was archived; null while it can run.")

    raw_id: Private[str]
    delegate_ids: Private[list[str]]
    profile_id: Private[str | None]

    @classmethod
    def of(cls, row: AgentRow) -> Self:
        """Show a row."""
        current = settings.AgentSettings.model_validate(row.settings)
        return cls(
            id=encode_id(Kind.AGENT, row.id),
            slug=row.slug,
            name=row.name,
            description=row.description,
            instructions=current.instructions,
            model=None if current.model is None else Model.of(current.model),
            fallback_models=[Model.of(choice) for choice in current.fallback_models],
            allowed_tools=list(current.allowed_tools),
            limits=RunLimits.of(current.limits),
            memory=MemoryPolicy.of(current.memory),
            metadata=Json(current.metadata),
            version=row.version,
            created_at=Moment(row.created_at),
            updated_at=Moment(row.updated_at),
            archived_at=moment(row.archived_at),
            raw_id=row.id,
            delegate_ids=list(current.delegate_ids),
            profile_id=current.behavior_profile_id,
        )

    @field(
        description="Tools it can use now: allowed, enabled and not denied by a rule.",
        extensions=[Paged()],
    )
    async def tools(self, info: Info, page: PageRequest) -> ToolConnection:
        """List the registered tools that its patterns allow and no rule denies."""
        found, count = await info.context.loaders.tools(self.allowed_tools, self.profile_id, page)
        return ToolConnection.of(found, count=count)

    @field(description="Agents it may delegate to.")
    async def delegates(self, info: Info) -> list["Agent"]:
        """Load them."""
        rows = await info.context.loaders.agents(self.delegate_ids)
        return [Agent.of(row) for row in rows]

    @field(description="Profile added to the workspace's; null for none.")
    async def behavior_profile(self, info: Info) -> BehaviorProfile | None:
        """Load it."""
        if self.profile_id is None:
            return None
        row = await info.context.loaders.behavior_profile(self.profile_id)
        return BehaviorProfile.of(row) if row is not None and row.deleted_at is None else None

    @field(description="Every rule that reaches it, resolved and explained, strongest first.")
    async def effective_rules(self, info: Info) -> list[EffectiveRule]:
        """Resolve them."""
        found = await info.context.loaders.effective_rules(self.profile_id)
        return [EffectiveRule.of(one) for one in found]

    @field(description="All saved versions, newest first.", extensions=[Paged()])
    async def versions(self, info: Info, page: PageRequest) -> AgentVersionConnection:
        """List them."""
        found = await info.context.loaders.agent_versions(self.raw_id, page)
        return AgentVersionConnection.of(found)

    @field(description="Its runs, newest first.", extensions=[Paged()])
    async def runs(
        self,
        info: Info,
        page: PageRequest,
        narrow: Annotated[
            Annotated["RunFilter", strawberry.lazy("schema.runs")] | None,
            strawberry.argument(name="filter", description="Narrows the list."),
        ] = UNSET,
    ) -> Annotated["RunConnection", strawberry.lazy("schema.runs")]:
        """List them."""
        from schema.runs import RunConnection, run_filter

        narrowed = run_filter(narrow, agent_id=self.raw_id)
        return RunConnection.of(await info.context.loaders.runs(narrowed, page))


@api_type
class AgentEdge(Edge[Agent]):
    """Place of one agent in a page."""


@api_type
class AgentConnection(CountedConnection[Agent, AgentEdge]):
    """Page of agents."""

    @classmethod
    def of(cls, page: Page[AgentRow], *, count: Count) -> Self:
        """Show a page of rows."""
        nodes = [Agent.of(row) for row in page.items]
        return cls.counted(page, nodes, AgentEdge, count=count)


@api_type
class AgentSuccess:
    """The agent as saved."""

    agent: Agent = field(description="The agent.")


def public_settings(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return stored settings in the shape of CreateAgentInput, with global ids."""
    delegates = [encode_id(Kind.AGENT, raw) for raw in stored.get("delegateIds", ())]
    raw_profile = stored.get("behaviorProfileId")
    profile = None if raw_profile is None else encode_id(Kind.BEHAVIOR_PROFILE, raw_profile)
    return {**stored, "delegateIds": delegates, "behaviorProfileId": profile}
