"""Whether a JSON value fits a JSON Schema (draft 2020-12): within bounded effort, fetching nothing.

Schemas come from clients and values from models, so neither may cost more than it should: a
reference stays inside the schema, patterns are matched in linear time, and a check that does not
come to an end is given up.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Any, cast

import orjson
from pydantic import ValidationError
from pydantic_core import SchemaError, SchemaValidator, core_schema

from domain.kernel.json_schema_words import (
    Path,
    UnusableSchemaError,
    check_words,
    is_number,
    parts_of,
    patterns_of,
)

MOST_CHECKS = 100_000
"""Parts of a schema held against parts of a value in one check; about 0.1 s."""
DEEPEST = 100
"""Parts within parts, references included."""
MOST_TOLD = 5
"""Misfits that are named at once."""

Schema = Mapping[str, Any] | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """A part of a value that does not fit, and why."""

    path: Path
    message: str

    def __str__(self) -> str:
        return f"{'.'.join(self.path) or 'the whole'}: {self.message}"


class _EndlessError(Exception):
    """The check takes more effort than it may."""


class JsonFit:
    """A schema that was found usable. Raises UnusableSchemaError."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._targets: dict[str, Schema] = {}
        self._patterns: dict[str, SchemaValidator] = {}
        self._accept(schema)
        probes: tuple[object, ...] = (None, True, 0, "", [], {})
        for probe in probes:
            try:
                list(_Check(self).misfits(schema, probe, ()))
            except _EndlessError:
                raise UnusableSchemaError((), "The schema refers to itself without end.") from None

    def misfits(self, value: object) -> list[Misfit]:
        """Name the first few parts that do not fit; none when all do."""
        try:
            return list(islice(_Check(self).misfits(self.schema, value, ()), MOST_TOLD))
        except _EndlessError:
            return [Misfit(path=(), message="is too large or too deep to be checked")]

    def target(self, reference: str) -> Schema:
        """The part that a reference names."""
        return self._targets[reference]

    def matches(self, pattern: str, text: str) -> bool:
        """True when the text has the pattern somewhere in it."""
        try:
            self._patterns[pattern].validate_python(text)
        except ValidationError:
            return False
        return True

    def _accept(self, root: object) -> None:
        waiting: list[tuple[Path, object]] = [((), root)]
        while waiting:
            path, part = waiting.pop()
            if isinstance(part, bool):
                continue
            if not isinstance(part, Mapping):
                raise UnusableSchemaError(path, "Give a schema: an object, true or false.")
            schema = cast("Mapping[str, Any]", part)
            check_words(schema, path)
            waiting += parts_of(schema, path)
            for pattern in patterns_of(schema):
                self._compile(pattern, path)
            reference = schema.get("$ref")
            if reference is not None and reference not in self._targets:
                self._targets[reference] = self._found(reference, path)
                waiting.append(((*path, "$ref"), self._targets[reference]))

    def _found(self, reference: object, path: Path) -> Schema:
        if not isinstance(reference, str) or not (reference == "#" or reference[:2] == "#/"):
            raise UnusableSchemaError(
                (*path, "$ref"), "Refer to a place in the same schema, such as #/$defs/item."
            )
        found: object = self.schema
        for step in reference[2:].split("/") if reference != "#" else ():
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, Mapping):
                found = cast("Mapping[str, object]", found).get(name)
            elif isinstance(found, list) and name.isdecimal():
                listed = cast("list[object]", found)
                found = listed[int(name)] if int(name) < len(listed) else None
            else:
                found = None
        if not isinstance(found, Mapping | bool):
            raise UnusableSchemaError((*path, "$ref"), f"The schema has nothing at {reference}.")
        return cast("Schema", found)

    def _compile(self, pattern: str, path: Path) -> None:
        if pattern in self._patterns:
            return
        try:
            compiled = core_schema.str_schema(pattern=pattern, regex_engine="rust-regex")
            self._patterns[pattern] = SchemaValidator(compiled)
        except SchemaError as error:
            reason = f"The pattern {pattern[:60]!r} cannot be used; look-around and references to"
            raise UnusableSchemaError(path, f"{reason} groups are not supported.") from error


