"""Prices of models behind `providers`, from the table that comes with its packages."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

from domain.kernel.ports import Clock
from domain.models.prices import Price, Quote, Rates

_SORTS = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok")


class GenaiQuotes:
    """Loads the table in a thread, since that takes 0.2 s; without the packages, no price."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def __call__(self) -> Quote:
        """Prices as they are at the moment of each question."""
        return await asyncio.to_thread(self._load)

    def _load(self) -> Quote:
        try:
            from genai_prices.data_snapshot import get_snapshot
        except ImportError:
            return lambda _: None
        snapshot = get_snapshot()

        def quote(model: str) -> Price | None:
            prefix, _, name = model.partition(":")
            try:
                _, found = snapshot.find_provider_model(name, None, prefix, None)
            except LookupError:
                return None
            now = datetime.fromtimestamp(self._clock.now_us() / 1_000_000, UTC)
            return price_of(vars(found.get_prices(now)))

        return quote


def price_of(asked: Mapping[str, object]) -> Price | None:
    """The price that an entry of the table stands for.

    None where it asks for more than tokens of text, or changes its rates more than once.
    """
    sorts = [asked.get(sort) for sort in _SORTS]
    steps = {step for sort in sorts for step, _ in _long(sort)}
    if asked.get("requests_kcount") is not None or len(steps) > 1:
        return None
    rates = _rates([_base(sort) for sort in sorts])
    if rates is None or not steps:
        return None if rates is None else Price(rates=rates)
    beyond = [next((amount for _, amount in _long(sort)), _base(sort)) for sort in sorts]
    return Price(rates=rates, above=steps.pop(), long=_rates(beyond))


def _base(amount: object) -> float | None:
    """Dollars for a million tokens, of short calls where long ones cost more."""
    amount = getattr(amount, "base", amount)
    return float(amount) if isinstance(amount, Decimal) else None


def _long(amount: object) -> list[tuple[int, float]]:
    """Tokens of input above which a call costs other rates, and those."""
    return [(tier.start, float(tier.price)) for tier in getattr(amount, "tiers", ())]


def _rates(amounts: list[float | None]) -> Rates | None:
    given, written, read, kept = amounts
    if given is None or written is None:
        return None
    return Rates.per_million(given, written, cached_input_usd=read, cache_write_usd=kept)
