"""Limits before execution: each names itself, and none takes more than linear time."""

from typing import Any

import pytest
from graphql import get_introspection_query

from app.graphql.cost import CostRule
from app.graphql.engine import graphql_schema
from app.graphql.errors import RequestRejected
from app.graphql.gate import Gate, Limits
from tests.api.sample_schema import make_schema


def gate(limits: Limits | None = None, rule: CostRule | None = None, **changes: int) -> Gate:
    return Gate(graphql_schema(make_schema()), limits=limits, cost_rule=rule, **changes)


def refusal(document: str, made: Gate | None = None) -> dict[str, Any]:
    with pytest.raises(RequestRejected) as caught:
        (made or gate()).admit(document, None)
    (body,) = caught.value.bodies
    return body


def nested(levels: int) -> str:
    return "{ run {" + " children {" * levels + " id " + "}" * levels + "} }"


def bomb(size: int) -> str:
    chain = " ".join(f"fragment F{n} on Run {{ ...F{n + 1} ...F{n + 1} }}" for n in range(size))
    return f"{{ run {{ ...F0 }} }} {chain} fragment F{size} on Run {{ id }}"


@pytest.mark.parametrize(
    ("document", "limit", "value", "maximum"),
    [
        ("{ hello }" + " " * 100_000, "documentChars", 100_009, 100_000),
        ("{ " + "hello " * 1499 + "}", "tokens", 1501, 1500),
        ("{ hello }" + "(" * 1500, "nesting", 65, 64),
        ("{" * 5000, "nesting", 65, 64),
        ("{ hello(name: " + "[" * 5000, "nesting", 65, 64),
        (nested(20), "depth", 22, 20),
        ("{" + " ".join(f"a{n}: hello" for n in range(31)) + "}", "rootFields", 31, 20),
        ("{ run {" + " ".join(f"a{n}: id" for n in range(31)) + "} }", "aliases", 31, 30),
        ("{ run { id" + " @skip(if: false)" * 31 + "} }", "directives", 31, 30),
        ("{ run {" + " id" * 21 + "} }", "repeats", 21, 20),
        ("{ run {" + " ... { id }" * 21 + "} }", "repeats", 21, 20),
        ("{ run { id } }" + " fragment F on Run { id }" * 61, "fragments", 61, 60),
        (bomb(9), "fields", 513, 500),
        (bomb(50), "fields", 10**9, 500),
    ],
)  # fmt: skip
def test_a_limit_refuses_with_its_name_its_value_and_the_maximum(
    document: str, limit: str, value: int, maximum: int
) -> None:
    body = refusal(document)

    assert body["extensions"] == {
        "code": "GRAPHQL_LIMIT_EXCEEDED",
        "limit": limit,
        "value": value,
        "maximum": maximum,
    }
    assert body["message"].endswith(f" is {value}; the limit is {maximum}.")


def test_cost_multiplies_by_the_page_that_is_asked_for() -> None:
    made = gate(Limits(cost=1000))
    two_pages = "{ run { children(first: %s) { children(first: %s) { id } } } }"

    admitted = made.admit(two_pages % (30, 30), None)
    too_much = refusal(two_pages % (40, 30), made)
    capped = refusal(two_pages % (1_000_000, 30), made)

    assert admitted.name is None
    assert too_much["extensions"]["value"] == 1242
    assert capped["extensions"]["value"] == 3102


def test_a_page_size_in_a_variable_counts_as_the_largest_page() -> None:
    document = "query ($n: Int!) { run { children(first: $n) { id } } }"

    body = refusal(document, gate(Limits(cost=100)))

    assert body["extensions"]["value"] == 102


def test_a_page_without_a_size_counts_as_its_default() -> None:
    body = refusal("{ run { children { id tags } } }", gate(Limits(cost=5)))

    assert body["extensions"]["value"] == 6


def test_fields_that_query_weigh_more() -> None:
    rule = CostRule(extra={"Run.children": 50})

    body = refusal("{ run { children { id } } }", gate(Limits(cost=40), rule))

    assert body["extensions"]["value"] == 54


def test_a_fragment_cycle_is_found_by_validation() -> None:
    document = "{ run { ...A } } fragment A on Run { ...B } fragment B on Run { ...A }"

    assert refusal(document)["message"] == "Cannot spread fragment 'A' within itself via 'B'."


def test_the_introspection_of_clients_passes() -> None:
    document = get_introspection_query(
        specified_by_url=True,
        directive_is_repeatable=True,
        schema_description=True,
        input_value_deprecation=True,
    )

    assert gate().admit(document, None).name == "IntrospectionQuery"


def test_strings_and_comments_are_one_token_or_none() -> None:
    made = gate(Limits(tokens=8))
    document = '{ hello(name: "((((((((((((((((( not nesting") } # many words in a comment'

    assert made.admit(document, None).kind.value == "query"


def test_block_strings_with_escaped_quotes_are_one_token() -> None:
    made = gate(Limits(tokens=8))

    assert made.admit('{ hello(name: """a \\""" "b" ((( """) }', None).name is None


@pytest.mark.parametrize("document", ['"' * 90_001, '"""' + "\\" * 90_000, '"' + "a" * 90_000])
def test_unfinished_strings_are_refused_in_linear_time(document: str) -> None:
    assert refusal(document)["extensions"]["code"] in {
        "GRAPHQL_PARSE_FAILED",
        "GRAPHQL_LIMIT_EXCEEDED",
    }


def test_a_syntax_error_names_its_place() -> None:
    body = refusal("{ hello(name: }")

    assert body["message"] == "Syntax Error: Unexpected '}'."
    assert body["locations"] == [{"line": 1, "column": 15}]


def test_outcomes_are_remembered_and_bounded() -> None:
    made = gate(cached_documents=2)

    first = made.admit("{ hello }", None)
    again = made.admit("{ hello }", None)
    for alias in "abc":
        made.admit(f"{{ {alias}: hello }}", None)

    assert again is first
    assert made.admit("{ hello }", None) is not first
    assert len(made._seen) == 2


def test_a_refusal_is_remembered_without_its_traceback() -> None:
    made = gate()

    first = refusal("{ nothing }", made)

    assert refusal("{ nothing }", made) == first
    assert len(made._seen) == 1


def test_what_is_remembered_is_bounded_in_characters() -> None:
    made = gate(cached_chars=20)

    for alias in "abc":
        made.admit(f"{{ {alias}: hello }}", None)
    remembered = list(made._seen)
    made.admit("{ hello whoami run { id } }", None)

    assert remembered == ["{ c: hello }"]
    assert list(made._seen) == []


def test_the_operation_is_chosen_by_name() -> None:
    made = gate()
    document = 'query A { hello } mutation B { save(input: {text: "x"}) { __typename } }'

    assert made.admit(document, "B").kind.value == "mutation"
    with pytest.raises(RequestRejected, match="Must provide operation name"):
        made.admit(document, None)
    with pytest.raises(RequestRejected, match="Unknown operation named 'C'"):
        made.admit(document, "C")
