"""What goes out over Ollama's native wire, and how long it is at least. No I/O."""

import re
from collections.abc import Mapping
from typing import Any, cast

from app.adapters.model_request import arguments_of, function_tool, to_json
from domain.models.ports import ChatMessage, ModelRequest, ToolSpec

TOP_LEVEL = frozenset(
    {"think", "keep_alive", "format", "truncate", "shift", "logprobs", "top_logprobs"}
)
"""Parameters that stand beside `options`; all others are options of the model."""
_OF_REQUEST = frozenset({"model", "messages", "stream", "tools", "options"})
"""Fields that the request itself fills."""

_WORD = re.compile(r"\w+")


def request_body(request: ModelRequest, provider: str, num_ctx: int) -> bytes:
    """JSON of the request; raises TypeError for values that JSON does not know."""
    top = {name: value for name, value in request.parameters.items() if name in TOP_LEVEL}
    body: dict[str, Any] = {
        **top,
        "model": request.model,
        "messages": [_message(message, provider) for message in request.messages],
        "stream": True,
        "options": options_of(request, num_ctx),
    }
    if request.tools:
        body["tools"] = [function_tool(tool) for tool in request.tools]
    return to_json(body)


def options_of(request: ModelRequest, num_ctx: int) -> dict[str, Any]:
    """The model's options; `num_ctx` stands unless a parameter says otherwise, 0 for Ollama's."""
    given = request.parameters
    nested = given.get("options")
    options: dict[str, Any] = {"num_ctx": num_ctx} if num_ctx else {}
    if isinstance(nested, Mapping):
        options |= cast("Mapping[str, Any]", nested)
    options |= {name: value for name, value in given.items() if name not in TOP_LEVEL}
    return {name: value for name, value in options.items() if name not in _OF_REQUEST}


def _message(message: ChatMessage, provider: str) -> dict[str, Any]:
    body: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.role == "tool":
        body |= {"tool_name": message.tool_name, "tool_call_id": message.tool_call_id}
    if message.tool_calls:
        body["tool_calls"] = [
            {"id": call.id, "function": {"name": call.name, "arguments": arguments_of(call)}}
            for call in message.tool_calls
        ]
    state = message.provider_state
    return body | (state.data if state is not None and state.provider == provider else {})


def least_tokens(request: ModelRequest) -> int:
    """Tokens that the prompt has at least: its words, since no token spans two of them.

    Of tools only what every template shows counts: names and descriptions.
    """
    said = sum(_words(message.content) for message in request.messages)
    asked = sum(_words(call.arguments) for each in request.messages for call in each.tool_calls)
    return said + asked + sum(_words_of_tool(tool) for tool in request.tools)


def likely_tokens(request: ModelRequest) -> int:
    """Tokens that the prompt probably has: one for four letters, tools included."""
    said = sum(len(message.content) for message in request.messages)
    asked = sum(len(call.arguments) for each in request.messages for call in each.tool_calls)
    shown = sum(len(to_json(function_tool(tool))) for tool in request.tools)
    return (said + asked + shown) // 4


def _words_of_tool(tool: ToolSpec) -> int:
    properties = cast("Mapping[str, Mapping[str, Any]]", tool.input_schema.get("properties") or {})
    about = [str(schema.get("description", "")) for schema in properties.values()]
    return _words(" ".join([tool.name, tool.description, *properties, *about]))


def _words(text: str) -> int:
    return sum(1 for _ in _WORD.finditer(text))
