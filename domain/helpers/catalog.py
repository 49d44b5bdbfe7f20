"""All helpers by theme; documentation and tools are made from this list."""

from collections.abc import Callable
from dataclasses import dataclass

from domain.helpers.dates import date_add, date_difference, date_format
from domain.helpers.encodings import base64_decode, base64_encode, hash_text
from domain.helpers.json_values import json_diff, json_merge, json_pick
from domain.helpers.numbers import calculate, numbers_summary
from domain.helpers.tables import csv_read, csv_write
from domain.helpers.text import text_extract, text_replace, text_slug, text_stats
from domain.helpers.units import unit_convert


@dataclass(frozen=True, slots=True, kw_only=True)
class Helper:
    """A helper function and the theme it belongs to."""

    theme: str
    function: Callable[..., object]

    @property
    def name(self) -> str:
        """Unique name, also that of its tool."""
        return self.function.__name__


_BY_THEME: tuple[tuple[str, tuple[Callable[..., object], ...]], ...] = (
    ("tables", (csv_read, csv_write)),
    ("json", (json_merge, json_pick, json_diff)),
    ("text", (text_stats, text_replace, text_slug, text_extract)),
    ("numbers", (calculate, numbers_summary)),
    ("units", (unit_convert,)),
    ("dates", (date_add, date_difference, date_format)),
    ("encodings", (hash_text, base64_encode, base64_decode)),
)

HELPERS: tuple[Helper, ...] = tuple(
    Helper(theme=theme, function=function)
    for theme, functions in _BY_THEME
    for function in functions
)
