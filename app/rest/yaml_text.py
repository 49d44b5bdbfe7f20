"""JSON values written as YAML 1.2, for people to read; a subset that every reader agrees on."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import cast

_PLAIN = re.compile(r"[A-Za-z_$/][\w $/.{}()-]*[\w/})]|[A-Za-z$/]", re.ASCII)
_MEANT_OTHERWISE = frozenset(
    {"null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf"}
)


def to_yaml(value: object) -> str:
    """Write a value in block style, keys in their order."""
    return "\n".join(_lines(value, "")) + "\n"


def _lines(value: object, indent: str) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        for key, inner in cast("Mapping[str, object]", value).items():
            yield from _entry(f"{indent}{_text(key)}:", inner, f"{indent}  ")
    elif isinstance(value, list) and value:
        for inner in cast("list[object]", value):
            first, *rest = _lines(inner, f"{indent}  ")
            yield f"{indent}- {first.lstrip(' ')}"
            yield from rest
    else:
        yield f"{indent}{_scalar(cast('object', value))}"


def _entry(head: str, value: object, indent: str) -> Iterator[str]:
    if isinstance(value, Mapping | list) and value:
        yield head
        yield from _lines(cast("object", value), indent)
    elif isinstance(value, str) and _is_prose(value):
        yield f"{head} {'|' if value.endswith(chr(10)) else '|-'}"
        yield from (f"{indent}{line}" if line else "" for line in value.splitlines())
    else:
        yield f"{head} {_scalar(cast('object', value))}"


def _scalar(value: object) -> str:
    if isinstance(value, str):
        return _text(value)
    return json.dumps(value, ensure_ascii=False)


def _is_prose(text: str) -> bool:
    """True for several lines that a block keeps as they are."""
    lines = text.removesuffix("\n").split("\n")
    is_clean = all(line == line.rstrip() and line.isprintable() for line in lines)
    return len(lines) > 1 and is_clean and bool(lines[-1]) and bool(lines[0][:1].strip())


def _text(text: str) -> str:
    """Plain where nobody can take it for anything else; JSON's quotes are YAML's, too."""
    if _PLAIN.fullmatch(text) and text.lower() not in _MEANT_OTHERWISE:
        return text
    return json.dumps(text, ensure_ascii=False)
