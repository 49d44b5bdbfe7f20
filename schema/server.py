"""What this server is and whether it can do its work."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal, Self

from strawberry import field

from schema.declare import api_enum, api_type
from schema.scalars import Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderFacts:
    """A source of models: its name, whether its settings are complete, what it offers."""

    name: str
    configured: bool
    models: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What the server knows of itself; `now_us` is its clock."""

    version: str
    now_us: int
    database: Literal["sqlite", "postgres"]
    event_bus: Literal["local", "redis"]
    model_providers: Sequence[ProviderFacts]
    offline: bool
    event_retention_s: int
    hint: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckFacts:
    """Outcome of one check; `detail` is for people."""

    name: str
    status: Literal["passed", "failed", "skipped"]
    detail: str | None
    duration_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthFacts:
    """All checks and what they come to."""

    status: Literal["ok", "degraded", "down"]
    checks: Sequence[CheckFacts]


@api_enum
class CheckStatus(Enum):
    """How a check went."""

    PASSED = "Everything as expected."
    FAILED = "Not as expected; see the detail."
    SKIPPED = "Not run; see the detail."


@api_type
class Check:
    """Result of one check, such as a test, a health probe or a promotion gate."""

    name: str = field(description="Stable name, such as database or tests.case_1.")
    status: CheckStatus = field(description="How it went.")
    detail: str | None = field(description="What was seen, for a human.")
    duration_ms: int = field(description="How long it took.")

    @classmethod
    def of(cls, facts: CheckFacts) -> Self:
        """Show a check."""
        return cls(
            name=facts.name,
            status=CheckStatus[facts.status.upper()],
            detail=facts.detail,
            duration_ms=facts.duration_ms,
        )


@api_enum
class HealthStatus(Enum):
    """Overall state of the server."""

    OK = "All checks pass."
    DEGRADED = "Works, with a part missing."
    DOWN = "Cannot serve."


@api_type
class Health:
    """Whether the server can do its work."""

    status: HealthStatus = field(description="Overall state.")
    checks: list[Check] = field(description="Checks behind it.")

    @classmethod
    def of(cls, facts: HealthFacts) -> Self:
        """Show the checks and what they come to."""
        return cls(
            status=HealthStatus[facts.status.upper()],
            checks=[Check.of(check) for check in facts.checks],
        )


@api_enum
class DatabaseKind(Enum):
    """Kind of database."""

    SQLITE = "Embedded SQLite."
    POSTGRES = "PostgreSQL."


@api_enum
class EventBusKind(Enum):
    """Kind of event bus."""

    LOCAL = "Inside one process."
    REDIS = "Redis pub/sub."


@api_type
class ModelProvider:
    """Source of language models."""

    name: str = field(description="Name used in model references.")
    configured: bool = field(description="True when its settings are complete.")
    models: list[str] = field(description="Models it offers, as far as the server knows.")

    @classmethod
    def of(cls, facts: ProviderFacts) -> Self:
        """Show a provider."""
        return cls(name=facts.name, configured=facts.configured, models=list(facts.models))


@api_type
class ServerInfo:
    """What this server is and can do."""

    version: str = field(description="Version of the server.")
    now: Moment = field(description="Server time.")
    database: DatabaseKind = field(description="Where data is kept.")
    event_bus: EventBusKind = field(description="How events travel between processes.")
    model_providers: list[ModelProvider] = field(description="Model providers known to the server.")
    offline: bool = field(
        description=(
            "True when no language model is configured and answers come from the offline planner."
        )
    )
    event_retention_seconds: int = field(description="How long events can be replayed.")
    hint: str | None = field(
        description=(
            "Next step for the operator, such as how to configure a model; null when all is set."
        )
    )

    @classmethod
    def of(cls, facts: ServerFacts) -> Self:
        """Show what the server knows of itself."""
        return cls(
            version=facts.version,
            now=Moment(facts.now_us),
            database=DatabaseKind[facts.database.upper()],
            event_bus=EventBusKind[facts.event_bus.upper()],
            model_providers=[ModelProvider.of(provider) for provider in facts.model_providers],
            offline=facts.offline,
            event_retention_seconds=facts.event_retention_s,
            hint=facts.hint,
        )
