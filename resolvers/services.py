"""What resolvers work with: the services, and the request they run in."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, Self, TypeAlias

import strawberry

from domain.access.audit_log import AuditLog
from domain.access.denials import Denials
from domain.access.scopes import Principal
from domain.access.service import AccessService
from domain.agents.service import AgentService
from domain.behavior.service import BehaviorService
from domain.conversations.service import ConversationService
from domain.events.feed import WorkspaceFeed
from domain.kernel.errors import Forbidden
from domain.kernel.ports import Clock
from domain.kernel.tracing import TraceContext
from domain.memory.service import MemoryService
from domain.runs.approvals import ApprovalService
from domain.runs.service import RunService
from domain.runs.usage import UsageReports
from domain.tasks.service import TaskService
from domain.tools.registry import ToolRegistry
from resolvers.loaders import RequestLoaders
from schema.event_views import EventViews
from schema.server import HealthFacts, ServerFacts


class ServerPort(Protocol):
    """What the process knows of itself."""

    async def facts(self) -> ServerFacts:
        """What it is and how it is set up."""
        ...

    async def health(self) -> HealthFacts:
        """Whether it can do its work, checked now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything that resolvers call; made once for a process."""

    access: AccessService
    audit_log: AuditLog
    denials: Denials
    agents: AgentService
    behavior: BehaviorService
    conversations: ConversationService
    memory: MemoryService
    runs: RunService
    usage: UsageReports
    approvals: ApprovalService
    tools: ToolRegistry
    tasks: TaskService
    feed: WorkspaceFeed
    server: ServerPort
    clock: Clock
    views: EventViews = field(default_factory=EventViews)


# Without slots: most requests load nothing, so the loaders are made when they are asked for.
@dataclass(frozen=True, kw_only=True)
class RequestContext:
    """One request, or one subscription for as long as it lives."""

    services: Services
    principal: Principal
    trace: TraceContext

    @classmethod
    def of(cls, services: Services, principal: Principal, trace: TraceContext) -> Self:
        """Begin a request of a caller."""
        return cls(services=services, principal=principal.within(trace), trace=trace)

    @cached_property
    def loaders(self) -> RequestLoaders:
        """Loads for all fields of the request together."""
        return RequestLoaders(self.services, self.principal)

    def note_denied(self, error: Forbidden, operation: str) -> None:
        """Tell the audit log that the caller's key lacks a scope for a field."""
        self.services.denials.access_denied(self.principal, error, operation=operation)

    def now_us(self) -> int:
        """The moment now."""
        return self.services.clock.now_us()


Info: TypeAlias = strawberry.Info[RequestContext, None]
