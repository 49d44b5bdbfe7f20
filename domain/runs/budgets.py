"""What a run gives of its own bounds to those it hands work to. Pure arithmetic.

Tokens and money are divided: what a child leaves unspent comes back, since its parent counts what
its children really used. Time is not divided: children work side by side.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.models.prices import PICO, dollars
from domain.runs.spec import LimitsSpec

BUDGET = "BUDGET"
NO_TIME = "No time is left to hand work to others (maxSeconds)."


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """What a run may still give: whole seconds, tokens, pico-dollars; None for no limit."""

    seconds: int
    tokens: int | None = None
    cost: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one child gets; None for no limit."""

    seconds: int
    tokens: int | None = None
    cost: int | None = None


class Overdrawn(Exception):
    """More is asked for than is left."""


def promised(spent: int, carved: int | None, *, is_over: bool) -> int:
    """Return what a child takes of its parent's rest: all it was given until it has ended."""
    return spent if is_over or carved is None else max(spent, carved)


def shares(rest: Rest, asked: Sequence[LimitsSpec | None]) -> list[Share | Overdrawn]:
    """Divide the rest among children that are to begin; those who ask for an amount get it.

    An amount beyond what is left by those before it is refused; the others share alike.
    """
    wishes = [each or LimitsSpec() for each in asked]
    tokens = _divided(rest.tokens, [wish.max_tokens for wish in wishes], "tokens", "maxTokens")
    costs = _divided(
        rest.cost,
        [None if wish.max_cost_usd is None else pico(wish.max_cost_usd) for wish in wishes],
        "US dollars",
        "maxCostUsd",
    )
    return [
        _share(rest.seconds, wish, part_tokens, part_cost)
        for wish, part_tokens, part_cost in zip(wishes, tokens, costs, strict=True)
    ]


def pico(amount_usd: float) -> int:
    """Whole pico-dollars of an amount."""
    return round(amount_usd * PICO)


def _share(
    seconds: int, wish: LimitsSpec, tokens: int | Overdrawn | None, cost: int | Overdrawn | None
) -> Share | Overdrawn:
    if seconds < 1:
        return Overdrawn(NO_TIME)
    if wish.max_seconds is not None and wish.max_seconds > seconds:
        return _overdrawn(wish.max_seconds, seconds, "seconds", "maxSeconds")
    if isinstance(tokens, Overdrawn):
        return tokens
    if isinstance(cost, Overdrawn):
        return cost
    return Share(seconds=wish.max_seconds or seconds, tokens=tokens, cost=cost)


def _divided(
    rest: int | None, asked: Sequence[int | None], unit: str, limit: str
) -> Sequence[int | Overdrawn | None]:
    if rest is None:
        return asked
    left = max(rest, 0)
    parts: list[int | Overdrawn | None] = []
    for amount in asked:
        if amount is None:
            parts.append(None)
        elif amount > left:
            parts.append(_overdrawn(amount, left, unit, limit))
        else:
            parts.append(amount)
            left -= amount
    share = left // max(1, parts.count(None))
    none_left = Overdrawn(f"None of the {unit} are left to give ({limit}).")
    alike = share if share >= 1 else none_left
    return [alike if part is None else part for part in parts]


def _overdrawn(asked: int, left: int, unit: str, limit: str) -> Overdrawn:
    wanted, rest = (_shown(amount, limit) for amount in (asked, left))
    return Overdrawn(
        f"{wanted} {unit} are asked for, and only {rest} are left to give (limits.{limit});"
        " ask for less, or leave it out for an equal share."
    )


def _shown(amount: int, limit: str) -> str:
    if limit != "maxCostUsd":
        return str(amount)
    return f"{dollars(amount):.12f}".rstrip("0").rstrip(".")
