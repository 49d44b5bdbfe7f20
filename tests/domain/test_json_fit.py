"""Holding values against JSON Schemas: as the standard says, named by place, and never endless."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from domain.kernel.json_fit import JsonFit, Misfit
from domain.kernel.json_schema_words import UnusableSchemaError

ORDER = {
    "type": "object",
    "required": ["id", "items"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "integer", "minimum": 1},
        "items": {"type": "array", "items": {"$ref": "#/$defs/item"}, "minItems": 1},
        "state": {"enum": ["open", "paid"]},
    },
    "$defs": {"item": {"type": "object", "properties": {"price": {"type": "number"}}}},
}


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"id": 1, "items": [{"price": 2.5}], "state": "paid"}, []),
        ({"id": 1.0, "items": [{}]}, []),
        ([], ["the whole: is array, but must be object"]),
        ({"items": [{}]}, ["the whole: lacks 'id'"]),
        ({"id": 0, "items": [{}]}, ["id: must be at least 1"]),
        ({"id": True, "items": [{}]}, ["id: is boolean, but must be integer"]),
        ({"id": 1, "items": []}, ["items: has 0 items, but needs at least 1"]),
        (
            {"id": 1, "items": [{}, {"price": "2"}]},
            ["items.1.price: is string, but must be number"],
        ),
        ({"id": 1, "items": [{}], "more": 1}, ["more: is not allowed here"]),
        ({"id": 1, "items": [{}], "state": "x"}, ['state: must be one of "open", "paid"']),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(value: Any, told: list[str]):
    assert [str(each) for each in JsonFit(ORDER).misfits(value)] == told


SAMPLES: list[Any] = [
    {"type": ["string", "null"], "minLength": 1, "maxLength": 2},
    {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 3, "multipleOf": 0.5},
    {"type": "integer", "maximum": 2},
    {"pattern": "^a|b$"},
    {"const": 1},
    {"enum": [1, "a", [1], {"a": 1}, None, True]},
    {"prefixItems": [{"type": "string"}, True], "items": {"type": "integer"}},
    {"items": False, "prefixItems": [{}]},
    {"uniqueItems": True, "maxItems": 3},
    {"contains": {"type": "integer"}, "minContains": 1, "maxContains": 1},
    {"contains": {"const": "a"}, "minContains": 0},
    {"minProperties": 1, "maxProperties": 2, "propertyNames": {"maxLength": 1}},
    {"patternProperties": {"^a": {"type": "integer"}}, "additionalProperties": False},
    {"properties": {"a": {"type": "integer"}}, "additionalProperties": {"type": "string"}},
    {"dependentRequired": {"a": ["b"]}, "dependentSchemas": {"b": {"required": ["c"]}}},
    {"anyOf": [{"type": "string"}, {"minimum": 2}]},
    {"oneOf": [{"type": "integer"}, {"minimum": 2}]},
    {"allOf": [{"type": "integer"}, {"minimum": 2}]},
    {"not": {"type": ["object", "array"]}},
    {"if": {"type": "integer"}, "then": {"minimum": 1}, "else": {"maxLength": 1}},
    {"type": ["array", "integer"], "items": {"$ref": "#"}},
    {"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "boolean"}}},
    True,
    False,
]
LEAVES = st.sampled_from([None, True, False, 0, 1, 1.0, 1.5, 2, 3, "", "a", "b", "ab", "cab"])
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["a", "b", "c", "ab"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(VALUES)
def test_it_decides_as_a_second_independent_implementation_does(value: Any):
    for schema in SAMPLES:
        fits = not JsonFit(schema).misfits(value)

        assert fits is Draft202012Validator(schema).is_valid(value), schema


@pytest.mark.parametrize(
    ("schema", "place", "reason"),
    [
        ({"type": "text"}, "type", "Use one or more of null, boolean, object, array, number,"),
        ({"properties": {"a": 1}}, "properties.a", "Give a schema: an object, true or false."),
        ({"properties": []}, "properties", "Give an object of schemas."),
        ({"items": [{}]}, "items", "Give one schema; for items that differ by place use"),
        ({"anyOf": []}, "anyOf", "Give a list of schemas."),
        ({"required": "a"}, "required", "Give a list of names."),
        ({"minLength": -1}, "minLength", "Give a whole number of at least 0."),
        ({"maximum": "9"}, "maximum", "Give a number."),
        ({"multipleOf": 0}, "multipleOf", "Give a number above 0."),
        ({"unevaluatedProperties": False}, "unevaluatedProperties", "Not supported; use addit"),
        ({"items": {"$id": "x"}}, "items.$id", "Only the whole schema may have an $id."),
        ({"$ref": "https://example.com/s.json"}, "$ref", "Refer to a place in the same schema"),
        ({"$ref": "#/$defs/a"}, "$ref", "The schema has nothing at #/$defs/a."),
        ({"not": {"pattern": "(?=a)"}}, "not", "The pattern '(?=a)' cannot be used; look-around"),
        ({"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}, "", "The schema refers to"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused_by_its_place(schema: Any, place: str, reason: str):
    with pytest.raises(UnusableSchemaError) as refused:
        JsonFit(schema)

    assert ".".join(refused.value.path) == place
    assert refused.value.reason.startswith(reason)


def test_a_schema_that_doubles_its_work_at_each_step_is_refused():
    doubled = {
        f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}, {"$ref": f"#/$defs/a{n + 1}"}]}
        for n in range(40)
    }

    with pytest.raises(UnusableSchemaError, match="refers to itself without end"):
        JsonFit({"$ref": "#/$defs/a0", "$defs": {**doubled, "a40": {}}})


def test_a_value_that_is_too_deep_for_its_schema_is_a_misfit_and_no_crash():
    value: Any = []
    for _ in range(500):
        value = [value]

    told = JsonFit({"items": {"$ref": "#"}}).misfits(value)

    assert told == [Misfit(path=(), message="is too large or too deep to be checked")]
