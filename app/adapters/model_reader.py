"""What readers of model streams share: payloads that are JSON, and ids for tool calls."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import orjson

from app.adapters.model_http import ErrorWords
from domain.models.ports import (
    ChatMessage,
    FinishReason,
    ModelError,
    ModelErrorKind,
    ModelEvent,
    ToolCall,
    ToolCallReady,
)

MOST_TOKENS = 10**12
"""Highest count that is believed."""
SURPRISES = (orjson.JSONDecodeError, AttributeError, LookupError, TypeError, ValueError)
"""What reading JSON of another shape than expected raises."""


class JsonReader(ABC):
    """Reads payloads that are JSON objects; what they mean is a wire's `_read` and `_conclude`."""

    def __init__(self, words: ErrorWords) -> None:
        self._words = words
        self._finish: str | None = None
        self.has_begun = False
        """True once a part of the answer has come, if only a fragment of a call."""
        self.is_over = False
        """True once the provider said that nothing more comes."""

    @property
    def is_finished(self) -> bool:
        """True once the provider gave its reason to stop."""
        return self._finish is not None

    def read(self, payload: bytes) -> Sequence[ModelEvent]:
        """Events of one payload. Raises ModelError for one that makes no sense."""
        try:
            return self._read(orjson.loads(payload))
        except SURPRISES as error:
            excerpt = payload[:80].decode("utf-8", "replace")
            raise self._bad(f"sent a malformed chunk: {excerpt}") from error

    def conclude(self) -> Sequence[ModelEvent]:
        """Calls, usage and the end. Raises ModelError for an answer that is not whole."""
        try:
            return self._conclude()
        except SURPRISES as error:
            raise self._bad(f"sent an answer that makes no sense as a whole: {error}") from error

    @abstractmethod
    def _read(self, chunk: Any) -> Sequence[ModelEvent]:
        """Read a payload of unknown shape; any surprise raises one of SURPRISES."""

    @abstractmethod
    def _conclude(self) -> Sequence[ModelEvent]:
        """Make sense of all that was read; any surprise raises one of SURPRISES."""

    def _reason(self, known: dict[str, FinishReason]) -> FinishReason:
        """The reason to stop in our terms. Raises ModelError for none and for one not known."""
        if self._finish is None:
            raise self._bad("ended its answer without a finish reason.")
        reason = known.get(self._finish)
        if reason is None:
            raise self._bad(f"gave a finish reason that is not known: {self._finish}")
        return reason

    def _ready(self, calls: Sequence[ToolCall], reason: FinishReason) -> list[ToolCallReady]:
        """Calls to run; one that a length limit or a filter cut is not whole."""
        if reason not in (FinishReason.STOP, FinishReason.TOOL_CALLS):
            return []
        unnamed = any(not call.name for call in calls)
        if unnamed or (reason is FinishReason.TOOL_CALLS and not calls):
            raise self._bad("announced tool calls but did not name them.")
        return [ToolCallReady(call) for call in calls]

    def _bad(self, message: str) -> ModelError:
        return self._words.error(ModelErrorKind.BAD_RESPONSE, message)


class CallIds:
    """Ids of tool calls, each once in a whole context.

    Some servers give no ids, some give the same ones with every answer; results would then be
    matched with the wrong calls.
    """

    def __init__(self, messages: Sequence[ChatMessage]) -> None:
        self._taken = {call.id for message in messages for call in message.tool_calls}

    def take(self, wanted: str) -> str:
        """The wanted id, or one of our own if it is empty or taken."""
        ident, number = wanted, len(self._taken)
        while not ident or ident in self._taken:
            ident = f"call_{number}"
            number += 1
        self._taken.add(ident)
        return ident


def count_of(value: object) -> int:
    """A count of tokens; 0 for what is none."""
    if not isinstance(value, int | float):
        return 0
    return int(min(max(value, 0), MOST_TOKENS))


def text_of(value: object) -> str:
    """The value, which must be text."""
    if not isinstance(value, str):
        message = f"expected text, got {type(value).__name__}"
        raise TypeError(message)
    return value
