"""Days and times of day as people write and say them, read at a place of a text.

Days are kept as functions of today, so that reading needs no clock.
"""

import re
from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, time, timedelta

from domain.models.offline.numbers_spoken import MEASURE, number_of, value_of

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july"),
    *("august", "september", "october", "november", "december"),
)
WEEKDAY = r"(?:mon|tue|tues|wed|weds|thu|thur|thurs|fri|sat|sun|" + "|".join(WEEKDAYS) + r")\b\.?"
MONTH = r"(?:jan|feb|mar|apr|jun|jul|aug|sep|sept|oct|nov|dec|" + "|".join(MONTHS) + r")\b\.?"
ORDINALS = {
    word: place
    for place, word in enumerate(
        (
            *("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth"),
            *("ninth", "tenth", "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth"),
        ),
        1,
    )
}
ORDINAL = rf"(?:\d{{1,2}}(?:st|nd|rd|th)|{'|'.join(ORDINALS)})\b"
_HOUR_WORD = "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
_MERIDIEM = r"(?:[ap]\.?m\b\.?)"
_CLOCK = re.compile(
    r"(?P<named>noon|midday|midnight)\b"
    rf"|(?P<past>half|quarter|(?:five|ten|twenty|twenty[\s-]five|\d{{1,2}})(?:\s+minutes)?)\s+"
    rf"(?P<way>past|to)\s+(?P<about>\d{{1,2}}|{_HOUR_WORD})\b(?:\s*(?P<past_half>{_MERIDIEM}))?"
    rf"|(?P<hour>\d{{1,2}})[:.](?P<minute>\d\d)(?::(?P<second>\d\d))?(?!\d)(?!\.\d)"
    rf"(?:\s*(?P<minute_half>{_MERIDIEM}))?(?:\s*h(?:ours|rs)?\b)?"
    rf"|(?P<hour_h>\d{{1,2}})h(?P<minute_h>\d\d)?\b"
    rf"|(?P<sole>\d{{1,2}}|{_HOUR_WORD})\s*(?:(?P<sole_half>{_MERIDIEM})|o['\u2019]?\s?clock\b)",
    re.IGNORECASE,
)
_BARE_HOUR = re.compile(
    rf"(?P<sole>\d{{1,2}}|{_HOUR_WORD})\b(?!\s*(?:%|[:./]\d|\s*percent|\w*(?:minute|hour|day)))",
    re.IGNORECASE,
)
_PART_OF_DAY = re.compile(
    r"\s*,?\s*(?:in\s+the\s+(?P<part>morning|afternoon|evening)|at\s+(?P<night>night)|(?P<tonight>tonight))\b",
    re.IGNORECASE,
)
_ISO = re.compile(
    r"(?P<y>\d{4})[-/](?P<m>\d{1,2})[-/](?P<d>\d{1,2})(?![\w-])(?!/\d)"
    r"|(?P<y2>\d{4})-(?P<m2>\d\d)-(?P<d2>\d\d)(?=T\d)"
    r"|(?P<d3>\d{1,2})\.(?P<m3>\d{1,2})\.(?P<y3>\d{4})(?!\d)"
)
_DAY_MONTH = re.compile(
    rf"(?P<day>\d{{1,2}}(?:st|nd|rd|th)?|{'|'.join(ORDINALS)})\s+(?:of\s+)?(?P<month>{MONTH})"
    r"(?:,?\s+(?P<year>\d{4})(?![\d:]))?",
    re.IGNORECASE,
)
_MONTH_DAY = re.compile(
    rf"(?P<month>{MONTH})\s+(?:the\s+)?(?P<day>\d{{1,2}}(?:st|nd|rd|th)?|{'|'.join(ORDINALS)})\b"
    r"(?![:.]\d)(?!\s*[ap]\.?m)(?:,?\s+(?P<year>\d{4})(?![\d:]))?",
    re.IGNORECASE,
)
_NAMED_DAY = re.compile(
    r"(?P<after>the\s+)?day\s+after\s+tomorrow\b|(?P<word>today|tomorrow|yesterday|tonight)\b"
    r"|(?:a\s+|one\s+)?week\s+from\s+(?P<from>today|now|tomorrow)\b"
    rf"|(?:(?P<which>next|this|coming|the\s+coming)\s+)?(?P<weekday>{WEEKDAY})(?P<week>\s+next\s+week\b)?"
    rf"|next\s+week\s+(?:on\s+)?(?P<next_week>{WEEKDAY})"
    r"|(?P<feast>christmas\s+eve|christmas(?:\s+day)?|new\s+year['\u2019]?s?\s+eve"
    r"|new\s+year(?:['\u2019]?s)?(?:\s+day)?|halloween|valentine['\u2019]?s\s+day)"
    r"(?:,?\s+(?P<feast_year>\d{4}))?\b",
    re.IGNORECASE,
)
_FEASTS = {"christmas eve": (12, 24), "christmas": (12, 25), "halloween": (10, 31)}
_UNIT_MINUTES = {"minute": 1, "min": 1, "hour": 60, "hr": 60, "h": 60, "day": 1440, "week": 10_080}
_DURATION_UNIT = re.compile(
    r"\s*-?\s*(?P<unit>minute|min|hour|hr|h|day|week)s?\b\.?", re.IGNORECASE
)
_HALF_HOUR = re.compile(
    r"(?:(?:a\s+)?half\s+(?:an\s+|a\s+)?|half-)(?P<unit>hour|day)\b"
    r"|(?:a\s+)?quarter\s+of\s+an\s+(?P<quarter>hour)\b"
    r"|(?P<number>an?|one|two|three|four|\d+)\s+(?:and\s+a\s+half\s+(?P<halves>hour|day)s?"
    r"|(?P<then>hour|day)s?\s+and\s+a\s+half)\b"
    r"|(?P<one>an?|one)\s+(?P<single>minute|hour|day|week)\b"
    r"|a\s+couple\s+of\s+(?P<couple>minute|hour|day|week)s\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenTime:
    """A time of day; `is_sure` when morning or afternoon was said or is plain from a 24 h clock."""

    time: time
    end: int
    is_sure: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenDay:
    """A day; `of` gives its date, None for a date that does not exist."""

    end: int
    of: Callable[[date], date | None]
    is_tonight: bool = False
    is_weekday: bool = False


def clock_at(text: str, at: int, *, bare: bool = False) -> SpokenTime | None:
    """The time of day that begins here; with `bare`, `9` alone is one too."""
    match = _CLOCK.match(text, at) or (_BARE_HOUR.match(text, at) if bare else None)
    if match is None:
        return None
    found = match.groupdict()
    if named := found.get("named"):
        return SpokenTime(
            time=time(0 if named.lower() == "midnight" else 12), end=match.end(), is_sure=True
        )
    hour, minute, half = _parts(found)
    end = match.end()
    part = _PART_OF_DAY.match(text, end)
    if part is not None and half is None and 1 <= hour <= 12:
        half = "am" if (part["part"] or "").lower() == "morning" else "pm"
        half = "am" if part["night"] and (hour < 5 or hour == 12) else half
        end = part.end()
    hour = _in_24(hour, half)
    if not (0 <= hour < 24 and 0 <= minute < 60):
        return None
    is_sure = half is not None or hour > 12 or hour == 0
    return SpokenTime(time=time(hour, minute), end=end, is_sure=is_sure)


def _parts(found: dict[str, str | None]) -> tuple[int, int, str | None]:
    """Hour, minute, and am or pm where it was said."""
    if about := found.get("about"):
        past = (found["past"] or "").lower().replace("minutes", "").strip()
        minutes = {"half": 30, "quarter": 15}.get(past) or int(number_of(past) or 0)
        hour, half = _hour(about), _half(found["past_half"])
        if found["way"] and found["way"].lower() == "to":
            return hour - 1, 60 - minutes, half
        return hour, minutes, half
    if hour := found.get("hour"):
        return int(hour), int(found["minute"] or 0), _half(found["minute_half"])
    if hour := found.get("hour_h"):
        return int(hour), int(found["minute_h"] or 0), None
    return _hour(found["sole"] or ""), 0, _half(found.get("sole_half"))


def _hour(word: str) -> int:
    return int(number_of(word) or 0)


def _half(text: str | None) -> str | None:
    return None if text is None else text.lower().replace(".", "")


def _in_24(hour: int, half: str | None) -> int:
    if half == "pm" and hour < 12:
        return hour + 12
    if half is not None and hour > 12:
        return 99
    return 0 if half == "am" and hour == 12 else hour


def day_at(text: str, at: int) -> SpokenDay | None:
    """The day that begins here."""
    if (iso := _ISO.match(text, at)) is not None:
        year, month, day = (int(part) for part in iso.groups() if part is not None)
        if iso["d3"]:
            year, day = day, year
        return SpokenDay(end=iso.end(), of=lambda _: _date(year, month, day))
    for pattern in (_DAY_MONTH, _MONTH_DAY):
        if (match := pattern.match(text, at)) is not None:
            return _dated(match)
    named = _NAMED_DAY.match(text, at)
    return None if named is None else _named(named)


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _dated(match: re.Match[str]) -> SpokenDay:
    month, day = month_of(match["month"]), ordinal_of(match["day"])
    year = int(match["year"]) if match["year"] else None
    return SpokenDay(end=match.end(), of=_yearly(month, day, year))


def _yearly(month: int, day: int, year: int | None) -> Callable[[date], date | None]:
    """A date of a year; without one, of the first year in which it is not past."""

    def of(today: date) -> date | None:
        if year is not None:
            return _date(year, month, day)
        coming = (_date(today.year + ahead, month, day) for ahead in range(9))
        return next((each for each in coming if each is not None and each >= today), None)

    return of


def _named(match: re.Match[str]) -> SpokenDay:
    word = (match["word"] or "").lower()
    end = match.end()
    if match["weekday"] or match["next_week"]:
        place = weekday_of(match["weekday"] or match["next_week"])
        if match["next_week"] or match["week"]:
            return SpokenDay(
                end=end,
                of=lambda today: today + timedelta(days=7 - today.weekday() + place),
                is_weekday=True,
            )
        return SpokenDay(
            end=end,
            of=lambda today: today + timedelta(days=(place - today.weekday() - 1) % 7 + 1),
            is_weekday=True,
        )
    if match["feast"]:
        year = int(match["feast_year"]) if match["feast_year"] else None
        return SpokenDay(end=end, of=_yearly(*_feast(match["feast"].lower()), year))
    if match["from"]:
        days = 8 if match["from"].lower() == "tomorrow" else 7
    else:
        days = {"today": 0, "tonight": 0, "tomorrow": 1, "yesterday": -1}.get(word, 2)
    return SpokenDay(
        end=end, of=lambda today: today + timedelta(days=days), is_tonight=word == "tonight"
    )


def _feast(name: str) -> tuple[int, int]:
    plain = " ".join(name.replace("'", "").replace("\u2019", "").split())
    if plain.startswith("new year"):
        return (12, 31) if plain.endswith("eve") else (1, 1)
    if plain.startswith("valentine"):
        return 2, 14
    return _FEASTS[plain.removesuffix(" day")]


def month_of(text: str) -> int:
    """The number of a month by its name or its first letters."""
    return 1 + [name[:3] for name in MONTHS].index(text.lower()[:3])


def weekday_of(text: str) -> int:
    """The number of a weekday, 0 for Monday, by its name or its first letters."""
    return [name[:3] for name in WEEKDAYS].index(text.lower()[:3])


def ordinal_of(text: str) -> int:
    """The number of an ordinal such as `3rd`, `third` or a plain `3`."""
    digits = re.match(r"\d+", text)
    return int(digits[0]) if digits else ORDINALS.get(text.lower(), 0)


def minutes_at(text: str, at: int) -> tuple[int, int] | None:
    """Minutes of a span of time such as `2 hours and 30 minutes`, and where it ends."""
    total = 0.0
    end = at
    while (part := _part_of_span(text, end)) is not None:
        total += part[0]
        end = part[1]
        joint = re.compile(r"\s*(?:,|and)?\s*(?=\d|\w+\s+(?:minute|hour))").match(text, end)
        if joint is None or _part_of_span(text, joint.end()) is None:
            break
        end = joint.end()
    return None if end == at or total != int(total) or total < 1 else (int(total), end)


def _part_of_span(text: str, at: int) -> tuple[float, int] | None:
    if (match := _HALF_HOUR.match(text, at)) is not None:
        return _spoken_span(match), match.end()
    number = MEASURE.match(text, at)
    if number is None:
        return None
    unit = _DURATION_UNIT.match(text, number.end())
    if unit is None:
        return None
    return value_of(number) * _UNIT_MINUTES[unit["unit"].lower()], unit.end()


def _spoken_span(match: re.Match[str]) -> float:
    if match["unit"]:
        return _UNIT_MINUTES[match["unit"].lower()] / 2
    if match["quarter"]:
        return 15
    if match["single"]:
        return _UNIT_MINUTES[match["single"].lower()]
    if match["couple"]:
        return 2 * _UNIT_MINUTES[match["couple"].lower()]
    unit = (match["halves"] or match["then"]).lower()
    return (float(number_of(match["number"]) or 1) + 0.5) * _UNIT_MINUTES[unit]


def last_day(year: int, month: int) -> int:
    """How many days a month has."""
    return monthrange(year, month)[1]
