"""The REST door, put together: resources, their methods, and what does not exist."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from app.graphql.tokens import read_token
from app.middleware.accept import preferred
from app.middleware.problems import REST_ROOT
from app.middleware.responses import Refusal, header, refuse
from app.rest.answers import Outcome
from app.rest.bodies import ClientGone, add_key, read_values
from app.rest.calls import Call
from app.rest.endpoints import Endpoint
from app.rest.failures import Refused, crash_of, refusal_of, refused
from app.rest.queries import read_query
from domain.access.scopes import Principal
from domain.kernel.errors import GobError
from resolvers.services import RequestContext

Authenticate = Callable[[str | None, Scope], Awaitable[Principal]]
"""Turns a key, or none, into a principal; raises Unauthenticated."""

ContextFor = Callable[[Principal, Scope], Awaitable[RequestContext]]
"""Makes the context of one request of an authenticated caller."""

ANYONE = Principal(workspace_id="", key_id=None, name="anyone", scopes=frozenset())
"""Who reads what needs no key; no workspace is visible to it."""


class Resource:
    """An ASGI app that answers every method of one path."""

    def __init__(
        self, endpoints: Sequence[Endpoint], authenticate: Authenticate, context_for: ContextFor
    ) -> None:
        self._endpoints: Mapping[str, Endpoint] = {one.method: one for one in endpoints}
        self._authenticate = authenticate
        self._context_for = context_for
        self._allow = allow_header(self._endpoints)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        method: str = scope["method"]
        endpoint = self._endpoints.get("GET" if method == "HEAD" else method)
        if endpoint is None:
            await answer_method(scope, send, self._allow)
            return
        outcome = await self._outcome(endpoint, scope, receive)
        if isinstance(outcome, Refusal):
            await refuse(scope, send, outcome)
        elif outcome is not None:
            await outcome.send(scope, receive, send)

    async def _outcome(
        self, endpoint: Endpoint, scope: Scope, receive: Receive
    ) -> Outcome | Refusal | None:
        """What to answer; None when nobody is there to hear it."""
        call: Call | None = None
        try:
            call = await self._call(endpoint, scope, receive)
            return await endpoint.perform(call)
        except ClientGone:
            return None
        except Refused as error:
            return error.refusal
        except GobError as error:
            if call is not None:
                call.note_denied(error)
            return refusal_of(error, endpoint, scope)
        except Exception as error:  # noqa: BLE001  # the outermost edge of a request
            return crash_of(error, scope)

    async def _call(self, endpoint: Endpoint, scope: Scope, receive: Receive) -> Call:
        principal = ANYONE
        if endpoint.scope is not None:
            principal = await self._authenticate(read_token(scope), scope)
        media = preferred(header(scope, b"accept"), endpoint.offered)
        if media is None:
            raise refused("NOT_ACCEPTABLE", f"Accept {' or '.join(endpoint.offered)}.")
        parameters = read_query(endpoint.query, scope["query_string"])
        values: dict[str, Any] = {}
        if endpoint.body is not None:
            values = await read_values(scope, receive, endpoint.body)
        if "idempotencyKey" in endpoint.headers:
            add_key(scope, values)
        return Call(
            endpoint=endpoint,
            context=await self._context_for(principal, scope),
            scope=scope,
            media=media,
            parameters=parameters,
            values=values,
        )


def rest_routes(
    endpoints: Sequence[Endpoint], *, authenticate: Authenticate, context_for: ContextFor
) -> Sequence[BaseRoute]:
    """Return one route for each path, and last the one for paths that do not exist."""
    ordered = sorted(endpoints, key=lambda one: one.path)
    by_path = {path: list(group) for path, group in groupby(ordered, key=lambda one: one.path)}
    return [
        *(
            Route(REST_ROOT + path, Resource(group, authenticate, context_for), name=path)
            for path, group in by_path.items()
        ),
        Route(REST_ROOT + "/{rest:path}", Unknown(), name="rest-unknown"),
    ]


class Unknown:
    """An ASGI app that says that there is nothing at a path."""

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope["path"][:200]
        message = f"There is nothing at {path!r}; {REST_ROOT} lists what there is."
        await refuse(scope, send, Refusal(status=404, code="NOT_FOUND", message=message))


def allow_header(methods: Mapping[str, object]) -> bytes:
    """Name the methods of a path, those included that go without saying."""
    named = [*sorted(methods), *(["HEAD"] if "GET" in methods else []), "OPTIONS"]
    return ", ".join(named).encode()


async def answer_method(scope: Scope, send: Send, allow: bytes) -> None:
    """Answer OPTIONS, or refuse a method that the path does not have."""
    if scope["method"] == "OPTIONS":
        await send({"type": "http.response.start", "status": 204, "headers": [(b"allow", allow)]})
        await send({"type": "http.response.body", "body": b""})
        return
    message = f"{scope['path'][:200]!r} does not take {scope['method']}; it takes {allow.decode()}."
    refusal = Refusal(
        status=405, code="METHOD_NOT_ALLOWED", message=message, headers=[(b"allow", allow)]
    )
    await refuse(scope, send, refusal)
