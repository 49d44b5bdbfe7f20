"""What an agent is made of: everything that one version of it fixes."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints
from pydantic.config import JsonDict

from domain.kernel.idempotency import IdempotencyKey
from domain.kernel.validation import (
    LARGEST_WHOLE,
    ClientModel,
    JsonObject,
    Number,
    Text,
    Whole,
    refusal,
)
from domain.memory.policy import MemoryPolicy
from domain.tools.patterns import Pattern

_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
LONGEST_SLUG = 63
# What the validator below asks for, as JSON Schema says it.
_SLUG_SCHEMA: JsonDict = {"pattern": f"^{_SLUG.pattern}$", "maxLength": LONGEST_SLUG}


def _is_slug(text: str) -> str:
    if len(text) > LONGEST_SLUG or not _SLUG.fullmatch(text):
        raise refusal(f"Use a-z, 0-9 and single dashes, at most {LONGEST_SLUG} characters.")
    return text


def _without_repeats(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


def _is_said(text: str) -> str:
    if not text.strip():
        raise refusal("Give more than blanks.")
    return text


Name = Annotated[Text, StringConstraints(min_length=1, max_length=200), AfterValidator(_is_said)]
Slug = Annotated[Text, AfterValidator(_is_slug), Field(json_schema_extra=_SLUG_SCHEMA)]
Patterns = Annotated[tuple[Pattern, ...], Field(max_length=100)]
Ident = Annotated[Text, StringConstraints(min_length=1, max_length=64)]
Delegates = Annotated[tuple[Ident, ...], Field(max_length=50), AfterValidator(_without_repeats)]


class ModelChoice(ClientModel):
    """A model by name, and the parameters passed on to it."""

    provider: Annotated[Text, StringConstraints(min_length=1, max_length=100)]
    name: Annotated[Text, StringConstraints(min_length=1, max_length=200)]
    parameters: JsonObject = Field(default_factory=dict[str, Any])


class RunLimits(ClientModel):
    """Bounds of a run; reaching one ends it."""

    max_steps: Whole = Field(default=50, ge=1, le=1000)
    max_seconds: Whole = Field(default=900, ge=1, le=86_400)
    max_delegation_depth: Whole = Field(default=3, ge=0, le=10)
    max_parallel_delegations: Whole = Field(default=4, ge=1, le=32)
    max_tokens: Whole | None = Field(default=None, ge=1, le=LARGEST_WHOLE)
    max_cost_usd: Number | None = Field(default=None, gt=0)


class AgentSettings(ClientModel):
    """One version of an agent, in the shape in which clients create it; stored with its slug."""

    name: Name
    slug: Slug | None = None
    description: Annotated[Text, StringConstraints(max_length=2000)] = ""
    instructions: Annotated[Text, StringConstraints(max_length=100_000)] = ""
    model: ModelChoice | None = None
    fallback_models: Annotated[tuple[ModelChoice, ...], Field(max_length=5)] = ()
    allowed_tools: Patterns = ("*",)
    delegate_ids: Delegates = ()
    limits: RunLimits = RunLimits()
    memory: MemoryPolicy = MemoryPolicy()
    behavior_profile_id: Ident | None = None
    metadata: JsonObject = Field(default_factory=dict[str, Any])

    def stored(self) -> dict[str, Any]:
        """Return plain JSON in client names."""
        names = set(AgentSettings.model_fields)
        return self.model_dump(mode="json", by_alias=True, include=names)


class NewAgent(AgentSettings):
    """What a client sends to create an agent."""

    idempotency_key: IdempotencyKey | None = None
