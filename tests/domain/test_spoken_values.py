"""Numbers, sums, units, moments and zones as people write and say them."""

from datetime import UTC, datetime

import pytest

from domain.models.offline.measures import conversion_in
from domain.models.offline.moments_spoken import moments_in
from domain.models.offline.numbers_spoken import numbers_in
from domain.models.offline.spelling import respelled, respelled_lead
from domain.models.offline.sums import RESULT, find_sum
from domain.models.offline.zones_spoken import zone_named

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1,000 and 1.5k", [1000, 1500]),
        ("two dozen eggs", [24]),
        ("half a dozen", [6]),
        ("twenty-five or a hundred and five", [25, 105]),
        ("3, 5, 8.5 and -13", [3, 5, 8.5, -13]),
        ("$45.50 or \u20ac 20", [45.5, 20]),
        ("3 million", [3_000_000]),
        ("one two three", [1, 2, 3]),
        ("10-3", [10, 3]),
        ("v1.2.3 at 18:00", []),
        ("someone tends to often", []),
    ],
)
def test_numbers_are_read_in_digits_and_in_words(text: str, values: list[float]) -> None:
    assert [number.value for number in numbers_in(text)] == values


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("what is 12 * (3 + 4)?", "12 * (3 + 4)"),
        ("15% of 80", "15 / 100 * 80"),
        ("300 + 12%", "300 * (1 + 12 / 100)"),
        ("20% off 50", "50 * (1 - 20 / 100)"),
        ("increase 50 by 10%", "50 * (1 + 10 / 100)"),
        ("what percentage of 80 is 20", "20 / 80 * 100"),
        ("20 is what percent of 80", "20 / 80 * 100"),
        ("17 % 5", "17 % 5"),
        ("the remainder of 17 divided by 5", "17 % 5"),
        ("the square root of 2", "sqrt(2)"),
        ("the cube root of 27", "27 ^ (1 / 3)"),
        ("5 squared plus 3", "5 ^ 2 + 3"),
        ("2 to the power of 10", "2 ^ 10"),
        ("subtract 3 from 10", "10 - 3"),
        ("add 3 to 4", "4 + 3"),
        ("the product of 6 and 7", "6 * 7"),
        ("5 times the sum of 2 and 3", "5 * (2 + 3)"),
        ("half of 30", "30 / 2"),
        ("two plus two", "2 + 2"),
        ("1/3 of 90", "1 / 3 * 90"),
        ("\u221a16 + 5\u00b2", "sqrt(16) + 5 ^ 2"),
        ("100 / 3 rounded", "round(100 / 3)"),
        ("3 x 4 \u00f7 2", "3 * 4 / 2"),
        ("2+2=?", "2+2"),
        ("max(3, 9) - 1", "max(3, 9) - 1"),
    ],
)
def test_a_sum_in_words_is_written_for_a_calculator(text: str, written: str) -> None:
    found = find_sum(text)

    assert found is not None
    assert found[2] == written


@pytest.mark.parametrize("text", ["10 km to miles", "3, 5, 8", "how many words", "1+a+b", "v1.2-3"])
def test_what_is_no_sum_is_not_read_as_one(text: str) -> None:
    assert find_sum(text) is None


def test_a_sum_can_speak_of_the_result_before_it() -> None:
    assert find_sum("multiply it by 4", has_earlier=True) == (0, 16, f"{RESULT} * 4")
    assert find_sum("multiply it by 4") is None


@pytest.mark.parametrize(
    ("text", "value", "unit", "target"),
    [
        ("convert 10 km to miles", 10, "km", "mi"),
        ("how many ounces are in a pound?", 1, "lb", "oz"),
        ("72 fahrenheit in celsius", 72, "F", "C"),
        ("-40 \u00b0C to \u00b0F", -40, "C", "F"),
        ("100 degrees F in C", 100, "F", "C"),
        ("25 degrees celsius to kelvin", 25, "C", "K"),
        ("60 miles per hour in kilometers per hour", 60, "mph", "km/h"),
        ("5 square meters in square feet", 5, "m2", "ft2"),
        ("half a mile in km", 0.5, "mi", "km"),
        ("1/2 cup in ml", 0.5, "cup", "ml"),
        ("minus 40 celsius to fahrenheit", -40, "C", "F"),
        ("two and a half hours in minutes", 2.5, "h", "min"),
        ("two dozen inches in cm", 24, "in", "cm"),
        ("convert from kg to lb: 10", 10, "kg", "lb"),
        ("3.5 GiB to MB", 3.5, "GiB", "MB"),
    ],
)
def test_conversions_are_read_in_any_order(text: str, value: float, unit: str, target: str) -> None:
    found = conversion_in(text)

    assert found is not None
    assert (found.value, found.unit, found.target) == (value, unit, target)


@pytest.mark.parametrize(
    "text", ["3 hours to meetings", "how many km is a marathon", "10 stone in kg"]
)
def test_a_conversion_needs_a_number_and_two_known_units(text: str) -> None:
    assert conversion_in(text) is None


@pytest.mark.parametrize(
    ("text", "moments"),
    [
        ("between 2026-01-01 and 2026-03-01", ["2026-01-01", "2026-03-01"]),
        ("tomorrow at 5pm", ["2026-03-11T17:00:00"]),
        ("24th of December 2026 18:00 UTC", ["2026-12-24T18:00:00Z"]),
        ("December 24, 2026", ["2026-12-24"]),
        ("24.12.2026", ["2026-12-24"]),
        ("18:00 on 24 December 2026", ["2026-12-24T18:00:00"]),
        ("next Friday", ["2026-03-13"]),
        ("Friday next week", ["2026-03-20"]),
        ("the day after tomorrow", ["2026-03-12"]),
        ("until Christmas", ["2026-12-25"]),
        ("now", ["2026-03-10T12:00:00Z"]),
        ("2026-03-01T09:30:00+02:00", ["2026-03-01T09:30:00+02:00"]),
        ("30 February 2026", []),
        ("may I ask", []),
    ],
)
def test_moments_are_read_as_iso_8601(text: str, moments: list[str]) -> None:
    assert [moment.iso for moment in moments_in(text, NOW)] == moments


@pytest.mark.parametrize(
    ("said", "zone"),
    [
        ("Berlin", "Europe/Berlin"),
        ("New York time", "America/New_York"),
        ("san francisco", "America/Los_Angeles"),
        ("Europe/Paris", "Europe/Paris"),
        ("gmt", "UTC"),
        ("local time", None),
        ("the disk", None),
    ],
)
def test_a_zone_is_known_by_its_city(said: str, zone: str | None) -> None:
    assert zone_named(said) == zone


def test_a_verb_that_is_nearly_right_is_understood() -> None:
    assert respelled("calcualte", ["calculate", "convert"]) == "calculate"
    assert respelled("late", ["date"]) is None
    assert respelled_lead("please remeber the milk") == "please remember the milk"
    assert respelled_lead("remain calm") == "remain calm"
