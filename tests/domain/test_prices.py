"""What a model call costs."""

import pytest

from domain.models.ports import TokenUsage
from domain.models.prices import FREE, Price, Prices, Quote, Rates, dollars, list_price

MINI = Price(rates=Rates.per_million(0.4, 1.6, cached_input_usd=0.1))


def usage(given: int, written: int, **more: int) -> TokenUsage:
    return TokenUsage(input_tokens=given, output_tokens=written, **more)


def test_a_call_costs_its_tokens_of_each_sort_to_the_last_digit() -> None:
    price = Price(
        rates=Rates.per_million(3, 15, cached_input_usd=0.3, cache_write_usd=3.75),
    )

    cost = price.cost(usage(1000, 100, cached_tokens=500, cache_write_tokens=200))

    assert dollars(cost) == (300 * 3 + 500 * 0.3 + 200 * 3.75 + 100 * 15) / 1_000_000
    assert dollars(MINI.cost(usage(1, 0))) == 0.0000004


def test_a_million_small_calls_cost_a_million_times_as_much() -> None:
    one = MINI.cost(usage(7, 3, cached_tokens=2))

    assert dollars(one * 1_000_000) == 7.0


def test_caches_cost_what_input_costs_unless_they_are_priced() -> None:
    price = Price(rates=Rates.per_million(2, 8))

    assert price.cost(usage(100, 0, cached_tokens=40, cache_write_tokens=30)) == price.cost(
        usage(100, 0)
    )


def test_a_long_call_costs_the_long_rates_as_a_whole() -> None:
    price = Price(rates=Rates.per_million(1, 2), above=1000, long=Rates.per_million(2, 3))

    assert dollars(price.cost(usage(1000, 10))) == 0.00102
    assert dollars(price.cost(usage(1001, 10))) == 0.002032


@pytest.mark.parametrize(
    ("key", "rates"),
    [
        ("openai:gpt-4.1-mini", Rates.per_million(0.4, 1.6, cached_input_usd=0.1)),
        ("openai:gpt-4.1-mini-2025-04-14", Rates.per_million(0.4, 1.6, cached_input_usd=0.1)),
        (
            "anthropic:claude-haiku-4-5-20251001",
            Rates.per_million(1, 5, cached_input_usd=0.1, cache_write_usd=1.25),
        ),
        (
            "anthropic:claude-sonnet-4-5-latest",
            Rates.per_million(3, 15, cached_input_usd=0.3, cache_write_usd=3.75),
        ),
    ],
)
def test_the_list_knows_models_with_and_without_a_date(key: str, rates: Rates) -> None:
    found = list_price(key)

    assert found is not None
    assert found.rates == rates


@pytest.mark.parametrize("key", ["openai:gpt-4.1-mini-ft", "openai:gpt-5-audio", "openai:my-model"])
def test_a_name_that_only_begins_like_a_listed_one_has_no_price(key: str) -> None:
    assert list_price(key) is None


def test_what_the_operator_gives_goes_before_the_list_and_the_longest_start_counts() -> None:
    given = {
        "openai:gpt-4.1-mini": MINI,
        "openai:gpt-*": Price(rates=Rates.per_million(9, 9)),
        "openai:*": FREE,
    }
    prices = Prices(given, listed={"openai"})

    assert prices.of("openai", "gpt-4.1-mini") is given["openai:gpt-4.1-mini"]
    assert prices.of("openai", "gpt-4.1") is given["openai:gpt-*"]
    assert prices.of("openai", "o3") is FREE


def test_a_provider_that_is_not_asked_at_its_own_address_has_no_list_prices() -> None:
    assert Prices().of("openai", "gpt-4.1") is None
    assert Prices(listed={"openai"}).of("openai", "gpt-4.1") is not None
    assert Prices(listed={"openai"}).of("anthropic", "claude-opus-5") is None


def test_a_broker_asks_the_list_price_of_whom_it_names() -> None:
    prices = Prices(listed={"openai"})

    assert prices.of("providers", "openai:gpt-4.1") == list_price("openai:gpt-4.1")
    assert prices.of("providers", "groq:gpt-4.1") is None
    assert prices.of("openai", "openai:gpt-4.1") is None


def test_what_has_no_model_behind_it_is_free_and_so_is_what_the_house_runs() -> None:
    prices = Prices({"ollama:big": MINI}, free={"offline", "simulated", "ollama"})

    assert prices.of("offline", "offline") is FREE
    assert prices.of("ollama", "qwen3:8b") is FREE
    assert prices.of("ollama", "big") is MINI
    assert FREE.is_free
    assert not MINI.is_free


async def test_what_is_known_of_models_behind_the_broker_is_loaded_once_it_is_named() -> None:
    loaded: list[str] = []

    async def load() -> Quote:
        loaded.append("loaded")
        return {"groq:fast": MINI, "openai:odd": MINI, "openai-responses:odd": MINI}.get

    prices = Prices({"providers:groq:dear": FREE}, quotes=load)

    await prices.ready(["openai", "ollama"])
    assert (loaded, prices.of("providers", "groq:fast")) == ([], None)
    for _ in range(2):
        await prices.ready(["openai", "providers"])

    assert loaded == ["loaded"]
    assert prices.of("providers", "groq:fast") is MINI
    assert prices.of("providers", "groq:slow") is None
    assert prices.of("providers", "groq:dear") is FREE
    assert prices.of("groq", "fast") is None
    # OpenAI is not asked at its own address.
    assert prices.of("providers", "openai:odd") is None
    assert prices.of("providers", "openai-responses:odd") is None
