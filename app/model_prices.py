"""Prices that an operator gives: a JSON object, inline or in a file, checked entry by entry."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from domain.models.prices import Price, Rates

_KEYS = ("input", "output", "cachedInput", "cacheWrite")
_HIGHEST = 1_000_000.0


class BadPrices(Exception):
    """What is wrong with the prices, naming the entry."""


def read_prices(given: str) -> Mapping[str, Price]:
    """Prices by `provider:model` from JSON text or the file it names. Raises BadPrices."""
    if not given:
        return {}
    text = given if given.startswith("{") else _written(Path(given))
    try:
        entries: object = json.loads(text)
    except ValueError as error:
        raise BadPrices(f"is no JSON: {error}") from error
    if not isinstance(entries, dict):
        raise BadPrices("should be a JSON object with an entry for each model")
    found = cast("Mapping[str, Any]", entries)
    return {key: _price(key, value) for key, value in found.items()}


def _written(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadPrices(f"names the file {path}, which cannot be read: {error}") from error


def _price(key: str, value: object) -> Price:
    provider, colon, name = key.partition(":")
    if not (provider.strip() and colon and name.strip()):
        raise BadPrices(f"has the entry {key!r}; name it provider:model, such as openai:gpt-5")
    if not isinstance(value, dict):
        raise BadPrices(f'entry {key}: should be an object such as {{"input": 1, "output": 2}}')
    entry = cast("Mapping[str, Any]", value)
    unknown = [name for name in entry if name not in _KEYS]
    if unknown:
        raise BadPrices(f"entry {key}: {unknown[0]} is not known; use {', '.join(_KEYS)}")
    for needed in ("input", "output"):
        if needed not in entry:
            raise BadPrices(f"entry {key}: {needed} is missing")
    amounts = {name: _amount(key, name, amount) for name, amount in entry.items()}
    return Price(
        rates=Rates.per_million(
            amounts["input"],
            amounts["output"],
            cached_input_usd=amounts.get("cachedInput"),
            cache_write_usd=amounts.get("cacheWrite"),
        )
    )


def _amount(key: str, name: str, amount: object) -> float:
    is_number = isinstance(amount, int | float) and not isinstance(amount, bool)
    if is_number and 0 <= cast("float", amount) <= _HIGHEST:
        return float(cast("float", amount))
    raise BadPrices(
        f"entry {key}: {name} is {json.dumps(amount)}; it should be US dollars for a million"
        " tokens, a number from 0 to 1000000"
    )
