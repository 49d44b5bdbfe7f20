"""The OpenAPI file of the REST door, made from the endpoints and the models that validate.

Words come from the GraphQL types of the same names, so that both doors say the same.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from graphql import GraphQLSchema

from app.documents.problems import Problem
from app.middleware.problems import PROBLEM_KINDS, PROBLEM_MEDIA, REST_ROOT
from app.rest.answers import JSON
from app.rest.components import Components, Mode
from app.rest.endpoints import Endpoint, Success
from app.rest.parameters import body_of, parameters_of
from app.sse import EVENT_STREAM

Json = dict[str, Any]

_ABOUT = """\
Thin endpoints over the services that GraphQL calls, with the same names and values. GraphQL at
`/graphql` offers more.

- Send an API key: `Authorization: Bearer KEY`.
- Failures are problem documents (RFC 9457); `type` leads to their explanation.
- `Idempotency-Key` makes a request that starts work safe to repeat for 24 hours; a repeat is
  answered as the first was, with `Idempotent-Replayed: true`.
- Lists page by `first` and `after`; the `Link` header with `rel="next"` leads on.
- `traceparent` (W3C Trace Context) is continued and answered.
- Every path answers `OPTIONS`, and `HEAD` where it answers `GET`.
"""
_HEADERS: Mapping[str, Json] = {
    "Location": {
        "description": "Path of what was made or accepted.",
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "Idempotent-Replayed": {
        "description": "`true` when the request had been done before and nothing new was started.",
        "schema": {"type": "string", "const": "true"},
    },
    "Link": {
        "description": 'Next page, as `<...>; rel="next"`; absent on the last.',
        "schema": {"type": "string"},
    },
    "traceparent": {
        "description": "Trace of the request, W3C Trace Context.",
        "schema": {"type": "string", "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"},
    },
    "Allow": {"description": "Methods of the path.", "schema": {"type": "string"}},
    "Retry-After": {
        "description": "Seconds until a retry makes sense; absent when unknown.",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    },
    "WWW-Authenticate": {
        "description": "How to send a key.",
        "schema": {"type": "string", "const": "Bearer"},
    },
}
_WITH_PROBLEM: Mapping[int, Sequence[str]] = {
    401: ("WWW-Authenticate",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}


def describe(endpoints: Sequence[Endpoint], words: GraphQLSchema) -> Json:
    """Write the document."""
    components = Components(_models(endpoints), words)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "GOB REST API",
            "version": "1",
            "summary": "Run agents, and what belongs to them, from scripts.",
            "description": _ABOUT,
        },
        "servers": [{"url": "/", "description": "This server."}],
        "security": [{"key": []}],
        "tags": _tags(endpoints),
        "paths": _paths(endpoints, components),
        "components": {
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key; `gob keys create NAME` makes one.",
                }
            },
            "headers": dict(_HEADERS),
            "responses": _problem_responses(endpoints),
            "schemas": components.schemas(),
        },
    }


def _models(endpoints: Sequence[Endpoint]) -> Mapping[Any, Mode]:
    """Every type that a document, a stream or a body is made of, and how it is used."""
    found: dict[Any, Mode] = {Problem: "validation"}
    for endpoint in endpoints:
        if endpoint.body is not None:
            found[endpoint.body.model] = "validation"
        for success in endpoint.answers.values():
            for part in (success.document, success.stream):
                if part is not None:
                    found[part] = "serialization"
    return found


def _tags(endpoints: Sequence[Endpoint]) -> list[Json]:
    return [{"name": name} for name in dict.fromkeys(one.tag for one in endpoints)]


def _paths(endpoints: Sequence[Endpoint], components: Components) -> Json:
    paths: dict[str, Json] = {}
    for endpoint in endpoints:
        operation = _operation(endpoint, components)
        paths.setdefault(REST_ROOT + endpoint.path, {})[endpoint.method.lower()] = operation
    return paths


def _operation(endpoint: Endpoint, components: Components) -> Json:
    found: Json = {
        "operationId": endpoint.operation_id,
        "tags": [endpoint.tag],
        "summary": endpoint.summary,
        "description": _description(endpoint),
    }
    if endpoint.scope is None:
        found["security"] = []
    given = parameters_of(endpoint)
    if given:
        found["parameters"] = given
    if endpoint.body is not None:
        found["requestBody"] = body_of(endpoint.body, components)
    successes = {
        str(status): _success(success, components) for status, success in endpoint.answers.items()
    }
    problems = {
        str(status): {"$ref": f"#/components/responses/{_response_name(status)}"}
        for status in endpoint.statuses
    }
    found["responses"] = {**successes, **problems}
    return found


def _description(endpoint: Endpoint) -> str:
    if endpoint.scope is None:
        return f"{endpoint.description} No key is needed."
    return f"{endpoint.description}\n\nNeeds the scope `{endpoint.scope.value}`."


def _success(success: Success, components: Components) -> Json:
    content: Json = {}
    if success.document is not None:
        content[JSON] = {"schema": components.ref(success.document)}
        if success.example is not None:
            content[JSON]["examples"] = {"answer": {"value": success.example}}
    if success.stream is not None:
        content[EVENT_STREAM] = {"schema": _event(components.ref(success.stream))}
    if success.media is not None:
        kind = "object" if success.media in {JSON, "application/yaml"} else "string"
        content[success.media] = {"schema": {"type": kind}}
    found: Json = {
        "description": success.description,
        "headers": _header_refs(["traceparent", *success.headers]),
    }
    if success.links:
        ident = {"id": "$response.body#/id"}
        found["links"] = {
            name: {"operationId": name, "parameters": ident} for name in success.links
        }
    return {**found, "content": content} if content else found


def _event(item: Json) -> Json:
    """One event of a stream, as OpenAPI 3.2 describes server-sent events."""
    return {
        "type": "object",
        "description": "Each server-sent event, by its fields.",
        "properties": {
            "id": {"type": "string", "description": "The item's cursor."},
            "event": {"type": "string", "description": "The item's type, or problem."},
            "data": {
                "type": "string",
                "contentMediaType": JSON,
                "contentSchema": {"anyOf": [item, {"$ref": "#/components/schemas/Problem"}]},
            },
        },
        "required": ["event", "data"],
    }


def _header_refs(names: Sequence[str]) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _response_name(status: int) -> str:
    return HTTPStatus(status).phrase.replace(" ", "").replace("-", "")


def _problem_responses(endpoints: Sequence[Endpoint]) -> Json:
    statuses = sorted({status for one in endpoints for status in one.statuses})
    return {_response_name(status): _problem_response(status) for status in statuses}


def _problem_response(status: int) -> Json:
    kinds = {code: kind for code, kind in PROBLEM_KINDS.items() if kind.status == status}
    return {
        "description": " ".join(f"{code}: {kind.meaning}" for code, kind in kinds.items()),
        "headers": _header_refs(["traceparent", *_WITH_PROBLEM.get(status, ())]),
        "content": {PROBLEM_MEDIA: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
