"""Bodies of requests: one JSON object in client names, ids decoded."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import orjson
from starlette.types import Receive, Scope

from app.graphql.negotiation import is_json_utf8
from app.middleware.responses import header
from app.rest.endpoints import Body
from app.rest.failures import Refused, body_refused, refused
from domain.kernel.errors import ValidationFailed
from domain.kernel.idempotency import LONGEST_KEY
from domain.kernel.moments import parse_moment
from schema.ids import Kind, decode_id

_KEY = b"idempotency-key"
_KEY_FIELD = "idempotencyKey"


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


async def read_values(scope: Scope, receive: Receive, body: Body) -> dict[str, Any]:
    """Read what a client sends. Raises ClientGone, Refused and ValidationFailed."""
    declared = header(scope, b"content-type")
    if declared is not None and not is_json_utf8(declared):
        raise _wrong_media(declared)
    sent = await _received(receive)
    if not sent and not body.is_required:
        return {}
    if declared is None:
        raise _wrong_media("nothing")
    values = _object_of(sent)
    for path, kind in body.ids.items():
        _convert(values, path.split("."), partial(_raw_id, kind))
    for path in body.moments:
        _convert(values, path.split("."), _moment)
    return values


def add_key(scope: Scope, values: dict[str, Any]) -> None:
    """Take the idempotency key of the header, which wins over one in the body."""
    sent = header(scope, _KEY)
    if sent is None:
        return
    key = sent.strip()
    if not (key.isascii() and key.isprintable()):
        raise ValidationFailed.of(_KEY_FIELD, "Use printable ASCII in this header.")
    beaten = values.get(_KEY_FIELD)
    if beaten is not None and not (isinstance(beaten, str) and 1 <= len(beaten) <= LONGEST_KEY):
        message = f"Give text of 1 to {LONGEST_KEY} characters, or leave it out."
        raise body_refused(message, path=[_KEY_FIELD])
    values[_KEY_FIELD] = key


async def _received(receive: Receive) -> bytes:
    """The whole body; the edge has bounded its size and time."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _object_of(sent: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(sent)
    except orjson.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        message = f"The body is not valid JSON in UTF-8 ({where})."
        raise refused("BAD_REQUEST", message) from None
    if not isinstance(found, dict):
        raise body_refused("Give one JSON object.")
    return cast("dict[str, Any]", found)


def _wrong_media(declared: str) -> Refused:
    message = f"The body must have the content type application/json, in UTF-8, not {declared}."
    return refused("UNSUPPORTED_MEDIA_TYPE", message[:300])


def _convert(
    inside: object, steps: Sequence[str], convert: Callable[[object, str], object], above: str = ""
) -> None:
    """Put in place what the service takes; what has another shape is left for it to refuse."""
    if isinstance(inside, list):
        for place, item in enumerate(cast("list[object]", inside)):
            _convert(item, steps, convert, f"{above}{place}.")
    elif isinstance(inside, dict):
        holder, name, path = cast("dict[str, Any]", inside), steps[0], f"{above}{steps[0]}"
        value: object = holder.get(name)
        if len(steps) > 1:
            _convert(value, steps[1:], convert, f"{path}.")
        elif isinstance(value, list):
            items = cast("list[object]", value)
            holder[name] = [convert(item, f"{path}.{n}") for n, item in enumerate(items)]
        elif value is not None:
            holder[name] = convert(value, path)


def _raw_id(kind: Kind, value: object, path: str) -> object:
    return decode_id(kind, value, path=path) if isinstance(value, str) else value


def _moment(value: object, path: str) -> object:
    """Read a moment; a number would be taken for microseconds by the services."""
    try:
        return parse_moment(value)
    except ValueError as error:
        raise ValidationFailed.of(path, str(error)) from None
