"""What somebody may have meant by a time zone that has no such name. Pure."""

import re
from collections.abc import Mapping
from difflib import get_close_matches

from domain.kernel.zones import zone_names
from domain.models.offline.zones_spoken import zone_named as zone_spoken

_OFFSET = re.compile(r"(?:UTC|GMT|Z)?\s*([+-])\s*(\d{1,2})(?::?(\d{2}))?", re.IGNORECASE)
_WINDOWS = re.compile(r"\s+(?:standard|daylight)\s+time$", re.IGNORECASE)
_OTHER_NAMES: Mapping[str, str] = {
    "z": "UTC",
    "cst": "America/Chicago",
    "akst": "America/Anchorage",
    "ast": "America/Halifax",
    "atlantic": "America/Halifax",
    "e. south america": "America/Sao_Paulo",
    "eest": "Europe/Athens",
    "gtb": "Europe/Athens",
    "fle": "Europe/Helsinki",
    "mez": "Europe/Berlin",
    "mesz": "Europe/Berlin",
    "w. europe": "Europe/Berlin",
    "central europe": "Europe/Budapest",
    "romance": "Europe/Paris",
    "e. europe": "Europe/Chisinau",
    "msk": "Europe/Moscow",
    "russian": "Europe/Moscow",
    "arabian": "Asia/Dubai",
    "nepal": "Asia/Kathmandu",
    "sgt": "Asia/Singapore",
    "hkt": "Asia/Hong_Kong",
    "kst": "Asia/Seoul",
    "tokyo": "Asia/Tokyo",
    "se asia": "Asia/Bangkok",
    "aest": "Australia/Sydney",
    "aedt": "Australia/Sydney",
    "aus eastern": "Australia/Sydney",
    "nzst": "Pacific/Auckland",
    "nzdt": "Pacific/Auckland",
    "new zealand": "Pacific/Auckland",
    "bombay": "Asia/Kolkata",
}
"""Abbreviations and names of Windows, without their "Standard Time"."""


def zone_hint(name: str) -> str:
    """Say which zone would be right, as the end of a sentence."""
    plain = name.strip().lower().replace(" ", "_")
    by_lower = {known.lower(): known for known in sorted(zone_names())}
    if plain in by_lower:
        return f"did you mean {by_lower[plain]}?"
    offset = _OFFSET.fullmatch(name.strip())
    if offset is not None:
        return _instead_of_offset(offset)
    meant = _known_otherwise(name)
    if meant is not None:
        return f"did you mean {meant}?"
    near = get_close_matches(plain, by_lower, n=3, cutoff=0.7)
    cities = [known for lower, known in by_lower.items() if plain == lower.rpartition("/")[2]]
    found = list(dict.fromkeys([*cities, *(by_lower[lower] for lower in near)]))[:3]
    return f"did you mean {' or '.join(found)}?" if found else "use one like Europe/Berlin."


def _known_otherwise(name: str) -> str | None:
    """The zone of an abbreviation, a Windows name, or a place that names none itself."""
    plain = " ".join(_WINDOWS.sub("", name.strip()).lower().split())
    return _OTHER_NAMES.get(plain) or zone_spoken(plain)


def _instead_of_offset(offset: re.Match[str]) -> str:
    """The zones of the `Etc` area count from the other side: Etc/GMT-2 is two hours ahead."""
    sign, hours, minutes = offset.groups()
    fixed = f"Etc/GMT{'-' if sign == '+' else '+'}{int(hours)}"
    place = "a place such as Europe/Berlin, whose clocks change"
    if int(hours) == 0 and int(minutes or 0) == 0:
        return "use UTC."
    if int(minutes or 0) or fixed not in zone_names():
        return f"an offset is no zone: use {place}."
    return f"an offset is no zone: use {place}, or {fixed}, whose sign is turned round."
