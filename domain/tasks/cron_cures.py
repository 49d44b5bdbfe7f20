"""What would be right for a cron field that other schedulers write differently. Pure."""

import re
from collections.abc import Sequence

WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july"),
    *("august", "september", "october", "november", "december"),
)
_NAMES = {"weekday": WEEKDAYS, "month": MONTHS}
_NO_STEP = re.compile(r"/0+(?:,|$)", re.ASCII)
_SHORT = "|".join(name[:3] for name in WEEKDAYS)
_LAST = re.compile(rf"(?P<behind>[0-7]|{_SHORT})L|L(?P<named>{_SHORT})", re.IGNORECASE)
_ZONE = re.compile(r"(?:CRON_)?TZ=", re.IGNORECASE)
_WORD = re.compile(r"[a-z]{4,}", re.IGNORECASE)


def cure(name: str, field: str) -> str | None:
    """Return the message for a field that cannot be; None where nothing special is known."""
    shown = repr(field[:40])
    if _NO_STEP.search(field):
        return f"{shown} never moves on; give a step of 1 or more after the slash."
    if name == "day" and "w" in field.lower() and ("," in field or "-" in field):
        return f"{shown} is no day; W goes with one day alone, such as 15W."
    last = _LAST.fullmatch(field) if name == "weekday" else None
    if last is not None:
        number = _number(last["behind"] or last["named"])
        return f"{shown} is no weekday; write L{number} for the last {WEEKDAYS[number].title()}."
    if name == "weekday" and _mixes_places(field):
        return f"{shown} mixes days with and without a place; give each one, as in mon#1,fri#3."
    long = next((word for word in _WORD.findall(field) if word.lower() in _NAMES.get(name, ())), "")
    if long:
        return f"{shown} is no {name}; use the first three letters, {long[:3].lower()}."
    return None


def instead_of_alias(text: str) -> str:
    """Say what stands for the intervals of others, as the end of a sentence."""
    if text.lower().startswith("@every"):
        return ", or steps, such as */5 * * * * for every 5 minutes"
    return ""


def surplus(fields: Sequence[str]) -> str:
    """Say what the first, sixth and seventh field of others are not here."""
    if _ZONE.match(fields[0] if fields else ""):
        return ", and the time zone goes into timezone"
    return ", and there is none for seconds or years" if len(fields) in (6, 7) else ""


def _mixes_places(field: str) -> bool:
    placed = [re.search(r"#|^l.", part, re.IGNORECASE) is not None for part in field.split(",")]
    return any(placed) and not all(placed)


def _number(day: str) -> int:
    if day.isdecimal():
        return int(day) % 7
    return next(place for place, name in enumerate(WEEKDAYS) if name.startswith(day.lower()))
