"""One call of a tool: who calls, what comes back, how it fails."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import orjson
from pydantic import JsonValue

from domain.access.scopes import Principal
from domain.kernel.errors import FieldProblem
from domain.tools.manifest import ToolManifest


class ToolFailureCode(StrEnum):
    """Stable reasons of failed calls; service tools add the codes of their `GobError`s."""

    UNKNOWN_TOOL = "UNKNOWN_TOOL"
    INVALID_ARGUMENTS = "INVALID_ARGUMENTS"
    INVALID_RESULT = "INVALID_RESULT"
    TIMEOUT = "TIMEOUT"
    REFUSED = "REFUSED"
    NOT_FOUND = "NOT_FOUND"
    FAILED = "FAILED"
    INTERNAL = "INTERNAL"


@dataclass(slots=True, kw_only=True)
class Reading:
    """What a call says of the text that it brings back."""

    is_untrusted: bool = False
    """True when others than the workspace's people may have written it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolContext:
    """On whose behalf a tool is called; never part of its arguments."""

    workspace_id: str
    run_id: str | None = None
    step_id: str | None = None
    agent_id: str | None = None
    conversation_id: str | None = None
    trace_id: str | None = None
    actor: Principal | None = None
    """The agent, with the scopes that the tool's capabilities name; for service tools."""
    is_tainted: bool = False
    """True when the run has read untrusted text, so that what it writes is not trusted."""
    reading: Reading = field(default_factory=Reading)
    """Where the tool notes what it reads; `untrusted_output` of its manifest says it for all."""
    deadline: float | None = None
    """Moment by the event loop's clock after which no call goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFailure:
    """Why a call failed, in words a model can act on."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """What a call came to: a JSON value, or a failure."""

    value: JsonValue = None
    failure: ToolFailure | None = None
    truncated: bool = False
    """True when the value is only the beginning of a longer result."""

    @property
    def content(self) -> str:
        """The text a model reads: a text as it is, else JSON, or the failure."""
        if self.failure is not None:
            return f"{self.failure.code}: {self.failure.message}"
        return self.value if isinstance(self.value, str) else orjson.dumps(self.value).decode()


class ToolError(Exception):
    """An expected failure of a tool, told to the model as it is."""

    code: str = ToolFailureCode.FAILED

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


class InvalidArguments(ToolError):
    """The arguments do not fit the tool; the message names each of them.

    `problems` says where and what, for those that are wrong by themselves.
    """

    code = ToolFailureCode.INVALID_ARGUMENTS

    def __init__(self, message: str, problems: Sequence[FieldProblem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class InvalidResult(ToolError):
    """The tool gave what its output schema does not allow: a fault of the tool."""

    code = ToolFailureCode.INVALID_RESULT


class Tool(Protocol):
    """Something a model may call."""

    @property
    def manifest(self) -> ToolManifest:
        """What the tool says about itself."""
        ...

    def accept(self, arguments: Mapping[str, JsonValue]) -> Mapping[str, object]:
        """Check arguments against the input schema and convert them; raises InvalidArguments."""
        ...

    async def invoke(self, accepted: Mapping[str, object], context: ToolContext) -> JsonValue:
        """Do the work with accepted arguments, check the result and give it as JSON.

        Raises ToolError, HelperError or GobError for what the caller may act on.
        """
        ...
