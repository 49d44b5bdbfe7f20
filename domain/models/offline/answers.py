"""What the offline planner says: results in plain words, and why it declines."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from domain.kernel.json_fit import JsonFit
from domain.models.offline.earlier import RESULT_KEYS, parsed, unwrapped
from domain.models.offline.fences import INLINE_CHARS, fenced, in_line
from domain.models.offline.handing_over import NAME as HANDING_OVER
from domain.models.offline.parameters import Kind, Parameter, parameters_of
from domain.models.offline.tellings import told
from domain.models.ports import ChatMessage, ToolSpec

_MOST_NAMES = 60
_SENTENCE_END = re.compile(r"(?<=[.;])\s|\n")
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
    Kind.PATTERN: "%A, %d %B %Y",
    Kind.PATH: "notes.txt",
    Kind.TEXT: "some text",
}
CONNECT = (
    "To have a language model answer, set MODEL_PROVIDER to openai, anthropic or ollama; "
    "docs/howto/connect-a-model.md tells how."
)
"""How to get a language model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """A result with the arguments of its call."""

    name: str
    arguments: Mapping[str, Any]
    message: ChatMessage


def final_answer(messages: Sequence[ChatMessage]) -> str:
    """The results of all steps since the last instruction, in order."""
    results = _results(messages)
    if len(results) == 1:
        return _result(results[0])
    return "\n".join(f"{place}. {_result(each)}" for place, each in enumerate(results, 1))


def data_answer(messages: Sequence[ChatMessage], said: str, schema: Mapping[str, Any]) -> str:
    """The result of the last step as JSON, in the plainest form that fits; else what was said."""
    results = _results(messages)
    value: Any = parsed(results[-1].message.content) if results else parsed(said)
    inner = unwrapped(value)
    needed: Sequence[str] = schema.get("required") or list(schema.get("properties") or {})
    wrapped = {needed[0]: inner} if len(needed) == 1 else inner
    fit = JsonFit(schema)
    fitting = [each for each in (value, inner, wrapped) if not fit.misfits(each)]
    return json.dumps(fitting[0] if fitting else value, ensure_ascii=False)


def failed_answer(
    messages: Sequence[ChatMessage], undone: Sequence[str], *, unusable: bool = False
) -> str:
    """What was done, what failed, and what was therefore not done."""
    lines = [_result(each) for each in _results(messages)]
    if unusable:
        lines.append(f"That result is nothing that {undone[0]} could work on, so I stopped there.")
    elif undone:
        lines.append("I stopped there.")
    if undone:
        lines.append(f"Not done: {', '.join(undone)}.")
    return "\n".join(lines)


def _results(messages: Sequence[ChatMessage]) -> list[_Result]:
    asked: dict[str, str] = {}
    found: list[_Result] = []
    for message in messages:
        if message.role == "user":
            found.clear()
        asked |= {call.id: call.arguments for call in message.tool_calls}
        if message.role == "tool":
            arguments: object = parsed(asked.get(message.tool_call_id or "", "{}"))
            is_object = isinstance(arguments, dict)
            given = cast("dict[str, Any]", arguments) if is_object else dict[str, Any]()
            name = message.tool_name or "the tool"
            found.append(_Result(name=name, arguments=given, message=message))
    return found


def declined(reason: str, nearest: Sequence[ToolSpec], tools: Sequence[ToolSpec]) -> str:
    """Why nothing was done, what comes closest, and how to connect a language model."""
    introduction = (
        "I am the offline planner: no language model is connected, so I only carry out "
        f"instructions that clearly mean one of my tools. I did nothing, because {reason}."
    )
    lines = [introduction]
    if nearest:
        lines.append("The closest tools are:")
        lines.extend(f"- {_invitation(tool)}" for tool in nearest[:3])
    elif tools:
        lines.append(f"None of my tools comes close: {names_of(tools)}.")
    if tools:
        lines.append('Say "help" to see what I understand.')
    lines.append(CONNECT)
    return "\n".join(lines)


def names_of(tools: Sequence[ToolSpec]) -> str:
    """Names of tools, in one line."""
    names = [tool.name for tool in tools]
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _invitation(tool: ToolSpec) -> str:
    summary = _SENTENCE_END.split(tool.description.strip(), maxsplit=1)[0].rstrip(".;")
    return f"{tool.name}: {summary}. Try: {example_call(tool)}"


def example_call(tool: ToolSpec) -> str:
    """A call that shows which arguments a tool needs."""
    parameters = parameters_of(tool)
    needed = [each for each in parameters if each.required] or list(parameters[:1])
    arguments = {each.name: _example(each) for each in needed}
    if any(each.kind in (Kind.JSON, Kind.OBJECT) for each in needed):
        keys = {each.name for each in needed if each.kind is Kind.PATH}
        arguments |= dict.fromkeys(keys, "key")
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


def _result(result: _Result) -> str:
    message = result.message
    if message.failed:
        name = str(result.arguments.get("agent")) if result.name == HANDING_OVER else result.name
        return f"{name} failed: {message.content.strip() or 'it gave no reason.'}"
    value = parsed(message.content)
    said = told(result.name, result.arguments, value)
    return _spoken(result.name, unwrapped(value)) if said is None else said


def _spoken(name: str, value: object) -> str:
    if value is None or value in ("", [], {}):
        return f"{name} found nothing to return."
    if isinstance(value, str):
        line = in_line(value)
        return f"{name} returned:\n{fenced(value, '')}" if line is None else f"{name}: {line}"
    if isinstance(value, dict) and (said := _told(name, cast("dict[str, Any]", value))):
        return said
    if not isinstance(value, dict | list):
        return f"{name}: {json.dumps(value)}."
    line = in_line(cast("object", value))
    if line is not None:
        return f"{name}: {line}"
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return f"{name} returned:\n{fenced(text, 'json')}"


def _told(name: str, fields: Mapping[str, Any]) -> str | None:
    """A result of plain fields: in one line, or its text fenced and the rest in a line."""
    long_ones = [key for key, value in fields.items() if isinstance(value, str) and "\n" in value]
    if len(long_ones) == 1 and long_ones[0] in RESULT_KEYS:
        rest = {key: value for key, value in fields.items() if key != long_ones[0]}
        if (line := _inline(rest)) is not None:
            return f"{name} returned ({line}):\n{fenced(fields[long_ones[0]], '')}"
    line = _inline(fields)
    return None if line is None else f"{name}: {line}."


def _inline(fields: Mapping[str, Any]) -> str | None:
    """Short fields in one line: `words 5, lines 1`; None where there is more to show."""
    if any(_has_parts(value) and value not in ([], {}) for value in fields.values()):
        return None
    parts = (f"{name.replace('_', ' ')} {_scalar(value)}" for name, value in fields.items())
    line = ", ".join(parts)
    return line if len(line) <= 2 * INLINE_CHARS and "\n" not in line else None


def _has_parts(value: object) -> bool:
    return isinstance(value, dict | list)


def _scalar(value: object) -> str:
    if value is None or value in ([], {}):
        return "none"
    return value if isinstance(value, str) else json.dumps(value)
