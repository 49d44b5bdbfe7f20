"""Whether a JSON Schema says what can be checked: its words one by one, and what lies in it."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

Path = tuple[str, ...]

TYPES = ("null", "boolean", "object", "array", "number", "integer", "string")
REFUSED = {
    "$dynamicRef": "use $ref",
    "$recursiveRef": "use $ref",
    "unevaluatedProperties": "use additionalProperties",
    "unevaluatedItems": "use items",
    "dependencies": "use dependentRequired or dependentSchemas",
    "additionalItems": "use items beside prefixItems",
}
"""Keywords that say something and are not checked here, with what to use in their place."""

_ONE = ("additionalProperties", "propertyNames", "items", "contains", "not", "if", "then", "else")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_NAMED = ("properties", "patternProperties", "dependentSchemas", "$defs", "definitions")
_WHOLE = (
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minContains",
    "maxContains",
    "minProperties",
    "maxProperties",
)
_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")


class UnusableSchemaError(ValueError):
    """A schema that nothing can be held against; `path` is the place in it."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(reason)
        self.path = path
        self.reason = reason


def check_words(schema: Mapping[str, Any], path: Path) -> None:
    """Refuse keywords whose value says nothing that could be checked."""
    for keyword, instead in REFUSED.items():
        if keyword in schema:
            raise UnusableSchemaError((*path, keyword), f"Not supported; {instead}.")
    if path and "$id" in schema:
        raise UnusableSchemaError((*path, "$id"), "Only the whole schema may have an $id.")
    for keyword, (fits, cure) in _SHAPES.items():
        if keyword in schema and not fits(schema[keyword]):
            raise UnusableSchemaError((*path, keyword), cure)


def parts_of(schema: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, object]]:
    """Yield the schemas within a schema, with their places."""
    for keyword in _ONE:
        if keyword in schema:
            yield (*path, keyword), schema[keyword]
    for keyword in _LISTS:
        for place, part in enumerate(schema.get(keyword, ())):
            yield (*path, keyword, str(place)), part
    for keyword in _NAMED:
        for name, part in schema.get(keyword, {}).items():
            yield (*path, keyword, name), part


def patterns_of(schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield the regular expressions of a schema, not of those within it."""
    yield from schema.get("patternProperties", {})
    if "pattern" in schema:
        yield schema["pattern"]


def _is_count(value: object) -> bool:
    return is_number(value) and cast("float", value) >= 0 and cast("float", value) % 1 == 0


def is_number(value: object) -> bool:
    """True for a number, false for true and false."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_filled(value: object) -> bool:
    return isinstance(value, list) and value != []


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(n, str) for n in cast("list[object]", value))


def _is_type(value: object) -> bool:
    listed = cast("list[object]", value) if isinstance(value, list) else [value]
    return bool(listed) and all(name in TYPES for name in listed)


def _is_map_of_texts(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        _are_texts(names) for names in cast("Mapping[str, object]", value).values()
    )


_SHAPES: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "type": (_is_type, f"Use one or more of {', '.join(TYPES)}."),
    "enum": (lambda value: isinstance(value, list), "Give a list of values."),
    "required": (_are_texts, "Give a list of names."),
    "dependentRequired": (_is_map_of_texts, "Give an object of lists of names."),
    "pattern": (lambda value: isinstance(value, str), "Give a regular expression as text."),
    "uniqueItems": (lambda value: isinstance(value, bool), "Give true or false."),
    **dict.fromkeys(_WHOLE, (_is_count, "Give a whole number of at least 0.")),
    **dict.fromkeys(_NUMBERS, (is_number, "Give a number.")),
    "multipleOf": (
        lambda value: is_number(value) and cast("float", value) > 0,
        "Give a number above 0.",
    ),
    **dict.fromkeys(
        _LISTS,
        (_is_filled, "Give a list of schemas."),
    ),
    **dict.fromkeys(
        _NAMED, (lambda value: isinstance(value, Mapping), "Give an object of schemas.")
    ),
    "items": (
        lambda value: isinstance(value, Mapping | bool),
        "Give one schema; for items that differ by place use prefixItems.",
    ),
}
"""What the value of a keyword must be, and what to do where it is not."""
