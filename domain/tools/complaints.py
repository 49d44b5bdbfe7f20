"""What is wrong with arguments, in words a model can act on."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from pydantic import ValidationError
from pydantic_core import ErrorDetails

_MAX_PROBLEMS = 10
_MAX_SHOWN_CHARS = 60
_WORDS = {"None": "null", "True": "true", "False": "false"}


def complaint(error: ValidationError, names: Sequence[str]) -> str:
    """Name each wrong argument, what it is and what it should be."""
    details = error.errors(include_url=False, include_context=False)
    parts = [_problem(detail, names) for detail in details[:_MAX_PROBLEMS]]
    if len(details) > _MAX_PROBLEMS:
        parts.append(f"and {len(details) - _MAX_PROBLEMS} more")
    accepted = f"Accepted arguments: {', '.join(names)}." if names else "It takes no arguments."
    return f"{'; '.join(parts)}. {accepted}"


def _problem(detail: ErrorDetails, names: Sequence[str]) -> str:
    place = ".".join(str(part) for part in detail["loc"]) or "arguments"
    match detail["type"]:
        case "missing":
            return f"{place}: is required"
        case "extra_forbidden":
            near = get_close_matches(place[:64], names, n=1)
            return f"{place}: is no argument" + (f", did you mean {near[0]}?" if near else "")
        case _:
            rule = detail["msg"].removeprefix("Input ").removeprefix("Value error, ")
            return f"{place}: {rule[:1].lower()}{rule[1:]}{_shown(detail['input'])}"


def _shown(value: object) -> str:
    """Show a short scalar; a long text or a structure would drown the rule."""
    if isinstance(value, Mapping):
        return ", but is an object"
    if isinstance(value, list | tuple):
        return ", but is a list"
    text = _WORDS.get(repr(value), repr(value))
    return f", but is {text}" if len(text) <= _MAX_SHOWN_CHARS else ""
