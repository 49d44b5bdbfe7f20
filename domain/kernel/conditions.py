"""Tests of values inside a JSON object: what a client may ask, and whether a document answers it.

The one language for metadata filters and for arguments in policy rules. A missing value passes no
test but `exists: false` and `ne`. Numbers compare as numbers (1 equals 1.0, true equals no number),
texts by code points, lists and objects as wholes.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, cast

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from domain.kernel.validation import AnyJson, ClientModel, Flag, Text, refusal

LONGEST_PATH = 200
DEEPEST_PATH = 16
MOST_PLACES = 3
"""Most numbers in a path: each may be a place in a list or a key, so SQL looks for both."""
MOST_CHOICES = 100
_UNNAMEABLE = re.compile(r'["\\\x00-\x1f\x7f]')
_PLACE = re.compile(r"0|[1-9][0-9]{0,8}")


class JsonTestKind(StrEnum):
    """What is asked of a value."""

    EQ = "eq"
    NE = "ne"
    IN = "in"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    CONTAINS = "contains"
    EXISTS = "exists"


def _is_path(text: str) -> str:
    steps = text.split(".")
    if len(text) > LONGEST_PATH or len(steps) > DEEPEST_PATH:
        raise refusal(f"Use at most {LONGEST_PATH} characters and {DEEPEST_PATH} steps.")
    if not all(steps) or _UNNAMEABLE.search(text):
        raise refusal(
            "Name keys and places in lists with single dots between, such as customer.tier or"
            " items.0.sku; quotes, backslashes and control characters cannot be named."
        )
    if sum(is_place(step) for step in steps) > MOST_PLACES:
        raise refusal(f"Use at most {MOST_PLACES} numbers in a path.")
    return text


def is_place(step: str) -> bool:
    """True for a step that may be a place in a list, counted from 0."""
    return _PLACE.fullmatch(step) is not None


def _is_comparable(value: object) -> object:
    if value is None or isinstance(value, bool | list | tuple | Mapping):
        raise refusal("Give a number or text; nothing else has an order.")
    return value


JsonPath = Annotated[Text, AfterValidator(_is_path)]
"""Dotted way to a value, such as `customer.tier` or `items.0.sku`."""
Comparable = Annotated[
    AnyJson,
    BeforeValidator(_is_comparable),
    Field(json_schema_extra={"type": ["number", "string"]}),
]


def _says_one(schema: dict[str, Any]) -> None:
    """Describe that exactly one test is given; what stands for the others is no default."""
    for part in schema["properties"].values():
        part.pop("default", None)
    schema["oneOf"] = [{"required": [kind.value]} for kind in JsonTestKind]


class JsonTest(ClientModel):
    """Exactly one test; which one, is the field that was given."""

    model_config = ConfigDict(json_schema_extra=_says_one)

    eq: AnyJson = None
    ne: AnyJson = None
    in_: Annotated[
        tuple[AnyJson, ...], Field(alias="in", min_length=1, max_length=MOST_CHOICES)
    ] = (None,)
    gt: Comparable = 0
    gte: Comparable = 0
    lt: Comparable = 0
    lte: Comparable = 0
    contains: AnyJson = None
    exists: Flag = True

    @model_validator(mode="after")
    def _is_one(self) -> "JsonTest":
        if len(self.model_fields_set) != 1:
            names = ", ".join(kind.value for kind in JsonTestKind)
            raise refusal(f"Give exactly one of {names}.")
        return self

    @property
    def kind(self) -> JsonTestKind:
        """Which test it is."""
        [name] = self.model_fields_set
        return JsonTestKind(name.rstrip("_"))

    @property
    def operand(self) -> Any:
        """What the value is held against."""
        [name] = self.model_fields_set
        return getattr(self, name)


class JsonCondition(ClientModel):
    """Test of one value inside a JSON object."""

    path: JsonPath
    test: JsonTest

    @property
    def steps(self) -> Sequence[str]:
        """The path taken apart."""
        return self.path.split(".")


def holds(condition: JsonCondition, document: Mapping[str, Any]) -> bool:
    """Tell whether a document passes."""
    found = list(_at(document, condition.steps))
    kind, operand = condition.test.kind, condition.test.operand
    if kind is JsonTestKind.EXISTS:
        return bool(found) == operand
    if kind is JsonTestKind.NE:
        return not found or not same(found[0], operand)
    return bool(found) and _passes(kind, found[0], operand)


def folded(text: str) -> str:
    """Text as `contains` sees it, whatever its case (Unicode, section 3.13, default folding)."""
    return text.casefold()


def same(one: object, other: object) -> bool:
    """Equality of JSON values."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        ones, others = cast("Sequence[object]", one), cast("Sequence[object]", other)
        return len(ones) == len(others) and all(map(same, ones, others))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        first, second = cast("Mapping[str, object]", one), cast("Mapping[str, object]", other)
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    return one is other or (isinstance(one, str) and isinstance(other, str) and one == other)


def _at(value: object, steps: Sequence[str]) -> Iterable[object]:
    """The value at the end of the steps, if there is one."""
    for step in steps:
        if isinstance(value, Mapping) and step in value:
            value = cast("Mapping[str, object]", value)[step]
        elif isinstance(value, list | tuple) and is_place(step):
            items = cast("Sequence[object]", value)
            if int(step) >= len(items):
                return
            value = items[int(step)]
        else:
            return
    yield value


def _passes(kind: JsonTestKind, value: object, operand: Any) -> bool:
    if kind is JsonTestKind.EQ:
        return same(value, operand)
    if kind is JsonTestKind.IN:
        return any(same(value, choice) for choice in operand)
    if kind is JsonTestKind.CONTAINS:
        return _contains(value, operand)
    return _compares(kind, value, operand)


def _contains(value: object, operand: object) -> bool:
    if isinstance(value, list | tuple):
        return any(same(item, operand) for item in cast("Sequence[object]", value))
    if isinstance(value, str) and isinstance(operand, str):
        return folded(operand) in folded(value)
    return False


def _compares(kind: JsonTestKind, value: Any, operand: Any) -> bool:
    is_text = isinstance(operand, str)
    if isinstance(value, bool) or not isinstance(value, str if is_text else int | float):
        return False
    if kind is JsonTestKind.GT:
        return value > operand
    if kind is JsonTestKind.GTE:
        return value >= operand
    return value < operand if kind is JsonTestKind.LT else value <= operand
