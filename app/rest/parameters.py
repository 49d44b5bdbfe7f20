"""How the OpenAPI file tells of what a request brings: path, query, headers and body."""

from collections.abc import Sequence
from typing import Any

from app.documents.base import id_pattern
from app.rest.answers import JSON
from app.rest.components import Components, tidy
from app.rest.endpoints import Body, Endpoint
from app.rest.queries import CURSOR_PATTERN, Query

Json = dict[str, Any]

_TRACEPARENT: Json = {
    "name": "traceparent",
    "in": "header",
    "description": "Trace to continue, W3C Trace Context; anything else begins a new one.",
    "schema": {"type": "string"},
}
_HEADERS: dict[str, Json] = {
    "Idempotency-Key": {
        "description": (
            "Key of the client's choice; a repeat within 24 hours returns the first outcome. The"
            " same as `idempotencyKey` in the body, and wins over it."
        ),
        "schema": {"type": "string", "pattern": "^[!-~]([ -~]{0,198}[!-~])?$"},
    },
    "Last-Event-ID": {
        "description": "Cursor of the last event seen, as browsers send it; wins over `after`.",
        "schema": {"type": "string", "pattern": CURSOR_PATTERN},
    },
}


def parameters_of(endpoint: Endpoint) -> Sequence[Json]:
    """Describe path, query and headers."""
    found: list[Json] = []
    if endpoint.kind is not None:
        schema = {"type": "string", "pattern": id_pattern(endpoint.kind)}
        words = f"Id of the {endpoint.kind.noun}."
        part = {"name": "id", "in": "path", "required": True, "description": words}
        found.append({**part, "schema": schema})
    found += _query(endpoint.query)
    found += [
        {"name": name, "in": "header", **_HEADERS[name]} for name in endpoint.headers.values()
    ]
    return [*found, _TRACEPARENT] if endpoint.scope is not None else found


def body_of(body: Body, components: Components) -> Json:
    """Describe a body."""
    components.adjust(body)
    shown = [body.example, *body.more_examples]
    examples = {
        f"example{place}": {"summary": one.summary, "value": one.value}
        for place, one in enumerate(shown, 1)
    }
    content = {JSON: {"schema": components.ref(body.model), "examples": examples}}
    return {"required": body.is_required, "content": content}


def _query(model: type[Query]) -> Sequence[Json]:
    whole = tidy(model.model_json_schema(by_alias=True))
    inner: Json = whole.get("$defs", {})
    needed: Sequence[str] = whole.get("required", ())
    return [
        _parameter(name, _inlined(schema, inner), is_required=name in needed, model=model)
        for name, schema in whole.get("properties", {}).items()
    ]


def _inlined(schema: Json, inner: Json) -> Json:
    """Put enums in place of references to them, also where a list holds them."""
    found = dict(schema)
    if "$ref" in found:
        named = inner[found.pop("$ref").rpartition("/")[2]]
        found.update({key: named[key] for key in ("type", "enum")})
    if "items" in found:
        found["items"] = _inlined(found["items"], inner)
    return found


def _parameter(name: str, schema: Json, *, is_required: bool, model: type[Query]) -> Json:
    """A parameter that may be absent is no null in an address."""
    words: str = schema.pop("description", "")
    for start, field in model.open_fields.items():
        if name == field:
            return _open(name, start, words)
    if isinstance(schema["type"], list):
        schema["type"] = schema["type"][0]
    found: Json = {"name": name, "in": "query", "description": words, "schema": schema}
    return {**found, "required": True} if is_required else found


def _open(name: str, start: str, words: str) -> Json:
    """Parameters that share the beginning of their names, as an object spread out."""
    pattern = f"^{start.replace('.', '[.]')}.+$"
    return {
        "name": name,
        "in": "query",
        "description": words,
        "style": "form",
        "explode": True,
        "schema": {
            "type": "object",
            "patternProperties": {pattern: {"type": "string"}},
            "additionalProperties": False,
        },
    }
