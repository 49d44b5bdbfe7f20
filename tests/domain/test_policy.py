"""What rules say to a call: the strongest that fits decides, and bounds hold whatever they say."""

from typing import Any

import pytest

from domain.behavior.policy import (
    Decision,
    ToolFacts,
    carries_out,
    decide,
    default_of,
    forbids,
    strictest,
    with_bounds,
    with_taint,
)
from domain.behavior.rules import Rule, ToolDecision, ToolEffect
from domain.tools.manifest import SideEffect

ALLOW, ASK, DENY = ToolDecision.ALLOW, ToolDecision.ASK, ToolDecision.DENY
NOW_US = 1_700_000_000_000_000
PAY = ToolFacts(name="pay", default=ALLOW, carries_out=False)
ERASE = ToolFacts(name="erase", default=ASK, carries_out=False)
SEND = ToolFacts(name="mail_send", default=ALLOW, carries_out=True)


def rule(
    decision: ToolDecision,
    *tools: str,
    priority: int = 50,
    when: tuple[dict[str, Any], ...] = (),
    expires_at: int | None = None,
    ident: str = "a",
) -> Rule:
    effect = ToolEffect(decision=decision, tools=tools, when=when)
    return Rule(
        id=ident,
        statement=f"{decision} {' '.join(tools)}",
        priority=priority,
        tags=(),
        expires_at=expires_at,
        created_by="ada",
        effect=effect,
    )


def decided(*rules: Rule, tool: ToolFacts = PAY, **arguments: Any) -> Decision:
    return decide(rules, tool, [arguments], NOW_US)


@pytest.mark.parametrize(
    ("effect", "default"),
    [
        (SideEffect.NONE, ALLOW),
        (SideEffect.READ, ALLOW),
        (SideEffect.WRITE, ALLOW),
        (SideEffect.DANGEROUS, ASK),
    ],
)
def test_without_a_rule_only_what_cannot_be_undone_is_asked_for(
    effect: SideEffect, default: ToolDecision
):
    assert default_of(effect) is default


def test_the_default_of_the_tool_stands_where_no_rule_fits():
    found = decided(rule(DENY, "other"), tool=ERASE)

    assert found == Decision(
        decision=ASK,
        rule=None,
        explanation="erase does what cannot be undone, and no rule allows it without a question.",
    )


@pytest.mark.parametrize(
    ("decisions", "wins"),
    [((ALLOW, ASK), ASK), ((ALLOW, DENY), DENY), ((ASK, DENY), DENY), ((ALLOW, ASK, DENY), DENY)],
)
def test_at_one_priority_deny_beats_ask_beats_allow(
    decisions: tuple[ToolDecision, ...], wins: ToolDecision
):
    rules = [rule(decision, "pay", ident=str(place)) for place, decision in enumerate(decisions)]

    assert decided(*rules).decision is wins
    assert decided(*reversed(rules)).decision is wins


def test_a_higher_priority_beats_a_stricter_decision():
    found = decided(rule(DENY, "*"), rule(ALLOW, "pay", priority=51, ident="b"))

    assert found.decision is ALLOW
    assert found.explanation == "The rule 'ALLOW pay' (priority 51) allows pay."


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        (DENY, "The rule 'DENY pay' (priority 50) forbids pay."),
        (ASK, "The rule 'ASK pay' (priority 50) asks a person before pay is called."),
    ],
)
def test_the_explanation_names_the_rule(decision: ToolDecision, words: str):
    assert decided(rule(decision, "pay")).explanation == words


def test_an_expired_rule_says_nothing_any_more():
    assert decided(rule(DENY, "pay", expires_at=NOW_US)).decision is ALLOW
    assert decided(rule(DENY, "pay", expires_at=NOW_US + 1)).decision is DENY


def test_a_rule_with_conditions_decides_on_calls_that_meet_all_of_them():
    conditions = (
        {"path": "amount", "test": {"gt": 100}},
        {"path": "to.country", "test": {"ne": "DE"}},
    )
    denied = rule(DENY, "pay", when=conditions)

    assert decided(denied, amount=101, to={"country": "FR"}).decision is DENY
    assert decided(denied, amount=101, to={"country": "DE"}).decision is ALLOW
    assert decided(denied, amount=100, to={"country": "FR"}).decision is ALLOW


