"""What clients say to find, make and change agents."""

from enum import Enum

from strawberry import ID, UNSET, field

from schema.agents import MemoryKind, MemoryScope
from schema.declare import api_choice, api_enum, api_input
from schema.ids import Kind
from schema.inputs import refers_to
from schema.scalars import Json, Long


@api_choice
class AgentRef:
    """Picks one agent."""

    id: ID | None = field(description="Its id.", default=UNSET, metadata=refers_to(Kind.AGENT))
    slug: str | None = field(description="Its slug.", default=UNSET)


@api_input
class AgentFilter:
    """Narrows a list of agents."""

    search: str | None = field(description="Words in the name, slug or description.", default=UNSET)
    archived: bool | None = field(
        description="True for archived agents only; absent or false for live ones.", default=UNSET
    )


@api_enum
class AgentOrder(Enum):
    """Sort order of agents."""

    NAME_ASC = "By name, A to Z."
    UPDATED_AT_DESC = "Most recently changed first."


@api_input
class ModelInput:
    """Model to use."""

    provider: str = field(description="Provider, such as openai, anthropic, ollama or offline.")
    name: str = field(description="Model name at the provider.")
    parameters: Json | None = field(
        description="Parameters to pass on, such as temperature.", default=UNSET
    )


@api_input
class RunLimitsInput:
    """Bounds of a run; absent fields take the agent's or the server's."""

    max_steps: int | None = field(description="Most steps.", default=UNSET)
    max_seconds: int | None = field(
        description="Longest time, waiting for approvals left out.", default=UNSET
    )
    max_delegation_depth: int | None = field(
        description="Deepest chain of delegations.", default=UNSET
    )
    max_parallel_delegations: int | None = field(
        description="Most child runs at a time.", default=UNSET
    )
    max_tokens: Long | None = field(description="Most tokens, child runs included.", default=UNSET)
    max_cost_usd: float | None = field(
        description="Most money, child runs included.", default=UNSET
    )


@api_input
class MemoryPolicyInput:
    """Use of memory; absent fields take the agent's or the server's."""

    scope: MemoryScope | None = field(description="Whose memory is used.", default=UNSET)
    recall_kinds: list[MemoryKind] | None = field(description="Kinds to recall.", default=UNSET)
    recall_limit: int | None = field(description="Most memories recalled per step.", default=UNSET)
    memorize: bool | None = field(
        description="True to save fragments and solutions without being asked.", default=UNSET
    )


@api_input
class CreateAgentInput:
    """New agent."""

    name: str = field(description="Display name.")
    slug: str | None = field(
        description="Short unique name; absent derives it from the name.", default=UNSET
    )
    description: str | None = field(description="What it is for.", default=UNSET)
    instructions: str | None = field(description="Standing instructions.", default=UNSET)
    model: ModelInput | None = field(
        description="Model it thinks with; absent or null follows the server's default.",
        default=UNSET,
    )
    fallback_models: list[ModelInput] | None = field(
        description="Models to try in order when the first fails.", default=UNSET
    )
    allowed_tools: list[str] | None = field(
        description="Names or patterns of allowed tools, such as fs.*.", default=UNSET
    )
    delegate_ids: list[ID] | None = field(
        description="Agents it may delegate to.", default=UNSET, metadata=refers_to(Kind.AGENT)
    )
    limits: RunLimitsInput | None = field(description="Bounds of each run.", default=UNSET)
    memory: MemoryPolicyInput | None = field(
        description="What it recalls and remembers.", default=UNSET
    )
    behavior_profile_id: ID | None = field(
        description="Profile added to the workspace's.",
        default=UNSET,
        metadata=refers_to(Kind.BEHAVIOR_PROFILE),
    )
    metadata: Json | None = field(description="Free data of the client.", default=UNSET)
    idempotency_key: str | None = field(
        description=(
            "Key of the client's choice; a repeat within 24 hours returns the first outcome."
        ),
        default=UNSET,
    )


@api_input
class UpdateAgentInput:
    """Changes to an agent; each save is a new version."""

    agent_id: ID = field(description="The agent.", metadata=refers_to(Kind.AGENT))
    expected_version: int | None = field(
        description="Version the change is based on; a newer one is a Conflict.", default=UNSET
    )
    comment: str | None = field(description="Why, for the version list.", default=UNSET)
    name: str | None = field(description="Display name.", default=UNSET)
    slug: str | None = field(description="Short unique name.", default=UNSET)
    description: str | None = field(description="What it is for.", default=UNSET)
    instructions: str | None = field(description="Standing instructions.", default=UNSET)
    model: ModelInput | None = field(
        description="Model it thinks with; absent or null follows the server's default.",
        default=UNSET,
    )
    fallback_models: list[ModelInput] | None = field(
        description="Models to try in order when the first fails.", default=UNSET
    )
    allowed_tools: list[str] | None = field(
        description="Names or patterns of allowed tools, such as fs.*.", default=UNSET
    )
    delegate_ids: list[ID] | None = field(
        description="Agents it may delegate to.", default=UNSET, metadata=refers_to(Kind.AGENT)
    )
    limits: RunLimitsInput | None = field(description="Bounds of each run.", default=UNSET)
    memory: MemoryPolicyInput | None = field(
        description="What it recalls and remembers.", default=UNSET
    )
    behavior_profile_id: ID | None = field(
        description="Profile added to the workspace's.",
        default=UNSET,
        metadata=refers_to(Kind.BEHAVIOR_PROFILE),
    )
    metadata: Json | None = field(description="Free data of the client.", default=UNSET)


@api_input
class ArchiveAgentInput:
    """Agent to archive or to bring back."""

    agent_id: ID = field(description="The agent.", metadata=refers_to(Kind.AGENT))
    archived: bool = field(description="True to archive, false to bring it back.", default=True)


@api_input
class RollbackAgentInput:
    """Return of an agent to an earlier version, saved as a new version."""

    agent_id: ID = field(description="The agent.", metadata=refers_to(Kind.AGENT))
    to_version: int = field(description="Version to return to.")
    comment: str | None = field(description="Why, for the version list.", default=UNSET)
