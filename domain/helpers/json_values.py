"""JSON values: merge them, pick from them, tell them apart. Nothing given is changed."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Literal, TypeVar

from pydantic import Field, JsonValue

from domain.helpers.bounds import MAX_DEPTH
from domain.helpers.errors import HelperError

ListPolicy = Literal["replace", "append", "union"]
MAX_CHANGES = 1_000
_STEP = re.compile(r'\.?([^.\[\]"]+)|\[(-?\d{1,9})\]|\["([^"\\]*)"\]')
_Key = TypeVar("_Key", str, int)
_PLAIN_KEY = re.compile(r'[^.\[\]"*]+\Z')


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonChange:
    """One difference; what is absent on a side is null there."""

    path: str
    kind: Literal["added", "removed", "changed"]
    before: JsonValue
    after: JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonDiff:
    """All differences; `truncated` says that there are more than those listed."""

    equal: bool
    changes: list[JsonChange]
    truncated: bool


def json_merge(
    base: Annotated[dict[str, JsonValue], Field(description="The object to start from.")],
    patch: Annotated[dict[str, JsonValue], Field(description="The object whose values win.")],
    *,
    lists: Annotated[
        ListPolicy,
        Field(description="Where both sides hold a list: replace it, append, or append new items."),
    ] = "replace",
    nulls: Annotated[
        Literal["keep", "remove"],
        Field(description="A null in the patch is kept as a value, or removes its key (RFC 7396)."),
    ] = "keep",
) -> dict[str, JsonValue]:
    """Merge two JSON objects deeply; the patch wins where both have a value."""
    return _merge(base, patch, lists=lists, removes=nulls == "remove", depth=0)


def json_pick(
    document: Annotated[JsonValue, Field(description="The JSON value to look into.")],
    path: Annotated[
        str,
        Field(
            description='Where to look: a.b, items[0].name, items[-1], items.*.name, ["a.b"].',
            min_length=1,
            max_length=500,
        ),
    ],
) -> JsonValue:
    """Pick a value from JSON by its dotted path; `*` takes every element and gives a list."""
    found = [document]
    steps = _steps(path)
    for step in steps:
        found = [below for value in found for below in _below(value, step, path)]
    return found if "*" in steps else found[0]


def json_diff(
    before: Annotated[JsonValue, Field(description="The older JSON value.")],
    after: Annotated[JsonValue, Field(description="The newer JSON value.")],
    *,
    limit: Annotated[int, Field(description="Most changes to list.", ge=1, le=MAX_CHANGES)] = 100,
) -> JsonDiff:
    """List what was added, removed and changed between two JSON values, with paths."""
    changes = list(islice(_changes(before, after, "", 0), limit + 1))
    return JsonDiff(equal=not changes, changes=changes[:limit], truncated=len(changes) > limit)


def _check_depth(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise HelperError(f"The value is nested more than {MAX_DEPTH} deep; send a flatter one.")


def _merge(
    base: dict[str, JsonValue],
    patch: dict[str, JsonValue],
    *,
    lists: ListPolicy,
    removes: bool,
    depth: int,
) -> dict[str, JsonValue]:
    _check_depth(depth)
    merged = dict(base)
    for key, new in patch.items():
        old = merged.get(key)
        if new is None and removes:
            merged.pop(key, None)
        elif isinstance(new, dict):
            below = old if isinstance(old, dict) else {}
            merged[key] = _merge(below, new, lists=lists, removes=removes, depth=depth + 1)
        elif isinstance(old, list) and isinstance(new, list):
            merged[key] = _merged_lists(old, new, lists)
        else:
            merged[key] = new
    return merged


def _merged_lists(
    old: list[JsonValue], new: list[JsonValue], policy: ListPolicy
) -> list[JsonValue]:
    if policy == "replace":
        return new
    if policy == "append":
        return [*old, *new]
    seen = {_canonical(item) for item in old}
    fresh: dict[str, JsonValue] = {}
    for item in new:
        fresh.setdefault(_canonical(item), item)
    return [*old, *(item for key, item in fresh.items() if key not in seen)]


def _canonical(value: JsonValue) -> str:
    try:
        return json.dumps(value, sort_keys=True)
    except RecursionError:
        raise HelperError(
            f"A list item is nested more than {MAX_DEPTH} deep; send a flatter one."
        ) from None


def _steps(path: str) -> list[str | int]:
    steps: list[str | int] = []
    at = 0
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None:
            raise HelperError(
                f"path: cannot be read from {path[at:]!r} on; write it like items[0].name, "
                'with ["..."] around keys that hold dots or brackets.'
            )
        name, index, quoted = match.groups()
        steps.append(int(index) if index is not None else name or quoted or "")
        at = match.end()
    return steps


def _below(value: JsonValue, step: str | int, path: str) -> list[JsonValue]:
    if step == "*" and isinstance(value, (dict, list)):
        return list(value.values() if isinstance(value, dict) else value)
    if isinstance(value, dict) and str(step) in value:
        return [value[str(step)]]
    if isinstance(value, list) and (index := _index(step)) is not None:
        if -len(value) <= index < len(value):
            return [value[index]]
        raise HelperError(f"path: {path} asks for element {index} of a list of {len(value)}.")
    raise HelperError(f"path: {path} has nothing at {step!r}; there is {_seen(value)}.")


def _index(step: str | int) -> int | None:
    if isinstance(step, int):
        return step
    return int(step) if step.isascii() and step.isdigit() and len(step) < 10 else None


def _seen(value: JsonValue) -> str:
    """Say in words what stands at a place."""
    if isinstance(value, dict):
        names = ", ".join(repr(key[:50]) for key in islice(value, 10))
        return f"an object with the keys {names}" if names else "an empty object"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return "null" if value is None else f"a {type(value).__name__} without parts"


def _changes(before: JsonValue, after: JsonValue, path: str, depth: int) -> Iterator[JsonChange]:
    _check_depth(depth)
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _parts_changes(before, after, path, depth)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _parts_changes(dict(enumerate(before)), dict(enumerate(after)), path, depth)
    elif not _is_same_scalar(before, after):
        yield JsonChange(path=path, kind="changed", before=before, after=after)


def _parts_changes(
    old: Mapping[_Key, JsonValue], new: Mapping[_Key, JsonValue], path: str, depth: int
) -> Iterator[JsonChange]:
    for key in dict.fromkeys([*old, *new]):
        below = _joined(path, key)
        if key not in new:
            yield JsonChange(path=below, kind="removed", before=old[key], after=None)
        elif key not in old:
            yield JsonChange(path=below, kind="added", before=None, after=new[key])
        else:
            yield from _changes(old[key], new[key], below, depth + 1)


def _is_same_scalar(before: JsonValue, after: JsonValue) -> bool:
    # Python takes True for 1; JSON does not.
    return isinstance(before, bool) == isinstance(after, bool) and before == after


def _joined(path: str, key: str | int) -> str:
    if isinstance(key, int):
        return f"{path}[{key}]"
    if _PLAIN_KEY.match(key) is None:
        return f'{path}["{key}"]'
    return f"{path}.{key}" if path else key
