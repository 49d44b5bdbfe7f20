"""What differs between two versions of an object. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One value that differs; None where it was absent or removed."""

    path: tuple[str, ...]
    before: Any
    after: Any


def changes_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """List what differs between two settings, field by field; lists count as one value."""
    return _changes((), before, after)


def _changes(
    path: tuple[str, ...], before: Mapping[str, Any], after: Mapping[str, Any]
) -> list[Change]:
    found: list[Change] = []
    for key in dict.fromkeys([*before, *after]):
        old, new = before.get(key), after.get(key)
        if _is_object(old) and _is_object(new):
            found += _changes((*path, key), old, new)
        elif old != new or type(old) is not type(new):
            found.append(Change(path=(*path, key), before=old, after=new))
    return found


def _is_object(value: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping)
