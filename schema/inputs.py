"""Inputs as the services take them: plain values in client names, ids decoded."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple, cast

from strawberry import UNSET
from strawberry.utils.str_converters import to_camel_case

from schema.ids import Kind, decode_any, decode_id

_KIND = "kind"
_ANY = "any"


def refers_to(kind: Kind) -> Mapping[str, Kind]:
    """Say of an input field which kind of object its id, or each of its ids, names."""
    return {_KIND: kind}


def refers_to_any() -> Mapping[str, str]:
    """Say of an input field that its id names an object of any kind."""
    return {_KIND: _ANY}


def values_of(given: object, *, above: str = "") -> dict[str, Any]:
    """Return the values of an input by client name; absent fields stay absent, null is None.

    `above` names the argument where paths begin outside of the input. Raises MalformedId, or
    NotFound for an id of another kind, at the field's path.
    """
    return _values(given, f"{above}." if above else "")


class _Field(NamedTuple):
    name: str
    public: str
    kind: Kind | str | None


@lru_cache(maxsize=256)
def _fields(cls: type[Any]) -> tuple[_Field, ...]:
    return tuple(
        _Field(part.name, _public_name(part), part.metadata.get(_KIND)) for part in fields(cls)
    )


def _public_name(part: Any) -> str:
    """The name that a client writes; words that Python keeps for itself are renamed."""
    return part.graphql_name or to_camel_case(part.name)


def _values(given: object, above: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, public, kind in _fields(type(given)):
        value: object = getattr(given, name)
        if value is not UNSET:
            found[public] = _plain(value, f"{above}{public}", kind)
    return found


def _plain(value: object, path: str, kind: Kind | str | None) -> Any:
    if kind is not None:
        return _raw_ids(value, path, kind)
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, list):
        return _items(cast("list[object]", value), path)
    if is_dataclass(value):
        return _values(value, f"{path}.")
    return value


def _items(values: Sequence[object], path: str) -> list[Any]:
    return [_plain(value, f"{path}.{place}", None) for place, value in enumerate(values)]


def _raw_ids(value: object, path: str, kind: Kind | str) -> Any:
    if isinstance(value, list):
        ids = cast("list[str]", value)
        return [_raw_id(text, f"{path}.{place}", kind) for place, text in enumerate(ids)]
    return None if value is None else _raw_id(cast("str", value), path, kind)


def _raw_id(text: str, path: str, kind: Kind | str) -> str:
    return (
        decode_id(kind, text, path=path)
        if isinstance(kind, Kind)
        else decode_any(text, path=path)[1]
    )
