"""Tools as an agent of the first version has them, for the planner's tests."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from domain.memory.tools import memory_tools
from domain.models.ports import ToolSpec
from domain.tasks.tools import task_tools
from domain.tools.builtin import builtin_tools
from domain.tools.manifest import to_spec

TEXT = {"type": "string", "description": "The text."}
MOMENT = {"type": "string", "format": "date-time"}
JSON_OBJECT = {"type": "object", "additionalProperties": True}
UNITS_OF_TIME = {"enum": ["hours", "days", "weeks", "months"], "type": "string"}


def tool(
    name: str,
    description: str,
    properties: Mapping[str, Any],
    *,
    optional: Sequence[str] = (),
    read_only: bool = True,
) -> ToolSpec:
    required = [each for each in properties if each not in optional]
    schema = {"type": "object", "properties": properties, "required": required}
    return ToolSpec(name=name, description=description, input_schema=schema, read_only=read_only)


TOOLS = (
    tool(
        "csv_read",
        "Read CSV text into rows of objects.",
        {
            "text": TEXT,
            "delimiter": {"enum": ["comma", "semicolon", "auto"]},
            "header": {"type": "boolean"},
            "limit": {"type": "integer"},
        },
        optional=["delimiter", "header", "limit"],
    ),
    tool("json_merge", "Merge two JSON objects.", {"base": JSON_OBJECT, "patch": JSON_OBJECT}),
    tool("json_pick", "Pick a value from JSON by its path.", {"document": {}, "path": TEXT}),
    tool("text_stats", "Count characters, words and lines of a text.", {"text": TEXT}),
    tool("text_slug", "Make a lower-case name of a text.", {"text": TEXT}),
    tool(
        "text_replace",
        "Replace a literal text.",
        {"text": TEXT, "find": TEXT, "replacement": TEXT, "ignore_case": {"type": "boolean"}},
        optional=["ignore_case"],
    ),
    tool("calculate", "Calculate an arithmetic expression.", {"expression": TEXT}),
    tool(
        "numbers_summary",
        "Summarize numbers: count, total, mean, median.",
        {"values": {"type": "array", "items": {"type": "number"}}},
    ),
    tool(
        "unit_convert",
        "Convert a value between units of length, mass and more.",
        {
            "value": {"type": "number"},
            "unit": {"type": "string"},
            "to": {"type": "string", "description": "Unit to convert to."},
        },
    ),
    tool(
        "date_add",
        "Add an amount of time to a moment.",
        {
            "moment": MOMENT,
            "amount": {"type": "integer", "description": "How many; negative goes back."},
            "unit": UNITS_OF_TIME,
        },
    ),
    tool(
        "date_difference",
        "Tell how much time lies between two moments.",
        {"start": MOMENT, "end": MOMENT, "zone": {"type": "string"}},
        optional=["zone"],
    ),
    tool(
        "hash_text",
        "Hash the bytes of a text.",
        {"text": TEXT, "algorithm": {"enum": ["sha256", "sha512", "md5"]}},
        optional=["algorithm"],
    ),
    tool("uuid_new", "Make random UUIDs.", {"count": {"type": "integer"}}, optional=["count"]),
    tool(
        "files_list",
        "List the files beneath a folder of the workspace.",
        {"path": {"type": "string"}},
        optional=["path"],
    ),
    tool("files_read", "Read a text file of the workspace.", {"path": {"type": "string"}}),
    tool(
        "files_write",
        "Write a text file.",
        {"path": {"type": "string"}, "text": TEXT},
        read_only=False,
    ),
    tool("files_delete", "Delete a file.", {"path": {"type": "string"}}, read_only=False),
    tool(
        "page_fetch",
        "Fetch a page of the web.",
        {"url": {"type": "string", "format": "uri"}},
    ),
)


def shipped_tools() -> Sequence[ToolSpec]:
    """Every tool that ships, as a model sees it; nothing stands behind them."""
    nothing = cast("Any", None)
    tools = [*builtin_tools(nothing), *memory_tools(nothing), *task_tools(nothing, nothing)]
    return [to_spec(each.manifest) for each in tools]
