"""The gate in front of a provider: order, bounds, and pauses that all calls keep."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from domain.models.limits import GatedModelClient, ProviderGate, ProviderLimits
from domain.models.ports import (
    Finished,
    FinishReason,
    InLine,
    ModelError,
    ModelErrorKind,
    ModelEvent,
    ModelNotice,
    ModelRequest,
    RetryScheduled,
    TextDelta,
)
from tests.fakes import Gate, ScriptedModel, SteppedClock

ASK = ModelRequest(model="m1", messages=[])
OTHER = ModelRequest(model="m2", messages=[])
DONE = Finished(FinishReason.STOP)


class Desk:
    """A gated model, and the calls that were begun on it."""

    def __init__(self, **limits: int) -> None:
        self.clock = SteppedClock()
        self.model = ScriptedModel("openai")
        self.gate = ProviderGate("openai", ProviderLimits(**limits), self.clock)
        self.client = GatedModelClient(self.model, self.gate)
        self.calls: list[asyncio.Task[list[ModelEvent]]] = []

    async def begin(self, request: ModelRequest = ASK) -> asyncio.Task[list[ModelEvent]]:
        """Begin a call and let it come as far as it can."""
        self.calls.append(asyncio.create_task(self._collect(request)))
        await settled()
        return self.calls[-1]

    async def _collect(self, request: ModelRequest) -> list[ModelEvent]:
        async with aclosing(self.client.stream(request)) as events:
            return [event async for event in events if not isinstance(event, InLine)]

    async def move(self, seconds: float) -> None:
        """Let time pass, and all who wake come as far as they can."""
        self.clock.move(seconds)
        await settled()

    async def end(self) -> None:
        for call in self.calls:
            call.cancel()
        await asyncio.gather(*self.calls, return_exceptions=True)
        await self.client.aclose()


@pytest.fixture
async def made() -> AsyncGenerator[list[Desk], None]:
    desks: list[Desk] = []
    yield desks
    for desk in desks:
        await desk.end()


def desk_of(made: list[Desk], **limits: int) -> Desk:
    made.append(Desk(**limits))
    return made[-1]


async def settled() -> None:
    """Give every task that can go on its turns."""
    for _ in range(20):
        await asyncio.sleep(0)


def told_to_wait(seconds: float) -> ModelError:
    return ModelError(ModelErrorKind.RATE_LIMITED, "Slow down.", retry_after_s=seconds)


async def test_no_more_calls_than_allowed_run_at_a_time_and_the_first_in_line_goes_first(
    made: list[Desk],
) -> None:
    desk = desk_of(made, concurrency=2)
    gates = [Gate() for _ in range(4)]
    desk.model.script(*[[gate, TextDelta(str(n)), DONE] for n, gate in enumerate(gates)])
    calls = [await desk.begin() for _ in range(4)]

    assert (desk.gate.active, desk.gate.waiting, len(desk.model.requests)) == (2, 2, 2)
    gates[1].opened.set()
    await settled()
    assert calls[1].done()
    assert (gates[2].reached.is_set(), gates[3].reached.is_set()) == (True, False)
    for gate in gates:
        gate.opened.set()

    assert [await call for call in calls] == [[TextDelta(str(n)), DONE] for n in range(4)]
    assert (desk.gate.active, desk.gate.waiting) == (0, 0)


async def test_a_call_in_line_can_be_cancelled_and_leaves_its_place_to_the_next(
    made: list[Desk],
) -> None:
    desk = desk_of(made, concurrency=1)
    gate = Gate()
    desk.model.script([gate, DONE], [DONE])
    first, second, third = [await desk.begin() for _ in range(3)]

    second.cancel()
    await settled()
    assert second.cancelled()
    assert desk.gate.waiting == 1
    gate.opened.set()

    assert (await first, await third) == ([DONE], [DONE])
    assert len(desk.model.requests) == 2
    assert desk.gate.active == 0


async def test_a_call_that_is_cancelled_while_it_streams_gives_its_place_to_the_next(
    made: list[Desk],
) -> None:
    desk = desk_of(made, concurrency=1)
    desk.model.script([Gate(), DONE], [DONE])
    first, second = [await desk.begin() for _ in range(2)]

    first.cancel()

    assert await second == [DONE]
    assert desk.gate.active == 0


async def test_a_cancel_in_the_moment_of_admission_loses_no_place(made: list[Desk]) -> None:
    desk = desk_of(made, concurrency=1)
    gate = Gate()
    desk.model.script([gate, DONE], [DONE])
    first, second, third = [await desk.begin() for _ in range(3)]

    gate.opened.set()
    for _ in range(20):
        if desk.gate.waiting == 1:
            break
        await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([second])

    assert (await first, await third) == ([DONE], [DONE])
    assert desk.gate.active == 0


async def test_no_more_requests_than_allowed_go_out_within_any_minute(made: list[Desk]) -> None:
    desk = desk_of(made, per_minute=2)
    desk.model.script(*[[DONE]] * 5)
    await desk.begin()
    await desk.move(20)
    for _ in range(4):
        await desk.begin()

    assert len(desk.model.requests) == 2
    await desk.move(39.9)
    assert len(desk.model.requests) == 2
    await desk.move(0.2)
    assert len(desk.model.requests) == 3
    await desk.move(20)
    assert len(desk.model.requests) == 4
    await desk.move(40)
    assert len(desk.model.requests) == 5


async def test_a_pause_asked_of_one_call_is_kept_by_all_of_its_model_and_told(
    made: list[Desk],
) -> None:
    desk = desk_of(made)
    desk.model.script([told_to_wait(20)], [DONE], [DONE])
    first = await desk.begin()
    with pytest.raises(ModelError, match=r"Slow down\."):
        await first

    second = await desk.begin()
    other = await desk.begin(OTHER)
    assert await other == [DONE]
    assert not second.done()
    await desk.move(19)
    assert len(desk.model.requests) == 2
    await desk.move(1)

    told, waited, last = await second
    assert isinstance(told, RetryScheduled)
    assert (told.attempt, told.delay_s) == (1, 20)
    assert told.error.message == "openai asked not to be called for m1 again for 20 s more."
    assert waited == ModelNotice("Waited 20 s for a turn at openai, whose calls are limited.")
    assert last == DONE


async def test_a_retry_that_is_told_to_wait_has_the_others_wait_too(made: list[Desk]) -> None:
    desk = desk_of(made)
    gate = Gate()
    retry = RetryScheduled(attempt=2, delay_s=10, error=told_to_wait(10))
    desk.model.script([retry, gate, DONE], [DONE])
    first, second = await desk.begin(), await desk.begin()

    assert gate.reached.is_set()
    assert len(desk.model.requests) == 1
    await desk.move(10)
    gate.opened.set()

    assert await first == [retry, DONE]
    assert (await second)[-1] == DONE


async def test_a_pause_too_long_to_wait_for_fails_all_calls_of_the_model_at_once(
    made: list[Desk],
) -> None:
    desk = desk_of(made, concurrency=1)
    gate = Gate()
    retry = RetryScheduled(attempt=2, delay_s=60, error=told_to_wait(3600))
    desk.model.script([gate, retry, DONE], [DONE])
    first, second = await desk.begin(), await desk.begin()

    gate.opened.set()
    outcomes = await asyncio.gather(first, second, return_exceptions=True)

    errors = [each for each in outcomes if isinstance(each, ModelError)]
    assert [each.kind for each in errors] == [ModelErrorKind.RATE_LIMITED] * 2
    assert errors[0].message == "Slow down."
    assert errors[1].message == "openai asked not to be called for m1 again for 3600 s more."
    assert len(desk.model.requests) == 1
    assert desk.gate.active == 0


async def test_tries_within_a_call_count_for_the_minute(made: list[Desk]) -> None:
    desk = desk_of(made, per_minute=2)
    away = ModelError(ModelErrorKind.UNAVAILABLE, "Away.")
    retry = RetryScheduled(attempt=2, delay_s=0, error=away)
    desk.model.script([retry, DONE], [DONE])

    assert await (await desk.begin()) == [retry, DONE]
    second = await desk.begin()

    assert not second.done()
    await desk.move(60)
    assert (await second)[-1] == DONE


async def test_a_call_says_that_it_waits_and_when_its_turn_came(made: list[Desk]) -> None:
    desk, gate = desk_of(made, concurrency=1), Gate()
    desk.model.script([gate], [DONE])
    first = await desk.begin()
    told: list[ModelEvent] = []

    async def wait() -> None:
        async with aclosing(desk.client.stream(ASK)) as events:
            told.extend([event async for event in events])

    second = asyncio.create_task(wait())
    await settled()
    gate.opened.set()
    await second

    assert told == [InLine(is_over=False), InLine(is_over=True), DONE]
    assert await first == []


async def test_a_gate_without_bounds_lets_everything_through(made: list[Desk]) -> None:
    desk = desk_of(made)
    gates = [Gate() for _ in range(50)]
    desk.model.script(*[[gate, DONE] for gate in gates])

    for _ in gates:
        await desk.begin()

    assert (desk.gate.active, desk.gate.waiting) == (50, 0)
