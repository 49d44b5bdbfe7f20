"""How hard the runs of a process press a provider: calls at a time, calls a minute, and pauses.

A call that must wait stands in line, first come, first served. A pause that a provider asks of one
call (Retry-After) is kept by all calls of the same model: nobody hammers a provider that said no.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

import structlog

from domain.kernel.background import start_detached
from domain.kernel.ports import Clock
from domain.models.ports import (
    InLine,
    ModelClient,
    ModelError,
    ModelErrorKind,
    ModelEvent,
    ModelNotice,
    ModelRequest,
    RetryScheduled,
)

MINUTE_S = 60.0
LONGEST_PAUSE_S = 60.0
"""Longest pause that calls wait for; a provider that asks for more has them fail at once."""
TOLD_PAUSE_S = 1.0
"""A pause of this length is told to those who watch a run that has to keep it."""
LONG_WAIT_S = 5.0
"""A wait of this length deserves a line in the log."""

log = structlog.get_logger("domain.models.limits")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderLimits:
    """Bounds of one provider; None for no bound."""

    concurrency: int | None = None
    per_minute: int | None = None


@dataclass(slots=True, eq=False)
class _Waiter:
    """A call in line. One that is under way and tries again has its place already."""

    model: str
    has_place: bool
    admitted: asyncio.Future[None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class ProviderGate:
    """The line in front of one provider."""

    def __init__(self, provider: str, limits: ProviderLimits, clock: Clock) -> None:
        self._provider = provider
        self._limits = limits
        self._clock = clock
        self._active = 0
        self._starts: deque[float] = deque()
        self._paused: dict[str, float] = {}
        self._line: list[_Waiter] = []
        self._timer: asyncio.Task[None] | None = None

    @property
    def active(self) -> int:
        """Calls under way."""
        return self._active

    @property
    def waiting(self) -> int:
        """Calls in line."""
        return len(self._line)

    def pause_s(self, model: str) -> float:
        """Seconds that the provider still wants no call of this model; 0 when it takes them."""
        until = self._paused.get(model)
        if until is None:
            return 0.0
        rest = until - self._clock.monotonic()
        if rest > 0:
            return rest
        del self._paused[model]
        return 0.0

    def is_open(self, model: str) -> bool:
        """True when a call that enters now has no need to wait."""
        return not self._line and self._has_room(model, has_place=False)

    async def enter(self, model: str) -> float:
        """Take a place, waiting for it where needed; return the seconds waited.

        Raises ModelError where the provider asked for a pause that is too long to wait for.
        """
        return await self._pass(_Waiter(model=model, has_place=False))

    async def again(self, model: str) -> float:
        """Count one more request of a call that has its place. Raises like `enter`."""
        return await self._pass(_Waiter(model=model, has_place=True))

    def leave(self) -> None:
        """Give the place back."""
        self._active -= 1
        self._admit()

    def pause(self, model: str, wait_s: float) -> None:
        """Have all calls of a model wait, since the provider asked one of them to."""
        rest_s = self.pause_s(model)
        if wait_s <= rest_s:
            return
        self._paused[model] = self._clock.monotonic() + wait_s
        if not rest_s:
            seconds = round(wait_s, 3)
            log.warning("model.paused", provider=self._provider, model=model, seconds=seconds)
        self._admit()

    def count(self) -> None:
        """Count a request that goes out whatever the minute says."""
        if self._limits.per_minute is not None:
            self._starts.append(self._clock.monotonic())

    def close(self) -> None:
        """Stop waiting for time to pass."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _pass(self, waiter: _Waiter) -> float:
        if not self._line and self._has_room(waiter.model, has_place=waiter.has_place):
            self._start(waiter)
            return 0.0
        began = self._clock.monotonic()
        self._line.append(waiter)
        self._admit()
        try:
            await waiter.admitted
        except asyncio.CancelledError:
            self._give_up(waiter)
            raise
        waited_s = self._clock.monotonic() - began
        if waited_s >= LONG_WAIT_S:
            log.warning(
                "model.waited",
                provider=self._provider,
                model=waiter.model,
                seconds=round(waited_s, 3),
                active=self._active,
                waiting=len(self._line),
            )
        return waited_s

    def _give_up(self, waiter: _Waiter) -> None:
        """Leave the line, or the place that was given in the same moment."""
        if waiter in self._line:
            self._line.remove(waiter)
        elif not waiter.has_place and _is_admitted(waiter.admitted):
            self._active -= 1
        self._admit()

    def _has_room(self, model: str, *, has_place: bool) -> bool:
        if self.pause_s(model) > 0:
            return False
        concurrency = self._limits.concurrency
        if not has_place and concurrency is not None and self._active >= concurrency:
            return False
        return self._room_in_s() <= 0

    def _room_in_s(self) -> float:
        """Seconds until the next request of this minute is allowed."""
        most = self._limits.per_minute
        if most is None:
            return 0.0
        now = self._clock.monotonic()
        while self._starts and now - self._starts[0] >= MINUTE_S:
            self._starts.popleft()
        return MINUTE_S - (now - self._starts[0]) if len(self._starts) >= most else 0.0

    def _start(self, waiter: _Waiter) -> None:
        if not waiter.has_place:
            self._active += 1
        self.count()

    def _admit(self) -> None:
        """Let in whoever may go, in order; calls of a paused model let others pass."""
        line, self._line = self._line, []
        for waiter in line:
            if waiter.admitted.cancelled():
                continue
            if self.pause_s(waiter.model) > LONGEST_PAUSE_S:
                waiter.admitted.set_exception(self.refusal(waiter.model))
            elif self._has_room(waiter.model, has_place=waiter.has_place):
                self._start(waiter)
                waiter.admitted.set_result(None)
            else:
                self._line.append(waiter)
        self._look_again()

    def refusal(self, model: str) -> ModelError:
        """Why a call fails that would have to wait too long."""
        rest_s = self.pause_s(model)
        message = (
            f"{self._provider} asked not to be called for {model} again for {rest_s:.0f} s more."
        )
        return ModelError(ModelErrorKind.RATE_LIMITED, message, retry_after_s=rest_s)

    def _look_again(self) -> None:
        """Come back when time alone lets somebody in."""
        self.close()
        waits = [max(self.pause_s(each.model), self._room_in_s()) for each in self._line]
        times = [wait_s for wait_s in waits if wait_s > 0]
        if times:
            self._timer = start_detached(self._later(min(times)), name="model-gate")

    async def _later(self, wait_s: float) -> None:
        await self._clock.sleep(wait_s)
        self._timer = None
        self._admit()


