"""Phrases of when something is due: `every weekday at 9 in Berlin`, `in 20 minutes`.

Words are read one element at a time, in any order; what they say is gathered in a `When`.
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta

from domain.models.offline.due_times import CRON_DAYS, When
from domain.models.offline.literals import MOMENT
from domain.models.offline.numbers_spoken import number_of
from domain.models.offline.rhythms_spoken import read_rhythm
from domain.models.offline.times_spoken import (
    MONTH,
    ORDINAL,
    WEEKDAY,
    SpokenDay,
    clock_at,
    day_at,
    minutes_at,
    month_of,
    ordinal_of,
    weekday_of,
)
from domain.models.offline.zones_spoken import zone_at

_LONGEST_PHRASE = 400
_I = re.IGNORECASE
_GAP = re.compile(r"[\s,(]*(?:(?:and|also)\s+)?")
_PART_OF_DAY = re.compile(
    r"(?:(?:every|each)\s+)?(?P<part>morning|evening|night|afternoon)s?\b", _I
)
_DAYS = (
    r"(?:(?:weekdays?|working\s+days?|work\s*days?|business\s+days?|weekends?|"
    + WEEKDAY.replace(r")\b\.?", r")s?\b\.?")
    + r"))"
)
_WEEKDAYS = re.compile(
    rf"(?P<every>(?:on\s+)?(?:every|each|all)\s+|on\s+)?(?P<days>{_DAYS}"
    rf"(?:(?:\s*(?:,|and|&|,\s*and|or)\s*(?:on\s+|every\s+)?|\s*(?:-|\u2013|to|through|till|until)\s*){_DAYS})*)",
    _I,
)
_SPAN_OF_DAYS = re.compile(rf"({WEEKDAY})s?\s*(?:-|\u2013|to|through|till|until)\s*({WEEKDAY})", _I)
_MONTH_DAYS = re.compile(
    rf"(?:on\s+)?(?:(?P<every>every|each)\s+month\s+)?(?:on\s+)?(?:the|(?P<each>every|each))\s+(?P<days>(?:{ORDINAL}|last)"
    rf"(?:\s*(?:,|and|,\s*and)\s*(?:the\s+)?(?:{ORDINAL}|last))*)(?:\s+day)?"
    r"(?P<of>\s+(?:of|in)\s+(?:every|each|the|a)\s+month)?\b"
    rf"(?!\s+(?:{MONTH}|of\s+{MONTH}|{WEEKDAY}))",
    _I,
)
_NTH_WEEKDAY = re.compile(
    rf"(?:on\s+)?(?:the|every|each)\s+(?P<place>{ORDINAL}|last)\s+(?P<day>{WEEKDAY})"
    r"(?P<of>\s+(?:of|in)\s+(?:every|each|the|a)\s+month)?",
    _I,
)
_IN_MONTHS = re.compile(
    rf"(?:in|every|each|during)\s+(?P<months>{MONTH}(?:\s*(?:,|and|,\s*and)\s*{MONTH})*)"
    r"(?!\s+\d)",
    _I,
)
_OF_MONTH = re.compile(r"(?:of|in)\s+(?:every|each|the)\s+month\b", _I)
_EVERY_DATE = re.compile(r"(?:every|each)\s+(?:year\s+on\s+)?(?=\d|[a-z])", _I)
_HOURS = re.compile(
    r"(?:between|from)\s+(?P<from>[\w:.]+(?:\s*[ap]m)?)\s+(?:and|to|till|until|-)\s+"
    r"(?P<to>[\w:.]+(?:\s*[ap]m)?)(?:\s+o'clock)?\b",
    _I,
)
_AT_MINUTE = re.compile(
    r"(?:at\s+)?(?:minute\s+(?P<minute>\d{1,2})"
    r"|(?P<past>\d{1,2}|quarter|half|[a-z]+)\s+(?:minutes?\s+)?past\s+(?:every|each|the)\s+hour"
    r"|on\s+the\s+(?P<whole>hour))\b",
    _I,
)
_AFTER = re.compile(r"(?:in|after)\s+(?=[\dahotfsen])", _I)
_FROM_NOW = re.compile(r"\s+from\s+now\b", _I)
_DAYS_AHEAD = re.compile(r"in\s+(?P<n>\d+|[a-z]+)\s+(?P<unit>day|week)s?\b(?=\s*,?\s*at\b)", _I)
_AT = re.compile(r"(?P<lead>at|by|@|for)\s+(?:about\s+|exactly\s+)?", _I)
_ON = re.compile(r"(?:on|for|by)\s+(?:the\s+)?", _I)
_IN_ZONE = re.compile(r"(?:in|at|for)\s+(?:the\s+)?|\(\s*|", _I)
_CRON = re.compile(
    r"(?:(?:with|by|on|using|use)\s+)?(?:the\s+)?(?:cron(?:\s*tab)?(?:\s+(?:schedule|expression))?\s*[:=]?\s*)?"
    r"[\"'`]?(?P<cron>(?:(?:[\d*][\d*/,-]*)\s+){4}(?:[\d*L][\w*/,#-]*|(?:sun|mon|tue|wed|thu|fri|sat)[\w,#-]*))[\"'`]?(?![\w*])",
    _I,
)
_AND_TIME = re.compile(r"\s*(?:,|and|,\s*and|&)\s*(?:at\s+)?", _I)


def read_when(text: str, at: int) -> When | None:
    """What is said from this place on of when something is due; None if nothing."""
    when = When(start=at, end=at)
    place = at
    while place < len(text) and place - at < _LONGEST_PHRASE:
        gap = _GAP.match(text, place) if when.end > at else None
        begin = gap.end() if gap is not None else place
        end = next(
            (end for read in _ELEMENTS if (end := read(when, text, begin)) is not None), None
        )
        if end is None or end <= begin:
            break
        place = when.end = end
        if text[place : place + 1] == ")":
            place = when.end = place + 1
    return when if when.has_substance and when.end > at else None


def _read_cron(when: When, text: str, at: int) -> int | None:
    match = _CRON.match(text, at)
    if match is None or when.cron is not None:
        return None
    when.cron = " ".join(match["cron"].split())
    return match.end()


def _read_nth(when: When, text: str, at: int) -> int | None:
    match = _NTH_WEEKDAY.match(text, at)
    if match is None:
        return None
    place, day = match["place"].lower(), CRON_DAYS[weekday_of(match["day"])]
    if place == "second" and match[0].lower().startswith(("every", "each")) and not match["of"]:
        when.unclear = "every second week is no rhythm of the calendar that cron knows"
    number = (weekday_of(match["day"]) + 1) % 7
    when.nth = f"L{number}" if place == "last" else f"{day}#{ordinal_of(place)}"
    return match.end()


def _read_month_days(when: When, text: str, at: int) -> int | None:
    match = _MONTH_DAYS.match(text, at)
    if match is None:
        return None
    for word in re.findall(rf"{ORDINAL}|last", match["days"], _I):
        when.month_days.append("L" if word.lower() == "last" else str(ordinal_of(word)))
    when.is_monthly = when.is_monthly or bool(match["every"] or match["each"] or match["of"])
    return match.end()


def _read_weekdays(when: When, text: str, at: int) -> int | None:
    match = _WEEKDAYS.match(text, at)
    if match is None:
        return None
    said = match["days"].lower()
    is_plural = re.search(r"days\b|ends\b|mons\b|fris\b", said) is not None
    found = _weekdays_of(said)
    repeats = match["every"] is not None and match["every"].strip().lower() != "on"
    if not (repeats or is_plural or when.says_every or _SPAN_OF_DAYS.search(said)):
        return None
    when.weekdays |= found
    when.says_every = True
    if when.unclear == "it does not say on which day of the week":
        when.unclear = None
    return match.end()


def _weekdays_of(said: str) -> set[int]:
    found: set[int] = set()
    for first, last in _SPAN_OF_DAYS.findall(said):
        start, stop = weekday_of(first), weekday_of(last)
        found |= {(start + step) % 7 for step in range((stop - start) % 7 + 1)}
    if re.search(r"week\s*day|work|business", said):
        found |= set(range(5))
    if "weekend" in said:
        found |= {5, 6}
    for day in re.findall(WEEKDAY.replace(r"\b\.?", ""), said, _I):
        found.add(weekday_of(day))
    return found


def _read_part_of_day(when: When, text: str, at: int) -> int | None:
    match = _PART_OF_DAY.match(text, at)
    if match is None or (when.end == when.start and not match[0].lower().startswith("e")):
        return None
    when.part_of_day = match["part"].lower()
    if match[0].lower().startswith(("every", "each")):
        when.is_daily = when.says_every = True
    return match.end()


def _read_months(when: When, text: str, at: int) -> int | None:
    if (match := _OF_MONTH.match(text, at)) is not None and (when.month_days or when.nth):
        when.is_monthly = True
        return match.end()
    match = _IN_MONTHS.match(text, at)
    if match is None or (not when.repeats and not match[0].lower().startswith("e")):
        return None
    when.months += [month_of(word) for word in re.findall(MONTH, match["months"], _I)]
    when.says_every = True
    return match.end()


def _read_after(when: When, text: str, at: int) -> int | None:
    ahead = _DAYS_AHEAD.match(text, at)
    if ahead is not None and (count := number_of(ahead["n"])) is not None:
        days = int(count) * (7 if ahead["unit"].lower() == "week" else 1)
        when.days.append(SpokenDay(end=ahead.end(), of=lambda today: today + timedelta(days=days)))
        return ahead.end()
    lead = _AFTER.match(text, at)
    found = minutes_at(text, lead.end() if lead is not None else at)
    if found is None or when.after_minutes is not None:
        return None
    minutes, end = found
    tail = _FROM_NOW.match(text, end)
    if lead is None and tail is None:
        return None
    when.after_minutes = minutes
    return end if tail is None else tail.end()


def _read_hours(when: When, text: str, at: int) -> int | None:
    match = _HOURS.match(text, at)
    if match is None or when.every_minutes is None:
        return None
    first = clock_at(match["from"], 0, bare=True)
    last = clock_at(match["to"], 0, bare=True)
    if first is None or last is None or first.time.minute or last.time.minute:
        return None
    late = last.time.hour
    late += 12 if late <= first.time.hour and not last.is_sure and late < 12 else 0
    when.hours = (first.time.hour, late)
    return match.end()


def _read_minute(when: When, text: str, at: int) -> int | None:
    match = _AT_MINUTE.match(text, at)
    if match is None or when.every_minutes not in (60, None):
        return None
    said = (match["minute"] or match["past"] or "0").lower()
    number = {"quarter": 15, "half": 30}.get(said, number_of(said))
    if number is None or not 0 <= number < 60:
        return None
    when.minute = int(number)
    when.every_minutes = when.every_minutes or 60
    return match.end()


def _read_time(when: When, text: str, at: int) -> int | None:
    lead = _AT.match(text, at)
    begin = at if lead is None else lead.end()
    spoken = clock_at(text, begin, bare=lead is not None and lead["lead"].lower() in ("at", "@"))
    if spoken is None:
        return None
    when.times.append(spoken)
    end = spoken.end
    while (joint := _AND_TIME.match(text, end)) is not None:
        following = clock_at(text, joint.end(), bare=True)
        is_listed = "and" in joint[0].lower() or _ends_well(text, following.end if following else 0)
        if following is None or not is_listed:
            break
        when.times.append(following)
        end = following.end
    return end


def _ends_well(text: str, at: int) -> bool:
    """Tell a further time (`at 9 and 17`) from a count of things (`at 9, 3 files`)."""
    return (
        re.compile(r"\s*(?:$|[,.;:()]|and\b|in\b|on\b|every\b|each\b|utc\b|to\b)", _I).match(
            text, at
        )
        is not None
    )


def _read_day(when: When, text: str, at: int) -> int | None:
    every = _EVERY_DATE.match(text, at)
    if every is not None:
        return _read_yearly(when, text, every.end())
    if (
        word := re.compile(r"this\s+(morning|afternoon|evening)\b", _I).match(text, at)
    ) is not None:
        when.part_of_day = word[1].lower()
        when.days.append(SpokenDay(end=word.end(), of=lambda today: today))
        return word.end()
    lead = _ON.match(text, at)
    begin = at if lead is None else lead.end()
    spoken = day_at(text, begin)
    if spoken is None:
        return None
    if when.is_yearly and not when.month_days:
        return _read_yearly(when, text, begin)
    if when.days and when.days[-1].is_weekday and not spoken.is_weekday:
        when.days.pop()
    when.days.append(spoken)
    if spoken.is_tonight:
        when.part_of_day = "evening"
    end = spoken.end
    joint = re.compile(r"T(?=\d\d:)").match(text, end)
    return end if joint is None else joint.end()


def _read_instant(when: When, text: str, at: int) -> int | None:
    """A moment that is written with its own offset."""
    lead = re.compile(r"(?:at|on|for)\s+", _I).match(text, at)
    match = MOMENT.match(text, at if lead is None else lead.end())
    if (
        match is None
        or len(match[0]) <= 16
        or (match[0][-6] not in "+-" and match[0][-1] not in "Zz")
    ):
        return None
    try:
        when.instants.append(datetime.fromisoformat(match[0].upper()))
    except ValueError:
        return None
    return match.end()


def _read_yearly(when: When, text: str, at: int) -> int | None:
    """A day and a month that come back each year."""
    found = re.compile(
        rf"(?:(?P<d>\d{{1,2}}(?:st|nd|rd|th)?|{ORDINAL})\s+(?:of\s+)?(?P<m>{MONTH})"
        rf"|(?P<m2>{MONTH})\s+(?P<d2>\d{{1,2}}(?:st|nd|rd|th)?))(?![:.\d])",
        _I,
    ).match(text, at)
    if found is None:
        return None
    when.months.append(month_of(found["m"] or found["m2"]))
    when.month_days.append(str(ordinal_of(found["d"] or found["d2"])))
    when.is_yearly = True
    return found.end()


def _read_zone(when: When, text: str, at: int) -> int | None:
    if not when.has_substance or when.zone is not None:
        return None
    lead = _IN_ZONE.match(text, at)
    begin = at if lead is None else lead.end()
    found = zone_at(text, begin)
    if found is None:
        return None
    zone, end = found
    is_marked = (
        begin > at
        or "/" in text[begin:end]
        or text[begin:end].lower().endswith(("utc", "gmt", "time", "est", "cet"))
    )
    if not is_marked:
        return None
    tail = re.compile(r"\s+time\b", _I).match(text, end)
    when.zone = zone
    return end if tail is None else tail.end()


_ELEMENTS: tuple[Callable[[When, str, int], int | None], ...] = (
    _read_cron,
    _read_nth,
    _read_month_days,
    read_rhythm,
    _read_weekdays,
    _read_part_of_day,
    _read_months,
    _read_after,
    _read_hours,
    _read_minute,
    _read_instant,
    _read_day,
    _read_time,
    _read_zone,
)
