"""What a model call costs. Counted in whole pico-dollars, so that sums are exact."""

import re
from collections.abc import Awaitable, Callable, Container, Iterable, Mapping
from dataclasses import dataclass

from domain.models.ports import TokenUsage
from domain.models.price_table import LIST_PRICES, LONG_PRICES, ListPrice

PICO = 1_000_000_000_000
"""Pico-dollars of a US dollar."""
FREE_PROVIDERS = frozenset({"offline", "simulated"})
"""Providers with no language model behind them."""
LISTED_PROVIDERS = frozenset(key.partition(":")[0] for key in LIST_PRICES)
BROKER = "providers"
"""Provider whose model names say which provider is behind them, such as `openai:gpt-5`."""

_PER_MILLION = PICO // 1_000_000
_DATED = re.compile(r"-(?:latest|\d{8}|\d{4}-\d{2}-\d{2})$")
_MOST_KNOWN = 1024


def dollars(pico_usd: int) -> float:
    """US dollars of an amount of pico-dollars."""
    return pico_usd / PICO


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Pico-dollars for one token of each sort."""

    input: int
    cached_input: int
    cache_write: int
    output: int

    @classmethod
    def per_million(
        cls,
        input_usd: float,
        output_usd: float,
        *,
        cached_input_usd: float | None = None,
        cache_write_usd: float | None = None,
    ) -> "Rates":
        """Take US dollars for a million tokens; caches cost what input costs unless priced."""
        cached = input_usd if cached_input_usd is None else cached_input_usd
        written = input_usd if cache_write_usd is None else cache_write_usd
        return cls(
            input=round(input_usd * _PER_MILLION),
            cached_input=round(cached * _PER_MILLION),
            cache_write=round(written * _PER_MILLION),
            output=round(output_usd * _PER_MILLION),
        )

    def cost(self, usage: TokenUsage) -> int:
        """Pico-dollars of a call; cached and written tokens are part of its input."""
        fresh = usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens
        return (
            max(0, fresh) * self.input
            + usage.cached_tokens * self.cached_input
            + usage.cache_write_tokens * self.cache_write
            + usage.output_tokens * self.output
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a model asks; `above` so many tokens of input, a whole call costs the `long` rates."""

    rates: Rates
    above: int | None = None
    long: Rates | None = None

    @property
    def is_free(self) -> bool:
        """True when no call costs anything."""
        rates = self.rates
        asked = rates.input or rates.cached_input or rates.cache_write or rates.output
        return not asked and self.long is None

    def cost(self, usage: TokenUsage) -> int:
        """Pico-dollars of a call."""
        if self.long is not None and self.above is not None and usage.input_tokens > self.above:
            return self.long.cost(usage)
        return self.rates.cost(usage)


FREE = Price(rates=Rates(input=0, cached_input=0, cache_write=0, output=0))


Quote = Callable[[str], Price | None]
"""What a model behind the broker asks, by its name there; None when it is not known."""


class Prices:
    """Prices by model: those given first, then the list prices of providers that ask them.

    `given` goes by `provider:name`; a name that ends in `*` stands for all that begin like it,
    and the longest that fits counts. `quotes` loads what is known of models behind the broker.
    """

    def __init__(
        self,
        given: Mapping[str, Price] | None = None,
        *,
        listed: Container[str] = frozenset(),
        free: Container[str] = FREE_PROVIDERS,
        quotes: Callable[[], Awaitable[Quote]] | None = None,
    ) -> None:
        self._given = given or {}
        self._listed = listed
        self._free = free
        self._quotes = quotes
        self._quote: Quote | None = None
        starts = (key[:-1] for key in self._given if key.endswith("*"))
        self._starts = sorted(starts, key=len, reverse=True)
        self._known: dict[tuple[str, str], Price | None] = {}

    async def ready(self, providers: Iterable[str]) -> None:
        """Load what it takes to price these providers; to be called before `of`."""
        if self._quote is None and self._quotes is not None and BROKER in providers:
            self._quote = await self._quotes()
            self._known.clear()

    def of(self, provider: str, name: str) -> Price | None:
        """What a model asks; None when nobody knows."""
        key = (provider, name)
        if key not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[key] = self._find(provider, name)
        return self._known[key]

    def _find(self, provider: str, name: str) -> Price | None:
        whole = f"{provider}:{name}"
        given = self._given.get(whole)
        if given is not None:
            return given
        for start in self._starts:
            if whole.startswith(start):
                return self._given[f"{start}*"]
        if provider in self._free:
            return FREE
        if provider == BROKER:
            return self._behind_broker(name)
        return list_price(whole) if provider in self._listed else None

    def _behind_broker(self, name: str) -> Price | None:
        prefix, _, model = name.partition(":")
        # A provider may have several prefixes: `openai` and `openai-responses`.
        provider = prefix.partition("-")[0]
        if provider in LISTED_PROVIDERS and provider not in self._listed:
            return None
        return list_price(f"{provider}:{model}") or (self._quote(name) if self._quote else None)


def list_price(key: str) -> Price | None:
    """What the table says of `provider:name`, with or without the date of a snapshot."""
    listed = LIST_PRICES.get(key)
    if listed is None:
        key = _DATED.sub("", key)
        listed = LIST_PRICES.get(key)
    if listed is None:
        return None
    if key not in LONG_PRICES:
        return Price(rates=_rates(listed))
    above, long = LONG_PRICES[key]
    return Price(rates=_rates(listed), above=above, long=_rates(long))


def _rates(listed: ListPrice) -> Rates:
    fresh, cached, written, output = listed
    return Rates.per_million(fresh, output, cached_input_usd=cached, cache_write_usd=written)
