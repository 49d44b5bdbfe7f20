"""What clients say to find, save, change and forget memories."""

from enum import Enum
from typing import Optional

from strawberry import ID, UNSET, field

from schema.agents import MemoryKind
from schema.declare import api_choice, api_enum, api_input
from schema.ids import Kind
from schema.inputs import refers_to
from schema.relay import TimeRange
from schema.scalars import Json, Moment


@api_choice
class JsonTest:
    """Exactly one test; a missing value passes none but exists: false and ne."""

    eq: Json | None = field(description="Equal to.", default=UNSET)
    ne: Json | None = field(description="Not equal to.", default=UNSET)
    in_: list[Json] | None = field(name="in", description="Equal to one of.", default=UNSET)
    gt: Json | None = field(
        description="Greater than; numbers, or strings such as dates.", default=UNSET
    )
    gte: Json | None = field(description="Greater than or equal to.", default=UNSET)
    lt: Json | None = field(description="Less than.", default=UNSET)
    lte: Json | None = field(description="Less than or equal to.", default=UNSET)
    contains: Json | None = field(
        description="List holds this item, or text holds this text whatever its case.",
        default=UNSET,
    )
    exists: bool | None = field(description="Present or absent.", default=UNSET)


@api_input
class JsonCondition:
    """Test of one value inside a JSON object."""

    path: str = field(description="Dotted path, such as customer.tier or items.0.sku.")
    test: JsonTest = field(description="Test of the value found there.")


@api_input
class MemoryFilter:
    """Condition on memories; all given fields must hold. Forgotten and expired ones are left out unless asked for."""  # noqa: E501 - the words of the contract

    and_: list["MemoryFilter"] | None = field(
        name="and", description="All of these hold.", default=UNSET
    )
    or_: list["MemoryFilter"] | None = field(
        name="or", description="At least one of these holds.", default=UNSET
    )
    not_: Optional["MemoryFilter"] = field(
        name="not", description="This does not hold.", default=UNSET
    )
    kinds: list[MemoryKind] | None = field(description="One of these kinds.", default=UNSET)
    agent_id: ID | None = field(
        description="Belongs to this agent.", default=UNSET, metadata=refers_to(Kind.AGENT)
    )
    conversation_id: ID | None = field(
        description="Belongs to this conversation.",
        default=UNSET,
        metadata=refers_to(Kind.CONVERSATION),
    )
    run_id: ID | None = field(
        description="Written by this run.", default=UNSET, metadata=refers_to(Kind.RUN)
    )
    metadata: list[JsonCondition] | None = field(
        description="Conditions on the metadata; all hold.", default=UNSET
    )
    created: TimeRange | None = field(description="Created in this span.", default=UNSET)
    pinned: bool | None = field(description="Pinned or not.", default=UNSET)
    recallable: bool | None = field(description="Can be recalled or not.", default=UNSET)
    forgotten: bool | None = field(description="Forgotten or not.", default=UNSET)
    superseded: bool | None = field(description="Replaced by a newer memory or not.", default=UNSET)


@api_enum
class MemoryOrder(Enum):
    """Sort order of memories."""

    CREATED_AT_DESC = "Newest first."
    CREATED_AT_ASC = "Oldest first."
    LAST_RECALLED_AT_DESC = "Most recently recalled first."


@api_input
class SearchMemoryInput:
    """Question to memory."""

    query: str = field(description="Words or a question.")
    filter: MemoryFilter | None = field(description="Which memories may be found.", default=UNSET)
    as_of: Moment | None = field(
        description="Search what was true at this moment; absent means now.", default=UNSET
    )
    limit: int = field(description="Most hits, 1 to 100.", default=10)
    max_tokens: int | None = field(
        description="Token budget of all hits; the best that fit are returned.", default=UNSET
    )
    min_similarity: float | None = field(
        description="Lowest cosine that counts; needs embeddings.", default=UNSET
    )


