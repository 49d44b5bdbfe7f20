"""The offline planner as a model: it streams like one and says that it is none."""

from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from domain.kernel.moments import EPOCH
from domain.kernel.ports import Clock
from domain.models.ports import (
    Finished,
    FinishReason,
    ModelEvent,
    ModelRequest,
    TextDelta,
    TokenUsage,
    ToolCall,
    ToolCallReady,
)
from domain.models.tokens import count_context_words, count_words, split_words

if TYPE_CHECKING:
    from domain.models.offline.matching import ToolIndex
    from domain.models.offline.planner import PlannedCall


class OfflineModelClient:
    """Turns instructions into tool calls without a language model; needs nothing at all."""

    def __init__(self, clock: Clock, *, name: str = "offline") -> None:
        self.name = name
        self._clock = clock
        self._index: ToolIndex | None = None

    async def aclose(self) -> None:
        """Nothing is held open."""

    def _now(self) -> datetime:
        return EPOCH + timedelta(microseconds=self._clock.now_us())

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """Yield the next call of the plan or the closing words; never fails."""
        # Its patterns take a tenth of a second to compile; a server starts without them.
        from domain.models.offline.answers import data_answer
        from domain.models.offline.matching import ToolIndex
        from domain.models.offline.planner import PlannedCall, next_move

        # Reading the schemas of all tools costs more than a plan, and they seldom change.
        if self._index is None or not self._index.holds(request.tools):
            self._index = ToolIndex(request.tools)
        move = next_move(request.messages, self._index, now=self._now())
        if isinstance(move, PlannedCall):
            planned = (move, *move.beside)
            for place, call in enumerate(planned, 1):
                yield ToolCallReady(_call(call, request, place))
            said = " ".join(call.arguments for call in planned)
            reason = FinishReason.TOOL_CALLS
        else:
            said, reason = move.text, move.reason
            if request.output_schema is not None and reason is FinishReason.STOP:
                said = data_answer(request.messages, said, request.output_schema)
            for word in split_words(said):
                yield TextDelta(word)
        yield TokenUsage(
            input_tokens=count_context_words(request.messages), output_tokens=count_words(said)
        )
        yield Finished(reason, offline=True)


def _call(move: "PlannedCall", request: ModelRequest, place: int) -> ToolCall:
    """A call with an id that no other call of the context has."""
    asked = sum(len(message.tool_calls) for message in request.messages)
    return ToolCall(id=f"call_{asked + place}", name=move.tool, arguments=move.arguments)
