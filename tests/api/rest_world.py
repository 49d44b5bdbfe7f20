"""The REST door over real services, behind the real edge; every answer is held against OpenAPI."""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.types import ASGIApp
from starlette.types import Scope as AsgiScope

from app.auth import Authenticator
from app.edge import Edge
from app.middleware.origins import OriginPolicy
from app.middleware.tracing import trace_of
from app.middleware.unknown import http_error_answers
from app.rest.api import all_endpoints
from app.rest.door import rest_routes
from domain.access.scopes import Principal, Scope
from domain.models.prices import Prices
from resolvers.services import RequestContext
from tests.api.api_world import ApiWorld, api_world
from tests.api.served import served_core
from tests.fakes import Act
from tests.openapi_answers import DescribedAnswers

ROOT = "/api/v1"
PAGE = "http://localhost:5173"
TABLES = ("run", "run_step", "event", "message", "idempotency", "memory", "task", "occurrence")


@dataclass(kw_only=True)
class RestWorld:
    """The door, a client with every scope, and the same services over GraphQL."""

    api: ApiWorld
    app: ASGIApp
    described: DescribedAnswers
    client: httpx.AsyncClient

    async def key(self, *scopes: Scope) -> str:
        """A key of the same workspace with these scopes."""
        made = await self.api.services.access.create_key(
            self.api.runs.principal.workspace_id,
            name="-".join(scopes) or "none",
            scopes=list(scopes),
            created_by="test",
        )
        return made.secret

    async def with_scopes(self, *scopes: Scope) -> httpx.AsyncClient:
        """A client whose key holds only these scopes."""
        return client_of(self.app, self.described, await self.key(*scopes))

    async def of_another_workspace(self) -> httpx.AsyncClient:
        """A client that may do everything in a workspace of its own."""
        access = self.api.services.access
        workspace = await access.create_workspace("Strangers")
        made = await access.create_key(
            workspace.id, name="stranger", scopes=[Scope.ADMIN], created_by="test"
        )
        return client_of(self.app, self.described, made.secret)

    def anonymous(self) -> httpx.AsyncClient:
        """A client without a key."""
        return client_of(self.app, self.described, None)

    async def execute(self, *scripts: list[Act], **given: Any) -> httpx.Response:
        """Let the default agent carry out an instruction."""
        self.api.runs.model.script(*scripts)
        body = {"agent": {"slug": "default"}, "instruction": "do it", **given}
        return await self.client.post(f"{ROOT}/agents/execute", json=body)

    async def run_count(self) -> int:
        """How many runs there are."""
        return (await self.counts())["run"]

    async def counts(self) -> Mapping[str, int]:
        """How many rows each table has that a client can add to."""
        fetch = self.api.runs.database.fetch
        return {name: (await fetch(f"SELECT count(*) FROM {name}"))[0][0] for name in TABLES}


def client_of(app: ASGIApp, described: DescribedAnswers, key: str | None) -> httpx.AsyncClient:
    """Speak to the app without a socket; what is not described fails the test."""

    async def check(response: httpx.Response) -> None:
        await response.aread()
        described.check(response.request.method, response.request.url.path, response)

    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://localhost",
        headers={} if key is None else {"authorization": f"Bearer {key}"},
        event_hooks={"response": [check]},
        timeout=30,
    )


def problem_of(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem of an answer that must be this one."""
    problem = response.json()
    assert (response.status_code, problem["code"]) == (status, code), problem
    return problem


def fields_of(problem: dict[str, Any]) -> Sequence[tuple[str, str, str]]:
    """Part, dotted path and message of each value at fault."""
    return [(one["in"], ".".join(one["path"]), one["message"]) for one in problem["fields"]]


def events_of(response: httpx.Response) -> Sequence[dict[str, Any]]:
    """The events of a stream."""
    lines = [line for line in response.text.splitlines() if line.startswith("data: ")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


@asynccontextmanager
async def rest_world(
    folder: Path, *, prices: Prices | None = None, url: str | None = None
) -> AsyncGenerator[RestWorld, None]:
    """Build the world on a migrated database, or on a new SQLite one."""
    async with api_world(folder, prices=prices, url=url) as api:
        authenticator = Authenticator(
            api.services.access,
            api.services.denials,
            key_file=folder / "api-key",
            local_secret=None,
        )

        async def context_for(principal: Principal, scope: AsgiScope) -> RequestContext:
            return RequestContext.of(api.services, principal, trace_of(scope))

        routes = rest_routes(
            all_endpoints(served_core()),
            authenticate=authenticator,
            context_for=context_for,
        )
        inner = Starlette(routes=routes, exception_handlers=dict(http_error_answers([ROOT])))
        app = Edge(inner, policy=OriginPolicy.of(["localhost"], [PAGE]))
        described = DescribedAnswers()
        world = RestWorld(api=api, app=app, described=described, client=httpx.AsyncClient())
        await world.client.aclose()
        async with client_of(app, described, await world.key(Scope.ADMIN)) as client:
            world.client = client
            yield world
