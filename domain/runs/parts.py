"""What the service of runs is made of."""

from dataclasses import dataclass

from domain.access.audit import AuditTrail
from domain.conversations.service import ConversationService
from domain.events.store import EventStore
from domain.kernel.database import Database
from domain.kernel.idempotency import IdempotencyKeys
from domain.kernel.ids import IdSource
from domain.kernel.ports import Clock, EventBus, JobQueue
from domain.models.providers import ModelProviders
from domain.runs.limit_rules import LimitRules
from domain.runs.rows import RunRow
from domain.runs.runner import Runner
from domain.runs.stream import RunStreams


@dataclass(frozen=True, slots=True, kw_only=True)
class RunParts:
    """The service's collaborators; `runner` is None where no run is worked on."""

    database: Database
    store: EventStore
    conversations: ConversationService
    models: ModelProviders
    streams: RunStreams
    runner: Runner | None
    queue: JobQueue
    bus: EventBus
    idempotency: IdempotencyKeys
    limits: LimitRules
    audit: AuditTrail
    clock: Clock
    ids: IdSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """A run as it is now; `replayed` when the same request was done before."""

    row: RunRow
    replayed: bool
