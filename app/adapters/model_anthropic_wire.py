"""Anthropic's Messages stream: what its events mean. No I/O."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.adapters.model_anthropic_request import fitting_id, prefix_of
from app.adapters.model_http import ErrorWords
from app.adapters.model_reader import CallIds, JsonReader, count_of, text_of
from app.adapters.model_request import arguments_of, fitting_name
from domain.models.ports import (
    Finished,
    FinishReason,
    ModelEvent,
    ModelNotice,
    ModelRequest,
    ProviderState,
    ReasoningDelta,
    TextDelta,
    TokenUsage,
    ToolCall,
)

_FINISH_REASONS = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "tool_use": FinishReason.TOOL_CALLS,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "refusal": FinishReason.REFUSAL,
}
_WINDOW_FULL = "The answer filled the model's context window; nothing more of it could be written."
_PAUSED = "paused its turn for a tool of its own, which is not supported: leave such tools out."


@dataclass(slots=True)
class _Block:
    """A content block as far as it has come; `fragments` are of the JSON of a tool's input."""

    content: dict[str, Any]
    text: list[str] = field(default_factory=list[str])
    fragments: list[str] = field(default_factory=list[str])

    @property
    def kind(self) -> str:
        return self.content["type"]

    @property
    def arguments(self) -> str:
        """JSON of a tool's input; servers may give it whole at the block's start."""
        return "".join(self.fragments) or orjson.dumps(self.content.get("input") or {}).decode()


class MessagesReader(JsonReader):
    """Reads the events of one answer in order; `conclude` gives what stands at its end."""

    def __init__(self, request: ModelRequest, words: ErrorWords) -> None:
        super().__init__(words)
        self._request = request
        self._blocks: dict[int, _Block] = {}
        self._usage: dict[str, Any] = {}
        self._why: str | None = None

    def _read(self, chunk: Any) -> Sequence[ModelEvent]:
        kind = chunk["type"]
        if kind == "content_block_delta":
            return self._read_delta(self._blocks[chunk["index"]], chunk["delta"])
        if kind == "content_block_start":
            return self._begin_block(chunk["index"], chunk["content_block"])
        if kind == "message_start":
            self._count(chunk["message"].get("usage"))
        elif kind == "message_delta":
            self._count(chunk.get("usage"))
            self._end(chunk["delta"])
        elif kind == "message_stop":
            self.is_over = True
        elif kind == "error":
            raise self._words.of_object(chunk.get("error"))
        return ()

    def _begin_block(self, index: int, content: dict[str, Any]) -> Sequence[ModelEvent]:
        block = _Block(dict(content))
        self._blocks[index] = block
        self.has_begun = True
        if block.kind == "text" and (text := content.get("text")):
            block.text.append(text_of(text))
            return (TextDelta(text),)
        if block.kind == "thinking" and (text := content.get("thinking")):
            block.text.append(text_of(text))
            return (ReasoningDelta(text),)
        return ()

    def _read_delta(self, block: _Block, delta: dict[str, Any]) -> Sequence[ModelEvent]:
        kind = delta["type"]
        if kind == "text_delta":
            text = text_of(delta["text"])
            block.text.append(text)
            return (TextDelta(text),) if text else ()
        if kind == "input_json_delta":
            block.fragments.append(text_of(delta["partial_json"]))
        elif kind == "thinking_delta":
            text = text_of(delta["thinking"])
            block.text.append(text)
            return (ReasoningDelta(text),) if text else ()
        elif kind == "signature_delta":
            signature = block.content.get("signature") or ""
            block.content["signature"] = signature + text_of(delta["signature"])
        return ()

    def _count(self, usage: dict[str, Any] | None) -> None:
        """Counts are totals: a later one replaces an earlier one, unless it is left out."""
        self._usage |= {name: count for name, count in (usage or {}).items() if count}

    def _end(self, delta: dict[str, Any]) -> None:
        if (reason := delta.get("stop_reason")) is not None:
            self._finish = text_of(reason)
        details: dict[str, Any] = delta.get("stop_details") or {}
        self._why = details.get("explanation")

    def _conclude(self) -> Sequence[ModelEvent]:
        if self._finish == "pause_turn":
            raise self._bad(_PAUSED)
        reason = self._reason(_FINISH_REASONS)
        calls = self._ready(self._calls(), reason)
        if calls:
            reason = FinishReason.TOOL_CALLS
        return (
            *calls,
            *(self._states([ready.call for ready in calls])),
            *self._notices(),
            *self._counts(),
            Finished(reason),
        )

    def _calls(self) -> list[ToolCall]:
        ids = CallIds(self._request.messages)
        return [
            ToolCall(
                id=ids.take(text_of(block.content.get("id") or "")),
                name=text_of(block.content.get("name") or ""),
                arguments=block.arguments,
            )
            for block in self._in_order()
            if block.kind == "tool_use"
        ]

    def _in_order(self) -> list[_Block]:
        return [block for _, block in sorted(self._blocks.items())]

    def _states(self, calls: Sequence[ToolCall]) -> Sequence[ProviderState]:
        """The whole answer as it came, if it thought before it called tools."""
        thought = any(block.kind in ("thinking", "redacted_thinking") for block in self._in_order())
        if not (calls and thought):
            return ()
        ready = iter(calls)
        content = [_whole(block, ready) for block in self._in_order()]
        data = {
            "prefix": prefix_of(self._request),
            "content": [block for block in content if block.get("text", "text").strip()],
        }
        return (ProviderState(provider=self._words.provider, data=data),)

    def _notices(self) -> Sequence[ModelNotice]:
        if self._finish == "model_context_window_exceeded":
            return (ModelNotice(_WINDOW_FULL),)
        if self._finish == "refusal" and self._why:
            return (ModelNotice(f"The model declined: {self._words.clean(text_of(self._why))}"),)
        return ()

    def _counts(self) -> Sequence[TokenUsage]:
        if not self._usage:
            return ()
        read = count_of(self._usage.get("cache_read_input_tokens"))
        written = count_of(self._usage.get("cache_creation_input_tokens"))
        of_output: dict[str, Any] = self._usage.get("output_tokens_details") or {}
        usage = TokenUsage(
            # This API counts what came from a cache, or went into it, apart from the rest.
            input_tokens=count_of(self._usage.get("input_tokens")) + read + written,
            output_tokens=count_of(self._usage.get("output_tokens")),
            cached_tokens=read,
            reasoning_tokens=count_of(of_output.get("thinking_tokens")),
            cache_write_tokens=written,
        )
        return (usage,)


def _whole(block: _Block, calls: Iterator[ToolCall]) -> dict[str, Any]:
    """The block as the API would have sent it in one piece; calls in the order of the blocks."""
    content = dict(block.content)
    if block.kind in ("text", "thinking"):
        content[block.kind] = "".join(block.text)
    elif block.kind == "tool_use":
        call = next(calls)
        content |= {"id": fitting_id(call.id), "name": fitting_name(call.name)}
        content["input"] = arguments_of(call)
    elif block.fragments:
        content["input"] = orjson.loads("".join(block.fragments))
    return content
