"""The parameters of a GraphQL request, as a body, an address or a socket message brings them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import orjson

from app.graphql.errors import EdgeCode, RequestRejected
from app.graphql.gate import over_limit


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphQLParams:
    """GraphQL over HTTP, section 5: a document, which operation of it, and its variables."""

    query: str
    operation_name: str | None = None
    variables: dict[str, Any] | None = None


def read_json(body: bytes | str, max_depth: int, *, what: str = "The body") -> Any:
    """Decode JSON in UTF-8; raises RequestRejected, also for nesting beyond `max_depth`."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise bad_request(f"{what} is not valid JSON in UTF-8 ({where}).") from None
    depth = json_depth(value)
    if depth > max_depth:
        raise over_limit("jsonDepth", depth, max_depth)
    return value


def json_depth(value: Any) -> int:
    """Count the levels of objects and lists in a decoded value, without recursion."""
    depth = 0
    level = _containers([value])
    while level:
        depth += 1
        level = [
            inner
            for outer in level
            for inner in _containers(outer.values() if isinstance(outer, dict) else outer)
        ]
    return depth


def params_of(fields: Any) -> GraphQLParams:
    """Check the types of a decoded request; raises RequestRejected that names the field."""
    if not isinstance(fields, dict):
        raise bad_request("The body must be one JSON object with `query`.")
    given = cast("dict[str, Any]", fields)
    query = given.get("query")
    if not isinstance(query, str) or not query:
        raise bad_request("`query` must be a string that holds a GraphQL document.")
    variables = _optional(given, "variables", dict, "an object or null")
    operation_name = _optional(given, "operationName", str, "a string or null")
    _optional(given, "extensions", dict, "an object or null")
    return GraphQLParams(query=query, operation_name=operation_name or None, variables=variables)


def params_of_query(fields: Mapping[str, str], max_depth: int) -> GraphQLParams:
    """Read the parameters of a GET request, whose variables and extensions are JSON texts."""
    for name, text in fields.items():
        if not _is_unicode(text):
            raise bad_request(f"`{name}` is not valid UTF-8.")
    decoded: dict[str, Any] = dict(fields)
    for name in ("variables", "extensions"):
        text = decoded.pop(name, "")
        if text:
            decoded[name] = read_json(text.encode(), max_depth, what=f"`{name}`")
    return params_of(decoded)


def bad_request(message: str) -> RequestRejected:
    """Build the refusal of a request that is none."""
    return RequestRejected.one(message, EdgeCode.BAD_REQUEST)


def _optional(fields: Mapping[str, Any], name: str, kind: type, expected: str) -> Any:
    value = fields.get(name)
    if value is not None and not isinstance(value, kind):
        raise bad_request(f"`{name}` must be {expected}.")
    return value


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _containers(values: Any) -> list[Any]:
    return [value for value in values if isinstance(value, dict | list)]
