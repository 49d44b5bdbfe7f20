"""What is wrong with arguments, in words a model can act on."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from domain.kernel.errors import FieldProblem

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


def problems(error: ValidationError, names: Sequence[str]) -> list[FieldProblem]:
    """The same for a person who edits arguments: where each wrong one is, and what is wrong."""
    found: list[FieldProblem] = []
    for detail in error.errors(include_url=False, include_context=False)[:_MAX_PROBLEMS]:
        words = _fault(detail, names)
        place = tuple(str(part) for part in detail["loc"])
        end = "" if words.endswith("?") else "."
        found.append(FieldProblem(path=place, message=f"{words[:1].upper()}{words[1:]}{end}"))
    return found


def _problem(detail: ErrorDetails, names: Sequence[str]) -> str:
    place = ".".join(str(part) for part in detail["loc"]) or "arguments"
    return f"{place}: {_fault(detail, names)}"


def _fault(detail: ErrorDetails, names: Sequence[str]) -> str:
    match detail["type"]:
        case "missing":
            return "is required"
        case "extra_forbidden":
            place = ".".join(str(part) for part in detail["loc"])
            near = get_close_matches(place[:64], names, n=1)
            return "is no argument" + (f", did you mean {near[0]}?" if near else "")
        case _:
            rule = detail["msg"].removeprefix("Input ").removeprefix("Value error, ")
            return f"{rule[:1].lower()}{rule[1:]}{_shown(detail['input'])}"


def _shown(value: object) -> str:
    """Show a short scalar; a long text or a structure would drown the rule."""
    if isinstance(value, Mapping):
        return ", but is an object"
    if isinstance(value, list | tuple):
        return ", but is a list"
    text = _WORDS.get(repr(value), repr(value))
    return f", but is {text}" if len(text) <= _MAX_SHOWN_CHARS else ""
