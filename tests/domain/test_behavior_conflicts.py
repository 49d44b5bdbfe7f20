"""Rules that contradict each other, as far as their words alone prove it."""

import pytest

from domain.behavior.conflicts import conflicts
from domain.behavior.rules import Rule

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
