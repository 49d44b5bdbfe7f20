"""What clients say to save, change, choose and search memories, checked."""

from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, Field, StringConstraints, model_validator

from domain.kernel.errors import ValidationFailed
from domain.kernel.idempotency import IdempotencyKey
from domain.kernel.validation import (
    AnyJson,
    ClientModel,
    Flag,
    JsonObject,
    Number,
    Text,
    Whole,
    refusal,
)
from domain.memory.bounds import (
    LARGEST_ARTIFACTS_BYTES,
    LONGEST_CONTENT,
    LONGEST_QUERY,
    MOST_ARTIFACTS,
    MOST_AT_ONCE,
    MOST_SUPERSEDED,
    MOST_TESTS,
    Ident,
    MomentUs,
    Reason,
)
from domain.memory.policy import MemoryKind


def _says_something(text: str) -> str:
    if not text.strip():
        raise refusal("Give more than blanks.")
    return text


def _is_saved(kind: MemoryKind) -> MemoryKind:
    if kind is MemoryKind.KNOWLEDGE:
        raise refusal("KNOWLEDGE comes from documents only; save USER_DATA, FRAGMENT or SOLUTION.")
    return kind


def _are_distinct(idents: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(idents))


Content = Annotated[
    Text,
    StringConstraints(min_length=1, max_length=LONGEST_CONTENT),
    AfterValidator(_says_something),
]
Query = Annotated[
    Text, StringConstraints(min_length=1, max_length=LONGEST_QUERY), AfterValidator(_says_something)
]
Label = Annotated[Text, StringConstraints(min_length=1, max_length=200)]


class ArtifactTest(ClientModel):
    """Call with a known result."""

    name: Label
    arguments: JsonObject
    expected: AnyJson = None


class Artifact(ClientModel):
    """Code that belongs to a solution."""

    language: Annotated[Text, StringConstraints(min_length=1, max_length=50)]
    code: Annotated[Text, StringConstraints(min_length=1, max_length=LONGEST_CONTENT)]
    entry_point: Label | None = None
    input_schema: JsonObject | None = None
    tests: Annotated[tuple[ArtifactTest, ...], Field(max_length=MOST_TESTS)] | None = None

    def stored(self) -> dict[str, Any]:
        """Plain JSON in client names."""
        return {**self.model_dump(mode="json", by_alias=True), "tests": self._tests()}

    def _tests(self) -> list[dict[str, Any]]:
        return [test.model_dump(mode="json", by_alias=True) for test in self.tests or ()]


def _are_bounded(artifacts: tuple[Artifact, ...]) -> tuple[Artifact, ...]:
    size = len(orjson.dumps([artifact.stored() for artifact in artifacts]))
    if size > LARGEST_ARTIFACTS_BYTES:
        raise refusal(
            f"Use at most {LARGEST_ARTIFACTS_BYTES} bytes as JSON together; these have {size}."
        )
    return artifacts


Artifacts = Annotated[
    tuple[Artifact, ...], Field(max_length=MOST_ARTIFACTS), AfterValidator(_are_bounded)
]


class SaveSpec(ClientModel):
    """New memory; a null asks for the default, as an absent field does."""

    content: Content
    kind: Annotated[MemoryKind, AfterValidator(_is_saved)] = MemoryKind.USER_DATA
    metadata: JsonObject = Field(default_factory=dict[str, Any])
    agent_id: Ident | None = None
    conversation_id: Ident | None = None
    message_id: Ident | None = None
    supersedes: Annotated[
        tuple[Ident, ...], Field(max_length=MOST_SUPERSEDED), AfterValidator(_are_distinct)
    ] = ()
    artifacts: Artifacts = ()
    pinned: Flag = False
    valid_from: MomentUs | None = None
    expires_at: MomentUs | None = None
    idempotency_key: IdempotencyKey | None = None


class ChangeSpec(ClientModel):
    """Changes to a memory; an absent field stays, a null clears to the default."""

    content: Content = ""
    metadata: JsonObject = Field(default_factory=dict[str, Any])
    artifacts: Artifacts = ()
    pinned: Flag = False
    recallable: Flag = True
    valid_to: MomentUs | None = None
    expires_at: MomentUs | None = None


class UpdateSpec(ClientModel):
    """Which memory is changed, and why."""

    memory_id: Ident
    expected_version: Annotated[Whole, Field(ge=1)] | None = None
    reason: Reason | None = None


class SelectionSpec(ClientModel):
    """Memories by id or by a filter; exactly one of them."""

    ids: (
        Annotated[
            tuple[Ident, ...],
            Field(min_length=1, max_length=MOST_AT_ONCE),
            AfterValidator(_are_distinct),
        ]
        | None
    ) = None
    filter: Any = None

    @model_validator(mode="after")
    def _is_one(self) -> "SelectionSpec":
        if (self.ids is None) == (self.filter is None):
            raise refusal("Give either ids or filter.")
        return self


class ForgetSpec(ClientModel):
    """Memories to forget."""

    select: SelectionSpec
    dry_run: Flag = False
    erase: Flag = False
    reason: Reason | None = None


class RestoreSpec(ClientModel):
    """Forgotten memories to bring back."""

    select: SelectionSpec


class SearchSpec(ClientModel):
    """Question to memory; the filter is read apart."""

    query: Query
    filter: Any = None
    as_of: MomentUs | None = None
    limit: Annotated[Whole, Field(ge=1, le=100)] = 10
    max_tokens: Annotated[Whole, Field(ge=1)] | None = None
    min_similarity: Number | None = None


def check_code(kind: MemoryKind, artifacts: tuple[Artifact, ...]) -> None:
    """Raise ValidationFailed for code on anything but a solution."""
    if artifacts and kind is not MemoryKind.SOLUTION:
        message = "Only a SOLUTION carries code: say so in kind, or leave artifacts out."
        raise ValidationFailed.of("artifacts", message)
