"""Prices of models behind `providers`: read from the table of its packages."""

from collections.abc import Mapping
from decimal import Decimal

import pytest
from genai_prices.types import Tier, TieredPrices

from app.adapters.model_prices_genai import GenaiQuotes, price_of
from domain.models.prices import Price, Rates, list_price
from tests.fakes import SteppedClock

NOVEMBER_US = 1_795_000_000_000_000
"""A moment in November 2026, of which our own list is."""
ONE, TWO = Decimal(1), Decimal("2.5")
LONG_ONE = TieredPrices(base=ONE, tiers=[Tier(start=1000, price=TWO)])


@pytest.mark.parametrize(
    "model", ["openai:gpt-4.1-mini", "openai:gpt-5.5", "anthropic:claude-haiku-4-5"]
)
async def test_the_table_and_our_own_agree(model: str) -> None:
    quote = await GenaiQuotes(SteppedClock(NOVEMBER_US))()

    assert quote(model) == list_price(model)


async def test_models_and_providers_that_the_table_lacks_have_no_price() -> None:
    quote = await GenaiQuotes(SteppedClock(NOVEMBER_US))()

    assert quote("groq:no-such-model") is None
    assert quote("nowhere:llama") is None
    assert quote("llama") is None


def test_an_entry_is_a_price_with_caches_and_rates_of_long_calls() -> None:
    entry = {"input_mtok": LONG_ONE, "output_mtok": TWO, "cache_read_mtok": Decimal("0.1")}

    assert price_of(entry) == Price(
        rates=Rates.per_million(1, 2.5, cached_input_usd=0.1),
        above=1000,
        long=Rates.per_million(2.5, 2.5, cached_input_usd=0.1),
    )


@pytest.mark.parametrize(
    "entry",
    [
        {"input_mtok": ONE},
        {"output_mtok": ONE},
        {"input_mtok": ONE, "output_mtok": ONE, "requests_kcount": ONE},
        {
            "input_mtok": LONG_ONE,
            "output_mtok": TieredPrices(base=ONE, tiers=[Tier(start=500, price=TWO)]),
        },
    ],
    ids=["no output", "no input", "each request", "two steps"],
)
def test_an_entry_that_asks_for_more_than_tokens_is_no_price(entry: Mapping[str, object]) -> None:
    assert price_of(entry) is None
