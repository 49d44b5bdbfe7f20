"""What a client sends for a rule to enforce, checked."""

from typing import Annotated, cast

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from domain.behavior.rules import (
    LimitAction,
    LimitEffect,
    LimitMetric,
    LimitWindow,
    RuleEffect,
    ToolDecision,
    ToolEffect,
)
from domain.kernel.conditions import JsonCondition
from domain.kernel.validation import LARGEST_WHOLE, ClientModel, Number, exactly_one_of, refusal
from domain.tools.patterns import Pattern

MOST_TOOLS = 20
MOST_CONDITIONS = 20


def _is_named(tools: object) -> object:
    # Not by a least length, which counts only the names that are well formed.
    if tools in ([], ()):
        raise refusal("Name at least one tool, or a pattern such as mail_*.")
    return tools


Tools = Annotated[
    tuple[Pattern, ...],
    Field(max_length=MOST_TOOLS, json_schema_extra={"minItems": 1}),
    BeforeValidator(_is_named),
    AfterValidator(lambda tools: tuple(dict.fromkeys(tools))),
]
Conditions = Annotated[tuple[JsonCondition, ...], Field(max_length=MOST_CONDITIONS)]


class ToolEffectGiven(ClientModel):
    """Decision on calls of some tools; without conditions on any call."""

    decision: ToolDecision
    tools: Tools
    when: Conditions | None = None

    @property
    def value(self) -> ToolEffect:
        """The effect, its conditions as they were given."""
        when = [
            condition.model_dump(mode="json", by_alias=True, exclude_unset=True)
            for condition in self.when or ()
        ]
        return ToolEffect(decision=self.decision, tools=self.tools, when=tuple(when))


class LimitEffectGiven(ClientModel):
    """Upper bound over a window."""

    metric: LimitMetric
    maximum: Annotated[Number, Field(gt=0, le=LARGEST_WHOLE)]
    window: LimitWindow = LimitWindow.RUN
    on_reach: LimitAction = LimitAction.STOP

    @model_validator(mode="after")
    def _can_be_counted(self) -> "LimitEffectGiven":
        if self.metric is LimitMetric.RUNS and self.window is LimitWindow.RUN:
            raise refusal(
                "Count RUNS over HOUR, DAY or MONTH: a run is started once. The runs below it are"
                " bounded by the agent's limits, such as maxDelegationDepth."
            )
        return self

    @property
    def value(self) -> LimitEffect:
        """The effect."""
        return LimitEffect(
            metric=self.metric,
            maximum=self.maximum,
            window=self.window,
            on_reach=self.on_reach,
        )


class EffectGiven(ClientModel):
    """What to enforce; exactly one."""

    model_config = ConfigDict(json_schema_extra=exactly_one_of("tool", "limit"))

    tool: ToolEffectGiven | None = None
    limit: LimitEffectGiven | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "EffectGiven":
        if (self.tool is None) is (self.limit is None):
            raise refusal("Give exactly one of tool, limit.")
        return self

    @property
    def value(self) -> RuleEffect:
        """The effect that was given."""
        return (
            self.tool.value if self.tool is not None else cast("LimitEffectGiven", self.limit).value
        )
