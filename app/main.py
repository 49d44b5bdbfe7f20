"""The ASGI application of one process, put together from its container."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Scope

from app.auth import open_door
from app.container import Container
from app.edge import Edge
from app.facts import ServerSelf
from app.graphql.door import graphql_routes
from app.graphql.engine import graphql_schema
from app.health import health_routes
from app.middleware.origins import OriginPolicy
from app.middleware.problems import REST_ROOT
from app.middleware.tracing import trace_of
from app.middleware.unknown import http_error_answers
from app.rest.api import all_endpoints
from app.rest.door import rest_routes
from app.stream.sockets import StreamParts, StreamSockets
from domain.access.scopes import Principal
from domain.runs.usage import UsageReports
from resolvers.root import build_schema
from resolvers.services import RequestContext, Services

DOORS = ("/graphql", REST_ROOT, "/ws/stream", "/healthz", "/readyz")


async def _to_graphql(_: Request) -> Response:
    return RedirectResponse("/graphql", status_code=307)


def services_of(container: Container, server: ServerSelf) -> Services:
    """Everything that resolvers call, of one process."""
    return Services(
        access=container.access,
        audit_log=container.audit_log,
        denials=container.denials,
        agents=container.agents,
        behavior=container.behavior,
        conversations=container.conversations,
        memory=container.memory,
        runs=container.runs,
        usage=UsageReports(container.database, container.clock),
        approvals=container.approvals,
        tools=container.tools,
        tasks=container.tasks,
        feed=container.feed,
        server=server,
        clock=container.clock,
    )


async def create_app(container: Container) -> ASGIApp:
    """Build the app. Raises StartRefused where callers could not get in safely."""
    settings = container.settings
    authenticator = await open_door(
        container.access, container.denials, settings, container.workspace.id
    )
    server = ServerSelf(container)
    services = services_of(container, server)
    stream = StreamSockets(StreamParts(authenticate=authenticator, services=services))

    async def context_for(principal: Principal, scope: Scope) -> RequestContext:
        return RequestContext.of(services, principal, trace_of(scope))

    schema = build_schema()
    routes = [
        Route("/", _to_graphql, methods=["GET"]),
        *health_routes(server),
        *graphql_routes(
            schema,
            authenticate=authenticator,
            context_for=context_for,
            explorer_cookie=authenticator.explorer_cookie,
            on_denied=RequestContext.note_denied,
        ),
        *rest_routes(
            all_endpoints(graphql_schema(schema)),
            authenticate=authenticator,
            context_for=context_for,
        ),
        WebSocketRoute("/ws/stream", stream, name="stream"),
    ]
    app = Starlette(routes=routes, exception_handlers=dict(http_error_answers(DOORS)))
    policy = OriginPolicy.of(settings.trusted_hosts, settings.allow_origins)
    return Edge(app, policy=policy)
