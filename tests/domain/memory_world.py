"""What tests of memory share: two workspaces, a service, and short ways to save and look."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from app.adapters.clock import SystemClock
from app.adapters.events_local import LocalEventBus
from domain.access.audit import AuditTrail
from domain.access.scopes import Principal, Scope
from domain.events.store import EventStore
from domain.kernel.database import Database, Statement
from domain.kernel.idempotency import IdempotencyKeys
from domain.kernel.ids import IdSource
from domain.kernel.paging import PageRequest
from domain.memory.queries import MemoryOrder
from domain.memory.rows import MemoryRow
from domain.memory.service import MemoryService
from tests.domain.conversation_world import add_agents
from tests.fakes import SteppedClock

ALL = PageRequest.of(first=100)
NEWEST = MemoryOrder.CREATED_AT_DESC
SECOND_US = 1_000_000


def principal_of(workspace_id: str, *scopes: Scope) -> Principal:
    """Somebody with a key of the workspace."""
    return Principal(workspace_id=workspace_id, key_id=None, name="ada", scopes=frozenset(scopes))


ADMIN = principal_of("w1", Scope.ADMIN)
STRANGER = principal_of("w2", Scope.ADMIN)
WRITER = principal_of("w1", Scope.MEMORY_READ, Scope.MEMORY_WRITE)


@dataclass(kw_only=True)
class MemoryWorld:
    """The service over workspaces w1 with agent a1, and w2 with a2."""

    database: Database
    clock: SteppedClock
    service: MemoryService

    async def save(self, content: str, *, by: Principal = ADMIN, **more: Any) -> MemoryRow:
        """Save a memory a second after the last, so that each has a moment of its own."""
        self.clock.move(1)
        return (await self.service.save(by, {"content": content, **more})).row

    async def contents(
        self, narrowing: Mapping[str, Any] | None = None, *, by: Principal = ADMIN
    ) -> list[str]:
        """What a list shows, newest first."""
        page = await self.service.memories(by, narrowing, NEWEST, ALL)
        return [row.content for row in page.items]

    async def found(self, query: str, *, by: Principal = ADMIN, **more: Any) -> list[str]:
        """What a search finds, best first."""
        result = await self.service.search(by, {"query": query, **more})
        return [hit.row.content for hit in result.hits]

    async def now(self, memory_id: str) -> MemoryRow:
        """A memory as it is."""
        row = await self.service.memory(ADMIN, memory_id)
        assert row is not None
        return row

    async def actions(self, memory_id: str) -> list[tuple[int, str]]:
        """Its history, newest first."""
        page = await self.service.history(ADMIN, memory_id, ALL)
        return [(version.version, version.action) for version in page.items]

    async def events(self) -> list[tuple[str, str]]:
        """Action and memory of each event, in order."""
        rows = await self.database.fetch(
            "SELECT data FROM event WHERE type = 'MemoryUpdate' ORDER BY cursor"
        )
        told = [orjson.loads(row[0]) for row in rows]
        return [(one["action"], one["memoryId"]) for one in told]

    async def audited(self) -> list[tuple[str, str | None]]:
        """Action and target of each line of the audit log, in order."""
        rows = await self.database.fetch("SELECT action, target_id FROM audit ORDER BY seq")
        return [(row[0], row[1]) for row in rows]

    async def count(self, table: str) -> int:
        """Rows of a table."""
        [[count]] = await self.database.fetch(f"SELECT COUNT(*) FROM {table}")
        return count


@asynccontextmanager
async def memory_world(database: Database) -> AsyncGenerator[MemoryWorld, None]:
    """Build the world on a database."""
    await add_agents(database)
    head = "INSERT INTO event_head (workspace_id) VALUES ($1)"
    await database.write([Statement(head, ("w1",)), Statement(head, ("w2",))])
    clock = SteppedClock()
    ids = IdSource(SystemClock().now_us)
    yield MemoryWorld(
        database=database,
        clock=clock,
        service=MemoryService(
            database,
            EventStore(database, LocalEventBus()),
            idempotency=IdempotencyKeys(database, clock),
            audit=AuditTrail(database, clock, ids),
            clock=clock,
            ids=ids,
        ),
    )
