"""Rules that enforce something: given, changed, taken away, and refused when they make no sense."""

from typing import Any

import orjson
import pytest

from domain.behavior.rules import (
    LimitAction,
    LimitEffect,
    LimitMetric,
    LimitWindow,
    RuleKind,
    ToolDecision,
    ToolEffect,
)
from domain.kernel.database import Database
from domain.kernel.errors import ValidationFailed
from tests.domain.behavior_world import BehaviorWorld, behavior_world

DENY = {"tool": {"decision": "DENY", "tools": ["mail_send"]}}
BUDGET = {"limit": {"metric": "COST_USD", "maximum": 5, "window": "DAY", "onReach": "PAUSE"}}
INSIDE = {"path": "to.0", "test": {"contains": "@example.org"}}


@pytest.fixture
async def world(database: Database) -> BehaviorWorld:
    """A world on each database."""
    return await behavior_world(database)


async def test_a_rule_with_an_effect_is_a_policy_and_keeps_it_as_it_was_given(
    world: BehaviorWorld,
):
    when = [INSIDE, {"path": "count", "test": {"in": [1, 2.5, None, True]}}]
    tool = {"decision": "ASK", "tools": ["mail_*", "exec", "mail_*"], "when": when}

    await world.add("Ask first.", effect={"tool": tool})

    [rule] = await world.rules()
    assert rule.kind is RuleKind.POLICY
    assert rule.effect == ToolEffect(
        decision=ToolDecision.ASK, tools=("mail_*", "exec"), when=tuple(when)
    )
    [version] = await world.versions()
    [stored] = orjson.loads(version.rules)
    assert stored["effect"]["when"] == when


async def test_a_limit_is_of_one_run_and_ends_it_where_nothing_else_is_said(world: BehaviorWorld):
    await world.add("Few steps.", effect={"limit": {"metric": "STEPS", "maximum": 20}})
    await world.add("Five dollars.", priority=60, effect={"limit": {**BUDGET["limit"]}})

    budget, steps = await world.rules()
    assert steps.effect == LimitEffect(
        metric=LimitMetric.STEPS,
        maximum=20,
        window=LimitWindow.RUN,
        on_reach=LimitAction.STOP,
    )
    assert budget.effect == LimitEffect(
        metric=LimitMetric.COST_USD,
        maximum=5,
        window=LimitWindow.DAY,
        on_reach=LimitAction.PAUSE,
    )


async def test_an_effect_is_changed_by_another_and_taken_away_by_null(world: BehaviorWorld):
    [ident] = await world.add("No mail.", effect=DENY)

    kept = await world.adjust(update=[{"ruleId": ident, "statement": "No mail at all."}])
    changed = await world.adjust(update=[{"ruleId": ident, "effect": BUDGET}])
    cleared = await world.adjust(update=[{"ruleId": ident, "effect": None}])

    assert [change.after.kind for change in kept.diff.changed] == [RuleKind.POLICY]
    [change] = changed.diff.changed
    assert change.before.effect == ToolEffect(decision=ToolDecision.DENY, tools=("mail_send",))
    assert isinstance(change.after.effect, LimitEffect)
    assert [change.after.kind for change in cleared.diff.changed] == [RuleKind.GUIDANCE]
    assert [row.version for row in await world.versions()] == [4, 3, 2, 1]


async def test_advice_and_a_policy_of_the_same_words_are_two_rules(world: BehaviorWorld):
    await world.add("No mail.")

    done = await world.adjust(
        add=[{"statement": "No mail.", "effect": DENY}, {"statement": "No mail.", "effect": DENY}]
    )

    assert len(done.diff.added) == 1
    assert [rule.kind for rule in await world.rules()] == [RuleKind.POLICY, RuleKind.GUIDANCE]


async def test_a_condition_on_true_is_changed_to_one_on_the_number_one(world: BehaviorWorld):
    def only(value: object) -> dict[str, Any]:
        when = [{"path": "now", "test": {"eq": value}}]
        return {"tool": {"decision": "ASK", "tools": ["pay"], "when": when}}

    [ident] = await world.add("Ask.", effect=only(True))
    done = await world.adjust(update=[{"ruleId": ident, "effect": only(1)}])

    assert (done.changed, len(done.diff.changed)) == (True, 1)
    [rule] = await world.rules()
    assert isinstance(rule.effect, ToolEffect)
    assert rule.effect.when[0]["test"]["eq"] is not True


def tool(**more: Any) -> dict[str, Any]:
    return {"tool": {"decision": "ASK", "tools": ["mail_send"], **more}}


