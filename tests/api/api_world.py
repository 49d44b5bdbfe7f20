"""The API over real services: documents go through the engine of the GraphQL door."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from app.database import DatabaseOptions, open_database
from app.graphql.engine import Call, GraphQLEngine
from app.graphql.params import GraphQLParams
from domain.access.audit_log import AuditLog
from domain.access.denials import Denials
from domain.access.scopes import Principal, Scope
from domain.access.service import AccessService
from domain.events.feed import WorkspaceFeed
from domain.kernel.tracing import TraceContext
from domain.models.prices import Prices
from domain.runs.runner import Runner
from domain.runs.usage import UsageReports
from domain.tasks.commits import TaskCommits
from resolvers.services import RequestContext, Services
from schema.server import CheckFacts, HealthFacts, ProviderFacts, ServerFacts
from tests.api.served import served_schema
from tests.databases import new_sqlite
from tests.domain.task_world import TaskWorld, obey_clock, tasks_over
from tests.fakes import Act
from tests.run_world import RunWorld, ledger_tools, run_world

TRACE = TraceContext(trace_id="0af7651916cd43dd8448eb211c80319c", span_id="b7ad6b7169203331")


class StaticServer:
    """A server that is always the same and well."""

    async def facts(self) -> ServerFacts:
        return ServerFacts(
            version="1.2.3",
            now_us=1_700_000_000_000_000,
            database="sqlite",
            event_bus="local",
            model_providers=[ProviderFacts(name="scripted", configured=True, models=["m1"])],
            offline=False,
            event_retention_s=86_400,
            hint=None,
        )

    async def health(self) -> HealthFacts:
        check = CheckFacts(name="database", status="passed", detail=None, duration_ms=1)
        return HealthFacts(status="ok", checks=[check])


@dataclass(kw_only=True)
class ApiWorld:
    """A world of runs and the API over it; callers hold every scope unless told otherwise."""

    runs: RunWorld
    runner: Runner
    services: Services
    engine: GraphQLEngine
    commits: TaskCommits

    @property
    def tasks(self) -> TaskWorld:
        """The same world as schedulers and workers of tasks see it."""
        return TaskWorld(runs=self.runs, commits=self.commits, service=self.services.tasks)

    def caller(self, *scopes: Scope) -> Principal:
        """A caller of the same workspace who holds only these scopes."""
        return replace(self.runs.principal, scopes=frozenset(scopes))

    async def answer(
        self, document: str, *, caller: Principal | None = None, **variables: Any
    ) -> dict[str, Any]:
        """Execute a document and return the whole response."""
        operation, call = self._admit(document, caller, variables)
        return orjson.loads(await self.engine.execute(operation, call))

    async def ask(
        self, document: str, *, caller: Principal | None = None, **variables: Any
    ) -> dict[str, Any]:
        """Execute a document that has no errors and return its data."""
        response = await self.answer(document, caller=caller, **variables)
        assert "errors" not in response, response["errors"]
        return response["data"]

    async def listen(
        self, document: str, *, caller: Principal | None = None, **variables: Any
    ) -> list[dict[str, Any]]:
        """Follow a subscription to its end and return the data of its events."""
        operation, call = self._admit(document, caller, variables)
        stream = await self.engine.subscribe(operation, call)
        async with asyncio.timeout(20), aclosing(stream.payloads()) as payloads:
            return [orjson.loads(payload)["data"] async for payload in payloads]

    @asynccontextmanager
    async def following(
        self, document: str, *, caller: Principal | None = None, **variables: Any
    ) -> AsyncGenerator[AsyncIterator[dict[str, Any]], None]:
        """Follow a subscription that has no end; yields the data of its events as they come."""
        operation, call = self._admit(document, caller, variables)
        stream = await self.engine.subscribe(operation, call)
        async with asyncio.timeout(20), aclosing(stream.payloads()) as payloads:
            yield (orjson.loads(payload)["data"] async for payload in payloads)

    async def execute(self, *scripts: list[Act], **given: Any) -> dict[str, Any]:
        """Let the default agent carry out an instruction to its end and return the run."""
        self.runs.model.script(*scripts)
        done = await self.ask(
            "mutation ($input: ExecuteAgentInput!) { executeAgent(input: $input) {"
            " ... on RunSuccess { run { id status output } } ... on Error { message } } }",
            input={
                "agent": {"slug": "default"},
                "instruction": "do it",
                "waitSeconds": 10,
                **given,
            },
        )
        return done["executeAgent"]["run"]

    def _admit(self, document: str, caller: Principal | None, variables: Any) -> tuple[Any, Call]:
        params = GraphQLParams(query=document, variables=variables)
        context = RequestContext.of(self.services, caller or self.runs.principal, TRACE)
        call = Call(params=params, context=context, trace_id=TRACE.trace_id)
        return self.engine.admit(params), call


@asynccontextmanager
async def api_world(
    folder: Path, *, prices: Prices | None = None, url: str | None = None
) -> AsyncGenerator[ApiWorld, None]:
    """Build the world on a migrated database, or on a new SQLite one."""
    options = DatabaseOptions(url=url or new_sqlite(folder), migrates_at_start=False)
    async with (
        open_database(options) as database,
        run_world(database, prices=prices) as runs,
        runs.process() as runner,
        Denials(database, runs.clock, runs.audit(), home=runs.principal.workspace_id) as denials,
    ):
        obey_clock(database)
        commits, tasks = tasks_over(runs)
        services = Services(
            access=AccessService(database, runs.clock, runs.ids),
            audit_log=AuditLog(database),
            denials=denials,
            agents=runs.agents,
            behavior=runs.behavior,
            conversations=runs.conversations,
            runs=runs.service(runner),
            approvals=runs.approvals(),
            usage=UsageReports(database, runs.clock),
            memory=runs.memory,
            tools=ledger_tools(runs.effects),
            tasks=tasks,
            feed=WorkspaceFeed(runs.hub, runs.store, runs.clock),
            server=StaticServer(),
            clock=runs.clock,
        )
        engine = GraphQLEngine(served_schema(), on_denied=RequestContext.note_denied)
        yield ApiWorld(runs=runs, runner=runner, services=services, engine=engine, commits=commits)
