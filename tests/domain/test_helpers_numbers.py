"""Numbers: arithmetic that runs no code and ends soon, statistics, units."""

import math

import pytest

from domain.helpers.errors import HelperError
from domain.helpers.numbers import Calculation, NumbersSummary, calculate, numbers_summary
from domain.helpers.units import UNITS, Quantity, unit_convert


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("(2 + 3) * 4", 20),
        ("0.1 + 0.2", 0.3),
        ("2 ^ 10", 1024),
        ("2 ** -1", 0.5),
        ("-2 ^ 2", -4),
        ("7 // 2 + 7 % 2", 4),
        ("10 / 4", 2.5),
        ("6 / 2", 3),
        ("3 \N{MULTIPLICATION SIGN} 4 \N{DIVISION SIGN} 6 \N{MINUS SIGN} 1", 1),
        ("sqrt(2) ^ 2", 2),
        ("round(pi, 2)", 3.14),
        ("round(1234, -2)", 1200),
        ("max(1, 2.5, -3) + min(4, 3)", 5.5),
        ("sum(1, 2, 3) + abs(-4)", 10),
        ("log(8, 2) + log10(100) + log(e)", 6),
        ("floor(2.7) + ceil(2.1)", 5),
    ],
)
def test_an_expression_has_its_value(expression: str, value: float):
    assert calculate(expression).value == value


def test_a_large_whole_number_keeps_all_digits_as_text():
    assert calculate("2 ^ 100") == Calculation(
        value=1.2676506002282294e30, text="1267650600228229401496703205376"
    )


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        ("9 ^ 9 ^ 9", "too large"),
        ("10 ^ 308 * 10", "too large"),
        ("1e308 * 10.5", "too large"),
        ("2.5 ^ 99999", "too large"),
        ("exp(1000)", "too large"),
        ("1 / 0", "divides by zero"),
        ("0 ^ -1", "divides by zero"),
        ("(-8) ^ 0.5", "has no real value"),
        ("sqrt(-1)", "sqrt(-1) has no value"),
        ("round(5, -999999999)", "round(5, -1e+09) has no value"),
        ("sqrt(1, 2)", "sqrt(1, 2) has no value"),
        ("max()", "max() has no value"),
        ("2 +", "is no arithmetic"),
        ("", "is no arithmetic"),
        ("(" * 300, "is no arithmetic"),
        ("-" * 400 + "1", "nested more than 50 deep"),
        ("__import__('os')", "cannot calculate"),
        ("().__class__", "cannot calculate"),
        ("'a' * 999", "cannot calculate"),
        ("[1] * 9", "cannot calculate"),
        ("1 if 2 else 3", "cannot calculate"),
        ("(lambda: 1)()", "cannot calculate"),
        ("True + 1", "cannot calculate"),
        ("1j", "cannot calculate"),
        ("1 << 9999999999", "cannot calculate"),
        ("max(*[1])", "cannot calculate"),
        ("round(number=1)", "cannot calculate"),
        ("9" * 501, "longer than 500"),
    ],
)
def test_what_is_no_bounded_arithmetic_is_refused(expression: str, part: str):
    with pytest.raises(HelperError) as refusal:
        calculate(expression)

    assert part in str(refusal.value)


def test_numbers_are_summarized():
    assert numbers_summary([4, 1, 3, 2]) == NumbersSummary(
        count=4,
        total=10,
        mean=2.5,
        minimum=1,
        quartile_1=1.75,
        median=2.5,
        quartile_3=3.25,
        maximum=4,
        deviation=1.29099444873581,
    )


def test_one_number_has_no_deviation_and_no_number_is_refused():
    assert numbers_summary([0.1]).deviation is None
    with pytest.raises(HelperError, match="values: is empty"):
        numbers_summary([])


def test_numbers_too_large_to_be_summed_are_refused():
    with pytest.raises(HelperError, match="too large to be summed"):
        numbers_summary([1e308, -1e308, 1e308])


@pytest.mark.parametrize(
    ("value", "unit", "to", "expected"),
    [
        (26.2, "mi", "km", 42.1648128),
        (1, "GiB", "MB", 1073.741824),
        (100, "km/h", "m/s", 27.7777777777778),
        (0, "C", "F", 32),
        (-40, "F", "C", -40),
        (0, "K", "C", -273.15),
        (180, "deg", "rad", 3.14159265358979),
        (1, "kWh", "J", 3_600_000),
    ],
)
def test_a_value_is_converted(value: float, unit: str, to: str, expected: float):
    assert unit_convert(value, unit, to).value == expected


def test_every_unit_leads_to_every_other_of_its_dimension_and_back():
    for dimension, units in UNITS.items():
        for unit in units:
            for to in units:
                there = unit_convert(5, unit, to)

                assert there == Quantity(value=there.value, unit=to, dimension=dimension)
                assert math.isclose(unit_convert(there.value, to, unit).value, 5, rel_tol=1e-6)


@pytest.mark.parametrize(
    ("value", "unit", "to", "part"),
    [
        (1, "furlong", "m", "unit: no unit is called 'furlong'. Known are length: mm, cm"),
        (1, "m", "meter", "to: no unit is called 'meter'"),
        (1, "m", "kg", "to: kg is no unit of length, which m is; try mm, cm, m"),
        (-300, "C", "K", "value: nothing is colder than -273.15 C."),
        (1e308, "km", "mm", "value: 1e+308 km is too large to be given in mm."),
        (1.7e308, "C", "F", "value: 1.7e+308 C is too large to be given in F."),
    ],
)
def test_units_that_do_not_fit_are_refused(value: float, unit: str, to: str, part: str):
    with pytest.raises(HelperError) as refusal:
        unit_convert(value, unit, to)

    assert part in str(refusal.value)
