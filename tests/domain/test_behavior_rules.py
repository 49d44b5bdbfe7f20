"""Rules and what they enforce, as they are written down and read again."""

from collections.abc import Mapping
from itertools import permutations
from typing import Any

import pytest

from domain.behavior.rules import (
    LimitAction,
    LimitEffect,
    LimitMetric,
    LimitWindow,
    Rule,
    RuleEffect,
    RuleKind,
    ToolDecision,
    ToolEffect,
    read,
    strongest_first,
    written,
)

BEFORE_EFFECTS = (
    '[{"createdBy":"ada","expiresAt":null,"id":"r1","kind":"GUIDANCE","priority":50,'
    '"statement":"Be brief.","tags":["a"]}]'
)
CONDITION = {"path": "to", "test": {"ne": "a@example.org"}}
BUDGET = LimitEffect(metric=LimitMetric.COST_USD, maximum=2.5, window=LimitWindow.DAY)


def tool(decision: ToolDecision, *tools: str, when: tuple[Mapping[str, Any], ...] = ()) -> Rule:
    return rule(ToolEffect(decision=decision, tools=tools or ("mail.send",), when=when))


def rule(effect: RuleEffect | None = None, *, ident: str = "r1", priority: int = 50) -> Rule:
    return Rule(
        id=ident,
        statement="Be brief.",
        priority=priority,
        tags=("a",),
        expires_at=None,
        created_by="ada",
        effect=effect,
    )


def test_a_version_from_before_there_were_effects_is_read_and_written_as_it_was():
    [found] = read(BEFORE_EFFECTS)

    assert found == rule()
    assert (found.effect, found.kind) == (None, RuleKind.GUIDANCE)
    assert written((found,)) == BEFORE_EFFECTS


@pytest.mark.parametrize(
    ("effect", "text"),
    [
        (
            ToolEffect(decision=ToolDecision.ASK, tools=("mail.*", "exec"), when=(CONDITION,)),
            (
                '{"decision":"ASK","tools":["mail.*","exec"],'
                '"when":[{"path":"to","test":{"ne":"a@example.org"}}]}'
            ),
        ),
        (BUDGET, '{"maximum":2.5,"metric":"COST_USD","onReach":"STOP","window":"DAY"}'),
    ],
)
def test_an_effect_is_kept_with_its_rule(effect: RuleEffect, text: str):
    rules = (rule(effect),)

    assert rules[0].kind is RuleKind.POLICY
    assert f'"effect":{text}' in written(rules)
    assert read(written(rules)) == rules
    assert written(read(written(rules))) == written(rules)


def test_of_one_priority_the_stricter_effect_comes_first_then_the_older_rule():
    wanted = [
        rule(ToolEffect(decision=ToolDecision.ALLOW, tools=("a",)), ident="z", priority=51),
        rule(ToolEffect(decision=ToolDecision.DENY, tools=("a",)), ident="y"),
        rule(ToolEffect(decision=ToolDecision.ASK, tools=("a",)), ident="x"),
        rule(ToolEffect(decision=ToolDecision.ALLOW, tools=("a",)), ident="w"),
        rule(BUDGET, ident="v"),
        rule(LimitEffect(metric=LimitMetric.STEPS, maximum=1, on_reach=LimitAction.WARN)),
        rule(ident="a"),
        rule(ident="b"),
    ]

    for given in permutations(wanted[2:]):
        assert list(strongest_first([*given, *wanted[:2]])) == wanted


def test_rules_mean_the_same_in_whatever_order_tools_and_conditions_are_named():
    other = {"path": "cc", "test": {"exists": False}}
    one = tool(ToolDecision.ASK, "a", "b", when=(CONDITION, other))

    assert one.meaning == tool(ToolDecision.ASK, "b", "a", when=(other, CONDITION)).meaning
    assert one.meaning != tool(ToolDecision.DENY, "b", "a", when=(other, CONDITION)).meaning
    assert one.meaning != tool(ToolDecision.ASK, "a", "b", when=(other,)).meaning
    assert one.meaning != rule().meaning


def test_a_condition_on_true_does_not_mean_one_on_the_number_one():
    yes, one = ({"path": "a", "test": {"eq": value}} for value in (True, 1))

    assert (
        tool(ToolDecision.ASK, when=(yes,)).meaning != tool(ToolDecision.ASK, when=(one,)).meaning
    )