class GatedModelClient:
    """A model client whose calls go through the gate of its provider."""

    def __init__(self, client: ModelClient, gate: ProviderGate) -> None:
        self.name = client.name
        self._client = client
        self._gate = gate

    async def aclose(self) -> None:
        """Give back connections."""
        self._gate.close()
        await self._client.aclose()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """Ask when it is this call's turn; see ModelClient.

        A wait is told as InLine at both its ends, and a pause that is under way as RetryScheduled
        besides, with the call's first try to come.
        """
        gate, model = self._gate, request.model
        waits = not gate.is_open(model)
        if waits:
            yield InLine(is_over=False)
        rest_s = gate.pause_s(model)
        if TOLD_PAUSE_S <= rest_s <= LONGEST_PAUSE_S:
            yield RetryScheduled(attempt=1, delay_s=rest_s, error=gate.refusal(model))
        waited_s = await gate.enter(model)
        try:
            if waits:
                yield InLine(is_over=True)
            if waited_s >= LONG_WAIT_S:
                yield ModelNotice(
                    f"Waited {waited_s:.0f} s for a turn at {self.name}, whose calls are limited."
                )
            async with aclosing(self._client.stream(request)) as events:
                async for event in events:
                    if isinstance(event, RetryScheduled):
                        is_paused = self._share_pause(model, event.error)
                        yield event
                        await self._count_again(model, is_paused=is_paused)
                    else:
                        yield event
        except ModelError as error:
            self._share_pause(model, error)
            raise
        finally:
            gate.leave()

    def _share_pause(self, model: str, error: ModelError) -> bool:
        """Have the other calls keep a pause that was asked of this one; false for none.

        Raises the error when the pause is too long to wait for.
        """
        asked_s = error.retry_after_s
        if asked_s is None:
            return False
        self._gate.pause(model, asked_s)
        if asked_s > LONGEST_PAUSE_S:
            raise error
        return True

    async def _count_again(self, model: str, *, is_paused: bool) -> None:
        """Count the try to come; one that waits as long as it was told stands in no line."""
        if is_paused:
            self._gate.count()
        else:
            await self._gate.again(model)


def _is_admitted(admitted: asyncio.Future[None]) -> bool:
    return admitted.done() and not admitted.cancelled() and admitted.exception() is None
