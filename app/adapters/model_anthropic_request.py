"""What goes out over Anthropic's Messages wire. No I/O.

Two rules of that API shape this file. Blocks of thinking must come back as they were while tools
are at work, so an answer that held any is sent again block by block. And newer models refuse such a
block once the system text or the tools before it have changed, as a rule of behavior changes them;
so it is left out then, which those models allow.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from app.adapters.model_request import arguments_of, fitting_name, to_json
from domain.models.ports import ChatMessage, ModelRequest, ToolCall

MAX_TOKENS = 16_000
"""Longest answer where the caller names no limit, which this API wants; thinking comes on top."""

_NAME = re.compile(r"[\w.-]+", re.ASCII)
_BAD_ID = re.compile(r"[^a-zA-Z0-9_-]")
_OPENING = "(The conversation began earlier.)"
_CACHED_TURNS = 2

Block = dict[str, Any]


def request_body(request: ModelRequest, provider: str) -> bytes:
    """JSON of the request; raises TypeError for values that JSON does not know."""
    parameters = dict(request.parameters)
    cache_control = parameters.pop("cache_control", {"type": "ephemeral"})
    parameters.pop("betas", None)
    if _lacks_thinking(request, provider):
        del parameters["thinking"]
    system = _system(request)
    tools = _tools(request)
    if not tools and "tools" not in parameters:
        # The API refuses it where no tools are offered.
        parameters.pop("tool_choice", None)
    messages = _messages(request, provider)
    if cache_control is not None:
        _mark(cache_control, system or tools, messages)
    body: Block = {
        "max_tokens": MAX_TOKENS + _thinking_budget(request),
        **parameters,
        "model": request.model,
        "messages": messages,
        "stream": True,
    }
    if system:
        body["system"] = system
    if tools:
        body["tools"] = tools
    return to_json(body)


def betas_of(request: ModelRequest) -> Sequence[str]:
    """Names of features to be tried, which go into a header; raises TypeError for other things."""
    betas = request.parameters.get("betas") or ()
    if isinstance(betas, Sequence):
        named = [str(beta) for beta in cast("Sequence[object]", betas)]
        if not isinstance(betas, str) and all(map(_NAME.fullmatch, named)):
            return named
    message = "betas should be a list of names"
    raise TypeError(message)


def prefix_of(request: ModelRequest) -> str:
    """A fingerprint of the system text and the tools, which come before all messages."""
    prefix = to_json({"system": _system(request), "tools": _tools(request)})
    return hashlib.blake2b(prefix, digest_size=12).hexdigest()


def _thinking(request: ModelRequest) -> Mapping[str, Any]:
    thinking = request.parameters.get("thinking")
    return cast("Mapping[str, Any]", thinking) if isinstance(thinking, Mapping) else {}


def _lacks_thinking(request: ModelRequest, provider: str) -> bool:
    """Tell whether a loop of tools began without the thinking that is asked for now.

    So it does after another provider's model began it; the API refuses to think on from there.
    """
    if _thinking(request).get("type") != "enabled":
        return False
    begun: ChatMessage | None = None
    for message in request.messages:
        if message.role == "user":
            begun = None
        elif message.role == "assistant" and begun is None:
            begun = message
    return begun is not None and not _own_state(begun, provider)


def _thinking_budget(request: ModelRequest) -> int:
    budget = _thinking(request).get("budget_tokens")
    return budget if isinstance(budget, int) else 0


def _system(request: ModelRequest) -> list[Block]:
    return [
        {"type": "text", "text": message.content}
        for message in request.messages
        if message.role == "system" and message.content.strip()
    ]


def _tools(request: ModelRequest) -> list[Block]:
    return [
        {"name": tool.name, "description": tool.description, "input_schema": tool.input_schema}
        for tool in request.tools
    ]


def _messages(request: ModelRequest, provider: str) -> list[Block]:
    """Turns of user and assistant by turns: neighbors of one role are one turn."""
    prefix = prefix_of(request) if any(each.provider_state for each in request.messages) else ""
    keep = prefix if _thinking(request).get("type") != "enabled" else None
    turns: list[Block] = []
    for message in request.messages:
        if message.role == "system":
            continue
        role = "assistant" if message.role == "assistant" else "user"
        blocks = _answer(message, provider, keep) if role == "assistant" else _said(message)
        if not blocks:
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    if turns and turns[0]["role"] == "assistant":
        turns.insert(0, {"role": "user", "content": [{"type": "text", "text": _OPENING}]})
    return turns


def _said(message: ChatMessage) -> list[Block]:
    """What a person or a tool said; the API refuses text that is blank."""
    if message.role == "user":
        return _text(message.content)
    result: Block = {"type": "tool_result", "tool_use_id": fitting_id(message.tool_call_id or "")}
    if message.content.strip():
        result["content"] = message.content
    if message.failed:
        result["is_error"] = True
    return [result]


def _answer(message: ChatMessage, provider: str, prefix: str | None) -> list[Block]:
    """An answer as it came, thinking included; without it where it would be refused.

    `prefix` is what stands before the messages now, None where thinking must come back anyway.
    """
    state = _own_state(message, provider)
    if state and prefix in (None, state.get("prefix")):
        return list(state["content"])
    return [*_text(message.content), *(_tool_use(call) for call in message.tool_calls)]


def _own_state(message: ChatMessage, provider: str) -> Mapping[str, Any]:
    state = message.provider_state
    return state.data if state is not None and state.provider == provider else {}


def _text(text: str) -> list[Block]:
    return [{"type": "text", "text": text}] if text.strip() else []


def _tool_use(call: ToolCall) -> Block:
    return {
        "type": "tool_use",
        "id": fitting_id(call.id),
        "name": fitting_name(call.name),
        "input": arguments_of(call),
    }


def fitting_id(ident: str) -> str:
    """An id in the letters that this API takes; ids of other providers may hold more."""
    return _BAD_ID.sub("_", ident)


def _mark(cache_control: object, first: Sequence[Block], messages: Sequence[Block]) -> None:
    """Say up to where the prompt may be cached.

    The end of what all runs of an agent begin with (tools, then system text), and the ends of the
    last two turns of the user: the newer is written for the next request of the loop, the older is
    where the request before this one ended, so it is found however many results came since.
    """
    users = [turn["content"][-1] for turn in messages if turn["role"] == "user"]
    for block in (*first[-1:], *users[-_CACHED_TURNS:]):
        block["cache_control"] = cache_control