class _Check:
    """One value being held against a schema; counts what it costs."""

    def __init__(self, fit: JsonFit) -> None:
        self._fit = fit
        self._left = MOST_CHECKS
        self._depth = 0

    def misfits(self, schema: Schema, value: object, path: Path) -> Iterator[Misfit]:
        """Yield what does not fit, part by part."""
        if isinstance(schema, bool):
            if not schema:
                yield Misfit(path=path, message="is not allowed here")
            return
        self._left -= 1
        self._depth += 1
        try:
            if self._left < 0 or self._depth > DEEPEST:
                raise _EndlessError
            yield from self._plain(schema, value, path)
            yield from self._combined(schema, value, path)
        finally:
            self._depth -= 1

    def _fits(self, schema: Schema, value: object) -> bool:
        return next(self.misfits(schema, value, ()), None) is None

    def _plain(self, schema: Mapping[str, Any], value: object, path: Path) -> Iterator[Misfit]:
        messages = [*_of_any(schema, value)]
        if isinstance(value, str):
            messages += self._of_text(schema, value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            messages += _of_number(schema, value)
        for message in messages:
            yield Misfit(path=path, message=message)
        if isinstance(value, list):
            yield from self._of_list(schema, cast("list[object]", value), path)
        elif isinstance(value, Mapping):
            yield from self._of_object(schema, cast("Mapping[str, object]", value), path)

    def _of_text(self, schema: Mapping[str, Any], value: str) -> Iterator[str]:
        yield from _of_size(schema, len(value), ("minLength", "maxLength"), "characters")
        pattern = schema.get("pattern")
        if pattern is not None and not self._fit.matches(pattern, value):
            yield f"must match the pattern {pattern}"

    def _of_list(
        self, schema: Mapping[str, Any], items: Sequence[object], path: Path
    ) -> Iterator[Misfit]:
        for message in _of_size(schema, len(items), ("minItems", "maxItems"), "items"):
            yield Misfit(path=path, message=message)
        if schema.get("uniqueItems") and len({_canonical(item) for item in items}) < len(items):
            yield Misfit(path=path, message="must not hold an item twice")
        first = schema.get("prefixItems", ())
        for place, item in enumerate(items):
            part = first[place] if place < len(first) else schema.get("items", True)
            yield from self.misfits(part, item, (*path, str(place)))
        if "contains" in schema:
            found = sum(self._fits(schema["contains"], item) for item in items)
            least = schema.get("minContains", 1)
            if not least <= found <= schema.get("maxContains", len(items)):
                message = f"holds {found} items of the kind that it must contain"
                yield Misfit(path=path, message=message)

    def _of_object(
        self, schema: Mapping[str, Any], fields: Mapping[str, object], path: Path
    ) -> Iterator[Misfit]:
        messages = [*_of_size(schema, len(fields), ("minProperties", "maxProperties"), "fields")]
        needed = list(schema.get("required", ()))
        for name, names in schema.get("dependentRequired", {}).items():
            needed += names if name in fields else ()
        messages += [f"lacks {name!r}" for name in dict.fromkeys(needed) if name not in fields]
        for message in messages:
            yield Misfit(path=path, message=message)
        for name, value in fields.items():
            yield from self._of_field(schema, name, value, path)
        for name, part in schema.get("dependentSchemas", {}).items():
            if name in fields:
                yield from self.misfits(part, fields, path)

    def _of_field(
        self, schema: Mapping[str, Any], name: str, value: object, path: Path
    ) -> Iterator[Misfit]:
        place, known = (*path, name), False
        if "propertyNames" in schema and not self._fits(schema["propertyNames"], name):
            yield Misfit(path=place, message="is a name that is not allowed")
        if name in schema.get("properties", {}):
            known = True
            yield from self.misfits(schema["properties"][name], value, place)
        for pattern, part in schema.get("patternProperties", {}).items():
            if self._fit.matches(pattern, name):
                known = True
                yield from self.misfits(part, value, place)
        if not known:
            yield from self.misfits(schema.get("additionalProperties", True), value, place)

    def _combined(self, schema: Mapping[str, Any], value: object, path: Path) -> Iterator[Misfit]:
        if "$ref" in schema:
            yield from self.misfits(self._fit.target(schema["$ref"]), value, path)
        for part in schema.get("allOf", ()):
            yield from self.misfits(part, value, path)
        if "anyOf" in schema and not any(self._fits(part, value) for part in schema["anyOf"]):
            yield Misfit(path=path, message="fits none of the shapes in anyOf")
        if "oneOf" in schema:
            count = sum(self._fits(part, value) for part in schema["oneOf"])
            if count != 1:
                message = f"must fit one of the shapes in oneOf, but fits {count}"
                yield Misfit(path=path, message=message)
        if "not" in schema and self._fits(schema["not"], value):
            yield Misfit(path=path, message="must not fit the shape in not")
        if "if" in schema:
            follow = "then" if self._fits(schema["if"], value) else "else"
            yield from self.misfits(schema.get(follow, True), value, path)


def _of_any(schema: Mapping[str, Any], value: object) -> Iterator[str]:
    wanted = schema.get("type")
    if wanted is not None:
        names = cast("list[str]", wanted) if isinstance(wanted, list) else [wanted]
        if not any(_has_type(name, value) for name in names):
            yield f"is {_type_of(value)}, but must be {' or '.join(names)}"
    if "const" in schema and _canonical(value) != _canonical(schema["const"]):
        yield f"must be {_shown(schema['const'])}"
    if "enum" in schema:
        allowed = {_canonical(choice) for choice in schema["enum"]}
        if _canonical(value) not in allowed:
            yield f"must be one of {', '.join(_shown(choice) for choice in schema['enum'][:20])}"


def _of_number(schema: Mapping[str, Any], value: float) -> Iterator[str]:
    for keyword, holds, words in _BOUNDS:
        bound = schema.get(keyword)
        if bound is not None and not holds(value, bound):
            yield f"must be {words} {bound}"
    step = schema.get("multipleOf")
    if step is not None and Fraction(repr(value)) % Fraction(repr(step)) != 0:
        yield f"must be a multiple of {step}"


_BOUNDS: Sequence[tuple[str, Callable[[float, float], bool], str]] = (
    ("minimum", lambda value, bound: value >= bound, "at least"),
    ("maximum", lambda value, bound: value <= bound, "at most"),
    ("exclusiveMinimum", lambda value, bound: value > bound, "above"),
    ("exclusiveMaximum", lambda value, bound: value < bound, "below"),
)


def _of_size(
    schema: Mapping[str, Any], size: int, keywords: tuple[str, str], noun: str
) -> Iterator[str]:
    least, most = (schema.get(keyword) for keyword in keywords)
    if least is not None and size < least:
        yield f"has {size} {noun}, but needs at least {least}"
    if most is not None and size > most:
        yield f"has {size} {noun}, but may have at most {most}"


def _has_type(name: str, value: object) -> bool:
    if name == "integer":
        return is_number(value) and cast("float", value) % 1 == 0
    return name == _type_of(value) or (name == "number" and is_number(value))


def _type_of(value: object) -> str:
    if value is None:
        return "null"
    return next((name for kind, name in _KINDS if isinstance(value, kind)), "object")


_KINDS: Sequence[tuple[type, str]] = (
    (bool, "boolean"),
    (str, "string"),
    (list, "array"),
    (int, "integer"),
    (float, "number"),
)


def _canonical(value: object) -> bytes:
    """Bytes that are equal for values that JSON Schema calls equal: 1 and 1.0, not 1 and true."""
    return orjson.dumps(_plain_numbers(value), option=orjson.OPT_SORT_KEYS)


def _plain_numbers(value: object) -> object:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, list):
        return [_plain_numbers(item) for item in cast("list[object]", value)]
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, object]", value)
        return {name: _plain_numbers(item) for name, item in fields.items()}
    return value


def _shown(value: object) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= 60 else f"{text[:57]}..."