def limit(**more: Any) -> dict[str, Any]:
    return {"limit": {"metric": "COST_USD", "maximum": 1, **more}}


@pytest.mark.parametrize(
    ("effect", "path", "message"),
    [
        ({}, "", "Give exactly one of tool, limit."),
        ({**DENY, **BUDGET}, "", "Give exactly one of tool, limit."),
        ({"tool": None}, "", "Give exactly one of tool, limit."),
        ("DENY", "", "Give a JSON object."),
        ({"net": {}}, ".net", "There is no such field; the fields here are tool, limit."),
        (tool(decision="MAYBE"), ".tool.decision", "Use one of ALLOW, ASK, DENY."),
        (
            tool(tools=[]),
            ".tool.tools",
            "Name at least one tool, or a pattern such as mail_*.",
        ),
        (tool(tools=["x"] * 21), ".tool.tools", "Give at most 20 items."),
        (
            tool(tools=["ok", "rm -rf"]),
            ".tool.tools.1",
            "Use letters, digits and _ . * ? -, at most 200 characters.",
        ),
        (tool(when=[INSIDE] * 21), ".tool.when", "Give at most 20 items."),
        (
            tool(when=[INSIDE, {"path": "a..b", "test": {"eq": 1}}]),
            ".tool.when.1.path",
            (
                "Name keys and places in lists with single dots between, such as customer.tier or"
                " items.0.sku; quotes, backslashes and control characters cannot be named."
            ),
        ),
        (
            tool(when=[{"path": "a", "test": {"gt": [1]}}]),
            ".tool.when.0.test.gt",
            "Give a number or text; nothing else has an order.",
        ),
        (
            tool(when=[{"path": "a", "test": {"eq": 1, "ne": 2}}]),
            ".tool.when.0.test",
            "Give exactly one of eq, ne, in, gt, gte, lt, lte, contains, exists.",
        ),
        (tool(when=[{"path": "a"}]), ".tool.when.0.test", "Give a value; this field is required."),
        (limit(maximum=-1), ".limit.maximum", "Give more than 0."),
        (limit(maximum=0), ".limit.maximum", "Give more than 0."),
        (limit(maximum=float("inf")), ".limit.maximum", "Give a finite number."),
        (limit(maximum=float("nan")), ".limit.maximum", "Give a finite number."),
        (limit(maximum=2**60), ".limit.maximum", "Give at most 9007199254740991.0."),
        (limit(maximum="5"), ".limit.maximum", "Give a number."),
        (limit(window="WEEK"), ".limit.window", "Use one of RUN, HOUR, DAY, MONTH."),
        (limit(onReach="ASK"), ".limit.onReach", "Use one of WARN, PAUSE, STOP."),
        (
            limit(metric="RUNS"),
            ".limit",
            (
                "Count RUNS over HOUR, DAY or MONTH: a run is started once. The runs below it are"
                " bounded by the agent's limits, such as maxDelegationDepth."
            ),
        ),
    ],
)
async def test_an_effect_that_makes_no_sense_names_the_field_and_changes_nothing(
    world: BehaviorWorld, effect: Any, path: str, message: str
):
    [ident] = await world.add("there", effect=DENY)
    before = [row.rules for row in await world.versions()]
    events, lines = await world.events(), await world.lines()

    for place, patch in (
        ("add.1.effect", {"add": [{"statement": "fine"}, {"statement": "x", "effect": effect}]}),
        ("update.0.effect", {"update": [{"ruleId": ident, "effect": effect}]}),
    ):
        with pytest.raises(ValidationFailed) as refused:
            await world.adjust(**patch)
        where = tuple(f"{place}{path}".split("."))
        assert [(one.path, one.message) for one in refused.value.problems] == [(where, message)]

    assert [row.rules for row in await world.versions()] == before
    assert await world.events() == events
    assert await world.lines() == lines


@pytest.mark.parametrize("metric", ["COST_USD", "TOKENS", "STEPS", "TOOL_CALLS", "RUNS"])
async def test_every_metric_is_counted_over_hours_days_and_months(
    world: BehaviorWorld, metric: str
):
    windows = ["HOUR", "DAY", "MONTH"] if metric == "RUNS" else ["RUN", "HOUR", "DAY", "MONTH"]

    await world.adjust(
        add=[
            {
                "statement": window,
                "effect": {"limit": {"metric": metric, "maximum": 0.5, "window": window}},
            }
            for window in windows
        ]
    )

    assert await world.said() == windows
