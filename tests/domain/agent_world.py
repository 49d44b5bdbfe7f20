"""What tests of agents share: two workspaces, who calls, and short ways to look."""

from app.adapters.clock import SystemClock
from domain.access.scopes import Principal, Scope
from domain.agents.rows import AgentRow
from domain.agents.service import AgentFilter, AgentOrder, AgentService
from domain.kernel.database import Database, Statement
from domain.kernel.idempotency import IdempotencyKeys
from domain.kernel.ids import IdSource
from domain.kernel.paging import PageRequest
from domain.models.providers import ModelProviders
from tests.fakes import SteppedClock

ALL = PageRequest.of(first=100)
LIVE = AgentFilter()
BY_NAME = AgentOrder.NAME_ASC


def principal_of(workspace_id: str, *scopes: Scope) -> Principal:
    """Somebody with a key of the workspace."""
    return Principal(workspace_id=workspace_id, key_id=None, name="ada", scopes=frozenset(scopes))


ADMIN = principal_of("w1", Scope.ADMIN)
STRANGER = principal_of("w2", Scope.ADMIN)


async def add_workspaces(database: Database) -> None:
    """Make the workspaces w1 and w2."""
    sql = "INSERT INTO workspace (id, slug, name, created_at) VALUES ($1, $1, $1, 0)"
    await database.write([Statement(sql, ("w1",)), Statement(sql, ("w2",))])


def agent_service(
    database: Database, clock: SteppedClock, *, models: ModelProviders | None = None
) -> AgentService:
    """The service as one process has it."""
    ids = IdSource(SystemClock().now_us)
    return AgentService(database, clock, ids, IdempotencyKeys(database, clock), models=models)


async def names_of(agents: AgentService, narrowing: AgentFilter = LIVE) -> list[str]:
    """Names in the list, in order."""
    page = await agents.agents(ADMIN, narrowing, BY_NAME, ALL)
    return [row.name for row in page.items]


async def versions_of(agents: AgentService, row: AgentRow) -> list[tuple[int, str | None]]:
    """Number and comment of each version, newest first."""
    page = await agents.versions(ADMIN, row.id, ALL)
    return [(version.version, version.comment) for version in page.items]
