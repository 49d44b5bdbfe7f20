"""What runs cost: counted with each model call, told with it, and bounded by maxCostUsd."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from domain.kernel.database import Database, Statement
from domain.kernel.errors import ValidationFailed
from domain.models.ports import (
    Finished,
    FinishReason,
    ModelError,
    ModelErrorKind,
    TextDelta,
    TokenUsage,
)
from domain.models.prices import FREE, Price, Prices, Rates, dollars
from tests.fakes import Act, Gate, ScriptedModel, call, say
from tests.run_world import RunWorld, run_world

PRICED = Price(rates=Rates.per_million(2, 10, cached_input_usd=1))
NO_PRICE = (
    "No price is known for scripted:odd, so a limit in money cannot be kept;"
    " add the price to MODEL_PRICES or leave maxCostUsd out."
)


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[RunWorld, None]:
    """A world whose model has a price, on each database."""
    async with run_world(database) as built:
        built.prices = Prices({"scripted:m1": PRICED, "scripted:own": FREE})
        yield built


async def run_off(world: RunWorld, run_id: str) -> Any:
    async with world.process() as runner:
        return await world.work_off(runner, run_id)


async def costs_told(world: RunWorld, run_id: str) -> list[tuple[str, float | None]]:
    events = await world.events(run_id)
    return [(each.type, each.data["usage"]["costUsd"]) for each in events if "usage" in each.data]


def ends(given: int, written: int, *, cached: int = 0) -> list[Act]:
    usage = TokenUsage(input_tokens=given, output_tokens=written, cached_tokens=cached)
    return [usage, Finished(FinishReason.STOP)]


async def test_a_run_costs_what_its_model_calls_cost(world: RunWorld) -> None:
    world.model.script(call("note", '{"text": "x"}'), [TextDelta("ok"), *ends(100, 20, cached=40)])
    run_id = await world.accept()

    row = await run_off(world, run_id)

    first, second = (5 * 2 + 1 * 10) / 1e6, (60 * 2 + 40 * 1 + 20 * 10) / 1e6
    assert (dollars(row.cost_pico_usd), bool(row.cost_known)) == (0.00038, True)
    assert await costs_told(world, run_id) == [
        ("UsageUpdated", first),
        ("UsageUpdated", 0.00038),
        ("RunFinished", 0.00038),
    ]
    steps = await world.steps(run_id)
    assert [step.usage and step.usage["costUsd"] for step in steps] == [first, None, second]


async def test_one_call_of_an_unknown_price_makes_the_price_of_a_run_unknown(
    world: RunWorld,
) -> None:
    world.model.script([ModelError(ModelErrorKind.TIMEOUT, "Too slow.")], say("ok"))
    await world.agents.create(
        world.principal,
        {"name": "Two", "fallbackModels": [{"provider": "scripted", "name": "odd"}]},
    )
    run_id = await world.accept(agent={"slug": "two"})

    row = await run_off(world, run_id)

    assert (row.status, bool(row.cost_known)) == ("SUCCEEDED", False)
    assert await costs_told(world, run_id) == [
        ("UsageUpdated", None),
        ("UsageUpdated", None),
        ("RunFinished", None),
    ]


async def test_a_provider_that_tells_no_usage_leaves_the_price_unknown(world: RunWorld) -> None:
    world.model.script([TextDelta("ok"), Finished(FinishReason.STOP)])

    row = await run_off(world, await world.accept())

    assert (row.status, bool(row.cost_known)) == ("SUCCEEDED", False)


async def test_a_call_that_was_turned_away_costs_nothing(world: RunWorld) -> None:
    kinds = [ModelErrorKind.RATE_LIMITED, ModelErrorKind.UNAVAILABLE, ModelErrorKind.UNAUTHORIZED]
    world.model.script(*[[ModelError(kind, "No.")] for kind in kinds])

    rows = [await run_off(world, await world.accept()) for _ in kinds]

    for row in rows:
        assert (row.status, row.model_calls) == ("FAILED", 1)
        assert (row.cost_pico_usd, bool(row.cost_known), bool(row.offline)) == (0, True, False)


async def test_nobody_knows_what_a_call_that_broke_off_costs(world: RunWorld) -> None:
    world.model.script(
        [ModelError(ModelErrorKind.TIMEOUT, "Too slow.")],
        [TextDelta("half"), ModelError(ModelErrorKind.UNAVAILABLE, "Gone.")],
        [TextDelta("half")],
    )

    rows = [await run_off(world, await world.accept()) for _ in range(3)]

    for row in rows:
        assert (row.status, row.model_calls, bool(row.cost_known)) == ("FAILED", 1, False)


async def test_a_call_that_was_cut_off_at_a_free_model_costs_nothing(world: RunWorld) -> None:
    world.model.script([TextDelta("half"), ModelError(ModelErrorKind.UNAVAILABLE, "Gone.")])
    run_id = await world.accept(model={"provider": "scripted", "name": "own"})

    row = await run_off(world, run_id)

    assert (row.cost_pico_usd, bool(row.cost_known), bool(row.offline)) == (0, True, False)


async def test_a_whole_answer_that_is_not_taken_is_paid_for(world: RunWorld) -> None:
    usage = TokenUsage(input_tokens=10, output_tokens=4)
    world.model.script([TextDelta("long"), usage, Finished(FinishReason.LENGTH)])
    run_id = await world.accept()

    row = await run_off(world, run_id)

    assert (row.status, row.output_tokens) == ("FAILED", 4)
    assert (dollars(row.cost_pico_usd), bool(row.cost_known)) == (0.00006, True)
    step = (await world.steps(run_id))[0]
    assert step.usage is not None
    assert (step.usage["outputTokens"], step.usage["costUsd"]) == (4, 0.00006)


async def test_a_call_that_was_lost_with_its_worker_counts_and_its_price_is_unknown(
    world: RunWorld,
) -> None:
    gate = Gate()
    world.model.script([TextDelta("lost"), gate], say("kept"))
    async with world.process(stalled=True) as first, world.process() as second:
        run_id = await world.accept()
        await first.execute(run_id)
        await gate.reached.wait()
        world.clock.move(60)
        await world.database.write(
            [Statement("UPDATE run SET lease_until = 1 WHERE id = $1", (run_id,))]
        )

        row = await world.work_off(second, run_id)

    assert (row.status, row.model_calls, bool(row.cost_known)) == ("SUCCEEDED", 2, False)


async def test_a_run_ends_when_its_money_is_used_up(world: RunWorld) -> None:
    world.model.script(call("note", '{"text": "x"}'), say("never"))
    run_id = await world.accept(limits={"maxCostUsd": 0.00002})

    row = await run_off(world, run_id)

    assert (row.status, row.error_code, world.effects.done) == ("FAILED", "LIMIT_REACHED", [])
    assert row.error_message == (
        "The run spent 0.00002 of its 0.00002 US dollars (maxCostUsd)."
        " Raise the limit, or ask for less at once."
    )


async def test_a_run_below_its_limit_goes_on(world: RunWorld) -> None:
    world.model.script(call("note", '{"text": "x"}'), say("done"))

    row = await run_off(world, await world.accept(limits={"maxCostUsd": 0.000021}))

    assert (row.status, row.output) == ("SUCCEEDED", "done")


async def test_a_limit_in_money_needs_a_price_for_every_model_that_may_be_asked(
    world: RunWorld,
) -> None:
    odd = {"provider": "scripted", "name": "odd"}
    await world.agents.create(
        world.principal, {"name": "Two", "fallbackModels": [odd], "limits": {"maxCostUsd": 1}}
    )

    with pytest.raises(ValidationFailed) as own:
        await world.accept(model=odd, limits={"maxCostUsd": 1})
    with pytest.raises(ValidationFailed) as agents:
        await world.accept(agent={"slug": "two"})

    assert own.value.problems[0].path == ("limits", "maxCostUsd")
    assert own.value.problems[0].message == NO_PRICE
    assert agents.value.problems[0].path == ("agent",)
    assert await world.database.fetch("SELECT count(*) FROM run") == [(0,)]


async def test_a_run_whose_price_got_lost_since_ends_before_it_spends(world: RunWorld) -> None:
    run_id = await world.accept(limits={"maxCostUsd": 1})
    world.prices = Prices()

    row = await run_off(world, run_id)

    assert (row.status, row.error_code) == ("FAILED", "LIMIT_REACHED")
    assert row.error_message == NO_PRICE.replace(":odd", ":m1")
    assert world.model.requests == []


async def test_a_run_of_two_providers_is_offline_only_if_both_are(world: RunWorld) -> None:
    offline = ScriptedModel("offline")
    offline.script([TextDelta("ok"), Finished(FinishReason.STOP, offline=True)])
    world.others.append(offline)
    world.model.script([ModelError(ModelErrorKind.UNAVAILABLE, "Away.")])
    await world.agents.create(
        world.principal,
        {"name": "Two", "fallbackModels": [{"provider": "offline", "name": "offline"}]},
    )

    row = await run_off(world, await world.accept(agent={"slug": "two"}))

    assert (row.status, bool(row.offline), bool(row.cost_known)) == ("SUCCEEDED", False, True)
