"""The registry calls tools; whatever goes wrong comes back as a result, and only that happens."""

import asyncio
from typing import Annotated, Any

import orjson
import pytest
import structlog
from pydantic import Field, JsonValue

from domain.helpers.errors import HelperError
from domain.kernel.errors import NotFound
from domain.tools.calls import Tool, ToolContext, ToolError, ToolFailure, ToolResult
from domain.tools.generate import tool_from
from domain.tools.manifest import ToolTraits
from domain.tools.registry import ToolRegistry, parsed_arguments

CONTEXT = ToolContext(workspace_id="w1", run_id="r1")


class Calls:
    """Tools that write down that they were called."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def tool(self, name: str, **traits: Any) -> Tool:
        """Make a tool that echoes its text."""

        def echo(
            text: Annotated[str, Field(description="What to echo.")] = "",
            limit: Annotated[int, Field(description="Not used.")] = 1,
        ) -> str:
            """Echo a text."""
            self.seen.append(f"{name}:{text}:{limit}")
            return text

        return tool_from(echo, domain="test", name=name, traits=ToolTraits(**traits))


@pytest.fixture
def calls() -> Calls:
    return Calls()


def raising(error: BaseException) -> Tool:
    async def fail() -> str:
        """Fail."""
        raise error

    return tool_from(fail, domain="test")


def returning(value: Any, **traits: Any) -> Tool:
    async def give(limit: Annotated[int, Field(description="Most.")] = 1) -> JsonValue:
        """Give a value."""
        return value

    return tool_from(give, domain="test", traits=ToolTraits(**traits))


def test_two_tools_with_one_name_are_refused(calls: Calls):
    registry = ToolRegistry([calls.tool("echo")])

    with pytest.raises(ValueError, match="There are two tools called 'echo'; rename one"):
        registry.register(calls.tool("echo"))

    assert registry.names() == ("echo",)


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["*"], ("csv_read", "files_list", "files_read")),
        (["files_*"], ("files_list", "files_read")),
        (["files_read", "csv_*"], ("csv_read", "files_read")),
        (["FILES_*", "file"], ()),
        ([], ()),
    ],
)
def test_patterns_narrow_the_tools(calls: Calls, patterns: list[str], names: tuple[str, ...]):
    registry = ToolRegistry(calls.tool(n) for n in ("files_read", "csv_read", "files_list"))

    allowed = registry.allowed(patterns)

    assert allowed.names() == names
    assert tuple(tool.manifest.name for tool in allowed) == names
    assert len(registry) == 3


async def test_a_tool_that_is_not_allowed_is_unknown_and_not_called(calls: Calls):
    allowed = ToolRegistry([calls.tool("files_read"), calls.tool("echo")]).allowed(["files_*"])

    result = await allowed.call("echo", {"text": "x"}, context=CONTEXT)

    assert result.content == "UNKNOWN_TOOL: There is no tool 'echo'; available are: files_read."
    assert calls.seen == []


async def test_a_misspelled_tool_is_answered_with_the_nearest_names(calls: Calls):
    registry = ToolRegistry([calls.tool("files_read"), calls.tool("csv_read")])

    result = await registry.call("file_read", "{}", context=CONTEXT)

    assert result.failure == ToolFailure(
        code="UNKNOWN_TOOL", message="There is no tool 'file_read'; did you mean: files_read."
    )


@pytest.mark.parametrize("arguments", ['{"text": "hi", "limit": 2}', {"text": "hi", "limit": 2}])
async def test_arguments_come_as_text_or_as_values(calls: Calls, arguments: Any):
    registry = ToolRegistry([calls.tool("echo")])

    result = await registry.call("echo", arguments, context=CONTEXT)

    assert result == ToolResult(value="hi")
    assert (result.content, calls.seen) == ("hi", ["echo:hi:2"])


@pytest.mark.parametrize("arguments", ["", "  ", "{}"])
async def test_no_text_at_all_means_no_arguments(calls: Calls, arguments: str):
    result = await ToolRegistry([calls.tool("echo")]).call("echo", arguments, context=CONTEXT)

    assert (result.value, calls.seen) == ("", ["echo::1"])


def nested(depth: int) -> str:
    return '{"text":' * depth + "1" + "}" * depth


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("{", "The arguments are no JSON: unexpected end of data"),
        ('{"text": NaN}', "The arguments are no JSON: "),
        ('{"text": "\\ud800"}', "The arguments are no JSON: "),
        (nested(5_000), "The arguments are no JSON: "),
        ("[]", "The arguments must be one JSON object"),
        ('"text"', "The arguments must be one JSON object"),
        ("null", "The arguments must be one JSON object"),
        ('{"text":"' + "x" * 1_048_576 + '"}', "The arguments have 1048587 bytes; at most 1048576"),
        ({"text": b"bytes"}, "The arguments cannot be written as JSON"),
        ({"text": "\ud800"}, "The arguments cannot be written as JSON"),
        ({"limit": 2**70}, "The arguments cannot be written as JSON"),
        ('{"test": 1}', "test: is no argument, did you mean text?"),
        ('{"text": {}}', "text: should be a valid string, but is an object"),
    ],
)
async def test_arguments_that_cannot_be_used_call_nothing(
    calls: Calls, arguments: Any, message: str
):
    result = await ToolRegistry([calls.tool("echo")]).call("echo", arguments, context=CONTEXT)

    assert result.failure is not None
    assert result.failure.code == "INVALID_ARGUMENTS"
    assert result.failure.message.startswith(message)
    assert (result.value, calls.seen) == (None, [])


def test_a_whole_number_beyond_64_bits_is_read_as_its_nearest_double():
    assert parsed_arguments('{"n": 123456789012345678901234567890}') == {"n": 1.2345678901234568e29}


@pytest.mark.parametrize(
    ("error", "content"),
    [
        (ToolError("No."), "FAILED: No."),
        (ToolError("No.", code="REFUSED"), "REFUSED: No."),
        (HelperError("text: is empty."), "FAILED: text: is empty."),
        (NotFound("run", "run_1"), "NOT_FOUND: No run has the id 'run_1'."),
    ],
)
async def test_an_expected_failure_is_told_as_it_is_and_logs_nothing(
    error: Exception, content: str
):
    with structlog.testing.capture_logs() as lines:
        result = await ToolRegistry([raising(error)]).call("fail", "{}", context=CONTEXT)

    assert (result.content, result.value, lines) == (content, None, [])


@pytest.mark.parametrize("error", [KeyError("secret"), TimeoutError("its own"), ValueError("x")])
async def test_a_bug_in_a_tool_is_a_failed_result_and_a_log_line_with_its_traceback(
    error: Exception,
):
    with structlog.testing.capture_logs() as lines:
        result = await ToolRegistry([raising(error)]).call("fail", "{}", context=CONTEXT)

    assert result.failure == ToolFailure(
        code="INTERNAL",
        message="fail failed by a fault of its own; the same call will fail again.",
    )
    assert lines == [
        {
            "event": "tool.crashed",
            "log_level": "error",
            "tool": "fail",
            "run_id": "r1",
            "exc_info": True,
        }
    ]


def endless(began: asyncio.Event, ended: list[str], **traits: Any) -> Tool:
    async def wait() -> str:
        """Wait for ever."""
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cleaned up")
        return "never"

    return tool_from(wait, domain="test", traits=ToolTraits(**traits))


async def test_a_tool_that_does_not_end_in_time_is_given_up():
    ended: list[str] = []
    registry = ToolRegistry([endless(asyncio.Event(), ended, timeout_s=0.01)])

    result = await registry.call("wait", "{}", context=CONTEXT)

    assert result.content == (
        "TIMEOUT: wait did not end within 0.01 s and was given up; try it with less work at once."
    )
    assert ended == ["cleaned up"]


async def test_a_deadline_of_the_run_ends_a_call_before_its_own_timeout():
    ended: list[str] = []
    registry = ToolRegistry([endless(asyncio.Event(), ended, timeout_s=3_600)])
    context = ToolContext(workspace_id="w1", deadline=asyncio.get_running_loop().time())

    result = await registry.call("wait", "{}", context=context)

    assert result.failure is not None
    assert (result.failure.code, ended) == ("TIMEOUT", ["cleaned up"])


async def test_a_cancellation_passes():
    began, ended = asyncio.Event(), list[str]()
    registry = ToolRegistry([endless(began, ended)])
    call = asyncio.create_task(registry.call("wait", "{}", context=CONTEXT))
    async with asyncio.timeout(5):
        await began.wait()

    call.cancel()

    with pytest.raises(asyncio.CancelledError):
        await call
    assert ended == ["cleaned up"]


@pytest.mark.parametrize(
    ("value", "size_bytes", "beginning"),
    [
        ("x" * 5_000, 5_000, "xxxx"),
        ("ü" * 5_000, 10_000, "üüüü"),
        ("\x01" * 5_000, 5_000, "\x01\x01"),
        (["ab"] * 2_000, 10_001, '["ab","ab",'),
    ],
)
async def test_a_result_beyond_the_limit_is_cut_flagged_and_still_within_it(
    value: JsonValue, size_bytes: int, beginning: str
):
    registry = ToolRegistry([returning(value, output_limit_bytes=1_000)])

    result = await registry.call("give", "{}", context=CONTEXT)

    assert result.truncated is True
    assert isinstance(result.value, dict)
    assert result.value["truncated"] is True
    assert result.value["size_bytes"] == size_bytes
    assert result.value["note"] == (
        "Only the beginning of the result is here. "
        "Call again with another limit for less at a time."
    )
    assert str(result.value["beginning"]).startswith(beginning)
    assert len(orjson.dumps(result.value)) <= 1_000


async def test_a_result_at_the_limit_is_whole():
    registry = ToolRegistry([returning("x" * 98, output_limit_bytes=100)])

    assert await registry.call("give", "{}", context=CONTEXT) == ToolResult(value="x" * 98)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (2**70, "give gave what is no JSON: Integer exceeds 64-bit range."),
        (b"\xff", "give gave a result that its own schema does not allow."),
    ],
)
async def test_a_result_that_no_log_or_database_could_hold_is_a_failure_and_a_log_line(
    value: Any, message: str
):
    with structlog.testing.capture_logs() as lines:
        result = await ToolRegistry([returning(value)]).call("give", "{}", context=CONTEXT)

    assert result == ToolResult(failure=ToolFailure(code="INVALID_RESULT", message=message))
    assert [line["event"] for line in lines] == ["tool.invalid_result"]


async def test_calls_run_side_by_side_and_keep_their_results_apart(calls: Calls):
    registry = ToolRegistry([calls.tool("echo")])

    results = await asyncio.gather(
        *(registry.call("echo", {"text": str(n)}, context=CONTEXT) for n in range(20))
    )

    assert [result.value for result in results] == [str(n) for n in range(20)]
