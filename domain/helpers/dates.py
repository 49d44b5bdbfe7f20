"""Dates and times: add to them, compare them, write them. None of them asks what time it is."""

import re
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field

from domain.helpers.bounds import plain_number
from domain.helpers.errors import HelperError

TimeUnit = Literal["seconds", "minutes", "hours", "days", "weeks", "months", "years"]
_SECONDS: Mapping[TimeUnit, int] = {"seconds": 1, "minutes": 60, "hours": 3600}
_DAYS: Mapping[TimeUnit, int] = {"days": 1, "weeks": 7}
_MONTHS: Mapping[TimeUnit, int] = {"months": 1, "years": 12}
_MAX_AMOUNT = 10**12
_PLACEHOLDER = re.compile(r"%(.?)", re.DOTALL)
_PLACEHOLDERS = frozenset("YmdHMSfyjbBaAIpGVuzZ%")


@dataclass(frozen=True, slots=True, kw_only=True)
class DateDifference:
    """How far apart two moments are; calendar parts are counted from the earlier one."""

    total_seconds: float
    total_days: float
    years: int
    months: int
    days: int
    hours: int
    minutes: int
    seconds: float
    is_negative: bool


def date_add(
    moment: Annotated[
        datetime, Field(description="ISO 8601 moment; without an offset it is in the zone.")
    ],
    amount: Annotated[
        int, Field(description="How many; negative goes back.", ge=-_MAX_AMOUNT, le=_MAX_AMOUNT)
    ],
    unit: Annotated[TimeUnit, Field(description="What is counted.")],
    *,
    zone: Annotated[
        str, Field(description="IANA time zone, such as Europe/Berlin.", max_length=64)
    ] = "UTC",
) -> datetime:
    """Add an amount of time to a moment.

    Days and longer keep the wall-clock time of the zone; a month that is too short gives its
    last day; a time that the zone's clocks skip moves on by what they skip.
    """
    local = _in_zone(moment, zone)
    try:
        if unit in _SECONDS:
            later = local.astimezone(UTC) + timedelta(seconds=amount * _SECONDS[unit])
            return later.astimezone(local.tzinfo)
        if unit in _DAYS:
            later = local + timedelta(days=amount * _DAYS[unit])
        else:
            later = _plus_months(local, amount * _MONTHS[unit])
        return later.astimezone(UTC).astimezone(local.tzinfo)
    except (OverflowError, ValueError):
        raise HelperError(f"amount: {amount} {unit} leave the years 1 to 9999.") from None


def date_difference(
    start: Annotated[
        datetime, Field(description="ISO 8601 moment; without an offset it is in the zone.")
    ],
    end: Annotated[
        datetime, Field(description="ISO 8601 moment; without an offset it is in the zone.")
    ],
    *,
    zone: Annotated[
        str, Field(description="IANA time zone whose calendar counts.", max_length=64)
    ] = "UTC",
) -> DateDifference:
    """Tell how much time lies between two moments, in total and in calendar parts."""
    first, last = _in_zone(start, zone), _in_zone(end, zone)
    total = (last.astimezone(UTC) - first.astimezone(UTC)).total_seconds()
    if total < 0:
        first, last = last, first
    months = _whole_months(first, last)
    # Both are wall-clock times of one zone, so their difference is the calendar's.
    rest = last.replace(tzinfo=None) - _plus_months(first, months).replace(tzinfo=None)
    rest = max(rest, timedelta())
    minutes, seconds = divmod(rest.seconds, 60)
    return DateDifference(
        total_seconds=plain_number(total),
        total_days=plain_number(total / 86_400),
        years=months // 12,
        months=months % 12,
        days=rest.days,
        hours=minutes // 60,
        minutes=minutes % 60,
        seconds=plain_number(seconds + rest.microseconds / 1e6),
        is_negative=total < 0,
    )


def date_format(
    moment: Annotated[
        datetime, Field(description="ISO 8601 moment; without an offset it is in the zone.")
    ],
    *,
    zone: Annotated[
        str, Field(description="IANA time zone to show it in, such as Asia/Tokyo.", max_length=64)
    ] = "UTC",
    pattern: Annotated[
        str,
        Field(
            description="strftime pattern, such as %A, %d %B %Y %H:%M %Z.",
            min_length=1,
            max_length=100,
        ),
    ] = "%Y-%m-%d %H:%M:%S %Z",
) -> str:
    """Write a moment in a time zone by a pattern."""
    for sign in _PLACEHOLDER.findall(pattern):
        if not sign or sign not in _PLACEHOLDERS:
            known = " ".join(f"%{known}" for known in sorted(_PLACEHOLDERS))
            raise HelperError(f"pattern: %{sign} means nothing here; use {known}.")
    return _in_zone(moment, zone).strftime(pattern)


def _in_zone(moment: datetime, zone: str) -> datetime:
    tz = _zone(zone)
    try:
        # Through UTC, so that a wall-clock time which the zone skips becomes a real one.
        aware = moment.replace(tzinfo=tz) if moment.tzinfo is None else moment
        return aware.astimezone(UTC).astimezone(tz)
    except (OverflowError, ValueError):
        raise HelperError("moment: is outside the years 1 to 9999 in that zone.") from None


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        near = get_close_matches(name[:64], available_timezones(), n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "use one like Europe/Berlin."
        raise HelperError(f"zone: no time zone is called {name[:64]!r}; {hint}") from None


def _plus_months(moment: datetime, months: int) -> datetime:
    years, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    if not 1 <= years <= 9999:
        raise OverflowError
    return moment.replace(
        year=years, month=month + 1, day=min(moment.day, monthrange(years, month + 1)[1])
    )


def _whole_months(first: datetime, last: datetime) -> int:
    months = (last.year - first.year) * 12 + last.month - first.month
    start, end = first.replace(tzinfo=None), last.replace(tzinfo=None)
    return months if months == 0 or _plus_months(start, months) <= end else months - 1
