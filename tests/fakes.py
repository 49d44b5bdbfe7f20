"""Stand-ins for the outside: a model that follows a script, a queue that remembers hints."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field

from domain.models.ports import (
    Finished,
    FinishReason,
    ModelError,
    ModelEvent,
    ModelRequest,
    TextDelta,
    TokenUsage,
    ToolCall,
    ToolCallReady,
)


@dataclass(slots=True)
class Gate:
    """A place in a script where the model waits until the test lets it go on."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)


Act = ModelEvent | ModelError | Gate


def say(*words: str, tokens: int = 3) -> list[Act]:
    """An answer in pieces."""
    usage = TokenUsage(input_tokens=10, output_tokens=tokens)
    return [*(TextDelta(word) for word in words), usage, Finished(FinishReason.STOP)]


def call(name: str, arguments: str, *, ident: str = "call_1") -> list[Act]:
    """An answer that only calls a tool."""
    return [
        ToolCallReady(ToolCall(id=ident, name=name, arguments=arguments)),
        TokenUsage(input_tokens=5, output_tokens=1),
        Finished(FinishReason.TOOL_CALLS),
    ]


class ScriptedModel:
    """Plays one script per request, in order, and keeps the requests."""

    def __init__(self, name: str = "scripted") -> None:
        self.name = name
        self.scripts: list[Sequence[Act]] = []
        self.requests: list[ModelRequest] = []
        self.closed = 0

    def script(self, *scripts: Sequence[Act]) -> None:
        """Add what the next requests get."""
        self.scripts += scripts

    async def aclose(self) -> None:
        """Nothing is held open."""

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """Play the next script."""
        self.requests.append(request)
        try:
            for act in self.scripts.pop(0):
                if isinstance(act, Gate):
                    act.reached.set()
                    await act.opened.wait()
                elif isinstance(act, ModelError):
                    raise act
                else:
                    yield act
        finally:
            self.closed += 1


class HintedQueue:
    """A job queue whose hints a test delivers, drops or doubles."""

    def __init__(self) -> None:
        self.hints: list[tuple[str, str]] = []
        self.deliver: Callable[[str], object] | None = None

    def enqueue(self, job: str, ident: str) -> None:
        """Keep the hint; hand it on when somebody delivers."""
        self.hints.append((job, ident))
        if self.deliver is not None:
            self.deliver(ident)


class SteppedClock:
    """A clock that moves when told; sleepers wake when their time has come."""

    def __init__(self, now_us: int = 1_700_000_000_000_000) -> None:
        self._now_us = now_us
        self._set_us = 0
        self._sleepers: list[tuple[int, asyncio.Future[None]]] = []

    def now_us(self) -> int:
        """The moment the test has set."""
        return self._now_us

    def monotonic(self) -> float:
        """Seconds, in step with the moment unless that was set."""
        return (self._now_us - self._set_us) / 1_000_000

    async def sleep(self, seconds: float) -> None:
        """Wait for the test to move the clock."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._now_us + round(seconds * 1_000_000), woken))
        await woken

    @property
    def sleepers(self) -> int:
        """How many wait for the time to pass."""
        return len(self._sleepers)

    def set_by(self, seconds: float) -> None:
        """Set the moment forward or back, while no time passes."""
        step_us = round(seconds * 1_000_000)
        self._now_us += step_us
        self._set_us += step_us
        self._sleepers = [(moment + step_us, woken) for moment, woken in self._sleepers]

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self._now_us += round(seconds * 1_000_000)
        due = [entry for entry in self._sleepers if entry[0] <= self._now_us]
        self._sleepers = [entry for entry in self._sleepers if entry[0] > self._now_us]
        for _, woken in due:
            if not woken.done():
                woken.set_result(None)
