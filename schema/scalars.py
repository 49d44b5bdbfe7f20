"""Scalars of the API: moments, JSON and counters that outgrow Int."""

from collections.abc import Mapping
from typing import Any, NewType

import strawberry
from strawberry.types.scalar import ScalarDefinition

from domain.kernel.moments import format_moment, parse_moment

Moment = NewType("Moment", int)
"""A moment in whole microseconds since 1970-01-01 UTC; DateTime to clients."""

Json = NewType("Json", object)
"""Any JSON value."""

Long = NewType("Long", int)
"""A whole number up to 2^53 - 1."""

LARGEST_LONG = 2**53 - 1


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
