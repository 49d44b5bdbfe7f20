"""Calls written out: `tool {json}`, `/tool key=value`, `tool("text")`."""

import json
import re
from collections.abc import Mapping
from typing import Any

from domain.models.offline.literals import Reading, json_at
from domain.models.offline.matching import ToolIndex
from domain.models.offline.parameters import Kind, Parameter, parameters_of
from domain.models.offline.planned import Declined, Step
from domain.models.offline.values import fits, typed
from domain.models.ports import ToolSpec

_NAME = re.compile(
    r"(?<![\w.])/?(?P<name>[A-Za-z_][\w.-]*)\s*(?:with\s+|:\s*)?(?:\((?=\s*\{)\s*)?(?=\{)"
)
_FENCE = re.compile(r"\s*```[a-z]*\s*\n?(?P<text>.*?)\n?\s*```\s*", re.DOTALL)
_JOINT = re.compile(
    r"(?:[\s,;.)]|\b(?:and|then|please|run|call|use|execute|the|tool)\b)*", re.IGNORECASE
)
_HEAD = re.compile(
    r"(?:(?:please|run|call|use|execute|invoke|the|tool)\s+)*(?P<slash>/)?(?P<name>[A-Za-z_][\w.-]*\w)"
    r"(?P<open>\s*\()?(?:\s+with\b)?",
    re.IGNORECASE,
)
_PAIR = re.compile(
    r"[\s,]*(?:and\s+)?(?:--)?(?P<key>[A-Za-z_][\w-]*)\s*[=:]\s*(?P<value>\0+|[^\s,\0]+)"
)


def explicit_steps(text: str, index: ToolIndex) -> list[Step] | None:
    """Calls written as `tool_name {json}`; None if the text is anything else as well."""
    if (fenced := _FENCE.fullmatch(text)) is not None:
        text = fenced["text"]
    steps: list[Step] = []
    at = _end(_JOINT.match(text, 0))
    while at < len(text):
        match = _NAME.match(text, at)
        if match is None or (index.named(match["name"]) is None and "_" not in match["name"]):
            return None
        tool = index.named(match["name"])
        if tool is None:
            raise Declined(f"there is no tool called {match['name']}", index.nearest(match["name"]))
        arguments, at = _arguments_at(text, match.end(), tool)
        steps.append(Step(tool=tool, arguments=arguments))
        at = _end(_JOINT.match(text, at))
    return steps or None


def _end(match: re.Match[str] | None) -> int:
    return 0 if match is None else match.end()


def _arguments_at(text: str, start: int, tool: ToolSpec) -> tuple[dict[str, Any], int]:
    try:
        return json_at(text, start)
    except (ValueError, RecursionError) as error:
        message = f"the arguments of {tool.name} are not valid JSON ({error})"
        raise Declined(message, [tool]) from error


def named_tool(clause: str, index: ToolIndex) -> ToolSpec | None:
    """The tool whose name the clause begins with."""
    head = _HEAD.match(clause)
    if head is None:
        return None
    tool = index.named(head["name"])
    if tool is None and head["slash"] and not head["name"].startswith("/"):
        if "/" in clause[head.end() : head.end() + 1]:
            return None
        raise Declined(f"there is no tool called {head['name']}", index.nearest(head["name"]))
    is_written = head["slash"] or "_" in head["name"]
    return tool if is_written else None


def written_call(clause: str, index: ToolIndex) -> Step | None:
    """A call such as `/hash_text text="abc" algorithm=md5` or `hash_text("abc")`."""
    head = _HEAD.match(clause)
    tool = None if head is None else index.named(head["name"])
    if head is None or tool is None:
        return None
    parameters = {each.name: each for each in parameters_of(tool)}
    reading = Reading(clause)
    stop = len(clause.rstrip(" .;)") if head["open"] else clause.rstrip(" .;"))
    if head["open"] and (single := _single(reading, head.end(), stop, parameters)) is not None:
        return Step(tool=tool, arguments=single)
    values: dict[str, Any] = {}
    at = head.end()
    while at < stop and (pair := _PAIR.match(reading.bare, at)) is not None:
        parameter = parameters.get(pair["key"].replace("-", "_"))
        if parameter is None:
            return None
        value = _value(reading, pair, parameter)
        if value is None:
            return None
        values[parameter.name] = value
        at = pair.end()
    is_whole = not reading.bare[at:stop].strip(" ,.") and bool(values or head["open"])
    return Step(tool=tool, arguments=values) if is_whole else None


def _single(
    reading: Reading, start: int, stop: int, parameters: Mapping[str, Parameter]
) -> Mapping[str, Any] | None:
    """The one value of `tool("text")`, for the first parameter."""
    for literal in (*reading.quotes, *reading.json_values):
        alone = not reading.bare[start:stop].strip("\0 ")
        if literal.start >= start and alone and parameters:
            first = next(iter(parameters.values()))
            return {first.name: literal.value} if fits(first, literal.value) else None
    return None


def _value(reading: Reading, pair: re.Match[str], parameter: Parameter) -> Any:
    start = pair.start("value")
    for literal in (*reading.quotes, *reading.json_values):
        if literal.start != start:
            continue
        if fits(parameter, literal.value):
            return literal.value
        return _from_text(literal.value, parameter) if isinstance(literal.value, str) else None
    return typed(parameter, pair["value"]) or _listed(pair["value"], parameter)


def _from_text(text: str, parameter: Parameter) -> Any:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return typed(parameter, text)
    return value if fits(parameter, value) else typed(parameter, text)


def _listed(text: str, parameter: Parameter) -> Any:
    """Zero and false are values as well; a bare word can be a list of one."""
    value = typed(parameter, text)
    if value is not None or parameter.kind is not Kind.LIST:
        return value
    return text.split(",")
