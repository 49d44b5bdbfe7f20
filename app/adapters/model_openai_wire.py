"""The chat-completions wire: what goes out, and what the chunks that come back mean. No I/O."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.adapters.model_http import ErrorWords
from app.adapters.model_reader import CallIds, JsonReader, count_of, text_of
from app.adapters.model_request import arguments_of, fitting_name, function_tool, to_json
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
)

_DONE = b"[DONE]"
_EXTRA = "extra_content"
"""Where Gemini signs its calls; it refuses a call that comes back without."""
_ONLY_WITH_TOOLS = ("tool_choice", "parallel_tool_calls")
"""Parameters that the API refuses where no tools are offered."""
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
    """JSON of the request; raises TypeError for values that JSON does not know.

    The parameter `stream_options: null` leaves those out, which some servers refuse.
    """
    body: dict[str, Any] = {
        **request.parameters,
        "model": request.model,
        "messages": [_message(message, provider) for message in request.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if request.parameters.get("stream_options", body) is None:
        del body["stream_options"]
    if request.tools:
        body["tools"] = [function_tool(tool) for tool in request.tools]
    elif "tools" not in body:
        for name in _ONLY_WITH_TOOLS:
            body.pop(name, None)
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
    kept: dict[str, Any] = state.data if state is not None and state.provider == provider else {}
    extras: dict[str, Any] = kept.get(_EXTRA, {})
    return {
        "role": message.role,
        "content": message.content or None,
        "tool_calls": [_call(call, extras.get(call.id)) for call in message.tool_calls],
        **{name: value for name, value in kept.items() if name != _EXTRA},
    }


def _call(call: ToolCall, extra: object) -> dict[str, Any]:
    function = {"name": fitting_name(call.name), "arguments": _arguments(call)}
    body = {"id": call.id, "type": "function", "function": function}
    return body if extra is None else {**body, _EXTRA: extra}


def _arguments(call: ToolCall) -> str:
    """JSON of an object: servers that read other text again refuse the whole request."""
    try:
        is_object = isinstance(orjson.loads(call.arguments), dict)
    except orjson.JSONDecodeError:
        is_object = False
    return call.arguments if is_object else to_json(arguments_of(call)).decode()


@dataclass(slots=True)
class _CallParts:
    """A tool call that arrives in fragments."""

    index: int
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list[str])
    extra: object = None

    @property
    def whole_arguments(self) -> str:
        """JSON of the arguments; some servers write none as nothing or null."""
        text = "".join(self.arguments)
        return "{}" if text.strip() in ("", "null") else text


class ChatCompletionReader(JsonReader):
    """Reads the chunks of one answer in order; `conclude` gives what stands at its end."""

    def __init__(self, request: ModelRequest, words: ErrorWords) -> None:
        super().__init__(words)
        self._request = request
        self._calls: list[_CallParts] = []
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
            function: dict[str, Any] = fragment.get("function") or {}
            ident, name = text_of(fragment.get("id") or ""), text_of(function.get("name") or "")
            parts = self._parts_of(fragment.get("index"), ident, name)
            parts.id = parts.id or ident
            parts.name = parts.name or name
            parts.extra = parts.extra or fragment.get(_EXTRA)
            parts.arguments.append(text_of(function.get("arguments") or ""))

    def _parts_of(self, index: int | None, ident: str, name: str) -> _CallParts:
        """The call a fragment belongs to; some servers give all calls one index, or none."""
        for parts in reversed(self._calls):
            if index is None or parts.index == index:
                if _opens(parts, ident, name, is_placed=index is not None):
                    break
                return parts
        parts = _CallParts(len(self._calls) if index is None else int(index))
        self._calls.append(parts)
        return parts

    def _conclude(self) -> Sequence[ModelEvent]:
        reason = self._reason(_FINISH_REASONS)
        calls = self._ready(self._named_calls(), reason)
        if calls:
            reason = FinishReason.TOOL_CALLS
        elif self._refused:
            reason = FinishReason.REFUSAL
        state = self._state([ready.call.id for ready in calls])
        usage = () if self._usage is None else (self._usage,)
        return (*calls, *state, *usage, Finished(reason))

    def _in_order(self) -> list[_CallParts]:
        return sorted(self._calls, key=lambda each: each.index)

    def _named_calls(self) -> list[ToolCall]:
        ids = CallIds(self._request.messages)
        return [
            ToolCall(id=ids.take(parts.id), name=parts.name, arguments=parts.whole_arguments)
            for parts in self._in_order()
        ]

    def _state(self, idents: Sequence[str]) -> Sequence[ProviderState]:
        """What came with calls and is wanted back with their results, by those that give it."""
        data: dict[str, Any] = {}
        if idents and self._reasoning:
            data["reasoning_content"] = "".join(self._reasoning)
        pairs = zip(idents, self._in_order(), strict=False)
        if extras := {ident: parts.extra for ident, parts in pairs if parts.extra}:
            data[_EXTRA] = extras
        return (ProviderState(provider=self._words.provider, data=data),) if data else ()


def _opens(last: _CallParts, ident: str, name: str, *, is_placed: bool) -> bool:
    """Tell whether a fragment begins another call than the one before it at its place.

    Some servers repeat a call's id or name with each fragment, some give each a fresh id.
    """
    if ident and last.id:
        return ident != last.id and (bool(name) or not is_placed)
    return bool(name and last.name) and not is_placed


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
    read, written, total = (
        count_of(usage.get(f"{name}_tokens")) for name in ("prompt", "completion", "total")
    )
    # Some servers count reasoning beside the answer, or only in the total.
    beside = max(0, total - read - written)
    return TokenUsage(
        input_tokens=read,
        output_tokens=written + beside,
        cached_tokens=count_of(
            of_input.get("cached_tokens") or usage.get("prompt_cache_hit_tokens")
        ),
        reasoning_tokens=count_of(of_output.get("reasoning_tokens") or beside),
        cache_write_tokens=count_of(of_input.get("cache_write_tokens")),
    )
