"""What models say in the stories of the state machine."""

from collections.abc import Callable
from typing import Any

from domain.models.ports import (
    Finished,
    FinishReason,
    ModelError,
    ModelErrorKind,
    TextDelta,
    TokenUsage,
    ToolCall,
    ToolCallReady,
)
from domain.runs.work import dumps
from tests.domain.machine_arena import DONE, Turn

CALLS = {
    "note": ("note",),
    "pay": ("pay",),
    "erase": ("erase",),
    "both": ("note", "pay"),
    "risk": ("erase", "pay", "erase"),
    "hand": ("helper",),
    "hands": ("helper", "pay", "deep", "helper"),
}
"""Calls of an answer; those that hand work on name an agent, which is not always allowed."""
WORDS = ("words", "done", "down", "bad", *CALLS)
HABITS = ("risk", "hand", "done", "hands", "pay", "words", "hand", "erase", "both", "done")
"""What models say where no rule says it, in turn."""
USED = TokenUsage(input_tokens=5, output_tokens=1)


def turn_of(what: str, next_number: Callable[[], int]) -> Turn:
    """What a model says now: a few words, calls, its last word, or that it cannot."""
    if what == "words":
        return [TextDelta("well, ")]
    if what == "done":
        return DONE
    if what == "down":
        return [ModelError(ModelErrorKind.UNAVAILABLE, "The provider is away.")]
    if what == "bad":
        return [TextDelta("hm"), Finished(FinishReason.LENGTH)]
    calls = [_call(name, next_number()) for name in CALLS[what]]
    return [*calls, USED, Finished(FinishReason.TOOL_CALLS)]


def _call(name: str, number: int) -> ToolCallReady:
    arguments: dict[str, Any] = {"number": number}
    if name in ("helper", "deep"):
        name, arguments = "delegate", {"agent": name, "instruction": "do it for me"}
    return ToolCallReady(ToolCall(id=f"call-{number}", name=name, arguments=dumps(arguments)))
