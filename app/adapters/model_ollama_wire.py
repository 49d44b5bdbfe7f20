"""Ollama's native stream: what its lines mean, and when a prompt was cut. No I/O."""

from collections.abc import Sequence
from typing import Any

import orjson

from app.adapters.model_http import ErrorWords
from app.adapters.model_ollama_request import least_tokens, likely_tokens, options_of
from app.adapters.model_reader import CallIds, JsonReader, count_of, text_of
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

_FINISH_REASONS = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH}
_ONLY_LOADED = frozenset({"load", "unload"})


class OllamaReader(JsonReader):
    """Reads the lines of one answer in order; `conclude` gives what stands at its end."""

    def __init__(self, request: ModelRequest, words: ErrorWords, num_ctx: int) -> None:
        super().__init__(words)
        self._request = request
        self._num_ctx = num_ctx
        self._calls: list[dict[str, Any]] = []
        self._thinking: list[str] = []
        self._last: dict[str, Any] = {}

    def _read(self, chunk: Any) -> Sequence[ModelEvent]:
        if (error := chunk.get("error")) is not None:
            raise self._words.of_object(error)
        events: list[ModelEvent] = []
        if message := chunk.get("message"):
            # Lines come from the first token on; those of a call that is being written are empty.
            self.has_begun = True
            if thinking := message.get("thinking"):
                self._thinking.append(text_of(thinking))
                events.append(ReasoningDelta(thinking))
            if content := message.get("content"):
                events.append(TextDelta(text_of(content)))
            if calls := message.get("tool_calls"):
                self._calls += calls
        if chunk.get("done"):
            self._last = chunk
            self._finish = text_of(chunk.get("done_reason") or "stop")
            self.is_over = True
        return events

    def _conclude(self) -> Sequence[ModelEvent]:
        if self._finish in _ONLY_LOADED:
            raise self._bad("only loaded its model and gave no answer.")
        reason = self._reason(_FINISH_REASONS)
        calls = self._ready(self._named_calls(), reason)
        if calls:
            reason = FinishReason.TOOL_CALLS
        state = self._state() if calls and self._thinking else ()
        return (*calls, *state, *self._notices(), *self._counts(), Finished(reason))

    def _named_calls(self) -> list[ToolCall]:
        ids = CallIds(self._request.messages)
        return [
            ToolCall(
                id=ids.take(text_of(call.get("id") or "")),
                name=text_of(call["function"].get("name") or ""),
                arguments=_as_json(call["function"].get("arguments")),
            )
            for call in self._calls
        ]

    def _state(self) -> tuple[ProviderState]:
        """Thinking that led to calls: models that think between calls read it again."""
        data = {"thinking": "".join(self._thinking)}
        return (ProviderState(provider=self._words.provider, data=data),)

    def _counts(self) -> Sequence[TokenUsage]:
        read, written = (self._last.get(name) for name in ("prompt_eval_count", "eval_count"))
        if read is None and written is None:
            return ()
        return (TokenUsage(input_tokens=count_of(read), output_tokens=count_of(written)),)

    def _notices(self) -> Sequence[ModelNotice]:
        size = options_of(self._request, self._num_ctx).get("num_ctx")
        if not isinstance(size, int) or size <= 0:
            return ()
        evaluated = count_of(self._last.get("prompt_eval_count"))
        if not was_cut(self._request, size, evaluated):
            return ()
        return (
            ModelNotice(
                f"Ollama cut the prompt: it read {evaluated:,} tokens of a prompt that did not fit"
                f" into num_ctx = {size:,}, so the oldest messages or part of the tools were lost."
                " Raise OLLAMA_NUM_CTX or the parameter num_ctx, or offer fewer tools."
            ),
        )


def was_cut(request: ModelRequest, num_ctx: int, evaluated: int) -> bool:
    """Tell whether Ollama left part of a prompt out, which it does not say.

    Where a prompt does not fit, it drops messages from the front, or keeps about half of the
    window, and `prompt_eval_count` (here `evaluated`) tells of what was left. Some versions leave
    the count out, or count only what their cache did not hold, so a small count alone is no sign.
    These are, and none can come from a prompt that is small against the window:

    - it has more words than the window has tokens;
    - it probably has more tokens than the window, and has more words than tokens were read;
    - the tokens read fill the window: a prompt that leaves no room for an answer is a cut one.
    """
    if evaluated >= num_ctx:
        return True
    likely = likely_tokens(request)
    if 2 * likely < num_ctx:
        return False
    least = least_tokens(request)
    return least > num_ctx or (likely > num_ctx and 0 < evaluated < least)


def _as_json(arguments: object) -> str:
    """Arguments as JSON text; they come as an object."""
    if isinstance(arguments, str):
        return arguments or "{}"
    return orjson.dumps({} if arguments is None else arguments).decode()
