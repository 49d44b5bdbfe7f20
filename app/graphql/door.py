"""The GraphQL door, put together: queries, streams, sockets and the explorer at `/graphql`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import strawberry
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Scope

from app.graphql.cost import CostRule
from app.graphql.engine import GraphQLEngine, OnDenied, graphql_schema
from app.graphql.explorer.page import ExplorerAssets, ExplorerCookie, ExplorerPage
from app.graphql.gate import Gate, Limits
from app.graphql.sockets import Authenticate, ContextFor, GraphQLSockets, SocketLimits
from app.graphql.tokens import read_token
from app.graphql.view import GraphQLView


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorOptions:
    """What an operator or a test may set; every default is meant for production."""

    limits: Limits = field(default_factory=Limits)
    cost_rule: CostRule = field(default_factory=CostRule)
    socket_limits: SocketLimits = field(default_factory=SocketLimits)
    plan_after: int = 1
    explorer: bool = True


def graphql_routes(
    schema: strawberry.Schema,
    *,
    authenticate: Authenticate,
    context_for: ContextFor,
    explorer_cookie: ExplorerCookie | None = None,
    on_denied: OnDenied | None = None,
    options: DoorOptions | None = None,
) -> Sequence[BaseRoute]:
    """Return the routes of the door.

    `authenticate(token, scope)` turns a key, or none, into a principal and raises
    Unauthenticated. `context_for(principal, scope)` makes the context of one operation.
    `explorer_cookie(scope)` gives the value `authenticate` is later handed as the token of the
    explorer's own requests; it is asked on loopback only. `on_denied(context, error, field)` hears
    of each field that failed because the caller's key lacks a scope.
    """
    chosen = options or DoorOptions()
    gate = Gate(graphql_schema(schema), limits=chosen.limits, cost_rule=chosen.cost_rule)
    engine = GraphQLEngine(schema, gate, plan_after=chosen.plan_after, on_denied=on_denied)

    async def request_context(scope: Scope) -> Any:
        return await context_for(await authenticate(read_token(scope), scope), scope)

    page = ExplorerPage(explorer_cookie) if chosen.explorer else None
    sockets = GraphQLSockets(
        engine, authenticate=authenticate, context_for=context_for, limits=chosen.socket_limits
    )
    view = GraphQLView(engine, request_context, page=page)
    return [
        Route("/graphql", view, name="graphql"),
        WebSocketRoute("/graphql", sockets, name="graphql-sockets"),
        Route("/graphql/assets/{name}", ExplorerAssets(), methods=["GET"], name="explorer-assets"),
    ]
