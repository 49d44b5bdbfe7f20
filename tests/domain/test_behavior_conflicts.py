"""Rules that contradict each other, as far as their words or their effects prove it."""

from typing import Any

import pytest

from domain.behavior.conflicts import (
    CONTRADICTED,
    LOWER_LIMIT,
    SAME_EFFECT,
    SHADOWED,
    conflicts,
)
from domain.behavior.rules import (
    LimitAction,
    LimitEffect,
    LimitMetric,
    Rule,
    RuleEffect,
    ToolDecision,
    ToolEffect,
    strongest_first,
)

ALLOW, ASK, DENY = ToolDecision.ALLOW, ToolDecision.ASK, ToolDecision.DENY
WHEN = {"path": "to", "test": {"contains": "@example.org"}}
REPEATED = "These rules have the same words; one is enough."
OPPOSED = "One of these rules asks for what another forbids."
NOW_US = 1_000


def rules(*statements: str, expires_at: int | None = None) -> list[Rule]:
    return [
        Rule(
            id=str(place),
            statement=statement,
            priority=50,
            tags=(),
            expires_at=expires_at,
            created_by="ada",
        )
        for place, statement in enumerate(statements)
    ]


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        ("Answer in English.", "answer  in ENGLISH", REPEATED),
        ("Say “yes”!", 'say "yes"', REPEATED),
        ("Don't guess", "don’t guess.", REPEATED),  # noqa: RUF001 - what people type
        ("Answer in verse.", "Never answer in verse!", OPPOSED),
        ("Always answer in verse", "Do not answer in verse", OPPOSED),
        ("Please answer in verse", "Please don't answer in verse", OPPOSED),
        ("Always ask first.", "Never ask first.", OPPOSED),
    ],
)
def test_rules_whose_words_contradict_are_named(one: str, other: str, message: str):
    given = rules(one, other)

    [found] = conflicts(given, NOW_US)

    assert (found.message, found.winner) == (message, None)
    assert found.rules == tuple(given)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Answer in English.", "Answer in German."),
        ("Write C#", "Write C++"),
        ("Answer in verse", "Always answer in verse"),
        ("Ask first.", "Do not always ask first."),
        ("Never", "Always"),
        ("!!!", "???"),
        ("Do well-known things", "Do well known things"),
    ],
)
def test_rules_whose_words_prove_nothing_are_left_alone(one: str, other: str):
    assert conflicts(rules(one, other), NOW_US) == ()


def test_a_rule_that_has_expired_contradicts_nobody():
    given = [*rules("Be kind"), *rules("be kind", expires_at=NOW_US)]

    assert conflicts(given, NOW_US) == ()


def test_each_contradiction_is_named_once_with_all_its_rules():
    given = rules("Sing", "sing.", "Never sing", "Dance", "Don't sing")

    found = conflicts(given, NOW_US)

    assert [(c.message, [rule.statement for rule in c.rules]) for c in found] == [
        (REPEATED, ["Sing", "sing."]),
        (OPPOSED, ["Sing", "sing.", "Never sing", "Don't sing"]),
    ]


def policy(ident: str, effect: RuleEffect, *, priority: int = 50, words: str = "") -> Rule:
    return Rule(
        id=ident,
        statement=words or f"Rule {ident}.",
        priority=priority,
        tags=(),
        expires_at=None,
        created_by="ada",
        effect=effect,
    )


def tool(decision: ToolDecision, *tools: str, when: tuple[dict[str, Any], ...] = ()) -> ToolEffect:
    return ToolEffect(decision=decision, tools=tools, when=when)


def budget(maximum: float, on_reach: LimitAction = LimitAction.STOP) -> LimitEffect:
    return LimitEffect(metric=LimitMetric.COST_USD, maximum=maximum, on_reach=on_reach)


def told(*given: Rule) -> list[tuple[str, str, str | None]]:
    """Each conflict: its message, the ids of its rules, and the id of the winner."""
    return [
        (c.message, "".join(rule.id for rule in c.rules), c.winner.id if c.winner else None)
        for c in conflicts(strongest_first(given), NOW_US)
    ]


@pytest.mark.parametrize(
    ("stronger", "weaker", "message"),
    [
        (tool(DENY, "mail"), tool(DENY, "mail"), SAME_EFFECT),
        (tool(DENY, "a", "b"), tool(DENY, "b", "a"), SAME_EFFECT),
        (budget(5), budget(5), SAME_EFFECT),
        (tool(DENY, "mail"), tool(ALLOW, "mail"), CONTRADICTED),
        (tool(ALLOW, "mail"), tool(DENY, "mail"), CONTRADICTED),
        (tool(ALLOW, "a", when=(WHEN,)), tool(DENY, "a", when=(WHEN,)), CONTRADICTED),
        (tool(DENY, "mail_*"), tool(ALLOW, "mail_send"), SHADOWED),
        (tool(DENY, "mail_*"), tool(DENY, "mail_send"), SHADOWED),
        (tool(ASK, "mail"), tool(DENY, "mail", when=(WHEN,)), SHADOWED),
        (budget(5), budget(10), LOWER_LIMIT),
        (budget(5), budget(10, LimitAction.WARN), LOWER_LIMIT),
    ],
)
def test_policies_that_stand_against_each_other_are_named_with_the_winner(
    stronger: RuleEffect, weaker: RuleEffect, message: str
):
    assert told(policy("a", stronger, priority=60), policy("b", weaker)) == [(message, "ab", "a")]


def test_of_limits_the_lower_wins_whatever_its_priority():
    found = told(policy("a", budget(5), priority=1), policy("b", budget(10), priority=99))

    assert found == [(LOWER_LIMIT, "ab", "a")]


def test_at_one_priority_the_stricter_wins():
    found = told(policy("a", tool(ALLOW, "mail")), policy("b", tool(DENY, "mail")))

    assert found == [(CONTRADICTED, "ba", "b")]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (tool(DENY, "mail"), tool(ALLOW, "exec")),
        (tool(DENY, "mail_send"), tool(ALLOW, "mail_*")),
        (tool(DENY, "mail", when=(WHEN,)), tool(ALLOW, "mail")),
        (budget(5, LimitAction.WARN), budget(10)),
        (budget(5), tool(DENY, "mail")),
    ],
)
def test_policies_that_each_have_a_say_are_left_alone(one: RuleEffect, other: RuleEffect):
    assert told(policy("a", one, priority=60), policy("b", other)) == []


def test_rules_that_lose_to_one_for_one_reason_are_named_together():
    found = told(
        policy("a", tool(DENY, "*"), priority=90),
        policy("b", tool(ALLOW, "mail"), priority=80),
        policy("c", tool(ASK, "exec"), priority=70),
        policy("d", tool(DENY, "*"), priority=60),
    )

    assert found == [(SHADOWED, "abc", "a"), (SAME_EFFECT, "ad", "a")]


def test_words_are_compared_among_advice_alone():
    given = (
        policy("a", tool(DENY, "mail"), words="No mail."),
        policy("b", budget(5), words="No mail."),
        *rules("No mail."),
    )

    assert told(*given) == []
