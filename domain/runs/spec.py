"""What a client asks for when it starts a run, checked."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from domain.agents.settings import ModelChoice
from domain.kernel.idempotency import IdempotencyKey, digest_of
from domain.kernel.json_fit import JsonFit
from domain.kernel.json_schema_words import UnusableSchemaError
from domain.kernel.validation import (
    LARGEST_WHOLE,
    ClientModel,
    JsonObject,
    Number,
    Text,
    Whole,
    exactly_one_of,
    refusal,
)
from domain.memory.policy import MemoryPolicy
from domain.tools.patterns import Pattern

LONGEST_INSTRUCTION = 200_000
LONGEST_WAIT_S = 300


class OnBusy(StrEnum):
    """What to do when the conversation already has an active run."""

    REJECT = "REJECT"
    QUEUE = "QUEUE"
    INTERRUPT = "INTERRUPT"


class RetryConfig(StrEnum):
    """Which settings a retry uses."""

    CURRENT = "CURRENT"
    ORIGINAL = "ORIGINAL"


class AgentChoice(ClientModel):
    """One agent, by id or by slug."""

    model_config = ConfigDict(json_schema_extra=exactly_one_of("id", "slug"))

    id: Text | None = None
    slug: Text | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "AgentChoice":
        if (self.id is None) == (self.slug is None):
            raise ValueError("give either id or slug")
        return self


class LimitsSpec(ClientModel):
    """Bounds that narrow the agent's; absent ones take the agent's."""

    max_steps: Annotated[Whole, Field(ge=1, le=1000)] | None = None
    max_seconds: Annotated[Whole, Field(ge=1, le=86_400)] | None = None
    max_delegation_depth: Annotated[Whole, Field(ge=0, le=10)] | None = None
    max_parallel_delegations: Annotated[Whole, Field(ge=1, le=32)] | None = None
    max_tokens: Annotated[Whole, Field(ge=1, le=LARGEST_WHOLE)] | None = None
    max_cost_usd: Annotated[Number, Field(gt=0)] | None = None


def _is_usable(schema: dict[str, Any]) -> dict[str, Any]:
    try:
        JsonFit(schema)
    except UnusableSchemaError as error:
        place = ".".join(error.path) or "the root"
        raise refusal(f"{error.reason} At {place}.") from error
    return schema


AnswerSchema = Annotated[JsonObject, AfterValidator(_is_usable)]
"""A JSON Schema that an answer can be held against."""


class ExecuteSpec(ClientModel):
    """An instruction for an agent."""

    agent: AgentChoice
    instruction: Annotated[Text, Field(min_length=1, max_length=LONGEST_INSTRUCTION)]
    inputs: JsonObject = Field(default_factory=dict[str, Any])
    conversation_id: Text | None = None
    on_busy: OnBusy = OnBusy.REJECT
    wait_seconds: Annotated[Whole, Field(ge=0, le=LONGEST_WAIT_S)] = 0
    output_schema: AnswerSchema | None = None
    model: ModelChoice | None = None
    allowed_tools: Annotated[list[Pattern], Field(max_length=100)] | None = None
    limits: LimitsSpec | None = None
    memory: MemoryPolicy | None = None
    priority: Annotated[Whole, Field(ge=0, le=9)] = 5
    metadata: JsonObject = Field(default_factory=dict[str, Any])
    idempotency_key: IdempotencyKey | None = None

    def digest(self) -> str:
        """What is asked for, whatever door it came by; how long to wait is no part of it."""
        return digest_of(self.model_dump(mode="json", exclude={"wait_seconds"}))

    def kept(self) -> dict[str, Any]:
        """The part that the engine reads again, as it is stored on the run."""
        stored = {"model", "allowed_tools", "limits", "memory"}
        kept = self.model_dump(mode="json", by_alias=True, exclude_none=True, include=stored)
        if self.output_schema is not None:
            kept["outputSchema"] = self.output_schema
        return kept


class RetrySpec(ClientModel):
    """How an ended run is tried again."""

    from_step_id: Text | None = None
    config: RetryConfig = RetryConfig.CURRENT
    wait_seconds: Annotated[Whole, Field(ge=0, le=LONGEST_WAIT_S)] = 0
    idempotency_key: IdempotencyKey | None = None
