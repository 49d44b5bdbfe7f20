"""Every tool that ships: its schemas are valid, an example of it works, its result fits."""

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from pydantic import JsonValue

from app.adapters.files_beneath import WorkspaceFolders
from domain.helpers.catalog import HELPERS
from domain.tools.builtin import builtin_tools
from domain.tools.calls import ToolContext, ToolFailure
from domain.tools.manifest import SideEffect
from domain.tools.registry import ToolRegistry

CONTEXT = ToolContext(workspace_id="w1")
EXAMPLES: dict[str, tuple[dict[str, JsonValue], JsonValue]] = {
    "csv_read": (
        {"text": "a,b\n1,x", "numbers": True},
        {
            "columns": ["a", "b"],
            "rows": [{"a": 1, "b": "x"}],
            "total_rows": 1,
            "truncated": False,
            "delimiter": "comma",
        },
    ),
    "csv_write": ({"rows": [{"a": 1}], "columns": ["a"]}, "a\n1\n"),
    "json_merge": ({"base": {"a": {"b": 1}}, "patch": {"a": {"c": 2}}}, {"a": {"b": 1, "c": 2}}),
    "json_pick": ({"document": {"a": [1, 2]}, "path": "a[-1]"}, 2),
    "json_diff": (
        {"before": 1, "after": 2},
        {
            "equal": False,
            "changes": [{"path": "", "kind": "changed", "before": 1, "after": 2}],
            "truncated": False,
        },
    ),
    "text_stats": (
        {"text": "One. Two"},
        {
            "characters": 8,
            "size_bytes": 8,
            "words": 2,
            "unique_words": 2,
            "sentences": 2,
            "lines": 1,
            "paragraphs": 1,
        },
    ),
    "text_replace": (
        {"text": "aXa", "find": "x", "replacement": "y", "ignore_case": True},
        {"text": "aya", "replacements": 1},
    ),
    "text_slug": ({"text": "One Two"}, "one-two"),
    "text_extract": (
        {"text": "a@b.org", "kind": "emails"},
        {"matches": ["a@b.org"], "truncated": False},
    ),
    "calculate": ({"expression": "2 * 21"}, {"value": 42, "text": "42"}),
    "numbers_summary": (
        {"values": [2]},
        {
            "count": 1,
            "total": 2,
            "mean": 2,
            "minimum": 2,
            "quartile_1": 2,
            "median": 2,
            "quartile_3": 2,
            "maximum": 2,
            "deviation": None,
        },
    ),
    "unit_convert": (
        {"value": 1, "unit": "km", "to": "m"},
        {"value": 1000, "unit": "m", "dimension": "length"},
    ),
    "date_add": (
        {"moment": "2026-01-31", "amount": 1, "unit": "days"},
        "2026-02-01T00:00:00Z",
    ),
    "date_difference": (
        {"start": "2026-01-01", "end": "2026-01-02"},
        {
            "total_seconds": 86400,
            "total_days": 1,
            "years": 0,
            "months": 0,
            "days": 1,
            "hours": 0,
            "minutes": 0,
            "seconds": 0,
            "is_negative": False,
        },
    ),
    "date_format": ({"moment": "2026-01-01T12:00Z", "pattern": "%d.%m."}, "01.01."),
    "hash_text": ({"text": "", "algorithm": "md5"}, "d41d8cd98f00b204e9800998ecf8427e"),
    "base64_encode": ({"text": "hi"}, "aGk="),
    "base64_decode": ({"encoded": "aGk"}, "hi"),
    "files_list": ({"path": "empty"}, {"entries": [], "truncated": False}),
    "files_read": (
        {"path": "note.txt", "limit_bytes": 5},
        {
            "text": "hello",
            "size_bytes": 7,
            "truncated": True,
            "next_offset": 5,
            "lossy": False,
        },
    ),
}


@pytest.fixture
def registry(tmp_path: Path) -> ToolRegistry:
    (tmp_path / "w1" / "empty").mkdir(parents=True)
    (tmp_path / "w1" / "note.txt").write_text("hello w")
    (tmp_path / "w2").mkdir()
    (tmp_path / "w2" / "other.txt").write_text("not for w1")
    return ToolRegistry(builtin_tools(WorkspaceFolders(tmp_path).tree_of))


def test_every_tool_has_an_example_here(registry: ToolRegistry):
    assert set(EXAMPLES) == set(registry.names())
    assert len(HELPERS) >= 15


def test_every_schema_is_valid_and_takes_no_unknown_argument(registry: ToolRegistry):
    for tool in registry:
        Draft202012Validator.check_schema(tool.manifest.input_schema)
        Draft202012Validator.check_schema(tool.manifest.output_schema)
        assert tool.manifest.input_schema["additionalProperties"] is False


@pytest.mark.parametrize("name", EXAMPLES)
async def test_an_example_fits_its_schemas_and_gives_its_result(registry: ToolRegistry, name: str):
    arguments, expected = EXAMPLES[name]
    tool = registry.get(name)
    assert tool is not None

    result = await registry.call(name, arguments, context=CONTEXT)

    assert (result.failure, result.value, result.truncated) == (None, expected, False)
    Draft202012Validator(tool.manifest.input_schema).validate(arguments)
    Draft202012Validator(tool.manifest.output_schema).validate(result.value)


def test_helpers_compute_only_and_file_tools_read_only(registry: ToolRegistry):
    said = {
        tool.manifest.name: (tool.manifest.side_effect, tool.manifest.capabilities)
        for tool in registry
        if tool.manifest.idempotent and tool.manifest.parallel
    }

    reads = (SideEffect.READ, ("fs.read",))
    assert said == {helper.name: (SideEffect.NONE, ()) for helper in HELPERS} | {
        "files_list": reads,
        "files_read": reads,
    }


@pytest.mark.parametrize(
    ("path", "failure"),
    [
        (
            "../w2/other.txt",
            ToolFailure(
                code="REFUSED", message="'../w2/other.txt' holds `..`; name the way down only."
            ),
        ),
        ("other.txt", ToolFailure(code="NOT_FOUND", message="There is no file 'other.txt'.")),
    ],
)
async def test_files_of_another_workspace_are_out_of_reach(
    registry: ToolRegistry, path: str, failure: ToolFailure
):
    result = await registry.call("files_read", {"path": path}, context=CONTEXT)

    assert (result.failure, result.value) == (failure, None)


async def test_a_helper_that_refuses_says_why(registry: ToolRegistry):
    result = await registry.call("calculate", {"expression": "1 / 0"}, context=CONTEXT)

    assert result.content == "FAILED: expression: divides by zero."
