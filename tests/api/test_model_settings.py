"""What an operator says of models: prices, how hard a provider is pressed, and who is there."""

import json
from pathlib import Path

import pytest

from app.model_clients import model_clients, model_prices, provider_limits
from app.settings import Settings, SettingsError, load_settings
from domain.kernel.errors import ProviderUnavailable
from domain.models.limits import GatedModelClient, ProviderLimits
from domain.models.prices import FREE, Price, Rates, list_price

NO_FILE = Path("/dev/null")
MINE = {"openai:mine": {"input": 1, "output": 2.5, "cachedInput": 0.1, "cacheWrite": 1.25}}
PRICE = Price(rates=Rates.per_million(1, 2.5, cached_input_usd=0.1, cache_write_usd=1.25))


def load(**environ: str) -> Settings:
    return load_settings(environ, NO_FILE)


def refusal(**environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(**environ)
    return str(caught.value)


def test_prices_are_read_from_the_setting_itself_or_from_the_file_it_names(tmp_path: Path) -> None:
    file = tmp_path / "prices.json"
    file.write_text(json.dumps(MINE))

    for given in (json.dumps(MINE), str(file)):
        prices = model_prices(load(MODEL_PRICES=given))
        assert prices.of("openai", "mine") == PRICE


def test_list_prices_hold_only_where_the_providers_own_address_is_asked() -> None:
    own = model_prices(load())
    other = model_prices(
        load(OPENAI_BASE_URL="http://localhost:1/v1", ANTHROPIC_BASE_URL="http://localhost:1")
    )

    assert own.of("openai", "gpt-4.1-mini") == list_price("openai:gpt-4.1-mini")
    assert own.of("anthropic", "claude-haiku-4-5") == list_price("anthropic:claude-haiku-4-5")
    assert other.of("openai", "gpt-4.1-mini") is None
    assert other.of("anthropic", "claude-haiku-4-5") is None
    assert own.of("ollama", "qwen3") is FREE


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ('{"a', "MODEL_PRICES is no JSON: "),
        ("/nowhere/prices.json", "MODEL_PRICES names the file /nowhere/prices.json, which cannot"),
        (
            '{"mine": {"input": 1, "output": 2}}',
            "MODEL_PRICES has the entry 'mine'; name it provider:model, such as openai:gpt-5.",
        ),
        (
            '{"openai:mine": 3}',
            'MODEL_PRICES entry openai:mine: should be an object such as {"input": 1,',
        ),
        ('{"openai:mine": {"input": 1}}', "MODEL_PRICES entry openai:mine: output is missing."),
        (
            '{"openai:mine": {"input": 1, "output": 2, "cached": 1}}',
            "MODEL_PRICES entry openai:mine: cached is not known; use input, output, cachedInput,",
        ),
        (
            '{"openai:mine": {"input": "1", "output": 2}}',
            'MODEL_PRICES entry openai:mine: input is "1"; it should be US dollars for a million',
        ),
        (
            '{"openai:mine": {"input": 1, "output": -2}}',
            "MODEL_PRICES entry openai:mine: output is -2; it should be US dollars for a million",
        ),
        (
            '{"openai:mine": {"input": NaN, "output": 2}}',
            "MODEL_PRICES entry openai:mine: input is NaN; it should be US dollars for a million",
        ),
    ],
)
def test_a_bad_price_stops_the_start_with_the_name_of_its_entry(given: str, message: str) -> None:
    assert refusal(MODEL_PRICES=given).startswith(message)


@pytest.mark.parametrize(
    ("concurrency", "per_minute", "openai", "ollama"),
    [
        ("", "", ProviderLimits(), ProviderLimits(concurrency=1)),
        ("16", "", ProviderLimits(concurrency=16), ProviderLimits(concurrency=16)),
        ("openai=8", "", ProviderLimits(concurrency=8), ProviderLimits(concurrency=1)),
        (
            "16, ollama = 2",
            "openai=500",
            ProviderLimits(concurrency=16, per_minute=500),
            ProviderLimits(concurrency=2),
        ),
    ],
)
def test_limits_are_one_number_for_all_or_one_for_each_provider(
    concurrency: str, per_minute: str, openai: ProviderLimits, ollama: ProviderLimits
) -> None:
    settings = load(MODEL_CONCURRENCY=concurrency, MODEL_REQUESTS_PER_MINUTE=per_minute)

    assert provider_limits("openai", settings) == openai
    assert provider_limits("ollama", settings) == ollama


@pytest.mark.parametrize("given", ["0", "many", "openia=3", "openai=", "openai=1,openai=2", "-1"])
def test_a_bad_limit_stops_the_start(given: str) -> None:
    assert refusal(MODEL_CONCURRENCY=given) == (
        f"MODEL_CONCURRENCY is '{given}'; it should be numbers from 1 to 10000 such as 16 or"
        " openai=16,ollama=2."
    )


async def test_what_is_not_set_up_is_refused_with_what_it_takes() -> None:
    providers = model_clients(load())

    with pytest.raises(ProviderUnavailable) as refused:
        providers.resolve("anthropic", "claude-haiku-4-5")

    assert refused.value.message == (
        "The model provider 'anthropic' is not set up here: set ANTHROPIC_API_KEY,"
        " or ANTHROPIC_BASE_URL of a server that takes none."
    )
    assert providers.names == ("offline", "simulated")


async def test_only_what_may_be_pressed_too_hard_has_a_gate() -> None:
    providers = model_clients(load(OPENAI_API_KEY="sk-1"))

    assert isinstance(providers.resolve("openai", "gpt"), GatedModelClient)
    assert not isinstance(providers.resolve("offline", "offline"), GatedModelClient)
    await providers.aclose()


@pytest.mark.parametrize("key", ["sk-one\nsk-two", "“sk-quoted”", "sk-\x7fone"], ids=ascii)
@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GROQ_API_KEY"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(name: str, key: str) -> None:
    message = refusal(**{name: key})

    assert message == f"{name} is (hidden); it should be a key of plain letters, digits and signs."


def test_passwords_in_the_addresses_of_models_are_secrets() -> None:
    settings = load(
        OPENAI_BASE_URL="https://me:hunter%4022@gateway.test/v1",
        OLLAMA_BASE_URL="http://me:other22@localhost:11434",
    )

    assert settings.secret_values() == ("hunter%4022", "hunter@22", "other22")
    assert "hunter" not in repr(settings)
    assert "other22" not in repr(settings)
