"""How much a helper takes at once; a signature's bounds hold where untrusted input enters."""

MAX_TEXT_CHARS = 500_000
MAX_DEPTH = 100
"""Deepest nesting of JSON values that helpers walk."""


def plain_number(value: float) -> int | float:
    """Round to 15 significant digits, all that a double holds; whole numbers become ints."""
    rounded = float(f"{value:.15g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 2**53 else rounded
