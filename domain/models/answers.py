"""What the offline planner says: results in plain words, and why it declines."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from domain.models.parameters import Kind, Parameter, parameters_of
from domain.models.ports import ChatMessage, ToolSpec

_INLINE_CHARS = 120
_SHOWN_CHARS = 4_000
_RESULT_KEYS = ("text", "content", "result", "value", "output")
_EXAMPLES: Mapping[Kind, Any] = {
    Kind.OBJECT: {"key": "value"},
    Kind.LIST: [1, 2, 3],
    Kind.JSON: {"key": "value"},
    Kind.URL: "https://example.com/",
    Kind.MOMENT: "2026-01-31",
    Kind.SUM: "2 + 3 * 4",
    Kind.UNIT: "km",
    Kind.TARGET_UNIT: "mi",
    Kind.INTEGER: 3,
    Kind.NUMBER: 1.5,
    Kind.BOOLEAN: True,
    Kind.ZONE: "Europe/Berlin",
    Kind.PATH: "notes.txt",
    Kind.TEXT: "some text",
}
_CONNECT = (
    "To have a language model answer, set MODEL_PROVIDER=openai with OPENAI_API_KEY, or point "
    "OPENAI_BASE_URL at any OpenAI-compatible server."
)


def final_answer(results: Sequence[ChatMessage]) -> str:
    """The results of all steps, in order."""
    if len(results) == 1:
        return _result(results[0])
    return "\n".join(f"{place}. {_result(each)}" for place, each in enumerate(results, 1))


def failed_answer(
    results: Sequence[ChatMessage], undone: Sequence[str], *, unusable: bool = False
) -> str:
    """What was done, what failed, and what was therefore not done."""
    lines = [_result(each) for each in results]
    if unusable:
        lines.append(f"That result is nothing that {undone[0]} could work on, so I stopped there.")
    else:
        lines.append("I stopped there." if undone else "Nothing else was left to do.")
    if undone:
        lines.append(f"Not done: {', '.join(undone)}.")
    return "\n".join(lines)


def declined(reason: str, nearest: Sequence[ToolSpec], tools: Sequence[ToolSpec]) -> str:
    """Why nothing was done, what comes closest, and how to connect a language model."""
    introduction = (
        "I am the offline planner: no language model is connected, so I only carry out "
        f"instructions that clearly name one of my tools. I did nothing, because {reason}."
    )
    lines = [introduction]
    shown = tuple(nearest[:3]) or tuple(tools[:3])
    if shown:
        lines.append("The closest tools are:" if nearest else "Some of my tools are:")
        lines.extend(f"- {_invitation(tool)}" for tool in shown)
    lines.append(_CONNECT)
    return "\n".join(lines)


def needs_more(tool: ToolSpec, missing: Sequence[str]) -> str:
    """What a tool still has to be told."""
    return f"{tool.name} also needs {' and '.join(missing)}"


def _invitation(tool: ToolSpec) -> str:
    summary = tool.description.strip().split("\n", 1)[0].rstrip(".")
    return f"{tool.name}: {summary}. Try: {example_call(tool)}"


def example_call(tool: ToolSpec) -> str:
    """A call that shows which arguments a tool needs."""
    parameters = parameters_of(tool)
    needed = [each for each in parameters if each.required] or list(parameters[:1])
    arguments = {each.name: _example(each) for each in needed}
    return f"{tool.name} {json.dumps(arguments, ensure_ascii=False)}"


def _example(parameter: Parameter) -> Any:
    if parameter.example is not None:
        return parameter.example
    if parameter.choices:
        return parameter.choices[0]
    if parameter.kind is Kind.LIST and parameter.items is Kind.OBJECT:
        return [{"key": "value"}]
    if parameter.kind is Kind.LIST and parameter.items is Kind.TEXT:
        return ["one", "two"]
    return _EXAMPLES[parameter.kind]


def usable_result(content: str) -> Any:
    """A result as the next step can take it; None if there is nothing in it."""
    value = _unwrapped(_parsed(content))
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return next((fields[key] or None for key in _RESULT_KEYS if key in fields), fields or None)
    return value or None


def _result(message: ChatMessage) -> str:
    name = message.tool_name or "the tool"
    if message.failed:
        return f"{name} failed: {message.content.strip() or 'it gave no reason.'}"
    return _spoken(name, _unwrapped(_parsed(message.content)))


def _spoken(name: str, value: object) -> str:
    if value is None or value in ("", [], {}):
        return f"{name} found nothing to return."
    if isinstance(value, str):
        is_short = len(value) <= _INLINE_CHARS and "\n" not in value
        return f"{name}: {value}" if is_short else f"{name} returned:\n{_fenced(value, '')}"
    if isinstance(value, dict) and (told := _told(name, cast("dict[str, Any]", value))):
        return told
    if not isinstance(value, dict | list):
        return f"{name}: {json.dumps(value)}."
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return f"{name} returned:\n{_fenced(text, 'json')}"


def _told(name: str, fields: Mapping[str, Any]) -> str | None:
    """A result of plain fields: in one line, or its text fenced and the rest in a line."""
    long_ones = [key for key, value in fields.items() if isinstance(value, str) and "\n" in value]
    if len(long_ones) == 1 and long_ones[0] in _RESULT_KEYS:
        rest = {key: value for key, value in fields.items() if key != long_ones[0]}
        if (line := _inline(rest)) is not None:
            return f"{name} returned ({line}):\n{_fenced(fields[long_ones[0]], '')}"
    line = _inline(fields)
    return None if line is None else f"{name}: {line}."


def _inline(fields: Mapping[str, Any]) -> str | None:
    """Short fields in one line: `words 5, lines 1`; None where there is more to show."""
    if any(_has_parts(value) and value not in ([], {}) for value in fields.values()):
        return None
    parts = (f"{name.replace('_', ' ')} {_scalar(value)}" for name, value in fields.items())
    line = ", ".join(parts)
    return line if len(line) <= 2 * _INLINE_CHARS and "\n" not in line else None


def _has_parts(value: object) -> bool:
    return isinstance(value, dict | list)


def _scalar(value: object) -> str:
    if value is None or value in ([], {}):
        return "none"
    return value if isinstance(value, str) else json.dumps(value)


def _fenced(text: str, language: str) -> str:
    fence = "````" if "```" in text else "```"
    shown = text[:_SHOWN_CHARS]
    note = f"\n({len(shown):,} of {len(text):,} characters shown.)" if shown != text else ""
    return f"{fence}{language}\n{shown}\n{fence}{note}"


def _parsed(content: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return content


def _unwrapped(value: Any) -> Any:
    """The value of an object that holds nothing else than a result."""
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        if len(fields) == 1 and next(iter(fields)) in _RESULT_KEYS:
            return next(iter(fields.values()))
    return cast("Any", value)
