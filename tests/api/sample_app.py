"""The sample schema behind the whole edge, as the server wires the real one."""

from dataclasses import replace
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.types import ASGIApp, Scope

from app.edge import BodyLimits, Edge
from app.graphql.door import DoorOptions, graphql_routes
from app.middleware.origins import OriginPolicy
from app.middleware.unknown import http_error_answers
from tests.api.sample_schema import GOOD_TOKEN, SampleContext, Seen, authenticate, make_schema

JSON = "application/json"
GRAPHQL = "application/graphql-response+json"


def make_app(
    seen: Seen | None = None,
    *,
    options: DoorOptions | None = None,
    body_limits: BodyLimits | None = None,
    routes: list[Any] | None = None,
) -> ASGIApp:
    """Build the app; `seen` receives what resolvers did."""
    watched = seen or Seen()

    async def context_for(principal: str, _scope: Scope) -> SampleContext:
        return SampleContext(principal, watched)

    door = graphql_routes(
        make_schema(),
        authenticate=authenticate,
        context_for=context_for,
        explorer_cookie=lambda _scope: GOOD_TOKEN,
        options=replace(options or DoorOptions(), plan_after=0),
    )
    inner = Starlette(
        routes=[*door, *(routes or [])], exception_handlers=dict(http_error_answers(["/graphql"]))
    )
    policy = OriginPolicy.of(["localhost", "127.0.0.1"], ["http://localhost:5173"])
    return Edge(inner, policy=policy, body_limits=body_limits)


def client_of(app: ASGIApp, **headers: str) -> httpx.AsyncClient:
    """Speak to an app without a socket."""
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers)


async def ask(query: str, *, seen: Seen | None = None, **fields: Any) -> httpx.Response:
    """Post one document to a fresh app."""
    async with client_of(make_app(seen), accept=GRAPHQL) as client:
        return await client.post("/graphql", json={"query": query, **fields})
