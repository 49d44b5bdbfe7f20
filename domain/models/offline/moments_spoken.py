"""Moments in a text, written or said, as ISO 8601: `2026-03-01`, `tomorrow at 5pm`, `now`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from domain.kernel.zones import load_zone
from domain.models.offline.literals import MOMENT
from domain.models.offline.times_spoken import clock_at, day_at
from domain.models.offline.zones_spoken import zone_at

_I = re.IGNORECASE
_START = re.compile(
    r"(?<![\w/:.-])(?:\d|now\b|right\s+now|the\s+current|today|tomorrow|yesterday|tonight|the\s+day"
    r"|day\s+after|next|this|coming|christmas|new\s+year|halloween|valentine|noon|midnight"
    r"|(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\b|(?:the\s+)?(?:first|second|third|fourth|fifth)\b"
    r"|(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b)",
    _I,
)
_NOW = re.compile(r"(?:right\s+)?now\b|the\s+current\s+(?:time|moment|date)\b", _I)
_JOINT = re.compile(r"\s*,?\s*(?:at\s+)?", _I)
_ON = re.compile(r"\s*,?\s*(?:on\s+)?(?:the\s+)?", _I)
_UTC = re.compile(r"\s*(?:UTC|GMT|Z)\b", _I)
_ZONE_LEAD = re.compile(r"\s*(?:\(|(?:in|from|at)\s+)?", _I)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenMoment:
    """A moment as ISO 8601, and where it stands; without an offset it is a wall-clock time."""

    start: int
    end: int
    iso: str
    is_day: bool


@lru_cache(maxsize=256)
def moments_in(text: str, now: datetime, zone: str | None = None) -> Sequence[SpokenMoment]:
    """All moments of a text, in order; "today" is the zone's."""
    today = now.astimezone(load_zone(zone or "UTC"))
    moments: list[SpokenMoment] = []
    at = 0
    while (start := _START.search(text, at)) is not None:
        found = _moment_at(text, start.start(), now, today)
        if found is None:
            at = start.start() + 1
            continue
        moments.append(found)
        at = found.end
    return tuple(moments)


def _moment_at(text: str, at: int, now: datetime, today: datetime) -> SpokenMoment | None:
    if (written := MOMENT.match(text, at)) is not None and len(written[0]) > 10:
        utc = None if written[0][-1] in "Zz" else _UTC.match(text, written.end())
        iso = written[0] if utc is None else f"{written[0].replace(' ', 'T')}Z"
        end = written.end() if utc is None else utc.end()
        return SpokenMoment(start=at, end=end, iso=iso, is_day=False)
    if (match := _NOW.match(text, at)) is not None:
        return SpokenMoment(start=at, end=match.end(), iso=iso_moment(now), is_day=False)
    day = day_at(text, at)
    if day is None:
        return _clock_first(text, at, today)
    date = day.of(today.date())
    if date is None:
        return None
    joint = _JOINT.match(text, day.end)
    begin = day.end if joint is None else joint.end()
    is_said = joint is not None and "at" in joint[0].lower()
    clock = clock_at(text, begin, bare=is_said)
    if clock is None:
        return SpokenMoment(start=at, end=day.end, iso=date.isoformat(), is_day=True)
    return _with_utc(text, at, clock.end, f"{date.isoformat()}T{clock.time.isoformat()}")


def _clock_first(text: str, at: int, today: datetime) -> SpokenMoment | None:
    """`18:00 on 24 December`, or a time of today."""
    clock = clock_at(text, at)
    if clock is None:
        return None
    zone_end = _UTC.match(text, clock.end)
    joint = _ON.match(text, clock.end if zone_end is None else zone_end.end())
    day = None if joint is None else day_at(text, joint.end())
    date = None if day is None else day.of(today.date())
    if day is None or date is None:
        date, end = today.date(), clock.end
    else:
        end = day.end
    iso = f"{date.isoformat()}T{clock.time.isoformat()}"
    if zone_end is not None and end > clock.end:
        return SpokenMoment(start=at, end=end, iso=f"{iso}Z", is_day=False)
    return _with_utc(text, at, end, iso)


def _with_utc(text: str, start: int, end: int, iso: str) -> SpokenMoment:
    utc = _UTC.match(text, end)
    if utc is None:
        return SpokenMoment(start=start, end=end, iso=iso, is_day=False)
    return SpokenMoment(start=start, end=utc.end(), iso=f"{iso}Z", is_day=False)


def iso_moment(moment: datetime) -> str:
    """A moment in UTC as ISO 8601."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@lru_cache(maxsize=256)
def zones_in(text: str) -> Sequence[tuple[int, int, str]]:
    """Zones that are named with a preposition, with "time", or by their IANA name."""
    found: list[tuple[int, int, str]] = []
    at = 0
    marks = re.compile(r"\b(?:in|to|into|for|from|at)\s+(?=[A-Za-z])|(?<![\w/])(?=[A-Z])", _I)
    while (mark := marks.search(text, at)) is not None:
        begin = mark.end()
        zone = zone_at(text, begin)
        if zone is None:
            at = max(begin, mark.start() + 1)
            continue
        name, end = zone
        tail = re.compile(r"\s+time\b", _I).match(text, end)
        said = text[begin:end].lower()
        is_marked = bool(mark[0]) or tail is not None or "/" in said or said in ("utc", "gmt")
        end = end if tail is None else tail.end()
        if is_marked or said.endswith(" time"):
            found.append((mark.start(), end, name))
        at = max(end, at + 1)
    return tuple(found)


def shifted(iso: str, zone: str) -> str:
    """A wall-clock time with the offset that it has in a zone."""
    local = datetime.fromisoformat(iso)
    return iso if local.tzinfo is not None else local.replace(tzinfo=load_zone(zone)).isoformat()
