"""Long quotes and JSON values, kept aside while an instruction is read.

Patterns run over every sign of a text; what stands in quotes tells them nothing.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from domain.models.offline.literals import Literal, Reading

LONGEST_READ = 2_000
_MARK = re.compile("\ue000\\d+\ue001")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptValue:
    """A value, how it was written, and what stands for it meanwhile."""

    value: Any
    written: str
    shown: str


def shortened(text: str) -> tuple[str, Mapping[str, KeptValue]]:
    """The text with a mark for each long value, and the values by their marks."""
    if len(text) <= LONGEST_READ:
        return text, {}
    reading = Reading(text)
    kept: dict[str, KeptValue] = {}
    parts: list[str] = []
    at = 0
    for literal in sorted((*reading.quotes, *reading.json_values), key=lambda each: each.start):
        if literal.end - literal.start <= LONGEST_READ:
            continue
        mark = f"\ue000{len(kept)}\ue001"
        written = text[literal.start : literal.end]
        kept[mark] = KeptValue(value=literal.value, written=written, shown=_shown(mark, literal))
        parts += (text[at : literal.start], kept[mark].shown)
        at = literal.end
    return "".join([*parts, text[at:]]), kept


def _shown(mark: str, literal: Literal) -> str:
    """The mark as a value of the same kind."""
    if isinstance(literal.value, str):
        return f'"{mark}"'
    stand_in = {mark: 0} if isinstance(literal.value, dict) else [mark]
    return json.dumps(stand_in, ensure_ascii=False)


def unmarked(text: str) -> str:
    """The text for people, with an ellipsis for each value that is kept aside."""
    return _MARK.sub("...", text)


def restored(value: Any, kept: Mapping[str, KeptValue]) -> Any:
    """The value with what was kept aside in the place of its marks."""
    if not kept:
        return value
    if isinstance(value, str):
        return _restored_text(value, kept)
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        if len(fields) == 1 and (only := next(iter(fields))) in kept:
            return kept[only].value
        return {name: restored(each, kept) for name, each in fields.items()}
    if isinstance(value, list):
        items = cast("list[Any]", value)
        if len(items) == 1 and isinstance(items[0], str) and items[0] in kept:
            is_list = isinstance(kept[items[0]].value, list)
            return kept[items[0]].value if is_list else [kept[items[0]].value]
        return [restored(each, kept) for each in items]
    return value


def _restored_text(text: str, kept: Mapping[str, KeptValue]) -> Any:
    if text in kept:
        return kept[text].value
    for mark, each in kept.items():
        text = text.replace(each.shown, each.written)
        if isinstance(each.value, str):
            text = text.replace(mark, each.value)
    return text