@api_input
class ArtifactTestInput:
    """Call with a known result."""

    name: str = field(description="Name of the test.")
    arguments: Json = field(description="Arguments of the call.")
    expected: Json | None = field(description="Result it must return.", default=UNSET)


@api_input
class ArtifactInput:
    """Code that belongs to a solution."""

    language: str = field(description="Language, such as python or bash.")
    code: str = field(description="Source text.")
    entry_point: str | None = field(description="Function or file to start.", default=UNSET)
    input_schema: Json | None = field(description="JSON Schema of the arguments.", default=UNSET)
    tests: list[ArtifactTestInput] | None = field(
        description="Tests that must pass before it becomes a tool.", default=UNSET
    )


@api_input
class SaveMemoryInput:
    """New memory."""

    content: str = field(description="What to remember.")
    kind: MemoryKind = field(
        description="Kind; KNOWLEDGE comes from documents only.", default=MemoryKind.USER_DATA
    )
    metadata: Json | None = field(description="Data to filter by.", default=UNSET)
    agent_id: ID | None = field(
        description="Agent it belongs to; absent for the whole workspace.",
        default=UNSET,
        metadata=refers_to(Kind.AGENT),
    )
    conversation_id: ID | None = field(
        description="Conversation it belongs to.",
        default=UNSET,
        metadata=refers_to(Kind.CONVERSATION),
    )
    message_id: ID | None = field(
        description="Message it is taken from.", default=UNSET, metadata=refers_to(Kind.MESSAGE)
    )
    supersedes: list[ID] | None = field(
        description="Memories it replaces; they end where this one begins.",
        default=UNSET,
        metadata=refers_to(Kind.MEMORY),
    )
    artifacts: list[ArtifactInput] | None = field(
        description="Code, for a SOLUTION.", default=UNSET
    )
    pinned: bool = field(
        description="True keeps it from retention rules and expiry.", default=False
    )
    valid_from: Moment | None = field(
        description="Since when it is true; absent means now.", default=UNSET
    )
    expires_at: Moment | None = field(description="When it expires.", default=UNSET)
    idempotency_key: str | None = field(
        description=(
            "Key of the client's choice; a repeat within 24 hours returns the first outcome."
        ),
        default=UNSET,
    )


@api_input
class UpdateMemoryInput:
    """Changes to a memory; the old text stays in its history."""

    memory_id: ID = field(description="The memory.", metadata=refers_to(Kind.MEMORY))
    expected_version: int | None = field(
        description="Version the change is based on; a newer one is a Conflict.", default=UNSET
    )
    content: str | None = field(description="What to remember.", default=UNSET)
    metadata: Json | None = field(description="Data to filter by; replaces the old.", default=UNSET)
    artifacts: list[ArtifactInput] | None = field(
        description="Code; replaces the old.", default=UNSET
    )
    pinned: bool | None = field(description="True pins it.", default=UNSET)
    recallable: bool | None = field(
        description="False keeps it from being recalled.", default=UNSET
    )
    valid_to: Moment | None = field(description="Until when it was true.", default=UNSET)
    expires_at: Moment | None = field(description="When it expires.", default=UNSET)
    reason: str | None = field(description="Why, for the history.", default=UNSET)


@api_choice
class MemorySelection:
    """Which memories to act on."""

    ids: list[ID] | None = field(
        description="These.", default=UNSET, metadata=refers_to(Kind.MEMORY)
    )
    filter: MemoryFilter | None = field(description="All that fit.", default=UNSET)


@api_input
class ForgetMemoriesInput:
    """Memories to forget."""

    select: MemorySelection = field(description="Which.")
    dry_run: bool = field(description="True only counts.", default=False)
    erase: bool = field(
        description="True erases content and history for good; needs admin.", default=False
    )
    reason: str | None = field(description="Why, for the history.", default=UNSET)


@api_input
class RestoreMemoriesInput:
    """Forgotten memories to bring back."""

    select: MemorySelection = field(description="Which.")
