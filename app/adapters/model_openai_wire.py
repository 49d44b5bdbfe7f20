"""The chat-completions wire: what goes out, and what the chunks that come back mean. No I/O."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from app.adapters.model_http import ErrorWords
from app.adapters.model_reader import CallIds, JsonReader, text_of
from app.adapters.model_request import to_json
from domain.models.ports import (
    ChatMessage,
    Finished,
    FinishReason,
    ModelEvent,
    ModelRequest,
    ProviderState,
    ReasoningDelta,
    TextDelta,
    TokenUsage,
    ToolCall,
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
    "model_length": FinishReason.LENGTH,
    "content_filter": FinishReason.REFUSAL,
    "refusal": FinishReason.REFUSAL,
}


def request_body(request: ModelRequest, provider: str) -> bytes:
    """JSON of the request; raises TypeError for values that JSON does not know."""
    body: dict[str, Any] = {
        **request.parameters,
        "model": request.model,
        "messages": [_message(message, provider) for message in request.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    return to_json(body)


def _message(message: ChatMessage, provider: str) -> dict[str, Any]:
    if message.role == "tool":
        return {
            "role": "tool",
            "tool_call_id": message.tool_call_id,
            "content": message.content,
        }
    if not message.tool_calls:
        return {"role": message.role, "content": message.content}
    state = message.provider_state
    return {
        "role": message.role,
        "content": message.content or None,
        "tool_calls": [_call(call) for call in message.tool_calls],
        **(state.data if state is not None and state.provider == provider else {}),
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


class ChatCompletionReader(JsonReader):
    """Reads the chunks of one answer in order; `conclude` gives what stands at its end."""

    def __init__(self, request: ModelRequest, words: ErrorWords) -> None:
        super().__init__(words)
        self._request = request
        self._calls: dict[int, _CallParts] = {}
        self._usage: TokenUsage | None = None
        self._reasoning: list[str] = []
        self._refused = False

    def read(self, payload: bytes) -> Sequence[ModelEvent]:
        """Deltas of one chunk. Raises ModelError for a chunk that makes no sense."""
        if payload == _DONE:
            self.is_over = True
            return ()
        return super().read(payload)

    def _read(self, chunk: Any) -> Sequence[ModelEvent]:
        if (error := chunk.get("error")) is not None:
            raise self._words.of_object(error)
        if chunk.get("object") == "error":
            raise self._words.of_object(chunk)
        if (usage := chunk.get("usage")) is not None:
            self._usage = _usage(usage)
        for choice in chunk.get("choices") or ():
            if choice.get("index", 0) == 0:
                return self._read_choice(choice)
        return ()

    def _read_choice(self, choice: dict[str, Any]) -> Sequence[ModelEvent]:
        events: list[ModelEvent] = []
        delta: dict[str, Any] = choice.get("delta") or {}
        if reasoning := delta.get("reasoning_content"):
            self._reasoning.append(text_of(reasoning))
            events.append(ReasoningDelta(reasoning))
        elif reasoning := delta.get("reasoning"):
            events.append(ReasoningDelta(text_of(reasoning)))
        if content := delta.get("content"):
            events += (TextDelta(content),) if isinstance(content, str) else _of_parts(content)
        if refusal := delta.get("refusal"):
            self._refused = True
            events.append(TextDelta(text_of(refusal)))
        if calls := delta.get("tool_calls"):
            self._collect(calls)
        if call := delta.get("function_call"):
            self._collect([{"index": 0, "function": call}])
        if events:
            self.has_begun = True
        if finish := choice.get("finish_reason"):
            self._finish = text_of(finish)
        return events

    def _collect(self, fragments: list[dict[str, Any]]) -> None:
        self.has_begun = True
        for fragment in fragments:
            parts = self._parts_of(fragment)
            function: dict[str, Any] = fragment.get("function") or {}
            parts.id = parts.id or text_of(fragment.get("id") or "")
            parts.name = parts.name or text_of(function.get("name") or "")
            parts.arguments += text_of(function.get("arguments") or "")

    def _parts_of(self, fragment: dict[str, Any]) -> _CallParts:
        """The call a fragment belongs to; some servers leave out the index of whole calls."""
        index = fragment.get("index")
        if index is None:
            opens = bool(fragment.get("id")) or not self._calls
            index = len(self._calls) if opens else max(self._calls)
        return self._calls.setdefault(int(index), _CallParts())

    def _conclude(self) -> Sequence[ModelEvent]:
        reason = self._reason(_FINISH_REASONS)
        calls = self._ready(self._named_calls(), reason)
        if calls:
            reason = FinishReason.TOOL_CALLS
        elif self._refused:
            reason = FinishReason.REFUSAL
        state = self._state() if calls and self._reasoning else ()
        usage = () if self._usage is None else (self._usage,)
        return (*calls, *state, *usage, Finished(reason))

    def _named_calls(self) -> list[ToolCall]:
        ids = CallIds(self._request.messages)
        return [
            ToolCall(id=ids.take(parts.id), name=parts.name, arguments=parts.arguments or "{}")
            for _, parts in sorted(self._calls.items())
        ]

    def _state(self) -> tuple[ProviderState]:
        """Reasoning that led to calls: servers that give it in this field want it with results."""
        data = {"reasoning_content": "".join(self._reasoning)}
        return (ProviderState(provider=self._words.provider, data=data),)


def _of_parts(parts: Sequence[dict[str, Any]]) -> Iterator[TextDelta | ReasoningDelta]:
    """Deltas that come as typed parts, which is how Mistral's models tell their reasoning."""
    for part in parts:
        if part["type"] == "thinking":
            text = "".join(text_of(piece.get("text") or "") for piece in part["thinking"])
            yield ReasoningDelta(text)
        elif part["type"] == "text":
            yield TextDelta(text_of(part["text"]))


def _usage(usage: dict[str, Any]) -> TokenUsage:
    of_input: dict[str, Any] = usage.get("prompt_tokens_details") or {}
    of_output: dict[str, Any] = usage.get("completion_tokens_details") or {}
    return TokenUsage(
        input_tokens=int(usage.get("prompt_tokens") or 0),
        output_tokens=int(usage.get("completion_tokens") or 0),
        cached_tokens=int(
            of_input.get("cached_tokens") or usage.get("prompt_cache_hit_tokens") or 0
        ),
        reasoning_tokens=int(of_output.get("reasoning_tokens") or 0),
        cache_write_tokens=int(of_input.get("cache_write_tokens") or 0),
    )
