"""The tool `delegate` as models see it, and its calls, checked.

It is no tool of the registry: a call of it becomes a run of another agent.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, cast

from pydantic import Field, JsonValue

from domain.kernel.errors import ValidationFailed
from domain.kernel.validation import ClientModel, JsonObject, Text, validated
from domain.models.ports import ToolSpec
from domain.runs.spec import LONGEST_INSTRUCTION, AnswerSchema, LimitsSpec
from domain.tools.calls import ToolError, ToolFailureCode
from domain.tools.manifest import SideEffect, ToolManifest

DELEGATE = "delegate"
DESCRIPTION = (
    "Hand work to another agent and get its answer. Several calls in one answer are worked on side"
    " by side. The other agent sees nothing of this conversation."
)
LONGEST_PURPOSE = 300
"""Characters of an agent's description that a model is shown."""


class Refusal(StrEnum):
    """Why work was not handed over, beside arguments that do not fit."""

    UNKNOWN_AGENT = "UNKNOWN_AGENT"
    NOT_ALLOWED = "NOT_ALLOWED"
    ARCHIVED = "ARCHIVED"
    CYCLE = "CYCLE"
    DEPTH = "DEPTH"
    BUDGET = "BUDGET"


class DelegateCall(ClientModel):
    """What a model asks another agent for."""

    agent: Text
    instruction: Annotated[Text, Field(min_length=1, max_length=LONGEST_INSTRUCTION)]
    inputs: JsonObject | None = None
    output_schema: AnswerSchema | None = None
    limits: LimitsSpec | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegate:
    """An agent that another one may hand work to."""

    id: str
    slug: str
    name: str
    description: str
    version: int
    is_archived: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Circle:
    """Whom a run may hand work to."""

    delegates: Sequence[Delegate]
    """As its agent's definition names them, archived ones included."""
    above: Collection[str]
    """Ids of the agents at work above the run, and of its own."""
    depth_left: int

    @property
    def offered(self) -> Sequence[Delegate]:
        """Those that can be asked now."""
        if self.depth_left < 1:
            return ()
        return [
            each for each in self.delegates if not each.is_archived and each.id not in self.above
        ]

    def find(self, slug: str, strangers: Collection[str]) -> Delegate:
        """The delegate of this slug; `strangers` are slugs of other agents of the workspace.

        Raises ToolError with a Refusal.
        """
        found = next((each for each in self.delegates if each.slug == slug), None)
        if found is None:
            is_there = slug in strangers
            code = Refusal.NOT_ALLOWED if is_there else Refusal.UNKNOWN_AGENT
            why = "may not be asked by this agent" if is_there else "is not known"
            raise _refused(code, f"The agent {slug[:64]!r} {why}. {self._cure()}")
        if found.id in self.above:
            raise _refused(
                Refusal.CYCLE,
                f"The agent {slug!r} is at work above already and would wait for itself."
                f" {self._cure()}",
            )
        if self.depth_left < 1:
            raise _refused(
                Refusal.DEPTH,
                "No deeper chain of delegations is allowed here (maxDelegationDepth);"
                " do it yourself.",
            )
        if found.is_archived:
            raise _refused(Refusal.ARCHIVED, f"The agent {slug!r} is archived. {self._cure()}")
        return found

    def _cure(self) -> str:
        names = ", ".join(each.slug for each in self.offered)
        return f"You can ask: {names}." if names else "There is nobody to ask; do it yourself."


def read_call(arguments: object) -> DelegateCall:
    """Check what a model wrote. Raises ToolError: BUDGET where only limits do not fit."""
    if not isinstance(arguments, Mapping):
        raise ToolError(
            "The arguments must be one JSON object.", code=ToolFailureCode.INVALID_ARGUMENTS
        )
    try:
        return validated(DelegateCall, cast("Mapping[str, Any]", arguments))
    except ValidationFailed as error:
        told = " ".join(f"{'.'.join(each.path)}: {each.message}" for each in error.problems)
        only_limits = all(each.path[:1] == ("limits",) for each in error.problems)
        code = Refusal.BUDGET if only_limits else ToolFailureCode.INVALID_ARGUMENTS
        raise ToolError(told, code=code) from error


def spec_of(offered: Sequence[Delegate]) -> ToolSpec:
    """The tool for a run that may ask these agents."""
    lines = [_line(each) for each in offered]
    manifest = manifest_of([each.slug for each in offered], "\n".join(["Whom to ask:", *lines]))
    return ToolSpec(
        name=DELEGATE,
        description=DESCRIPTION,
        input_schema=manifest.input_schema,
        read_only=False,
    )


def manifest_of(
    slugs: Sequence[str] | None = None, agents: str = "Slug of the agent."
) -> ToolManifest:
    """What the tool says about itself to policy; with slugs, only these can be named."""
    named: dict[str, JsonValue] = {"type": "string", "description": agents}
    if slugs is not None:
        named["enum"] = list(slugs)
    properties: dict[str, JsonValue] = {
        "agent": named,
        "instruction": {
            "type": "string",
            "minLength": 1,
            "description": "What to do, complete in itself: the agent knows nothing else.",
        },
        "inputs": {"type": "object", "description": "Named values the instruction refers to."},
        "outputSchema": {
            "type": "object",
            "description": "JSON Schema that the answer must fit; absent for an answer in words.",
        },
        "limits": _LIMITS,
    }
    return ToolManifest(
        name=DELEGATE,
        domain="agents",
        description=DESCRIPTION,
        side_effect=SideEffect.WRITE,
        input_schema={
            "type": "object",
            "properties": properties,
            "required": ["agent", "instruction"],
            "additionalProperties": False,
        },
        output_schema={"type": "object"},
    )


_LIMITS: JsonValue = {
    "type": "object",
    "description": "Bounds of the work; absent ones get a share of yours.",
    "properties": {
        "maxSteps": {"type": "integer", "minimum": 1},
        "maxSeconds": {"type": "integer", "minimum": 1},
        "maxTokens": {"type": "integer", "minimum": 1},
        "maxCostUsd": {"type": "number", "exclusiveMinimum": 0},
    },
    "additionalProperties": False,
}


def _line(delegate: Delegate) -> str:
    purpose = " ".join(delegate.description.split())
    if len(purpose) > LONGEST_PURPOSE:
        purpose = f"{purpose[: LONGEST_PURPOSE - 3]}..."
    name = "" if delegate.name.lower() == delegate.slug else f" ({delegate.name})"
    return f"- {delegate.slug}{name}{f': {purpose}' if purpose else ''}"


def _refused(code: Refusal, message: str) -> ToolError:
    return ToolError(message, code=code)
