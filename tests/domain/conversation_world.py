"""What tests of conversations share: two workspaces with an agent each, and short ways to look."""

from app.adapters.clock import SystemClock
from domain.access.scopes import Scope
from domain.conversations.service import ConversationFilter, ConversationService
from domain.kernel.database import Database, Statement
from domain.kernel.ids import IdSource
from domain.kernel.paging import PageRequest
from tests.domain.agent_world import principal_of
from tests.fakes import SteppedClock

ALL = PageRequest.of(first=100)
ANY = ConversationFilter()
SECOND_US = 1_000_000
ADMIN = principal_of("w1", Scope.ADMIN)
STRANGER = principal_of("w2", Scope.ADMIN)


async def add_agents(database: Database) -> None:
    """Make the workspaces w1 and w2 with the agents a1 and a2."""
    workspace = "INSERT INTO workspace (id, slug, name, created_at) VALUES ($1, $1, $1, 0)"
    agent = (
        "INSERT INTO agent (id, workspace_id, slug, name, description, settings, version,"
        " created_at, updated_at) VALUES ($1, $2, $1, $1, '', '{}', 1, 0, 0)"
    )
    await database.write(
        [
            Statement(workspace, ("w1",)),
            Statement(workspace, ("w2",)),
            Statement(agent, ("a1", "w1")),
            Statement(agent, ("a2", "w2")),
        ]
    )


def conversation_service(database: Database, clock: SteppedClock) -> ConversationService:
    """The service as one process has it."""
    return ConversationService(database, clock, IdSource(SystemClock().now_us))


def run_of(ident: str, conversation_id: str, *, holds: bool) -> Statement:
    sql = (
        "INSERT INTO run (id, workspace_id, agent_id, agent_version, conversation_id,"
        " holds_conversation, root_run_id, status, instruction, inputs, spec, metadata, trace_id,"
        " span_id, created_by, created_at)"
        " VALUES ($1, 'w1', 'a1', 1, $2, $3, $1, 'RUNNING', '', '{}', '{}', '{}', '', '', '', 0)"
    )
    return Statement(sql, (ident, conversation_id, holds))


async def say(
    database: Database,
    conversations: ConversationService,
    conversation_id: str,
    content: str,
    *,
    role: str = "USER",
) -> None:
    await database.write(
        conversations.message_statements(
            workspace_id="w1",
            conversation_id=conversation_id,
            role=role,
            content=content,
            run_id=None,
        )
    )


async def titles_of(
    conversations: ConversationService, narrowing: ConversationFilter = ANY
) -> list[str]:
    page = await conversations.conversations(ADMIN, narrowing, ALL)
    return [row.title for row in page.items]


async def contents_of(conversations: ConversationService, conversation_id: str) -> list[str]:
    page = await conversations.messages(ADMIN, conversation_id, ALL)
    return [row.content for row in page.items]
