"""The sample schema behind the whole edge, as the server wires the real one."""

from collections.abc import Iterable, Mapping
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
ACCESS_LINES = {"http.request", "socket.closed"}


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


async def post(body: bytes | str, *, seen: Seen | None = None, **headers: str) -> httpx.Response:
    """Post any body to a fresh app; a header is named with underscores."""
    async with client_of(make_app(seen)) as client:
        sent = {"content-type": JSON, **{name.replace("_", "-"): v for name, v in headers.items()}}
        return await client.post("/graphql", content=body, headers=sent)


def only_error(response: httpx.Response) -> dict[str, Any]:
    """The error of an answer that has no data and just this one."""
    body = response.json()
    assert "data" not in body
    (error,) = body["errors"]
    return error


def beside_access(logs: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What was logged beside the one line that every request and socket gets."""
    return [line for line in logs if line["event"] not in ACCESS_LINES]
