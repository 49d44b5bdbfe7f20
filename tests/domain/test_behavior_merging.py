"""The rules of the workspace and of an agent together: their order, and which of them apply.

The tests stand in the order of the table in docs/explanation/behavior.md.
"""

from collections.abc import Mapping
from typing import Any

import pytest

from domain.behavior.effective import EffectiveRule, resolve
from domain.behavior.merging import merged, sourced
from domain.behavior.rules import (
    LimitAction,
    LimitEffect,
    LimitMetric,
    LimitWindow,
    Rule,
    RuleEffect,
    ToolDecision,
    ToolEffect,
)

NOW_US = 1_700_000_000_000_000
ALLOW, ASK, DENY = ToolDecision.ALLOW, ToolDecision.ASK, ToolDecision.DENY
WARN, PAUSE, STOP = LimitAction.WARN, LimitAction.PAUSE, LimitAction.STOP
RUN, DAY, MONTH = LimitWindow.RUN, LimitWindow.DAY, LimitWindow.MONTH
INSIDE = {"path": "to", "test": {"contains": "@example.org"}}
URGENT = {"path": "urgent", "test": {"eq": True}}


def rule(
    ident: str,
    effect: RuleEffect | None = None,
    *,
    priority: int = 50,
    expires_at: int | None = None,
) -> Rule:
    return Rule(
        id=ident,
        statement=f"Rule {ident}.",
        priority=priority,
        tags=(),
        expires_at=expires_at,
        created_by="ada",
        effect=effect,
    )


def tool(decision: ToolDecision, *tools: str, when: tuple[Mapping[str, Any], ...] = ()):
    return ToolEffect(decision=decision, tools=tools or ("mail_send",), when=when)


def limit(
    maximum: float,
    window: LimitWindow = DAY,
    on_reach: LimitAction = STOP,
    metric: LimitMetric = LimitMetric.COST_USD,
):
    return LimitEffect(metric=metric, maximum=maximum, window=window, on_reach=on_reach)


def ids(rules: tuple[Rule, ...]) -> str:
    return "".join(found.id for found in rules)


def resolved(*of_workspace: Rule, of_agent: tuple[Rule, ...] = ()) -> dict[str, EffectiveRule]:
    found = resolve(sourced(of_workspace, of_agent), NOW_US)
    return {one.rule.id: one for one in found}


def applying(*of_workspace: Rule, of_agent: tuple[Rule, ...] = ()) -> str:
    """Ids of the rules that apply, strongest first."""
    return "".join(
        ident for ident, one in resolved(*of_workspace, of_agent=of_agent).items() if one.applies
    )


def test_an_agent_without_a_profile_follows_the_workspaces_alone():
    rules = (rule("a"), rule("b"))

    assert merged(rules, ()) == rules


def test_both_make_one_list_in_the_order_of_priority():
    found = merged((rule("a", priority=90), rule("b", priority=10)), (rule("c", priority=50),))

    assert ids(found) == "acb"


def test_at_a_tie_the_stricter_comes_first_whosever_it_is():
    found = merged(
        (rule("1", tool(ASK)), rule("2", limit(1, on_reach=PAUSE)), rule("3")),
        (
            rule("4", tool(DENY)),
            rule("5", tool(ALLOW)),
            rule("6", limit(1)),
            rule("7", limit(1, on_reach=WARN)),
        ),
    )

    assert ids(found) == "4156273"


def test_of_equals_the_workspaces_comes_first_then_the_older():
    found = merged((rule("c"), rule("d")), (rule("a"), rule("b")))

    assert ids(found) == "cdab"


def test_what_has_expired_neither_applies_nor_overrides():
    found = resolved(rule("a", tool(DENY), priority=90, expires_at=NOW_US), rule("b", tool(ALLOW)))

    assert (found["a"].applies, found["b"].applies) == (False, True)
    assert found["a"].explanation == "It expired at 2023-11-14T22:13:20.000Z."


def test_all_advice_applies_also_what_is_said_twice():
    assert applying(rule("a"), rule("b"), of_agent=(rule("c"),)) == "abc"
    found = resolved(rule("a"))["a"]
    assert found.explanation == "Advice: the model reads it before each step."


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        (ALLOW, "Calls of mail_send are allowed"),
        (ASK, "Calls of mail_send wait for a person's approval"),
        (DENY, "Calls of mail_send are refused"),
    ],
)
def test_a_decision_says_what_becomes_of_calls(decision: ToolDecision, words: str):
    found = resolved(rule("a", tool(decision)))["a"]

    assert found.explanation == (
        f"{words}, unless a stronger rule or a bound of the run says otherwise."
    )


def test_a_decision_with_conditions_says_that_it_has_them():
    found = resolved(rule("a", tool(DENY, "a", "b_*", when=(INSIDE,))))["a"]

    assert found.explanation.startswith("Calls of a, b_* that fit its conditions are refused,")