def test_what_is_forbidden_is_found_in_whatever_form_it_comes():
    sent, converted = {"amount": "150"}, {"amount": 150}
    condition = ({"path": "amount", "test": {"gt": 100}},)

    found = decide([rule(DENY, "pay", when=condition)], PAY, [sent, converted], NOW_US)

    assert found.decision is DENY


def test_what_is_allowed_must_be_so_in_every_form():
    sent, converted = {"amount": "50"}, {"amount": 50}
    condition = ({"path": "amount", "test": {"lt": 100}},)
    rules = [rule(ASK, "pay"), rule(ALLOW, "pay", priority=60, when=condition, ident="b")]

    assert decide(rules, PAY, [sent, converted], NOW_US).decision is ASK
    assert decide(rules, PAY, [converted, converted], NOW_US).decision is ALLOW


def test_the_strictest_of_several_decisions_counts():
    allowed, asked = decided(), decided(rule(ASK, "pay"))

    assert strictest([allowed, asked, allowed]) is asked


@pytest.mark.parametrize(
    ("capability", "carries"),
    [
        ("net", True),
        ("net:api.example.com", True),
        ("exec", True),
        ("mail", True),
        ("message.send", True),
        ("fs.read", False),
        ("memory.write", False),
        ("network", False),
    ],
)
def test_tools_that_reach_the_outside_can_carry_data_out(capability: str, carries: bool):
    assert carries_out([capability]) is carries


def test_after_untrusted_text_a_person_is_asked_before_data_can_leave():
    found = with_taint(decided(tool=SEND), SEND)

    assert (found.decision, found.rule) == (ASK, None)
    assert found.explanation == (
        "The run has read text that is not trusted, and mail_send can carry data out;"
        " only a rule that names the tool allows that without a question."
    )


def test_only_a_rule_that_names_the_tool_lets_data_out_after_untrusted_text():
    by_name, by_pattern = rule(ALLOW, "mail_send"), rule(ALLOW, "mail_*")

    assert with_taint(decided(by_name, tool=SEND), SEND).decision is ALLOW
    assert with_taint(decided(by_pattern, tool=SEND), SEND).decision is ASK


def test_a_weaker_rule_that_names_the_tool_counts_unless_one_between_says_otherwise():
    strong = rule(ALLOW, "mail_*", priority=80)
    between, weak = rule(ASK, "mail_*", priority=60), rule(ALLOW, "mail_send", ident="b")

    assert with_taint(decided(strong, weak, tool=SEND), SEND).decision is ALLOW
    assert with_taint(decided(strong, between, weak, tool=SEND), SEND).decision is ASK


def test_work_that_is_planned_escapes_neither_taint_nor_bounds():
    plan = ToolFacts(name="schedule_task", default=ALLOW, carries_out=False, plans=True)

    assert with_taint(decided(tool=plan), plan).decision is ASK
    assert with_bounds(decided(tool=plan), plan).decision is ASK
    by_name = decided(rule(ALLOW, "schedule_task"), tool=plan)
    assert with_bounds(with_taint(by_name, plan), plan).decision is ALLOW
    assert with_bounds(decided(tool=SEND), SEND).decision is ALLOW


def test_untrusted_text_changes_nothing_for_tools_that_stay_inside():
    assert with_taint(decided(), PAY).decision is ALLOW
    assert with_taint(decided(rule(DENY, "mail_send"), tool=SEND), SEND).decision is DENY


def test_a_tool_is_not_offered_when_every_call_of_it_is_denied():
    some = ({"path": "amount", "test": {"gt": 100}},)

    assert forbids([rule(DENY, "p*")], "pay", NOW_US)
    assert not forbids([rule(DENY, "pay", when=some)], "pay", NOW_US)
    assert not forbids([rule(DENY, "pay"), rule(ASK, "pay", priority=51)], "pay", NOW_US)
    assert forbids([rule(DENY, "pay"), rule(DENY, "pay", priority=51, when=some)], "pay", NOW_US)
    assert not forbids([rule(DENY, "pay", expires_at=NOW_US)], "pay", NOW_US)
    assert not forbids([], "pay", NOW_US)
