"""What the requests of all model wires share: JSON, and arguments of earlier calls."""

from collections.abc import Mapping
from typing import Any, cast

import orjson

from domain.models.ports import ToolCall


def to_json(body: Mapping[str, Any]) -> bytes:
    """JSON of a request; raises TypeError for values that JSON does not know."""
    return orjson.dumps(body, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, object]", value))
    message = f"{type(value).__name__} is no JSON value"
    raise TypeError(message)


def arguments_of(call: ToolCall) -> dict[str, Any]:
    """Arguments as the object that some wires want; what a model wrote wrongly is kept as text."""
    try:
        arguments = orjson.loads(call.arguments or "{}")
    except orjson.JSONDecodeError:
        arguments = call.arguments
    if isinstance(arguments, dict):
        return cast("dict[str, Any]", arguments)
    return {"invalid_arguments": call.arguments}
