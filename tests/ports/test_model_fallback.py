"""Fallbacks and shared pauses over real sockets: two providers, runs in between."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import Any

import pytest

from app.adapters.model_http import RetryPolicy
from app.adapters.model_openai import OpenAIModelClient
from domain.kernel.database import Database
from domain.kernel.ports import Clock
from domain.models.limits import GatedModelClient, ProviderGate, ProviderLimits
from domain.models.prices import Price, Prices, Rates, dollars
from domain.runs.runner import Runner
from tests.ports.acts import Cut, Done, Finish, Hang, Say, Usage
from tests.ports.scripted_openai import ScriptedOpenAI
from tests.run_world import RunWorld, run_world

FIRST = {"provider": "one", "name": "m1"}
SECOND = {"provider": "two", "name": "m2"}
PRICE = Price(rates=Rates.per_million(1, 2))


@dataclass(kw_only=True)
class Providers:
    """Two providers behind sockets, and a world whose careful agent asks one after the other."""

    one: ScriptedOpenAI
    two: ScriptedOpenAI
    world: RunWorld
    released: asyncio.Event
    """Set while tries again need not wait."""

    async def begin(self, runner: Runner) -> str:
        """Have a process work on a new run."""
        run_id = await self.world.accept(agent={"slug": "careful"})
        await runner.execute(run_id)
        return run_id

    async def end(self, runner: Runner, run_id: str) -> Any:
        """Wait for a run's end; its row."""
        held = runner.held(run_id)
        if held is not None:
            async with asyncio.timeout(20):
                await held.done.wait()
        return await self.world.row(run_id)

    async def retrying(self, run_id: str) -> dict[str, Any]:
        """Wait for the first Retrying of a run; its data."""
        service = self.world.service(None)
        async with asyncio.timeout(20):
            async with aclosing(service.stream(self.world.principal, run_id)) as events:
                async for event in events:
                    if getattr(event, "type", "") == "Retrying":
                        return event.data  # type: ignore[union-attr]
        raise AssertionError("no Retrying came")


def gated(
    provider: ScriptedOpenAI, name: str, clock: Clock, released: asyncio.Event
) -> GatedModelClient:
    async def sleep(_: float) -> None:
        await released.wait()

    retries = RetryPolicy(max_attempts=2, sleep=sleep)
    client = OpenAIModelClient(base_url=provider.base_url, name=name, retries=retries)
    return GatedModelClient(client, ProviderGate(name, ProviderLimits(), clock))


@pytest.fixture
async def providers(database: Database) -> AsyncGenerator[Providers, None]:
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(run_world(database))
        one, two = [await stack.enter_async_context(ScriptedOpenAI()) for _ in range(2)]
        released = asyncio.Event()
        released.set()
        world.others += [
            gated(one, "one", world.clock, released),
            gated(two, "two", world.clock, released),
        ]
        for client in world.others:
            stack.push_async_callback(client.aclose)
        world.prices = Prices({"one:m1": PRICE, "two:m2": PRICE})
        await world.agents.create(
            world.principal, {"name": "Careful", "model": FIRST, "fallbackModels": [SECOND]}
        )
        yield Providers(one=one, two=two, world=world, released=released)


async def test_a_stream_that_is_cut_is_voided_and_the_other_provider_answers(
    providers: Providers,
) -> None:
    providers.one.script(Say("Half ", "an "), Cut())
    providers.two.script(Say("All ", "of it"), Finish(), Usage(input_tokens=7), Done())

    async with providers.world.process() as runner:
        run_id = await providers.begin(runner)
        row = await providers.end(runner, run_id)

    first, second = await providers.world.steps(run_id)
    told = await providers.retrying(run_id)
    assert (row.status, row.output) == ("SUCCEEDED", "All of it")
    assert (first.provider, first.text, first.error_code) == (
        "one",
        "Half an ",
        "MODEL_BAD_RESPONSE",
    )
    assert (second.provider, second.status, second.text) == ("two", "SUCCEEDED", "All of it")
    assert told["voidedStepId"] == first.id
    assert told["error"]["message"].endswith("; goes on with two:m2.")
    assert bool(row.cost_known) is False
    assert len(providers.one.requests) == 1


async def test_a_provider_that_turns_everything_away_is_tried_again_and_then_left(
    providers: Providers,
) -> None:
    providers.one.fail(500)
    providers.one.fail(503)
    providers.two.script(Say("here"), Finish(), Usage(input_tokens=7, output_tokens=3), Done())

    async with providers.world.process() as runner:
        run_id = await providers.begin(runner)
        row = await providers.end(runner, run_id)

    events = await providers.world.events(run_id)
    retries = [event.data for event in events if event.type == "Retrying"]
    assert [(told["attempt"], told["voidedStepId"]) for told in retries] == [(2, None), (3, None)]
    assert (row.status, row.output, row.model_calls) == ("SUCCEEDED", "here", 2)
    assert (dollars(row.cost_pico_usd), bool(row.cost_known)) == (0.000013, True)
    assert (len(providers.one.requests), len(providers.two.requests)) == (2, 1)


async def test_a_pause_that_one_run_is_asked_for_is_kept_by_the_others(
    providers: Providers,
) -> None:
    providers.released.clear()
    providers.one.fail(429, headers={"retry-after": "20"})
    providers.one.answer("first")
    providers.one.answer("second")

    async with providers.world.process() as runner:
        first = await providers.begin(runner)
        told = await providers.retrying(first)
        second = await providers.begin(runner)
        told_other = await providers.retrying(second)
        asked_meanwhile = len(providers.one.requests)
        providers.world.clock.move(20)
        providers.released.set()
        rows = [await providers.end(runner, run_id) for run_id in (first, second)]

    assert (told["attempt"], told["delayMs"]) == (2, 20_000)
    assert (told_other["attempt"], told_other["delayMs"]) == (1, 20_000)
    assert told_other["error"]["message"] == (
        "one asked not to be called for m1 again for 20 s more."
    )
    assert asked_meanwhile == 1
    assert {row.output for row in rows} == {"first", "second"}
    assert providers.two.requests == []


async def test_a_cancel_closes_the_connection_of_the_fallback(providers: Providers) -> None:
    providers.one.fail(401)
    providers.two.script(Say("half"), Hang())

    async with providers.world.process() as runner:
        run_id = await providers.begin(runner)
        request = await providers.two.received(1)
        row = await providers.world.service(runner).cancel(providers.world.principal, run_id, None)
        async with asyncio.timeout(5):
            await request.disconnected.wait()

    assert row.status == "CANCELLED"
