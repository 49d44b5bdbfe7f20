"""Rhythms in plain words: `every 15 minutes`, `hourly`, `twice a day`."""

import re

from domain.models.offline.due_times import When
from domain.models.offline.numbers_spoken import number_of

_I = re.IGNORECASE
_EVERY_N = re.compile(
    r"(?:(?:once|repeatedly)\s+)?(?:every|each)\s+(?:(?P<n>\d+|[a-z]+(?:-[a-z]+)?)\s*-?\s*)?"
    r"(?P<unit>second|minute|min|hour|hr|day|week|month|quarter|year)s?\b(?!\s+of\b)",
    _I,
)
_EVERY_PART = re.compile(
    r"(?:every|each)\s+(?:(?P<half>half)(?:[\s-]+an)?[\s-]+hour|quarter\s+(?:of\s+an\s+)?hour)\b",
    _I,
)
_HOURLY = re.compile(r"(?:hourly|once\s+(?:an|per|each)\s+hour)\b", _I)
_DAILY = re.compile(r"(?:daily|nightly|once\s+(?:a|per|each)\s+(?:day|night))\b", _I)
_WEEKLY = re.compile(r"(?:weekly|once\s+(?:a|per|each)\s+week)\b", _I)
_MONTHLY = re.compile(r"(?:monthly|once\s+(?:a|per|each)\s+month)\b", _I)
_YEARLY = re.compile(r"(?:yearly|annually|once\s+(?:a|per|each)\s+year)\b", _I)
_OFTEN = re.compile(
    r"(?:(?P<count>twice|thrice)|(?:(?P<times>\d+|two|three|four|five|six)\s+times))\s+"
    r"(?:a|an|per|each|every)\s+(?P<unit>hour|day|week|month|year)\b"
    r"|every\s+now\s+and\s+then\b|from\s+time\s+to\s+time\b|regularly\b|quarterly\b"
    r"|bi-?weekly\b|fortnightly\b|every\s+fortnight\b",
    _I,
)


def read_rhythm(when: When, text: str, at: int) -> int | None:
    """Read what repeats within a day or by whole days; gives where it ends."""
    if (match := _OFTEN.match(text, at)) is not None:
        when.unclear = f"{match[0].lower()} leaves open when; say the times or the days"
        if match["unit"] and match["unit"].lower() == "day":
            said = (match["count"] or match["times"]).lower()
            when.times_a_day = {"twice": 2, "thrice": 3}.get(said) or int(number_of(said) or 0)
        return match.end()
    if (match := _EVERY_PART.match(text, at)) is not None:
        when.every_minutes = 30 if match["half"] else 15
        return match.end()
    for pattern, name in _RHYTHMS:
        if (match := pattern.match(text, at)) is not None:
            _every(when, 1, name)
            if "night" in match[0].lower():
                when.part_of_day = "night"
            return match.end()
    match = _EVERY_N.match(text, at)
    if match is None:
        return None
    said = (match["n"] or "1").lower()
    count = 2 if said == "other" else number_of(said)
    if count is None or count != int(count) or count < 1:
        return None
    _every(when, int(count), match["unit"].lower())
    return match.end()


def _every(when: When, count: int, unit: str) -> None:
    unit = {"min": "minute", "hr": "hour"}.get(unit, unit)
    if unit in ("minute", "hour"):
        when.every_minutes = count * (60 if unit == "hour" else 1)
    elif unit == "second":
        when.unclear = "the shortest rhythm is a minute"
    elif unit == "day" and count == 1:
        when.is_daily = when.says_every = True
    elif unit == "week" and count == 1:
        when.says_every = True
        if not when.weekdays:
            when.unclear = "it does not say on which day of the week"
    elif unit == "month" and count == 1:
        when.is_monthly = True
    elif unit == "year" and count == 1:
        when.is_yearly = True
    else:
        when.unclear = f"every {count} {unit}s is no rhythm of the calendar that cron knows"


_RHYTHMS = (
    (_HOURLY, "hour"),
    (_DAILY, "day"),
    (_WEEKLY, "week"),
    (_MONTHLY, "month"),
    (_YEARLY, "year"),
)
