"""Units of measure: from one to another (factors of the SI Brochure and of NIST SP 811)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from domain.helpers.bounds import plain_number
from domain.helpers.errors import HelperError

UNITS: Mapping[str, Mapping[str, float]] = {
    "length": {
        "mm": 0.001, "cm": 0.01, "m": 1.0, "km": 1000.0, "in": 0.0254, "ft": 0.3048,
        "yd": 0.9144, "mi": 1609.344, "nmi": 1852.0,
    },
    "mass": {
        "mg": 1e-6, "g": 0.001, "kg": 1.0, "t": 1000.0, "oz": 0.028349523125, "lb": 0.45359237,
    },
    "area": {
        "cm2": 1e-4, "m2": 1.0, "ha": 1e4, "km2": 1e6, "ft2": 0.09290304, "ac": 4046.8564224,
    },
    "volume": {
        "ml": 1e-6, "l": 0.001, "m3": 1.0, "tsp": 4.92892159375e-6, "cup": 2.365882365e-4,
        "floz": 2.95735295625e-5, "pt": 4.73176473e-4, "gal": 0.003785411784,
    },
    "time": {
        "ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "wk": 604800.0,
    },
    "speed": {"m/s": 1.0, "km/h": 1 / 3.6, "mph": 0.44704, "kn": 1852 / 3600},
    "size": {
        "bit": 0.125, "B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
        "KiB": 1024.0, "MiB": 1024.0**2, "GiB": 1024.0**3, "TiB": 1024.0**4,
    },
    "energy": {"J": 1.0, "kJ": 1e3, "cal": 4.184, "kcal": 4184.0, "Wh": 3600.0, "kWh": 3.6e6},
    "pressure": {"Pa": 1.0, "kPa": 1e3, "bar": 1e5, "atm": 101325.0, "psi": 6894.757293168361},
    "angle": {"rad": 1.0, "deg": math.pi / 180},
    "temperature": {"K": 1.0, "C": 1.0, "F": 5 / 9},
}  # fmt: skip
_ZERO_KELVIN: Mapping[str, float] = {"K": 0.0, "C": -273.15, "F": -459.67}


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A value and its unit; `dimension` is what it measures."""

    value: float
    unit: str
    dimension: str


def unit_convert(
    value: Annotated[float, Field(description="How many.", allow_inf_nan=False)],
    unit: Annotated[
        str,
        Field(description="Unit of the value, such as km, lb, C, GiB, kWh or mph.", max_length=10),
    ],
    to: Annotated[str, Field(description="Unit to convert to, such as mi or kg.", max_length=10)],
) -> Quantity:
    """Convert a value between units of length, mass, time, temperature, size and more."""
    dimension = _dimension_of(unit, argument="unit")
    units = UNITS[dimension]
    if to not in units:
        _dimension_of(to, argument="to")
        raise HelperError(
            f"to: {to} is no unit of {dimension}, which {unit} is; try {', '.join(units)}."
        )
    if dimension == "temperature":
        converted = _temperature(value, unit, to)
    else:
        converted = plain_number(value * (units[unit] / units[to]))
    if not math.isfinite(converted):
        raise HelperError(f"value: {value:g} {unit} is too large to be given in {to}.")
    return Quantity(value=converted, unit=to, dimension=dimension)


def _temperature(value: float, unit: str, to: str) -> float:
    zero, kelvin = _ZERO_KELVIN, UNITS["temperature"]
    if value < zero[unit]:
        raise HelperError(f"value: nothing is colder than {zero[unit]} {unit}.")
    # Nine digits hide what the shift by the zero points costs in precision.
    return round((value - zero[unit]) * kelvin[unit] / kelvin[to] + zero[to], 9)


def _dimension_of(unit: str, *, argument: str) -> str:
    for dimension, units in UNITS.items():
        if unit in units:
            return dimension
    known = "; ".join(f"{dimension}: {', '.join(units)}" for dimension, units in UNITS.items())
    raise HelperError(f"{argument}: no unit is called {unit!r}. Known are {known}.")
