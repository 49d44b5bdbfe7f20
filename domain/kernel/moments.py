"""Moments as clients write them (RFC 3339), and as they are kept: microseconds since 1970 UTC."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from domain.kernel.validation import refusal

SECOND_US = 1_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
EARLIEST_US = (datetime.min.replace(tzinfo=UTC) - EPOCH) // MICROSECOND
LATEST_US = (datetime.max.replace(tzinfo=UTC) - EPOCH) // MICROSECOND
_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_NEARLY = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(:\d\d(?:\.\d{1,9})?)? ?(?:([Zz])|([+-]\d\d):?(\d\d))?",
    re.ASCII,
)


@lru_cache(maxsize=4096)
def _second(second: int) -> str:
    return (EPOCH + timedelta(seconds=second)).isoformat()[:19]


def format_moment(moment_us: int) -> str:
    """Write a moment as clients see it: UTC with three digits of milliseconds."""
    second, rest_us = divmod(moment_us, SECOND_US)
    return f"{_second(second)}.{rest_us // 1000:03d}Z"


def parse_moment(value: object) -> int:
    """Read a moment (RFC 3339, section 5.6). Raises ValueError, also when it has no offset."""
    match = _RFC3339.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{_shown(value)} is no moment; {_cure(value)}")
    day, time, fraction, offset = match.groups()
    if (unusual := _unusual(time, offset)) is not None:
        raise ValueError(f"{value!r} is no moment: {unusual}")
    try:
        moment = datetime.fromisoformat(f"{day}T{time}{'+00:00' if offset in 'Zz' else offset}")
    except ValueError as error:
        raise ValueError(f"{value!r} is no moment: {error}.") from None
    rest_us = int((fraction or "").ljust(6, "0")[:6])
    return (moment - EPOCH) // timedelta(seconds=1) * SECOND_US + rest_us


def _shown(value: object) -> str:
    """Write what is no moment as the client did."""
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return repr(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return "A list" if isinstance(value, list | tuple) else "An object"


def _cure(value: object) -> str:
    """Say what would be right for what is not of the form."""
    nearly = _NEARLY.fullmatch(value) if isinstance(value, str) else None
    if nearly is None:
        return "send one like 2026-11-22T09:30:00Z, with its offset to UTC."
    day, minute, rest, utc, hours, minutes = nearly.groups()
    local = f"{day}T{minute}{rest or ':00'}"
    if utc is None and hours is None:
        # Which of two instants a local time means, nobody can tell when clocks go back.
        return f"add its offset to UTC: {local}Z for UTC itself, or {local}+01:00."
    return f"write {local}{utc or f'{hours}:{minutes}'}."


def _unusual(time: str, offset: str) -> str | None:
    """Say what is wrong with times that other standards know."""
    if time == "24:00:00":
        return "write the end of a day as 00:00:00 of the next."
    if time.endswith(":60"):
        return "leap seconds are not counted; send second 59, or the next minute."
    if offset not in "Zz" and (int(offset[1:3]) > 23 or int(offset[4:]) > 59):
        return "its offset to UTC must be less than 24 hours."
    return None


def _instant(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        moment_us = value
    else:
        if isinstance(value, str) and len(value) > 40:
            value = value[:40]
        try:
            moment_us = parse_moment(value)
        except ValueError as error:
            raise refusal(str(error)) from None
    if not EARLIEST_US <= moment_us <= LATEST_US:
        raise refusal("Give a moment in the years 1 to 9999.")
    return moment_us


Instant = Annotated[
    int, BeforeValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"})
]
"""A moment: RFC 3339 text with its offset to UTC, or the microseconds that GraphQL has read."""