@pytest.mark.parametrize(
    ("stronger", "weaker", "overrides"),
    [
        (tool(DENY), tool(ALLOW), True),
        (tool(ALLOW), tool(DENY), True),
        (tool(ASK, "*"), tool(DENY), True),
        (tool(ASK, "mail_*"), tool(DENY, "mail_send", "mail_read"), True),
        (tool(ASK), tool(DENY, "mail_*"), False),
        (tool(ASK), tool(DENY, "mail_send", "exec"), False),
        (tool(ASK), tool(DENY, when=(INSIDE,)), True),
        (tool(DENY, when=(INSIDE,)), tool(ALLOW), False),
        (tool(DENY, when=(INSIDE,)), tool(ALLOW, when=(URGENT, INSIDE)), True),
        (tool(DENY, when=(INSIDE, URGENT)), tool(ALLOW, when=(INSIDE,)), False),
        # A rule that allows must fit the arguments in each form, one that denies in any.
        (tool(ALLOW, when=(INSIDE,)), tool(DENY, when=(INSIDE,)), False),
        (tool(ALLOW, when=(INSIDE,)), tool(ALLOW, when=(INSIDE,)), True),
        (tool(DENY), limit(1), False),
        (limit(1), tool(DENY), False),
    ],
)
def test_a_stronger_decision_that_fits_every_call_of_another_overrides_it(
    stronger: RuleEffect, weaker: RuleEffect, overrides: bool
):
    below = rule("b", weaker, priority=10)

    assert applying(rule("a", stronger), below) == ("a" if overrides else "ab")
    # The same whosever they are.
    assert applying(below, of_agent=(rule("a", stronger),)) == ("a" if overrides else "ab")


def test_what_overrides_is_named_with_its_words_its_profile_and_its_strength():
    found = resolved(rule("a", tool(DENY, "*"), priority=90), of_agent=(rule("b", tool(ALLOW)),))

    assert found["b"].is_agents
    assert found["b"].explanation == (
        "Overridden: “Rule a.” of the workspace's profile (priority 90) is stronger and decides"
        " every call that this one fits."
    )


@pytest.mark.parametrize(
    ("lower", "higher", "is_left"),
    [
        (limit(5), limit(10), False),
        (limit(5), limit(5), False),
        (limit(5), limit(10, on_reach=WARN), False),
        (limit(5, on_reach=WARN), limit(10), True),
        (limit(5, on_reach=PAUSE), limit(10), True),
        (limit(5, on_reach=WARN), limit(10, on_reach=WARN), True),
        (limit(5, on_reach=WARN), limit(5, on_reach=WARN), False),
        (limit(5), limit(10, MONTH), True),
        (limit(5), limit(10, metric=LimitMetric.TOKENS), True),
    ],
)
def test_each_limit_counts_by_itself_unless_work_ends_before_it_is_reached(
    lower: LimitEffect, higher: LimitEffect, is_left: bool
):
    left = "ab" if is_left else "a"

    # Priority has no say between limits.
    assert "".join(sorted(applying(rule("a", lower), rule("b", higher, priority=50)))) == left
    if lower != higher:
        found = applying(rule("a", lower, priority=10), rule("b", higher, priority=90))
        assert "".join(sorted(found)) == left


def test_a_limit_of_the_workspace_ends_an_agents_but_not_the_other_way():
    ours, its = rule("a", limit(5)), rule("b", limit(10))

    assert applying(ours, of_agent=(its,)) == "a"
    assert applying(its, of_agent=(ours,)) == "ba"
    # Over one run both count the same.
    ours, its = rule("a", limit(5, RUN)), rule("b", limit(10, RUN))
    assert applying(its, of_agent=(ours,)) == "a"


def test_a_limit_says_over_what_it_counts_and_what_happens():
    found = resolved(
        rule("a", limit(2.5, MONTH, PAUSE)),
        rule("b", limit(1000, RUN, metric=LimitMetric.TOKENS)),
        rule("d", limit(9, DAY, STOP)),
        of_agent=(rule("c", limit(3, DAY, WARN, LimitMetric.RUNS)), rule("e", limit(9.5))),
    )

    assert {ident: one.explanation for ident, one in found.items()} == {
        "a": "At 2.5 US dollars of the whole workspace in one month: runs pause.",
        "b": (
            "At 1000 tokens of one run and the runs below it: runs end and new ones are refused."
        ),
        "c": "At 3 runs of this agent in one day: an event warns.",
        "d": (
            "At 9 US dollars of the whole workspace in one day: runs end and new ones are refused."
        ),
        "e": (
            "Never reached: “Rule d.” of the workspace's profile (priority 50) ends the work no"
            " later."
        ),
    }
