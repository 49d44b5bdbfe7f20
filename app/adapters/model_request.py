"""What the requests of all model wires share: JSON, and names and arguments of earlier calls."""

import re
from collections.abc import Mapping
from typing import Any, cast

import orjson

from domain.models.ports import ToolCall, ToolSpec

MOST_LETTERS = 64
_BAD_LETTER = re.compile(r"[^A-Za-z0-9_-]")


def fitting_name(name: str) -> str:
    """The name of a call as providers take it; ours are such, those that a model makes up may not.

    A request with another name in its history would be refused for good.
    """
    return _BAD_LETTER.sub("_", name)[:MOST_LETTERS]


def to_json(body: Mapping[str, Any]) -> bytes:
    """JSON of a request; raises TypeError for values that JSON does not know."""
    return orjson.dumps(body, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, object]", value))
    message = f"{type(value).__name__} is no JSON value"
    raise TypeError(message)


def function_tool(tool: ToolSpec) -> dict[str, Any]:
    """A tool as chat completions and Ollama take it."""
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.input_schema,
    }
    return {"type": "function", "function": function}


def arguments_of(call: ToolCall) -> dict[str, Any]:
    """Arguments as the object that some wires want; what a model wrote wrongly is kept as text."""
    try:
        arguments = orjson.loads(call.arguments or "{}")
    except orjson.JSONDecodeError:
        arguments = call.arguments
    if isinstance(arguments, dict):
        return cast("dict[str, Any]", arguments)
    return {"invalid_arguments": call.arguments}
