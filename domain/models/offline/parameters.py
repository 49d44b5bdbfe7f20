"""What a tool's JSON Schema asks for, in the terms the offline planner thinks in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, cast

from domain.models.ports import ToolSpec

_MOMENT_WORDS = frozenset({"date", "datetime", "moment", "timestamp"})
_PATH_WORDS = frozenset({"path", "file", "filename", "folder", "directory"})
_ZONE_WORDS = frozenset({"zone", "timezone", "tz"})
_SUM_WORDS = frozenset({"expression", "expr", "formula"})
_TARGET_WORDS = frozenset({"to", "target"})


class Kind(Enum):
    """What sort of value a parameter takes, in the order in which values are looked for."""

    OBJECT = "object"
    LIST = "list"
    JSON = "json"
    URL = "url"
    MOMENT = "moment"
    SUM = "sum"
    UNIT = "unit"
    TARGET_UNIT = "target unit"
    CHOICE = "choice"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    ZONE = "zone"
    PATTERN = "pattern"
    PATH = "path"
    TEXT = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One property of a tool's input."""

    name: str
    kind: Kind
    required: bool
    description: str
    choices: tuple[Any, ...] = ()
    items: Kind = Kind.JSON
    example: Any = None
    words: tuple[str, ...] = ()
    """The words of its name, in lower case."""


def parameters_of(tool: ToolSpec) -> tuple[Parameter, ...]:
    """The parameters of a tool, in the order of its schema."""
    schema = tool.input_schema
    required = frozenset(_strings(schema.get("required")))
    definitions = _mapping(schema.get("$defs"))
    return tuple(
        _parameter(name, _resolved(_mapping(prop), definitions), name in required)
        for name, prop in _mapping(schema.get("properties")).items()
    )


def _parameter(name: str, schema: Mapping[str, Any], required: bool) -> Parameter:  # noqa: FBT001
    named = tuple(name.lower().replace("-", "_").split("_"))
    words = frozenset(named)
    description = str(schema.get("description", ""))
    item_schema = _mapping(schema.get("items"))
    examples = schema.get("examples")
    return Parameter(
        name=name,
        kind=_kind(words, schema, description),
        required=required,
        description=description,
        choices=tuple(cast("Sequence[Any]", schema.get("enum") or ())),
        items=_kind(frozenset(), item_schema, ""),
        example=cast("list[Any]", examples)[0] if isinstance(examples, list) and examples else None,
        words=named,
    )


def _kind(words: frozenset[str], schema: Mapping[str, Any], description: str) -> Kind:
    if schema.get("enum"):
        return Kind.CHOICE
    by_type = {
        "object": Kind.OBJECT,
        "array": Kind.LIST,
        "integer": Kind.INTEGER,
        "number": Kind.NUMBER,
        "boolean": Kind.BOOLEAN,
    }
    if (declared := schema.get("type")) != "string":
        return by_type.get(str(declared), Kind.JSON)
    return _text_kind(words, str(schema.get("format", "")), description.lower())


def _text_kind(words: frozenset[str], text_format: str, description: str) -> Kind:
    """Kinds of strings: formats say most, then names, then descriptions."""
    if text_format in {"uri", "url"} or "url" in words:
        return Kind.URL
    if words & _ZONE_WORDS:
        return Kind.ZONE
    if "strftime" in description:
        return Kind.PATTERN
    if text_format in {"date", "date-time"} or words & _MOMENT_WORDS or "iso 8601" in description:
        return Kind.MOMENT
    if words & _SUM_WORDS:
        return Kind.SUM
    if words & _TARGET_WORDS and ("unit" in words or "unit" in description):
        return Kind.TARGET_UNIT
    if words & {"unit", "units"} or (words & {"from", "source"} and "unit" in description):
        return Kind.UNIT
    return Kind.PATH if words & _PATH_WORDS else Kind.TEXT


def _resolved(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema behind a reference or an "or null", with its own description kept."""
    for _ in range(4):
        if isinstance(reference := schema.get("$ref"), str):
            target = _mapping(definitions.get(reference.rsplit("/", 1)[-1]))
        elif schema.get("anyOf"):
            target = _first_real(schema["anyOf"])
        else:
            break
        own = {key: value for key, value in schema.items() if key not in ("$ref", "anyOf")}
        schema = {**target, **own}
    declared = schema.get("type")
    if isinstance(declared, list):
        real = [each for each in _strings(cast("object", declared)) if each != "null"]
        return {**schema, "type": real[0] if len(real) == 1 else None}
    if "const" in schema:
        return {**schema, "enum": [schema["const"]]}
    return schema


def _first_real(options: object) -> Mapping[str, Any]:
    """The only option besides null; nothing where there are several."""
    listed = cast("list[object]", options) if isinstance(options, list) else []
    real = [_mapping(each) for each in listed if _mapping(each).get("type") != "null"]
    return real[0] if len(real) == 1 else {}


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _strings(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        return ()
    return tuple(str(each) for each in cast("Sequence[object]", value))
