"""The result of a step as the next one can take it."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from domain.models.offline.draft import Earlier
from domain.models.offline.numbers_spoken import number_of, written
from domain.models.offline.parameters import Kind
from domain.models.offline.sums import RESULT

RESULT_KEYS = ("text", "content", "result", "value", "output")
_NUMBER_KEYS = ("value", "result", "total", "total_days", "replacements", "count", "mean")


def parsed(content: str) -> Any:
    """A result as JSON; as text where it is none."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return content


def unwrapped(value: Any) -> Any:
    """The value of an object that holds nothing else than a result."""
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        if len(fields) == 1 and next(iter(fields)) in RESULT_KEYS:
            return next(iter(fields.values()))
    return cast("Any", value)


def with_earlier(arguments: Mapping[str, Any], content: str) -> Mapping[str, Any] | None:
    """Arguments with the result where they speak of it; None if it does not fit."""
    found = {
        name: _as_kind(content, value) if isinstance(value, Earlier) else value
        for name, value in arguments.items()
    }
    return None if any(value is None for value in found.values()) else found


def _as_kind(content: str, wanted: Earlier) -> Any:
    value = parsed(content)
    if value in (None, "", [], {}):
        return None
    if wanted.template is not None:
        said = _spoken(value, wanted.kind)
        return None if said is None else wanted.template.replace(RESULT, said)
    match wanted.kind:
        case Kind.NUMBER:
            return _number(value)
        case Kind.INTEGER:
            number = _number(value)
            return None if number is None or number != int(number) else int(number)
        case Kind.LIST:
            return _list(value)
        case Kind.OBJECT:
            return _object(value)
        case Kind.JSON:
            inner = _main(value)
            return parsed(inner) if isinstance(inner, str) else inner
        case _:
            return _text(value)


def _spoken(value: Any, kind: Kind) -> str | None:
    """A result as it stands within a text or a sum."""
    if kind is Kind.TEXT:
        text = _text(value)
        return None if text is None else _quoted(text)
    number = _number(value)
    return None if number is None else _operand(number)


def _quoted(text: str) -> str:
    """A text as it stands within an instruction."""
    is_plain = '"' not in text and "\n" not in text and "\\" not in text
    return f'"{text}"' if is_plain else f"```\n{text}\n```"


def _operand(number: float) -> str:
    text = written(number)
    return f"({text})" if number < 0 else text


def _main(value: Any) -> Any:
    """What a result is mainly about, without what stands beside it."""
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        for key in RESULT_KEYS:
            if fields.get(key) not in (None, ""):
                return fields[key]
        lists = _lists_of(fields)
        if "rows" in fields:
            return fields["rows"]
        if "matches" in fields and len(lists) == 1:
            return fields["matches"]
    return cast("Any", value)


def _lists_of(fields: Mapping[str, Any]) -> list[list[Any]]:
    return [cast("list[Any]", each) for each in fields.values() if isinstance(each, list)]


def _text(value: Any) -> str | None:
    main = value
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        main = next(
            (fields[key] for key in RESULT_KEYS if isinstance(fields.get(key), str)), _main(value)
        )
    if isinstance(main, str):
        return main or None
    if isinstance(main, list) and all(isinstance(each, str) for each in cast("list[Any]", main)):
        return "\n".join(cast("list[str]", main))
    if isinstance(main, bool) or main is None:
        return None
    if isinstance(main, int | float):
        return written(main)
    return json.dumps(main, ensure_ascii=False)


def _number(value: Any) -> int | float | None:
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        value = next((fields[key] for key in _NUMBER_KEYS if key in fields), None)
    if isinstance(value, str):
        return number_of(value)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _list(value: Any) -> Sequence[Any] | None:
    main = _main(value)
    if isinstance(main, str):
        inner = parsed(main)
        if isinstance(inner, list):
            return cast("list[Any]", inner) or None
        numbers = [number_of(part) for part in re.split(r"[\s,;]+", main.strip())]
        return None if None in numbers else cast("list[Any]", numbers)
    if isinstance(main, list):
        return _numeric(cast("list[Any]", main)) or None
    if isinstance(main, dict):
        lists = _lists_of(cast("dict[str, Any]", main))
        return _numeric(lists[0]) if len(lists) == 1 else None
    return None


def _numeric(values: list[Any]) -> list[Any]:
    """Numbers that came as text are numbers again, if all of them are."""
    numbers = [number_of(each) if isinstance(each, str) else each for each in values]
    return values if None in numbers else numbers


def _object(value: Any) -> Mapping[str, Any] | None:
    main = _main(value)
    inner = parsed(main) if isinstance(main, str) else main
    if isinstance(inner, dict):
        return cast("dict[str, Any]", inner)
    return cast("dict[str, Any]", value) if isinstance(value, dict) and inner is None else None
