"""All tools by name, and the one way to call them."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import cast

import orjson
import structlog
from pydantic import JsonValue

from domain.helpers.errors import HelperError
from domain.kernel.errors import GobError
from domain.tools.calls import (
    InvalidArguments,
    InvalidResult,
    Tool,
    ToolContext,
    ToolError,
    ToolFailure,
    ToolFailureCode,
    ToolResult,
)
from domain.tools.manifest import ToolManifest
from domain.tools.patterns import fits

MAX_ARGUMENTS_BYTES = 1_048_576


class ToolRegistry:
    """Tools by unique name; iterates in the order of their names."""

    def __init__(self, tools: Iterable[Tool] = ()) -> None:
        self._tools: dict[str, Tool] = {}
        self._log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
        self.register(*tools)

    def __iter__(self) -> Iterator[Tool]:
        return iter([self._tools[name] for name in self.names()])

    def __len__(self) -> int:
        return len(self._tools)

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def register(self, *tools: Tool) -> None:
        """Add tools; raises ValueError when a name is taken."""
        for tool in tools:
            name = tool.manifest.name
            if name in self._tools:
                raise ValueError(f"There are two tools called {name!r}; rename one.")
            self._tools[name] = tool

    def get(self, name: str) -> Tool | None:
        """Find a tool by its exact name."""
        return self._tools.get(name)

    def names(self) -> tuple[str, ...]:
        """List all names, sorted."""
        return tuple(sorted(self._tools))

    def allowed(self, patterns: Sequence[str]) -> "ToolRegistry":
        """Keep the tools whose name fits a pattern such as `files_*`; none fits no pattern."""
        return ToolRegistry(tool for name, tool in self._tools.items() if fits(name, patterns))

    async def call(
        self, name: str, arguments: str | Mapping[str, JsonValue], *, context: ToolContext
    ) -> ToolResult:
        """Check the arguments, run the tool within its time, check and bound its result.

        Every failure comes back as a result, also that of a broken tool; only a cancellation
        passes.
        """
        tool = self._tools.get(name)
        if tool is None:
            return _failed(ToolFailureCode.UNKNOWN_TOOL, self._unknown(name))
        try:
            accepted = tool.accept(parsed_arguments(arguments))
            value = await _within_time(tool, accepted, context)
            return bounded(tool.manifest, value)
        except InvalidResult as error:
            self._log.exception("tool.invalid_result", tool=name, run_id=context.run_id)
            return _failed(error.code, error.message)
        except ToolError as error:
            return _failed(error.code, error.message)
        except HelperError as error:
            return _failed(ToolFailureCode.FAILED, str(error))
        except GobError as error:
            return _failed(error.code, error.message)
        except Exception:  # noqa: BLE001 - the edge: a broken tool must not end its run
            self._log.exception("tool.crashed", tool=name, run_id=context.run_id)
            message = f"{name} failed by a fault of its own; the same call will fail again."
            return _failed(ToolFailureCode.INTERNAL, message)

    def _unknown(self, name: str) -> str:
        near = get_close_matches(name[:64], self._tools, n=3)
        names = " or ".join(near) if near else ", ".join(self.names()) or "none"
        lead = "did you mean" if near else "available are"
        return f"There is no tool {name[:64]!r}; {lead}: {names}."


def parsed_arguments(arguments: str | Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    """Read the JSON text of a call, or check values that are already read.

    Raises InvalidArguments. An empty text counts as no arguments, as some models send it.
    """
    try:
        raw = arguments if isinstance(arguments, str) else orjson.dumps(arguments)
        if len(raw) > MAX_ARGUMENTS_BYTES:
            raise InvalidArguments(
                f"The arguments have {len(raw)} bytes; at most {MAX_ARGUMENTS_BYTES} are taken."
            )
        value = cast("JsonValue", orjson.loads(raw)) if raw.strip() else {}
    except orjson.JSONDecodeError as error:
        raise InvalidArguments(f"The arguments are no JSON: {error}. Send one object.") from None
    except TypeError as error:
        raise InvalidArguments(f"The arguments cannot be written as JSON: {error}.") from None
    if not isinstance(value, dict):
        raise InvalidArguments('The arguments must be one JSON object, such as {"name": "value"}.')
    return value


def bounded(manifest: ToolManifest, value: JsonValue) -> ToolResult:
    """Keep a result within the tool's limit: beyond it, only its beginning is given."""
    try:
        text = orjson.dumps(value)
    except TypeError as error:
        raise InvalidResult(f"{manifest.name} gave what is no JSON: {error}.") from error
    limit = manifest.output_limit_bytes
    if len(text) <= limit:
        return ToolResult(value=value)
    if isinstance(value, str):
        text = value.encode()
    shortened: dict[str, JsonValue] = {
        "truncated": True,
        "size_bytes": len(text),
        "note": f"Only the beginning of the result is here. {_how_to_ask_for_less(manifest)}",
    }
    shortened["beginning"] = _beginning(text, limit - len(orjson.dumps(shortened)))
    return ToolResult(value=shortened, truncated=True)


def _beginning(text: bytes, room_bytes: int) -> str:
    """Take as much as fits after JSON has escaped it once more."""
    size = max(room_bytes, 0)
    while True:
        beginning = text[:size].decode(errors="ignore")
        if size == 0 or len(orjson.dumps(beginning)) <= room_bytes:
            return beginning
        size = size * 3 // 4


def _how_to_ask_for_less(manifest: ToolManifest) -> str:
    properties = manifest.input_schema.get("properties")
    names = properties if isinstance(properties, dict) else {}
    narrowing = [name for name in names if name.startswith(("limit", "offset", "path"))]
    if narrowing:
        return f"Call again with another {' or '.join(narrowing)} for less at a time."
    return "Call again with less input for a shorter result."


async def _within_time(
    tool: Tool, accepted: Mapping[str, object], context: ToolContext
) -> JsonValue:
    timeout_s = tool.manifest.timeout_s
    until = asyncio.get_running_loop().time() + timeout_s
    if context.deadline is not None:
        until = min(until, context.deadline)
    scope = asyncio.timeout_at(until)
    try:
        async with scope:
            return await tool.invoke(accepted, context)
    except TimeoutError:
        if not scope.expired():
            raise
        raise ToolError(
            f"{tool.manifest.name} did not end within {timeout_s:g} s and was given up; "
            "try it with less work at once.",
            code=ToolFailureCode.TIMEOUT,
        ) from None


def _failed(code: str, message: str) -> ToolResult:
    return ToolResult(failure=ToolFailure(code=str(code), message=message))
