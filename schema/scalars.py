"""Scalars of the API: moments, JSON and counters that outgrow Int."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NewType

import strawberry
from strawberry.types.scalar import ScalarDefinition

Moment = NewType("Moment", int)
"""A moment in whole microseconds since 1970-01-01 UTC; DateTime to clients."""

Json = NewType("Json", object)
"""Any JSON value."""

Long = NewType("Long", int)
"""A whole number up to 2^53 - 1."""

LARGEST_LONG = 2**53 - 1
SECOND_US = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


@lru_cache(maxsize=4096)
def _second(second: int) -> str:
    return (_EPOCH + timedelta(seconds=second)).isoformat()[:19]


def format_moment(moment_us: int) -> str:
    """Write a moment as clients see it: UTC with three digits of milliseconds."""
    second, rest_us = divmod(moment_us, SECOND_US)
    return f"{_second(second)}.{rest_us // 1000:03d}Z"


def parse_moment(value: object) -> Moment:
    """Read a moment (RFC 3339, section 5.6). Raises ValueError, also when it has no offset."""
    match = _RFC3339.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(
            f"{value!r} is no moment; send one like 2026-11-22T09:30:00Z, with its offset to UTC."
        )
    day, time, fraction, offset = match.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{time}{'+00:00' if offset in 'Zz' else offset}")
    except ValueError as error:
        raise ValueError(f"{value!r} is no moment: {error}.") from None
    rest_us = int((fraction or "").ljust(6, "0")[:6])
    return Moment((moment - _EPOCH) // timedelta(seconds=1) * SECOND_US + rest_us)


def parse_long(value: object) -> Long:
    """Read a whole number; 5.0 counts as one. Raises ValueError."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > LARGEST_LONG:
        raise ValueError(f"{value!r} is no whole number of at most {LARGEST_LONG}.")
    return Long(value)


def _as_it_is(value: Any) -> Any:
    return value


SCALARS: Mapping[object, ScalarDefinition] = {
    Moment: strawberry.scalar(
        name="DateTime",
        description="Moment in UTC, RFC 3339, such as 2026-11-22T09:30:00Z.",
        specified_by_url="https://scalars.graphql.org/andimarek/date-time",
        serialize=format_moment,
        parse_value=parse_moment,
    ),
    Json: strawberry.scalar(
        name="JSON",
        description="Any JSON value: object, list, string, number, boolean or null.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259",
        serialize=_as_it_is,
        parse_value=_as_it_is,
    ),
    Long: strawberry.scalar(
        name="Long",
        description=(
            "Whole number up to 2^53 - 1, sent as a JSON number;"
            " used for counters that outgrow Int."
        ),
        serialize=parse_long,
        parse_value=parse_long,
    ),
}
"""What the schema is told about the scalars, by Python type."""


def moment(value: int | None) -> Moment | None:
    """Mark a row's moment, which may be unset."""
    return None if value is None else Moment(value)
