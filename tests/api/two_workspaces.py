"""A whole process with two workspaces in it, each filled with one of everything."""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from app.container import Container, Role, open_container
from app.facts import ServerSelf
from app.graphql.engine import Call, EventStream, GraphQLEngine, SourceFailed
from app.graphql.gate import Gate, Limits
from app.graphql.params import GraphQLParams
from app.main import services_of
from app.settings import load_settings
from domain.access.scopes import Principal
from domain.kernel.tracing import new_trace
from resolvers.services import RequestContext, Services
from schema.ids import Kind
from tests.api.served import served_schema
from tests.databases import new_sqlite

NO_LIMITS = Limits(
    document_chars=10**7,
    tokens=10**6,
    fragments=10**6,
    fields=10**6,
    aliases=10**6,
    repeats=10**6,
    cost=10**9,
)
GLOBAL_ID = re.compile(rf"(?<![\w-])(?:{'|'.join(kind.value for kind in Kind)})_[\w-]{{6,}}")
NOTHING = {"NotFound", "Heartbeat"}
"""Types of answers that show no object."""
_LISTED = ("_nodes", "_edges", "_hits", "_count", "_rows")
"""What lists and counts the objects of an answer."""
ASKED = "text_slug"
"""A tool that nothing else in the workspaces calls."""
SLOW = '{"tokens": 1000, "delay_s": 30}'
DEADLINE_S = 20


@dataclass(kw_only=True)
class Workspace:
    """One workspace, an admin in it, and what was made there."""

    principal: Principal
    marker: str
    """A word that stands in every text that was given in this workspace."""
    slug: str
    ids: dict[Kind, str] = field(default_factory=dict[Kind, str])
    """One object of each kind."""


