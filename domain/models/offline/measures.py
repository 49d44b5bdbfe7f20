"""Units of measure by the words people use for them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from domain.models.offline.numbers_spoken import MEASURE, value_of

_I = re.IGNORECASE
_NAMES: Mapping[str, str] = {
    "mm": "millimeter millimetre mm", "cm": "centimeter centimetre cm", "m": "meter metre m",
    "km": "kilometer kilometre km klick", "in": "inch inche in",
    "ft": "foot feet ft", "yd": "yard yd",
    "mi": "mile mi", "nmi": "nautical_mile nmi", "mg": "milligram mg", "g": "gram gramme g",
    "kg": "kilogram kilo kg", "t": "ton tonne metric_ton t", "oz": "ounce oz", "lb": "pound lb",
    "cm2": "square_centimeter square_centimetre cm2 cm\u00b2",
    "m2": "square_meter square_metre m2 m\u00b2 sqm", "ha": "hectare ha",
    "km2": "square_kilometer square_kilometre km2 km\u00b2",
    "ft2": "square_foot square_feet ft2 sqft sq_ft", "ac": "acre ac",
    "ml": "milliliter millilitre ml", "l": "liter litre l",
    "m3": "cubic_meter cubic_metre m3 m\u00b3",
    "tsp": "teaspoon tsp", "cup": "cup", "floz": "fluid_ounce fl_oz floz", "pt": "pint pt",
    "gal": "gallon gal", "ms": "millisecond ms", "s": "second sec s", "min": "minute min",
    "h": "hour hr h", "d": "day d", "wk": "week wk", "m/s": "meter_per_second metre_per_second m/s",
    "km/h": "kilometer_per_hour kilometre_per_hour km/h kmh kph kmph",
    "mph": "mile_per_hour miles_per_hour mph", "kn": "knot kn", "bit": "bit", "B": "byte b",
    "kB": "kilobyte kb", "MB": "megabyte mb", "GB": "gigabyte gb", "TB": "terabyte tb",
    "KiB": "kibibyte kib", "MiB": "mebibyte mib", "GiB": "gibibyte gib", "TiB": "tebibyte tib",
    "J": "joule j", "kJ": "kilojoule kj", "cal": "calorie cal", "kcal": "kilocalorie kcal",
    "Wh": "watt_hour watt-hour wh", "kWh": "kilowatt_hour kilowatt-hour kwh", "Pa": "pascal pa",
    "kPa": "kilopascal kpa", "bar": "bar", "atm": "atmosphere atm", "psi": "psi",
    "rad": "radian rad", "deg": "degree deg \u00b0", "K": "kelvin k",
    "C": "celsius centigrade c \u00b0c degree_celsius degree_c degree_centigrade",
    "F": "fahrenheit f \u00b0f degree_fahrenheit degree_f",
}  # fmt: skip
_BY_WORD: Mapping[str, str] = {
    word.replace("_", " "): sign for sign, words in _NAMES.items() for word in words.split()
}
_UNIT = (
    r"(?:\u00b0\s?[CF]\b|\u00b0|[A-Za-z][A-Za-z\u00b2\u00b3]*[23]?(?:/[A-Za-z]+)?"
    r"(?:[\s-](?:per\s+)?(?!to\b|in\b|into\b|as\b|and\b|are\b|is\b|from\b)[A-Za-z]+){0,2})"
)
_PLAIN_NUMBER = MEASURE.pattern.replace("(?P<written>", "(?:").replace("(?P<spoken>", "(?:")
_NUMBER = rf"(?:(?<![\w.])\d+\s?/\s?\d+|(?:minus\s+)?(?:{_PLAIN_NUMBER}))"
_PAIR = re.compile(
    rf"(?P<number>{_NUMBER}|(?:an?|one|half\s+an?)(?=\s))\s*-?\s*"
    rf"(?P<unit>{_UNIT})\s*(?:=|equals?|is|are)?\s*(?:to|in|into|as|how\s+many|how\s+much)\s+(?:the\s+)?(?P<to>{_UNIT})",
    _I,
)
_HOW_MANY = re.compile(
    rf"how\s+(?:many|much|long\s+in)\s+(?P<to>{_UNIT}?)\s+"
    r"(?:are\s+there\s+in|is\s+there\s+in|are\s+in|is\s+in|make(?:\s+up)?|are|is|in|fit\s+in(?:to)?|do|does|equal|has|have|=)"
    r"\s+(?:there\s+in\s+)?"
    rf"(?P<number>{_NUMBER}|(?:an?|one|half\s+an?)(?=\s))\s*-?\s*(?P<unit>{_UNIT})",
    _I,
)
_TO_FIRST = re.compile(
    rf"(?:to|into|in)\s+(?P<to>{_UNIT}?)\s*[:,]?\s+(?P<number>{_NUMBER})\s*(?P<unit>{_UNIT})",
    _I,
)
_FROM_TO = re.compile(
    rf"(?P<number>{_NUMBER})\s+from\s+(?P<unit>{_UNIT}?)\s+(?:to|into)\s+(?P<to>{_UNIT})",
    _I,
)
_FROM_TO_FIRST = re.compile(
    rf"from\s+(?P<unit>{_UNIT}?)\s+(?:to|into)\s+(?P<to>{_UNIT}?)\s*[:,]?\s*(?P<number>{_NUMBER})",
    _I,
)
_EARLIER = re.compile(
    rf"\b(?:it|that|this|(?:the|that|this)\s+(?:result|number|value|answer))\b\s+(?:from\s+)?(?P<unit>{_UNIT})?\s*(?:to|in|into)\s+(?P<to>{_UNIT})",
    _I,
)


def unit_of(text: str) -> str | None:
    """The sign of a unit by any of its names; None if it is none."""
    plain = " ".join(text.strip(" .?!,").split())
    if plain in _NAMES:
        return plain
    lower = plain.lower().replace("-", " ")
    for candidate in (
        lower,
        lower.removesuffix("s"),
        lower.removesuffix("es"),
        re.sub(r"s\b", "", lower),
        re.sub(r"s(?=\s)", "", lower),
    ):
        if candidate in _BY_WORD:
            return _BY_WORD[candidate]
    return None


def _unit_in(text: str) -> tuple[str, int] | None:
    """The unit that a text begins with, and how long its name is."""
    words = list(re.finditer(r"[^\s-]+", text))
    for count in range(len(words), 0, -1):
        end = words[count - 1].end()
        if (unit := unit_of(text[:end])) is not None:
            return unit, end
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenConversion:
    """A number of one unit that is wanted in another, and where that stands."""

    start: int
    end: int
    value: float | None
    """None when it is the result of the step before."""
    unit: str | None
    target: str


@lru_cache(maxsize=256)
def conversion_in(text: str, *, has_earlier: bool = False) -> SpokenConversion | None:
    """The first conversion of a text."""
    for pattern in (_HOW_MANY, _FROM_TO, _FROM_TO_FIRST, _PAIR, _TO_FIRST):
        for match in pattern.finditer(text):
            unit = _unit_in(match["unit"])
            to = _unit_in(match["to"])
            if unit is None or to is None:
                continue
            end = match.end()
            if match.end("to") == match.end():
                end = match.start("to") + to[1]
            elif match.end("unit") == match.end():
                end = match.start("unit") + unit[1]
            return SpokenConversion(
                start=match.start(),
                end=end,
                value=_number(match["number"]),
                unit=unit[0],
                target=to[0],
            )
    if has_earlier and (match := _EARLIER.search(text)) is not None:
        unit = _unit_in(match["unit"]) if match["unit"] else None
        to = _unit_in(match["to"])
        if to is not None:
            return SpokenConversion(
                start=match.start(),
                end=match.start("to") + to[1],
                value=None,
                unit=unit[0] if unit else None,
                target=to[0],
            )
    return None


def _number(text: str) -> float:
    if text.lower().startswith("minus"):
        return -_number(text[5:].strip())
    parts = [part.strip() for part in text.split("/")]
    if len(parts) == 2 and float(parts[1]):
        return int(parts[0]) / int(parts[1])
    match = MEASURE.fullmatch(text.strip())
    if match is not None:
        return value_of(match)
    return 0.5 if text.lower().startswith("half") else 1
