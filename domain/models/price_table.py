"""What providers ask for their models: list prices in US dollars for a million tokens.

As they were in November 2026, of text models; batch, priority and regional prices are left out.
MODEL_PRICES adds to this table and goes before it.
"""

from collections.abc import Mapping

ListPrice = tuple[float, float, float, float]
"""Input, input read from a cache, input written to a cache, output."""

LongPrice = tuple[int, ListPrice]
"""Tokens of input above which a whole call costs other prices, and those."""

_GPT_LONG = 272_000

LIST_PRICES: Mapping[str, ListPrice] = {
    "anthropic:claude-3-5-haiku": (0.8, 0.08, 1, 4),
    "anthropic:claude-3-7-sonnet": (3, 0.3, 3.75, 15),
    "anthropic:claude-fable-5": (10, 1, 12.5, 50),
    "anthropic:claude-fable-5-1": (10, 0.25, 12.5, 50),
    "anthropic:claude-fable-5-2": (8, 0.2, 10, 40),
    "anthropic:claude-haiku-4-5": (1, 0.1, 1.25, 5),
    "anthropic:claude-haiku-5-5": (0.1, 0.01, 0.125, 0.5),
    "anthropic:claude-opus-4": (15, 1.5, 18.75, 75),
    "anthropic:claude-opus-4-0": (15, 1.5, 18.75, 75),
    "anthropic:claude-opus-4-1": (15, 1.5, 18.75, 75),
    "anthropic:claude-opus-4-5": (5, 0.5, 6.25, 25),
    "anthropic:claude-opus-4-6": (5, 0.5, 6.25, 25),
    "anthropic:claude-opus-4-7": (5, 0.5, 6.25, 25),
    "anthropic:claude-opus-4-8": (5, 0.5, 6.25, 25),
    "anthropic:claude-opus-5": (5, 0.5, 6.25, 25),
    "anthropic:claude-opus-5-5": (4, 0.2, 5, 20),
    "anthropic:claude-sonnet-4": (3, 0.3, 3.75, 15),
    "anthropic:claude-sonnet-4-0": (3, 0.3, 3.75, 15),
    "anthropic:claude-sonnet-4-5": (3, 0.3, 3.75, 15),
    "anthropic:claude-sonnet-4-6": (3, 0.3, 3.75, 15),
    "anthropic:claude-sonnet-5": (2, 0.2, 2.5, 10),
    "anthropic:claude-sonnet-5-5": (2, 0.1, 2.5, 10),
    "openai:gpt-3.5-turbo": (0.5, 0.5, 0.5, 1.5),
    "openai:gpt-4-turbo": (10, 10, 10, 30),
    "openai:gpt-4.1": (2, 0.5, 2, 8),
    "openai:gpt-4.1-mini": (0.4, 0.1, 0.4, 1.6),
    "openai:gpt-4.1-nano": (0.1, 0.025, 0.1, 0.4),
    "openai:gpt-4o": (2.5, 1.25, 2.5, 10),
    "openai:gpt-4o-2024-05-13": (5, 5, 5, 15),
    "openai:gpt-4o-mini": (0.15, 0.075, 0.15, 0.6),
    "openai:gpt-5": (1.25, 0.125, 1.25, 10),
    "openai:gpt-5-mini": (0.25, 0.025, 0.25, 2),
    "openai:gpt-5-nano": (0.05, 0.005, 0.05, 0.4),
    "openai:gpt-5.1": (1.25, 0.125, 1.25, 10),
    "openai:gpt-5.2": (1.75, 0.175, 1.75, 14),
    "openai:gpt-5.4": (2.5, 0.25, 2.5, 15),
    "openai:gpt-5.4-mini": (0.75, 0.075, 0.75, 4.5),
    "openai:gpt-5.4-nano": (0.2, 0.02, 0.2, 1.25),
    "openai:gpt-5.5": (5, 0.5, 5, 30),
    "openai:gpt-5.6-luna": (0.2, 0.02, 0.25, 1.2),
    "openai:gpt-5.6-sol": (4, 0.4, 5, 20),
    "openai:gpt-5.6-terra": (2, 0.2, 2.5, 12),
    "openai:gpt-6-astra": (10, 1, 12.5, 50),
    "openai:gpt-6-luna": (0.1, 0.01, 0.125, 0.5),
    "openai:gpt-6-sol": (2, 0.2, 2.5, 10),
    "openai:gpt-6.1-sol": (2, 0.1, 2.5, 10),
    "openai:gpt-6.1-terra": (1, 0.05, 1.25, 5),
    "openai:o1": (15, 7.5, 15, 60),
    "openai:o3": (2, 0.5, 2, 8),
    "openai:o3-mini": (1.1, 0.55, 1.1, 4.4),
    "openai:o4-mini": (1.1, 0.275, 1.1, 4.4),
}

LONG_PRICES: Mapping[str, LongPrice] = {
    "anthropic:claude-haiku-5-5": (100_000, (0.5, 0.05, 0.625, 2.5)),
    "anthropic:claude-sonnet-4-5": (200_000, (6, 0.6, 7.5, 22.5)),
    "openai:gpt-5.4": (_GPT_LONG, (5, 0.5, 5, 22.5)),
    "openai:gpt-5.5": (_GPT_LONG, (10, 1, 10, 45)),
    "openai:gpt-5.6-luna": (_GPT_LONG, (0.4, 0.04, 0.5, 1.8)),
    "openai:gpt-5.6-sol": (_GPT_LONG, (8, 0.8, 10, 30)),
    "openai:gpt-5.6-terra": (_GPT_LONG, (4, 0.4, 5, 18)),
    "openai:gpt-6-astra": (_GPT_LONG, (20, 2, 25, 75)),
    "openai:gpt-6-luna": (_GPT_LONG, (0.2, 0.02, 0.25, 0.75)),
    "openai:gpt-6-sol": (_GPT_LONG, (4, 0.4, 5, 15)),
    "openai:gpt-6.1-sol": (_GPT_LONG, (4, 0.2, 5, 15)),
    "openai:gpt-6.1-terra": (_GPT_LONG, (2, 0.1, 2.5, 7.5)),
}
