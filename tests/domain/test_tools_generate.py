"""Tools are made of typed functions; nothing about them is written twice."""

import threading
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

import pytest
from pydantic import Field, JsonValue

from domain.models.ports import ToolSpec
from domain.tools.calls import InvalidArguments, InvalidResult, ToolContext
from domain.tools.generate import tool_from
from domain.tools.manifest import SideEffect, ToolManifest, ToolTraits, to_spec

CONTEXT = ToolContext(workspace_id="w1", run_id="r1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """What is said."""

    text: str
    times: int


def greet(
    name: Annotated[str, Field(description="Whom to greet.", max_length=20)],
    *,
    times: Annotated[int, Field(description="How often.", ge=1, le=3)] = 1,
    tone: Annotated[Literal["warm", "cool"], Field(description="How.")] = "warm",
) -> Greeting:
    """Greet somebody.

    Politely.
    """
    return Greeting(text=f"{tone}: {name}", times=times)


def test_schemas_and_description_come_from_signature_and_docstring():
    tool = tool_from(greet, domain="people", traits=ToolTraits(version=3, idempotent=False))

    assert tool.manifest == ToolManifest(
        name="greet",
        domain="people",
        description="Greet somebody. Politely.",
        version=3,
        idempotent=False,
        input_schema={
            "type": "object",
            "additionalProperties": False,
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "description": "Whom to greet.", "maxLength": 20},
                "times": {
                    "type": "integer",
                    "description": "How often.",
                    "minimum": 1,
                    "maximum": 3,
                    "default": 1,
                },
                "tone": {
                    "type": "string",
                    "description": "How.",
                    "enum": ["warm", "cool"],
                    "default": "warm",
                },
            },
        },
        output_schema={
            "type": "object",
            "description": "What is said.",
            "required": ["text", "times"],
            "properties": {"text": {"type": "string"}, "times": {"type": "integer"}},
        },
    )


def test_any_json_is_written_as_an_open_schema_without_detours():
    def echo(
        title: Annotated[JsonValue, Field(description="Anything.")],
        more: Annotated[list[JsonValue], Field(description="More.")],
    ) -> JsonValue:
        """Give back."""
        return [title, *more]

    manifest = tool_from(echo, domain="test").manifest

    assert manifest.input_schema["properties"] == {
        "title": {"description": "Anything."},
        "more": {"description": "More.", "type": "array", "items": {}},
    }
    assert (manifest.output_schema, "$defs" in manifest.input_schema) == ({}, False)


def test_a_model_sees_name_description_and_arguments_only():
    tool = tool_from(greet, domain="people", traits=ToolTraits(side_effect=SideEffect.WRITE))

    assert to_spec(tool.manifest) == ToolSpec(
        name="greet",
        description="Greet somebody. Politely.",
        input_schema=tool.manifest.input_schema,
        read_only=False,
    )


@pytest.mark.parametrize(
    ("side_effect", "read_only"),
    [("NONE", True), ("READ", True), ("WRITE", False), ("DANGEROUS", False)],
)
def test_only_tools_that_change_nothing_are_read_only(side_effect: str, read_only: bool):
    tool = tool_from(greet, domain="x", traits=ToolTraits(side_effect=SideEffect(side_effect)))

    assert to_spec(tool.manifest).read_only is read_only


async def test_a_plain_function_runs_off_the_event_loop():
    def where() -> int:
        """Tell the thread."""
        return threading.get_ident()

    tool = tool_from(where, domain="test")

    assert await tool.invoke(tool.accept({}), CONTEXT) != threading.get_ident()


async def test_an_async_function_runs_on_the_event_loop_and_gets_the_context():
    seen: list[tuple[int, ToolContext]] = []

    async def note(
        context: ToolContext, day: Annotated[datetime, Field(description="When.")]
    ) -> datetime:
        """Note a day."""
        seen.append((threading.get_ident(), context))
        return day

    tool = tool_from(note, domain="test", name="note_day")
    result = await tool.invoke(tool.accept({"day": "2026-01-02T03:04:05Z"}), CONTEXT)

    assert result == "2026-01-02T03:04:05Z"
    assert seen == [(threading.get_ident(), CONTEXT)]
    assert tool.manifest.name == "note_day"
    assert list(tool.manifest.input_schema["properties"]) == ["day"]  # pyright: ignore[reportArgumentType] - an object


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "name: is required. Accepted arguments: name, times, tone."),
        (
            {"name": "Ada", "time": 2, "tone": "loud", "times": 9},
            (
                "times: should be less than or equal to 3, but is 9; "
                "tone: should be 'warm' or 'cool', but is 'loud'; "
                "time: is no argument, did you mean times?. Accepted arguments: name, times, tone."
            ),
        ),
        (
            {"name": None, "times": "x", "tone": ["warm"]},
            (
                "name: should be a valid string, but is null; "
                "times: should be a valid integer, unable to parse string as an integer, "
                "but is 'x'; "
                "tone: should be 'warm' or 'cool', but is a list. "
                "Accepted arguments: name, times, tone."
            ),
        ),
        (
            {"name": "x" * 100},
            (
                "name: string should have at most 20 characters. "
                "Accepted arguments: name, times, tone."
            ),
        ),
    ],
)
def test_arguments_that_do_not_fit_are_named_with_what_would(
    arguments: dict[str, JsonValue], message: str
):
    tool = tool_from(greet, domain="people")

    with pytest.raises(InvalidArguments) as refusal:
        tool.accept(arguments)

    assert refusal.value.message == message


async def test_a_number_sent_as_text_is_taken_as_the_number():
    tool = tool_from(greet, domain="people")

    assert await tool.invoke(tool.accept({"name": "Ada", "times": "2"}), CONTEXT) == {
        "text": "warm: Ada",
        "times": 2,
    }


async def test_a_result_that_is_not_of_the_declared_type_is_the_tools_fault():
    def lie() -> int:
        """Promise a number."""
        return "no number"  # pyright: ignore[reportReturnType] - the point of this test

    tool = tool_from(lie, domain="test")

    with pytest.raises(InvalidResult, match="lie gave a result that its own schema does not allow"):
        await tool.invoke({}, CONTEXT)


def undocumented() -> int:
    return 1


def untyped():  # pyright: ignore[reportUnusedFunction] - used below
    """Return something."""


def undescribed(count: int) -> int:
    """Count."""
    return count


def not_json() -> threading.Thread:
    """Give a thread."""
    return threading.current_thread()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (undocumented, "undocumented: a tool needs a docstring and a return type."),
        (untyped, "untyped: a tool needs a docstring and a return type."),
        (undescribed, r"undescribed: count needs Annotated\[..., Field\(description=...\)\]."),
        (not_json, "not_json: its return type cannot be written as JSON."),
    ],
)
def test_a_function_that_says_too_little_makes_no_tool(function: object, message: str):
    with pytest.raises(TypeError, match=message):
        tool_from(function, domain="test")  # pyright: ignore[reportArgumentType] - a function


@pytest.mark.parametrize("name", ["", "a.b", "a b", "ä", "x" * 65, "a\n"])
def test_a_name_that_providers_do_not_take_is_refused(name: str):
    with pytest.raises(ValueError, match="is no tool name"):
        ToolManifest(name=name, domain="d", description="", input_schema={}, output_schema={})


@pytest.mark.parametrize("capability", ["", "FS", "fs read", "net: x"])
def test_a_capability_that_policy_cannot_read_is_refused(capability: str):
    with pytest.raises(ValueError, match="is no capability"):
        ToolManifest(
            name="n",
            domain="d",
            description="",
            input_schema={},
            output_schema={},
            capabilities=("fs.read", "net:api.example.org", capability),
        )