@dataclass(kw_only=True)
class House:
    """The process: its container, and the API over it without bounds for documents."""

    container: Container
    services: Services
    engine: GraphQLEngine

    async def ask(
        self, caller: Principal, document: str, variables: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Execute a document and return the whole response."""
        call = self._call(caller, document, variables)
        operation = self.engine.admit(call.params)
        async with asyncio.timeout(DEADLINE_S):
            return orjson.loads(await self.engine.execute(operation, call))

    async def listen(
        self, caller: Principal, document: str, variables: Mapping[str, Any] | None = None
    ) -> EventStream:
        """Open a subscription. Raises SourceFailed."""
        call = self._call(caller, document, variables)
        return await self.engine.subscribe(self.engine.admit(call.params), call)

    async def first(
        self, caller: Principal, document: str, variables: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What a subscription answers first: an event, or the errors that end it."""
        try:
            stream = await self.listen(caller, document, variables)
            async with asyncio.timeout(DEADLINE_S), aclosing(stream.payloads()) as payloads:
                async for payload in payloads:
                    return orjson.loads(payload)
        except SourceFailed as failure:
            return {"errors": [failure.body]}
        return {}

    async def data(self, caller: Principal, document: str, **variables: Any) -> Any:
        """The one field of a document that must not fail."""
        response = await self.ask(caller, document, variables)
        assert "errors" not in response, response["errors"]
        (found,) = response["data"].values()
        return found

    def _call(self, caller: Principal, document: str, variables: Mapping[str, Any] | None) -> Call:
        trace = caller.trace
        context = RequestContext.of(self.services, caller, trace)
        params = GraphQLParams(query=document, variables=dict(variables or {}))
        return Call(params=params, context=context, trace_id=trace.trace_id)

    async def rows(self, workspace_id: str) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of a workspace by table, as it is stored."""
        found: dict[str, list[tuple[Any, ...]]] = {}
        for table, column in (await self.tables()).items():
            if column:
                sql = f"SELECT * FROM {table} WHERE {column} = $1"
                found[table] = sorted(
                    await self.container.database.fetch(sql, workspace_id), key=repr
                )
        return found

    async def tables(self) -> dict[str, str]:
        """Every table, and its column that names the workspace; empty where none does."""
        database = self.container.database
        named = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        found: dict[str, str] = {}
        for (table,) in await database.fetch(named):
            columns = {row[1] for row in await database.fetch(f"PRAGMA table_info({table})")}
            own = "id" if table == "workspace" else ""
            found[table] = "workspace_id" if "workspace_id" in columns else own
        return found


@asynccontextmanager
async def open_house(folder: Path) -> AsyncGenerator[House, None]:
    """Open an embedded process on a new SQLite database, with the simulated model."""
    settings = load_settings(
        {"DATA_DIR": str(folder), "MODEL_PROVIDER": "simulated"}, Path("/dev/null")
    )
    assert settings.db_url == new_sqlite(folder)
    async with open_container(settings, Role.EMBEDDED) as container:
        schema = served_schema()
        gate = Gate(schema._schema, limits=NO_LIMITS)
        engine = GraphQLEngine(schema, gate, on_denied=RequestContext.note_denied)
        services = services_of(container, ServerSelf(container))
        yield House(container=container, services=services, engine=engine)


async def make_workspace(house: House, name: str) -> Workspace:
    """Make a workspace with an admin's key and fill it."""
    access = house.container.access
    row = await access.create_workspace(name)
    await house.container.agents.ensure_default(row.id)
    made = await access.create_key(
        row.id, name=f"{name} admin", scopes=["admin"], created_by="tests"
    )
    principal = (await access.authenticate(made.secret)).within(new_trace())
    marker = f"only-in-{name}".lower()
    workspace = Workspace(principal=principal, marker=marker, slug=marker)
    await fill(house, workspace)
    return workspace


async def fill(house: House, workspace: Workspace) -> None:
    """Make one of everything through the API; `workspace.ids` names the newest of each."""
    for make in FILLERS:
        await make(house, workspace)


async def _fill_access(house: House, workspace: Workspace) -> None:
    viewer = await house.data(workspace.principal, "{ viewer { workspace { id } apiKey { id } } }")
    made = await house.data(
        workspace.principal,
        "mutation ($input: CreateApiKeyInput!) { createApiKey(input: $input) {"
        " ... on CreateApiKeySuccess { apiKey { id } } } }",
        input={"name": f"{workspace.marker} {new_trace().span_id}", "scopes": ["RUNS_READ"]},
    )
    workspace.ids[Kind.WORKSPACE] = viewer["workspace"]["id"]
    workspace.ids[Kind.API_KEY] = made["apiKey"]["id"]


async def _fill_agents(house: House, workspace: Workspace) -> None:
    marker = workspace.marker
    if Kind.AGENT in workspace.ids:
        return  # its slug is taken by then
    made = await house.data(
        workspace.principal,
        "mutation ($input: CreateAgentInput!) { createAgent(input: $input) {"
        " ... on AgentSuccess { agent { id } } } }",
        input={
            "name": marker,
            "slug": workspace.slug,
            "description": marker,
            "instructions": marker,
            "metadata": {"is": marker},
        },
    )
    workspace.ids[Kind.AGENT] = made["agent"]["id"]


async def _fill_runs(house: House, workspace: Workspace) -> None:
    marker = workspace.marker
    begun = await house.data(
        workspace.principal,
        "mutation ($input: CreateConversationInput!) { createConversation(input: $input) {"
        " ... on ConversationSuccess { conversation { id } } } }",
        input={"title": marker, "metadata": {"is": marker}},
    )
    conversation = begun["conversation"]["id"]
    tool = {"name": "calculate", "arguments": {"expression": "2*21"}}
    wanted = {"text": marker, "tokens": 3, "tool": tool}
    done = await house.data(
        workspace.principal,
        "mutation ($input: ExecuteAgentInput!) { executeAgent(input: $input) {"
        " ... on RunSuccess { run { id status steps { nodes { id } }"
        " conversation { messages { nodes { id } } } } } ... on Error { message } } }",
        input={
            "agent": {"slug": workspace.slug},
            "instruction": orjson.dumps(wanted).decode(),
            "conversationId": conversation,
            "waitSeconds": 10,
        },
    )
    run = done["run"]
    assert run["status"] == "SUCCEEDED"
    workspace.ids[Kind.CONVERSATION] = conversation
    workspace.ids[Kind.RUN] = run["id"]
    workspace.ids[Kind.STEP] = run["steps"]["nodes"][0]["id"]
    workspace.ids[Kind.MESSAGE] = run["conversation"]["messages"]["nodes"][0]["id"]


async def _fill_approvals(house: House, workspace: Workspace) -> None:
    workspace.ids[Kind.APPROVAL] = await pending_approval(house, workspace)


async def _fill_memory(house: House, workspace: Workspace) -> None:
    marker = f"{workspace.marker} {new_trace().span_id}"
    made = await house.data(
        workspace.principal,
        "mutation ($input: SaveMemoryInput!) { saveMemory(input: $input) {"
        " ... on MemorySuccess { memory { id } } ... on Error { message } } }",
        input={"content": marker, "metadata": {"is": marker}},
    )
    workspace.ids[Kind.MEMORY] = made["memory"]["id"]


async def _fill_behavior(house: House, workspace: Workspace) -> None:
    await _adjust_behavior(house, workspace, None)
    profile = await _adjust_behavior(house, workspace, await spare_profile(house, workspace))
    workspace.ids[Kind.BEHAVIOR_PROFILE] = profile["id"]
    workspace.ids[Kind.BEHAVIOR_VERSION] = profile["versions"]["nodes"][0]["id"]
    workspace.ids[Kind.BEHAVIOR_RULE] = profile["rules"][0]["id"]


async def spare_profile(house: House, workspace: Workspace) -> str:
    """A profile that is not in force, so that it can be put there and deleted."""
    profiles = await house.data(workspace.principal, "{ behaviorProfiles { id active } }")
    spare = [profile["id"] for profile in profiles if not profile["active"]]
    if spare:
        return spare[0]
    made = await house.data(
        workspace.principal,
        "mutation ($input: CreateBehaviorProfileInput!) { createBehaviorProfile(input: $input) {"
        " ... on BehaviorProfileSuccess { profile { id } } ... on Error { message } } }",
        input={"name": f"{workspace.marker} {new_trace().span_id}"},
    )
    return made["profile"]["id"]


async def _adjust_behavior(
    house: House, workspace: Workspace, profile_id: str | None
) -> dict[str, Any]:
    statement = f"{workspace.marker} {new_trace().span_id}"
    made = await house.data(
        workspace.principal,
        "mutation ($input: AdjustBehaviorInput!) { adjustBehavior(input: $input) {"
        " ... on AdjustBehaviorSuccess {"
        " profile { id rules { id } versions(first: 1) { nodes { id } } } }"
        " ... on Error { message } } }",
        input={
            "profileId": profile_id,
            "strategy": "REPLACE",
            "add": [{"statement": statement}],
            "comment": statement,
        },
    )
    return made["profile"]


async def _fill_tasks(house: House, workspace: Workspace) -> None:
    marker = f"{workspace.marker} {new_trace().span_id}"
    made = await house.data(
        workspace.principal,
        "mutation ($input: CreateTaskInput!) { createTask(input: $input) {"
        " ... on TaskSuccess { task { id } } ... on Error { message } } }",
        input={
            "name": marker,
            "agent": {"slug": workspace.slug},
            "instruction": orjson.dumps({"text": marker, "tokens": 1}).decode(),
            "schedule": {"planned": {"times": ["2001-01-01T00:00:00Z", "2999-01-01T00:00:00Z"]}},
            "metadata": {"is": marker},
        },
    )
    task_id = made["task"]["id"]
    done = await house.data(
        workspace.principal,
        "mutation ($input: RunTaskNowInput!) { runTaskNow(input: $input) {"
        " ... on RunTaskNowSuccess { occurrence { id status } } ... on Error { message } } }",
        input={"taskId": task_id, "waitSeconds": 10},
    )
    assert done["occurrence"]["status"] == "SUCCEEDED"
    workspace.ids[Kind.TASK] = task_id
    workspace.ids[Kind.OCCURRENCE] = done["occurrence"]["id"]


async def _fill_audit(house: House, workspace: Workspace) -> None:
    lines = await house.data(workspace.principal, "{ auditLog(first: 1) { nodes { id } } }")
    workspace.ids[Kind.AUDIT_ENTRY] = lines["nodes"][0]["id"]


FILLERS: Sequence[Callable[[House, Workspace], Awaitable[None]]] = (
    _fill_access,
    _fill_agents,
    _fill_runs,
    _fill_approvals,
    _fill_memory,
    _fill_behavior,
    _fill_tasks,
    _fill_audit,
)
"""A new noun adds a step that makes one of it; tools are the same for every workspace."""


async def pending_approval(house: House, workspace: Workspace) -> str:
    """Start a run that asks about a call, and return the id of its question."""
    asks = {"tool": {"decision": "ASK", "tools": [ASKED]}}
    await house.data(
        workspace.principal,
        "mutation ($input: AdjustBehaviorInput!) { adjustBehavior(input: $input) { __typename } }",
        input={"add": [{"statement": f"Ask, {workspace.marker}.", "effect": asks}]},
    )
    tool = {"name": ASKED, "arguments": {"text": workspace.marker}}
    done = await house.data(
        workspace.principal,
        "mutation ($input: ExecuteAgentInput!) { executeAgent(input: $input) {"
        " ... on RunSuccess { run { id } } ... on Error { message } } }",
        input={
            "agent": {"slug": workspace.slug},
            "instruction": orjson.dumps({"tokens": 1, "tool": tool}).decode(),
        },
    )
    stream = await house.listen(
        workspace.principal,
        "subscription ($run: ID!) { runEvents(runId: $run) { __typename"
        " ... on ApprovalRequested { approval { id } } ... on RunFinished { output } } }",
        {"run": done["run"]["id"]},
    )
    async with asyncio.timeout(DEADLINE_S), aclosing(stream.payloads()) as payloads:
        async for payload in payloads:
            event = orjson.loads(payload)["data"]["runEvents"]
            if event["__typename"] == "ApprovalRequested":
                return event["approval"]["id"]
    raise AssertionError("The run ended without a question.")


async def busy_run(house: House, workspace: Workspace) -> str:
    """Start a run that is at work for minutes, and return its id."""
    done = await house.data(
        workspace.principal,
        "mutation ($input: ExecuteAgentInput!) { executeAgent(input: $input) {"
        " ... on RunSuccess { run { id } } ... on Error { message } } }",
        input={"agent": {"slug": workspace.slug}, "instruction": SLOW},
    )
    return done["run"]["id"]


def is_nothing(value: Any) -> bool:
    """True for an answer that shows no object: null, a refusal, or a list without any."""
    if isinstance(value, dict):
        found: dict[str, Any] = value
        parts = [part for name, part in found.items() if name.endswith(_LISTED)]
        return found.get("__typename") in NOTHING or (bool(parts) and not any(parts))
    return value is None or (isinstance(value, list) and not any(value))
