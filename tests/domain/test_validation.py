"""Validation: every problem by the client's name, with what would be right."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import AfterValidator, Field, StringConstraints

from domain.kernel.errors import ValidationFailed
from domain.kernel.validation import (
    ClientModel,
    Flag,
    JsonObject,
    Number,
    Text,
    Whole,
    exactly_one_of,
    refusal,
    storable,
    validated,
)


class Color(StrEnum):
    RED = "RED"
    DARK_BLUE = "DARK_BLUE"


def _is_even(number: int) -> int:
    if number % 2:
        raise refusal("Give an even number.")
    return number


def _is_calm(number: int) -> int:
    if number > 9:
        raise ValueError("stay below ten")
    return number


class Wheel(ClientModel):
    spoke_count: Whole = Field(32, ge=1, le=99)
    weight_kg: Number | None = Field(None, gt=0)


class Bicycle(ClientModel):
    full_name: Annotated[Text, StringConstraints(min_length=1, max_length=5)]
    color: Color = Color.RED
    has_bell: Flag = True
    wheels: tuple[Wheel, ...] = Field((), max_length=2)
    front_wheel: Wheel | None = None
    code: Annotated[Text, StringConstraints(pattern="^[a-z]+$")] = "a"
    gears: Annotated[Whole, AfterValidator(_is_even), AfterValidator(_is_calm)] = 2
    metadata: JsonObject = Field(default_factory=dict)


def _problems(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(ValidationFailed) as refused:
        validated(Bicycle, {"fullName": "Bike", **values})
    return [(".".join(problem.path), problem.message) for problem in refused.value.problems]


def test_values_in_client_names_make_the_model() -> None:
    bicycle = validated(
        Bicycle,
        {
            "fullName": "Bike",
            "color": "DARK_BLUE",
            "wheels": [{"spokeCount": 3, "weightKg": 2}],
            "metadata": {"a": [1, None]},
        },
    )

    assert bicycle == Bicycle(
        full_name="Bike",
        color=Color.DARK_BLUE,
        wheels=(Wheel(spoke_count=3, weight_kg=2.0),),
        metadata={"a": [1, None]},
    )


@pytest.mark.parametrize(
    ("values", "path", "message"),
    [
        ({"fullName": 7}, "fullName", "Give text."),
        ({"fullName": None}, "fullName", "Give text."),
        ({"fullName": ""}, "fullName", "Give at least one character; this is empty."),
        ({"fullName": "Bicycle"}, "fullName", "Use at most 5 characters; this has 7."),
        ({"code": "A"}, "code", "Use text of the form ^[a-z]+$."),
        ({"color": "red"}, "color", "Use one of RED, DARK_BLUE."),
        ({"hasBell": "yes"}, "hasBell", "Give true or false."),
        ({"hasBell": 1}, "hasBell", "Give true or false."),
        ({"gears": 3}, "gears", "Give an even number."),
        ({"gears": 10}, "gears", "Stay below ten."),
        ({"wheels": {}}, "wheels", "Give a list."),
        ({"wheels": [{}] * 3}, "wheels", "Give at most 2 items."),
        ({"wheels": [7]}, "wheels.0", "Give a JSON object."),
        ({"wheels": [{}, {"spokeCount": 0}]}, "wheels.1.spokeCount", "Give at least 1."),
        ({"frontWheel": {"spokeCount": 100}}, "frontWheel.spokeCount", "Give at most 99."),
        ({"frontWheel": {"spokeCount": "3"}}, "frontWheel.spokeCount", "Give a whole number."),
        ({"frontWheel": {"spokeCount": True}}, "frontWheel.spokeCount", "Give a whole number."),
        ({"frontWheel": {"weightKg": 0}}, "frontWheel.weightKg", "Give more than 0."),
        ({"frontWheel": {"weightKg": "3"}}, "frontWheel.weightKg", "Give a number."),
        ({"frontWheel": {"weightKg": 1e999}}, "frontWheel.weightKg", "Give a finite number."),
    ],
)
def test_a_wrong_value_is_named_as_the_client_writes_it(
    values: Mapping[str, Any], path: str, message: str
) -> None:
    assert _problems(values) == [(path, message)]


def test_a_missing_field_is_named() -> None:
    with pytest.raises(ValidationFailed) as refused:
        validated(Bicycle, {})

    assert refused.value.message == "fullName: Give a value; this field is required."


def test_an_unknown_field_is_told_its_likely_name() -> None:
    problems = _problems({"colour": "RED", "wheels": [{"rim": 3}], "full_name": "x"})

    assert sorted(problems) == [
        ("colour", "There is no such field; did you mean color?"),
        ("full_name", "There is no such field; did you mean fullName?"),
        (
            "wheels.0.rim",
            "There is no such field; the fields here are spokeCount, weightKg.",
        ),
    ]


def test_every_problem_is_reported_at_once() -> None:
    problems = _problems({"fullName": "", "code": 3, "frontWheel": {"weightKg": -1}})

    assert [path for path, _ in problems] == ["fullName", "frontWheel.weightKg", "code"]


@pytest.mark.parametrize("bad", ["a\0b", "a\ud800"])
def test_text_that_no_database_holds_is_refused_wherever_it_stands(bad: str) -> None:
    message = "Leave out NUL characters and lone surrogates."

    assert _problems({"fullName": bad}) == [("fullName", message)]
    assert _problems({"metadata": {"a": ["x", bad]}}) == [("metadata.a.1", message)]
    assert _problems({"metadata": {bad: 1}}) == [("metadata", message)]


def _nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "Give a JSON object."),
        ("{}", "Give a JSON object."),
        (None, "Give a JSON object."),
        ({"a": {"b": [float("nan")]}}, "Give finite numbers. At a.b.0."),
        ({"a": {1, 2}}, "Give only JSON values. At a."),
        ({"a": 2**64}, "Give keys of text and whole numbers of at most 64 bits."),
        ({"a": "x" * 65_529}, "Use at most 65536 bytes as JSON; this has 65537."),
        (_nested(33), "Nest at most 32 levels."),
        (_nested(100_000), "Nest at most 32 levels."),
    ],
)
def test_free_data_that_is_no_modest_json_object_is_refused(value: Any, message: str) -> None:
    assert _problems({"metadata": value}) == [("metadata", message)]


def test_free_data_at_its_bounds_is_allowed() -> None:
    largest = {"a": "x" * 65_528}

    assert validated(Bicycle, {"fullName": "a", "metadata": largest}).metadata == largest
    assert validated(Bicycle, {"fullName": "a", "metadata": _nested(32)}).metadata == _nested(32)


def test_text_of_models_and_tools_is_made_storable() -> None:
    assert storable("a\0b\ud800c\U0001f600") == "a\ufffdb\ufffdc\U0001f600"
    assert storable("as it is") == "as it is"


@pytest.mark.parametrize(("given", "kept"), [(5, 5), (5.0, 5), (-0.0, 0)])
def test_a_whole_number_may_be_written_with_a_point(given: float, kept: int):
    class Gears(ClientModel):
        count: Whole

    count = validated(Gears, {"count": given}).count

    assert (count, type(count)) == (kept, int)


@pytest.mark.parametrize("given", [5.5, float("nan"), float("inf"), True, "5"])
def test_what_is_no_whole_number_is_refused(given: object):
    class Gears(ClientModel):
        count: Whole

    with pytest.raises(ValidationFailed) as refused:
        validated(Gears, {"count": given})

    assert refused.value.problems[0].path == ("count",)


@pytest.mark.parametrize(
    ("given", "fits"),
    [
        ({"id": "a"}, True),
        ({"slug": "a", "id": None}, True),
        ({}, False),
        ({"id": None}, False),
        ({"id": "a", "slug": "b"}, False),
    ],
)
def test_the_schema_of_one_of_two_fields_says_what_the_rule_says(
    given: Mapping[str, Any], fits: bool
):
    schema = exactly_one_of("id", "slug")

    assert Draft202012Validator(schema).is_valid(given) is fits
