"""The chat-completions wire: what goes out, and what the chunks that come back mean. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson

from app.adapters.model_http import ErrorWords
from domain.models.ports import (
    ChatMessage,
    Finished,
    FinishReason,
    ModelErrorKind,
    ModelEvent,
    ModelRequest,
    ReasoningDelta,
    TextDelta,
    TokenUsage,
    ToolCall,
    ToolCallReady,
    ToolSpec,
)

_DONE = b"[DONE]"
_FINISH_REASONS = {
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "eos_token": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "end_turn": FinishReason.STOP,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "content_filter": FinishReason.REFUSAL,
    "refusal": FinishReason.REFUSAL,
}


def request_body(request: ModelRequest) -> bytes:
    """JSON of the request; raises TypeError for values that JSON does not know."""
    body: dict[str, Any] = {
        **request.parameters,
        "model": request.model,
        "messages": [_message(message) for message in request.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    return orjson.dumps(body, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, object]", value))
    message = f"{type(value).__name__} is no JSON value"
    raise TypeError(message)


def _message(message: ChatMessage) -> dict[str, Any]:
    if message.role == "tool":
        return {
            "role": "tool",
            "tool_call_id": message.tool_call_id,
            "content": message.content,
        }
    if not message.tool_calls:
        return {"role": message.role, "content": message.content}
    return {
        "role": message.role,
        "content": message.content or None,
        "tool_calls": [_call(call) for call in message.tool_calls],
    }


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments or "{}"}
    return {"id": call.id, "type": "function", "function": function}


def _tool(tool: ToolSpec) -> dict[str, Any]:
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.input_schema,
    }
    return {"type": "function", "function": function}


@dataclass(slots=True)
class _CallParts:
    """A tool call that arrives in fragments."""

    id: str = ""
    name: str = ""
    arguments: str = ""


class ChatCompletionReader:
    """Reads the chunks of one answer in order; `conclude` gives what stands at its end."""

    def __init__(self, words: ErrorWords) -> None:
        self._words = words
        self._calls: dict[int, _CallParts] = {}
        self._usage: TokenUsage | None = None
        self._finish: str | None = None
        self._refused = False
        self.is_over = False
        """True once the marker of the stream's end has come."""
        self.has_begun = False
        """True once a part of the answer has come, if only a fragment of a call."""

    @property
    def is_finished(self) -> bool:
        """True once the provider gave its reason to stop."""
        return self._finish is not None

    def read(self, payload: bytes) -> Sequence[ModelEvent]:
        """Deltas of one chunk. Raises ModelError for a chunk that makes no sense."""
        if payload == _DONE:
            self.is_over = True
            return ()
        try:
            return self._read(orjson.loads(payload))
        except (orjson.JSONDecodeError, AttributeError, TypeError, ValueError) as error:
            excerpt = payload[:80].decode("utf-8", "replace")
            raise self._words.error(
                ModelErrorKind.BAD_RESPONSE, f"sent a malformed chunk: {excerpt}"
            ) from error

    def _read(self, chunk: dict[str, Any]) -> Sequence[ModelEvent]:
        """Read a chunk of unknown shape; any surprise raises one of the errors `read` expects."""
        if (error := chunk.get("error")) is not None:
            raise self._words.of_object(error)
        if (usage := chunk.get("usage")) is not None:
            self._usage = _usage(usage)
        for choice in chunk.get("choices") or ():
            if choice.get("index", 0) == 0:
                return self._read_choice(choice)
        return ()

    def _read_choice(self, choice: dict[str, Any]) -> Sequence[ModelEvent]:
        events: list[ModelEvent] = []
        delta: dict[str, Any] = choice.get("delta") or {}
        if reasoning := delta.get("reasoning_content") or delta.get("reasoning"):
            events.append(ReasoningDelta(_text(reasoning)))
        if content := delta.get("content"):
            events.append(TextDelta(_text(content)))
        if refusal := delta.get("refusal"):
            self._refused = True
            events.append(TextDelta(_text(refusal)))
        if calls := delta.get("tool_calls"):
            self._collect(calls)
        if call := delta.get("function_call"):
            self._collect([{"index": 0, "function": call}])
        if events:
            self.has_begun = True
        if finish := choice.get("finish_reason"):
            self._finish = _text(finish)
        return events

    def _collect(self, fragments: list[dict[str, Any]]) -> None:
        self.has_begun = True
        for fragment in fragments:
            parts = self._parts_of(fragment)
            function: dict[str, Any] = fragment.get("function") or {}
            parts.id = parts.id or _text(fragment.get("id") or "")
            parts.name = parts.name or _text(function.get("name") or "")
            parts.arguments += _text(function.get("arguments") or "")

    def _parts_of(self, fragment: dict[str, Any]) -> _CallParts:
        """The call a fragment belongs to; some servers leave out the index of whole calls."""
        index = fragment.get("index")
        if index is None:
            opens = bool(fragment.get("id")) or not self._calls
            index = len(self._calls) if opens else max(self._calls)
        return self._calls.setdefault(int(index), _CallParts())

    def conclude(self) -> Sequence[ModelEvent]:
        """Calls, usage and the end. Raises ModelError for an answer without a finish reason."""
        if self._finish is None:
            message = "ended its answer without a finish reason."
            raise self._words.error(ModelErrorKind.BAD_RESPONSE, message)
        reason = _FINISH_REASONS.get(self._finish)
        if reason is None:
            message = f"gave a finish reason that is not known: {self._finish}"
            raise self._words.error(ModelErrorKind.BAD_RESPONSE, message)
        calls = self._whole_calls(reason)
        if calls:
            reason = FinishReason.TOOL_CALLS
        elif self._refused:
            reason = FinishReason.REFUSAL
        usage = () if self._usage is None else (self._usage,)
        return (*calls, *usage, Finished(reason))

    def _whole_calls(self, reason: FinishReason) -> list[ToolCallReady]:
        """Calls to run; one that a length limit or a filter cut is not whole."""
        if reason not in (FinishReason.STOP, FinishReason.TOOL_CALLS):
            return []
        calls = [
            ToolCall(
                id=parts.id or f"call_{index}", name=parts.name, arguments=parts.arguments or "{}"
            )
            for index, parts in sorted(self._calls.items())
        ]
        unnamed = any(not call.name for call in calls)
        if unnamed or (reason is FinishReason.TOOL_CALLS and not calls):
            message = "announced tool calls but did not name them."
            raise self._words.error(ModelErrorKind.BAD_RESPONSE, message)
        return [ToolCallReady(call) for call in calls]


def _text(value: object) -> str:
    if not isinstance(value, str):
        message = f"expected text, got {type(value).__name__}"
        raise TypeError(message)
    return value


def _usage(usage: dict[str, Any]) -> TokenUsage:
    of_input: dict[str, Any] = usage.get("prompt_tokens_details") or {}
    of_output: dict[str, Any] = usage.get("completion_tokens_details") or {}
    return TokenUsage(
        input_tokens=int(usage.get("prompt_tokens") or 0),
        output_tokens=int(usage.get("completion_tokens") or 0),
        cached_tokens=int(of_input.get("cached_tokens") or 0),
        reasoning_tokens=int(of_output.get("reasoning_tokens") or 0),
    )
