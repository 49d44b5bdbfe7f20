"""Time zones by the names people give them: `Berlin`, `New York time`, `UTC`, `Europe/Paris`."""

import re
from collections.abc import Mapping
from functools import lru_cache

from domain.kernel.zones import zone_names

_ALIASES: Mapping[str, str] = {
    **dict.fromkeys(("utc", "gmt", "zulu", "universal"), "UTC"),
    **dict.fromkeys(
        ("nyc", "new york city", "boston", "washington", "philadelphia", "miami", "atlanta"),
        "America/New_York",
    ),
    **dict.fromkeys(("eastern", "us eastern", "et", "est", "edt"), "America/New_York"),
    **dict.fromkeys(
        ("central", "us central", "ct", "cdt", "houston", "dallas", "austin"), "America/Chicago"
    ),
    **dict.fromkeys(("mountain", "us mountain", "mst", "mdt"), "America/Denver"),
    **dict.fromkeys(
        ("pacific", "us pacific", "pt", "pst", "pdt", "la", "sf", "san francisco", "seattle"),
        "America/Los_Angeles",
    ),
    **dict.fromkeys(("las vegas", "san diego", "portland", "california"), "America/Los_Angeles"),
    **dict.fromkeys(("montreal", "ottawa"), "America/Toronto"),
    **dict.fromkeys(("rio", "rio de janeiro", "brasilia", "brazil"), "America/Sao_Paulo"),
    **dict.fromkeys(("uk", "england", "manchester", "edinburgh", "bst"), "Europe/London"),
    **dict.fromkeys(
        ("germany", "munich", "hamburg", "frankfurt", "cologne", "stuttgart", "german"),
        "Europe/Berlin",
    ),
    **dict.fromkeys(("cet", "cest", "central european"), "Europe/Berlin"),
    **dict.fromkeys(("france", "lyon", "marseille"), "Europe/Paris"),
    **dict.fromkeys(("spain", "barcelona"), "Europe/Madrid"),
    **dict.fromkeys(("italy", "milan"), "Europe/Rome"),
    **dict.fromkeys(("netherlands", "rotterdam"), "Europe/Amsterdam"),
    **dict.fromkeys(("switzerland", "geneva", "basel", "bern"), "Europe/Zurich"),
    **dict.fromkeys(("austria",), "Europe/Vienna"),
    **dict.fromkeys(("poland", "krakow"), "Europe/Warsaw"),
    **dict.fromkeys(("sweden", "gothenburg"), "Europe/Stockholm"),
    **dict.fromkeys(
        ("india", "ist", "mumbai", "delhi", "new delhi", "bangalore", "bengaluru", "chennai"),
        "Asia/Kolkata",
    ),
    **dict.fromkeys(("china", "beijing", "shenzhen"), "Asia/Shanghai"),
    **dict.fromkeys(("japan", "jst", "osaka", "kyoto"), "Asia/Tokyo"),
    **dict.fromkeys(("korea", "south korea"), "Asia/Seoul"),
    **dict.fromkeys(("abu dhabi",), "Asia/Dubai"),
    **dict.fromkeys(("tel aviv",), "Asia/Jerusalem"),
    **dict.fromkeys(("hanoi",), "Asia/Ho_Chi_Minh"),
    **dict.fromkeys(("cape town",), "Africa/Johannesburg"),
}
_NAME = re.compile(r"[A-Za-z][A-Za-z_]*(?:/[A-Za-z][A-Za-z_+-]*\d*)*")
_MOST_WORDS = 4


@lru_cache(maxsize=1)
def _by_city() -> Mapping[str, str]:
    """Zones by the last part of their name; an area such as `US/` gives way to a continent."""
    found: dict[str, str] = {}
    for name in sorted(zone_names(), key=lambda each: (_rank(each), each)):
        found.setdefault(name.rsplit("/", 1)[-1].replace("_", " ").lower(), name)
        found.setdefault(name.lower(), name)
    return found


def _rank(name: str) -> int:
    area = name.partition("/")[0]
    known = ("Europe", "America", "Asia", "Africa", "Australia", "Pacific", "Atlantic", "Indian")
    return known.index(area) if area in known else len(known)


def zone_named(text: str) -> str | None:
    """The IANA name of a place or zone; None for anything else."""
    plain = " ".join(text.replace("_", " ").lower().split())
    plain = re.sub(r"\s+(?:local\s+)?time(?:\s*zone)?$", "", plain)
    plain = re.sub(r"^the\s+", "", plain)
    if plain in _ALIASES:
        return _ALIASES[plain]
    found = _by_city().get(plain) or _by_city().get(plain.replace(" ", "_"))
    return found if found is None or "/" in found or found == "UTC" else None


def is_zone(text: str) -> bool:
    """True for the IANA name of a zone, such as Europe/Berlin."""
    return "/" in text and text in zone_names()


def zone_at(text: str, at: int) -> tuple[str, int] | None:
    """The zone whose name begins at a place of the text, and where the name ends."""
    words: list[re.Match[str]] = []
    place = at
    while len(words) < _MOST_WORDS and (word := _NAME.match(text, place)) is not None:
        words.append(word)
        place = word.end()
        while place < len(text) and text[place] in " \t":
            place += 1
    for count in range(len(words), 0, -1):
        end = words[count - 1].end()
        if (zone := zone_named(text[at:end])) is not None:
            return zone, end
    return None
