"""Numbers: sums and statistics, without running any code."""

import ast
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from domain.helpers.bounds import plain_number
from domain.helpers.errors import HelperError

Number = int | float
MAX_EXPRESSION_CHARS = 500
MAX_NESTING = 50
MAX_BITS = 1_023
"""Whole numbers stay within what a double can name, so that every result has a value."""

_SIGNS = str.maketrans(
    {"\N{MULTIPLICATION SIGN}": "*", "\N{DIVISION SIGN}": "/", "\N{MINUS SIGN}": "-", "^": "**"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calculation:
    """The result as a number, and as text with all digits of a whole number."""

    value: int | float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NumbersSummary:
    """Statistics of a list; quartiles are interpolated, the deviation is the sample's."""

    count: int
    total: float
    mean: float
    minimum: float
    quartile_1: float
    median: float
    quartile_3: float
    maximum: float
    deviation: float | None


def calculate(
    expression: Annotated[
        str,
        Field(
            description="Arithmetic such as (2 + 3) * 4 ^ 2 / sqrt(2), with + - * / // % ^, "
            "parentheses, pi, e, abs, round, floor, ceil, sqrt, exp, log, log2, log10, sin, cos, "
            "tan, min, max, sum.",
            min_length=1,
            max_length=MAX_EXPRESSION_CHARS,
        ),
    ],
) -> Calculation:
    """Calculate an arithmetic expression."""
    if len(expression) > MAX_EXPRESSION_CHARS:
        raise HelperError(f"expression: is longer than {MAX_EXPRESSION_CHARS} characters.")
    try:
        tree = ast.parse(expression.translate(_SIGNS).strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise HelperError(
            f"expression: {expression!r} is no arithmetic; write it like (2 + 3) * 4."
        ) from None
    try:
        result = _evaluated(tree.body, 0)
    except ZeroDivisionError:
        raise HelperError("expression: divides by zero.") from None
    except OverflowError:
        raise HelperError("expression: its value is too large; stay below 1e308.") from None
    return _calculation(result)


def numbers_summary(
    values: Annotated[
        list[Annotated[float, Field(allow_inf_nan=False)]],
        Field(description="The numbers.", min_length=1, max_length=100_000),
    ],
) -> NumbersSummary:
    """Summarize numbers: count, total, mean, median, quartiles, extremes and deviation."""
    if not values:
        raise HelperError("values: is empty; send at least one number.")
    ordered = sorted(values)
    count = len(ordered)
    try:
        total = math.fsum(ordered)
        mean = total / count
        squares = math.fsum((value - mean) ** 2 for value in ordered)
    except OverflowError:
        raise HelperError("values: are too large to be summed; stay below 1e150.") from None
    return NumbersSummary(
        count=count,
        total=plain_number(total),
        mean=plain_number(mean),
        minimum=ordered[0],
        quartile_1=_quantile(ordered, 0.25),
        median=_quantile(ordered, 0.5),
        quartile_3=_quantile(ordered, 0.75),
        maximum=ordered[-1],
        deviation=plain_number(math.sqrt(squares / (count - 1))) if count > 1 else None,
    )


def _quantile(ordered: list[float], share: float) -> float:
    """Interpolate between neighbours (type 7 of Hyndman and Fan, 1996)."""
    place = (len(ordered) - 1) * share
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return plain_number(ordered[low] + (ordered[high] - ordered[low]) * (place - low))


def _calculation(result: Number) -> Calculation:
    if isinstance(result, int):
        is_exact = abs(result) < 2**53
        return Calculation(value=result if is_exact else float(result), text=str(result))
    value = plain_number(result)
    return Calculation(value=value, text=str(value))


def _evaluated(node: ast.expr, depth: int) -> Number:
    if depth > MAX_NESTING:
        raise HelperError(f"expression: is nested more than {MAX_NESTING} deep; split it.")
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return _bounded(value)
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
            value = _evaluated(operand, depth + 1)
            return -value if isinstance(sign, ast.USub) else value
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATIONS:
            operation = _OPERATIONS[type(op)]
            return _bounded(operation(_evaluated(left, depth + 1), _evaluated(right, depth + 1)))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
            return _called(name, [_evaluated(arg, depth + 1) for arg in args])
        case _:
            raise HelperError(
                f"expression: cannot calculate {ast.unparse(node)[:60]!r}; only numbers, "
                f"+ - * / // % ^, parentheses, {', '.join([*_CONSTANTS, *_FUNCTIONS])}."
            )


def _bounded(value: Number) -> Number:
    is_small = value.bit_length() <= MAX_BITS if isinstance(value, int) else math.isfinite(value)
    if not is_small:
        raise OverflowError
    return value


def _called(name: str, arguments: list[Number]) -> Number:
    try:
        value = _FUNCTIONS[name](*arguments)
    except (TypeError, ValueError):
        shown = ", ".join(f"{argument:.6g}" for argument in arguments)
        raise HelperError(f"expression: {name}({shown}) has no value.") from None
    return _bounded(value)


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, int) and isinstance(exponent, int) and exponent >= 0:
        # Look at the size before the work: 9^9^9 would not end.
        if abs(base) > 1 and (base.bit_length() - 1) * exponent > MAX_BITS:
            raise OverflowError
        return base**exponent
    if base == 0 and exponent < 0:
        raise ZeroDivisionError
    try:
        return math.pow(base, exponent)
    except ValueError:
        raise HelperError(
            f"expression: {base:.6g} ^ {exponent:.6g} has no real value; "
            "take whole powers of negative numbers."
        ) from None


def _round(value: Number, digits: Number = 0) -> Number:
    if digits != int(digits) or abs(digits) > 300:
        raise ValueError
    return round(value, int(digits)) if digits else round(value)


def _abs(value: Number) -> Number:
    return abs(value)


def _floor(value: Number) -> int:
    return math.floor(value)


def _ceil(value: Number) -> int:
    return math.ceil(value)


def _min(first: Number, *others: Number) -> Number:
    return min((first, *others))


def _max(first: Number, *others: Number) -> Number:
    return max((first, *others))


def _sum(*values: Number) -> Number:
    return sum(values)


def _log(value: Number, base: Number = math.e) -> float:
    return math.log(value) if base == math.e else math.log(value, base)


_CONSTANTS: Mapping[str, float] = {"pi": math.pi, "e": math.e}
_OPERATIONS: Mapping[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.Mult: lambda left, right: left * right,
    ast.Div: lambda left, right: left / right,
    ast.FloorDiv: lambda left, right: left // right,
    ast.Mod: lambda left, right: left % right,
    ast.Pow: _power,
}
_FUNCTIONS: Mapping[str, Callable[..., Number]] = {
    "abs": _abs,
    "round": _round,
    "floor": _floor,
    "ceil": _ceil,
    "sqrt": math.sqrt,
    "exp": math.exp,
    "log": _log,
    "log2": math.log2,
    "log10": math.log10,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "min": _min,
    "max": _max,
    "sum": _sum,
}
