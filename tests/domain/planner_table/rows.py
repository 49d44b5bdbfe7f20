"""The rows of the table as they lie in their files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import orjson

CLOCK_AT = datetime(2026, 3, 10, 12, tzinfo=UTC)
_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedCall:
    """A call that is meant, and the result that a script gives for it."""

    tool: str
    arguments: Mapping[str, Any]
    gives: Any = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An instruction and what is meant by it; no calls where declining is right."""

    kind: str
    say: str
    calls: Sequence[ExpectedCall]
    otherwise: Sequence[ExpectedCall] | None = None

    @property
    def readings(self) -> Sequence[Sequence[ExpectedCall]]:
        """Every right order of calls, the likeliest first."""
        return [self.calls] if self.otherwise is None else [self.calls, self.otherwise]


def tuned() -> Sequence[Row]:
    """The half to work with."""
    return _rows("tuned.json")


def held_apart() -> Sequence[Row]:
    """The half to be judged by."""
    return _rows("held_apart.json")


def without_side_effects() -> Sequence[str]:
    """Instructions that ask for nothing to be written, kept or planned."""
    return cast("list[str]", _read("no_side_effects.json"))


def _rows(name: str) -> Sequence[Row]:
    return [
        Row(
            kind=row["kind"],
            say=row["say"],
            calls=_calls(row["calls"]),
            otherwise=_calls(row["or"]) if "or" in row else None,
        )
        for row in cast("list[dict[str, Any]]", _read(name))
    ]


def _calls(rows: Sequence[Mapping[str, Any]]) -> Sequence[ExpectedCall]:
    return [ExpectedCall(**row) for row in rows]


def _read(name: str) -> object:
    return orjson.loads((_FOLDER / name).read_bytes())
