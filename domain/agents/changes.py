"""How one version of an agent becomes another. Pure."""

from collections.abc import Mapping
from typing import Any, TypeGuard

MERGED = frozenset({"limits", "memory"})
"""Fields of which a client may send a part."""


def without_nulls(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a new agent's values: a null asks for the default, as an absent field does."""
    return merged({}, values)


def merged(settings: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with a client's values: absent stays, null clears to the default."""
    result = dict(settings)
    for key, value in values.items():
        if value is None:
            result.pop(key, None)
        elif key in MERGED and _is_object(value):
            result[key] = merged(result.get(key) or {}, value)
        else:
            result[key] = value
    return result


def _is_object(value: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping)
