"""What tests of behavior share: two workspaces, who calls, and short ways to look."""

from dataclasses import dataclass
from typing import Any

from app.adapters.clock import SystemClock
from app.adapters.events_local import LocalEventBus
from domain.access.audit import AuditTrail
from domain.access.scopes import Principal, Scope
from domain.access.service import AccessService
from domain.behavior.rows import BehaviorVersionRow
from domain.behavior.rules import Rule, read
from domain.behavior.service import Adjusted, BehaviorService
from domain.events.records import EventRecord
from domain.events.store import EventStore
from domain.kernel.database import Database, Row
from domain.kernel.ids import IdSource
from domain.kernel.paging import PageRequest
from tests.domain.agent_world import principal_of
from tests.fakes import SteppedClock

ALL = PageRequest.of(first=100)
HOUR_US = 3_600_000_000


@dataclass(kw_only=True)
class BehaviorWorld:
    """The service of one process, a caller who may do everything, and one of elsewhere."""

    database: Database
    clock: SteppedClock
    store: EventStore
    behavior: BehaviorService
    ada: Principal
    stranger: Principal

    async def adjust(self, **values: Any) -> Adjusted:
        """Adjust the workspace's profile."""
        return await self.behavior.adjust(self.ada, values)

    async def add(self, *statements: str, **more: Any) -> list[str]:
        """Add rules of these words, and return their ids in this order."""
        rules = [{"statement": statement, **more} for statement in statements]
        ids = {rule.statement: rule.id for rule in (await self.adjust(add=rules)).diff.added}
        return [ids[statement] for statement in statements]

    async def rules(self) -> list[Rule]:
        """The rules in force."""
        versions = await self.versions()
        return list(read(versions[0].rules)) if versions else []

    async def said(self) -> list[str]:
        """Their statements."""
        return [rule.statement for rule in await self.rules()]

    async def versions(self) -> list[BehaviorVersionRow]:
        """Every version of the workspace's profile, newest first."""
        profile = await self.behavior.profile(self.ada)
        assert profile is not None
        page = await self.behavior.versions(self.ada, profile.id, ALL)
        return list(page.items)

    async def events(self) -> list[EventRecord]:
        """What the workspace was told."""
        return await self.store.page(self.ada.workspace_id, after=0, upto=2**62)

    async def lines(self) -> list[Row]:
        """Who did what, by the audit log."""
        sql = (
            "SELECT actor, action, target_kind, target_id, detail, trace_id FROM audit"
            " WHERE workspace_id = $1 AND action <> 'workspace.created' ORDER BY seq"
        )
        return await self.database.fetch(sql, self.ada.workspace_id)


async def behavior_world(database: Database) -> BehaviorWorld:
    """Build the world on a database."""
    clock, ids = SteppedClock(), IdSource(SystemClock().now_us)
    access = AccessService(database, clock, ids)
    ours = await access.create_workspace("Ours", slug=f"ours-{ids()}")
    theirs = await access.create_workspace("Theirs", slug=f"theirs-{ids()}")
    store = EventStore(database, LocalEventBus())
    return BehaviorWorld(
        database=database,
        clock=clock,
        store=store,
        behavior=BehaviorService(
            database, store=store, audit=AuditTrail(database, clock, ids), clock=clock, ids=ids
        ),
        ada=principal_of(ours.id, Scope.ADMIN),
        stranger=principal_of(theirs.id, Scope.ADMIN),
    )
