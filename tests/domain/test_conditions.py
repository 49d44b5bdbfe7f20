"""Tests of JSON values: the same answer from Python, SQLite and PostgreSQL."""

from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.kernel.condition_sql import JsonColumn, Parameters, condition_sql
from domain.kernel.conditions import JsonCondition, holds
from domain.kernel.database import Database, Statement
from domain.kernel.errors import ValidationFailed
from domain.kernel.validation import validated
from domain.memory.writes import folded_json

COLUMN = JsonColumn(plain="doc.plain", folded="COALESCE(doc.folded, doc.plain)")
DOCUMENT: dict[str, Any] = {
    "tier": "gold",
    "n": 1,
    "half": 0.5,
    "on": True,
    "nothing": None,
    "place": "Straße ÉTÉ",
    "tags": ["Red", "blue", 3, None, {"a": 1}],
    "items": [{"sku": "a-1", "qty": 2}, {"sku": "b-2"}],
    "codes": {"0": "zero", "x": {"1": "one"}},
    "day": "2026-02-01",
    "it's": {"a b": "quoted' OR '1'='1"},
    "$": "dollar",
    "wide": 2**53,
}
CASES: list[tuple[str, dict[str, Any], bool]] = [
    ("tier", {"eq": "gold"}, True),
    ("tier", {"eq": "Gold"}, False),
    ("tier", {"ne": "gold"}, False),
    ("tier", {"ne": "silver"}, True),
    ("missing", {"ne": "gold"}, True),
    ("missing", {"eq": None}, False),
    ("missing.deeper", {"exists": False}, True),
    ("missing", {"exists": True}, False),
    ("missing", {"lt": 1}, False),
    ("missing", {"contains": "a"}, False),
    ("missing", {"in": [None]}, False),
    ("nothing", {"exists": True}, True),
    ("nothing", {"eq": None}, True),
    ("nothing", {"ne": None}, False),
    ("n", {"eq": 1.0}, True),
    ("n", {"eq": True}, False),
    ("n", {"eq": "1"}, False),
    ("on", {"eq": 1}, False),
    ("on", {"eq": True}, True),
    ("on", {"ne": False}, True),
    ("n", {"in": [0, 1, 2]}, True),
    ("n", {"in": ["1", True]}, False),
    ("nothing", {"in": [None, 4]}, True),
    ("half", {"gt": 0}, True),
    ("half", {"gte": 0.5}, True),
    ("half", {"lt": 0.5}, False),
    ("half", {"lte": 0.5}, True),
    ("tier", {"gt": 1}, False),
    ("on", {"gte": 0}, False),
    ("wide", {"gt": 2**53 - 1}, True),
    ("wide", {"lt": 2**63}, True),
    ("day", {"gte": "2026-01-31"}, True),
    ("day", {"lt": "2026-02-01"}, False),
    ("tier", {"lt": "Z"}, False),
    ("tags", {"contains": "Red"}, True),
    ("tags", {"contains": "red"}, False),
    ("tags", {"contains": 3.0}, True),
    ("tags", {"contains": None}, True),
    ("tags", {"contains": {"a": 1.0}}, True),
    ("tags", {"contains": {"a": 2}}, False),
    ("place", {"contains": "strasse été"}, True),
    ("place", {"contains": "%"}, False),
    ("place", {"contains": 1}, False),
    ("codes", {"contains": "zero"}, False),
    ("tags", {"eq": ["Red", "blue", 3, None, {"a": 1}]}, True),
    ("tags", {"eq": ["Red"]}, False),
    ("items.0", {"eq": {"qty": 2.0, "sku": "a-1"}}, True),
    ("items.0", {"ne": {"qty": 2}}, True),
    ("items.0.sku", {"eq": "a-1"}, True),
    ("items.1.qty", {"exists": False}, True),
    ("items.2.sku", {"ne": "a-1"}, True),
    ("items.-1.sku", {"exists": True}, False),
    ("items.00.sku", {"exists": True}, False),
    ("items.sku", {"exists": True}, False),
    ("codes.0", {"eq": "zero"}, True),
    ("codes.x.1", {"eq": "one"}, True),
    ("tier.0", {"exists": True}, False),
    ("it's.a b", {"contains": "OR '1'="}, True),
    ("$", {"eq": "dollar"}, True),
    ("$.tier", {"exists": True}, False),
    ("[0]", {"exists": True}, False),
]


def condition(path: str, test: dict[str, Any]) -> JsonCondition:
    return validated(JsonCondition, {"path": path, "test": test})


async def keep(database: Database, *documents: dict[str, Any]) -> None:
    rows = [(n, orjson.dumps(one).decode(), folded_json(one)) for n, one in enumerate(documents)]
    table = "CREATE TABLE IF NOT EXISTS doc (n BIGINT, plain TEXT, folded TEXT)"
    await database.write([Statement(table), Statement("DELETE FROM doc")])
    await database.write([Statement("INSERT INTO doc VALUES ($1, $2, $3)", row) for row in rows])


async def passing(database: Database, asked: JsonCondition) -> list[int]:
    parameters = Parameters()
    sql = condition_sql(asked, COLUMN, parameters, database.dialect)
    found = f"SELECT n FROM doc WHERE {sql} ORDER BY n"
    return [row[0] for row in await database.fetch(found, *parameters.values)]


@pytest.mark.parametrize(("path", "test", "passes"), CASES)
def test_a_document_passes_or_not(path: str, test: dict[str, Any], passes: bool):
    assert holds(condition(path, test), DOCUMENT) is passes


async def test_the_databases_answer_the_same(database: Database):
    await keep(database, DOCUMENT)

    answers = [
        (path, test, await passing(database, condition(path, test)) == [0])
        for path, test, _ in CASES
    ]

    assert answers == CASES


KEYS = st.sampled_from(["a", "b", "0", "1", "é", "a b", "$", "A"])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False, width=32)
    | st.text("aAéÉß0 %'_", max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=2),
    max_leaves=4,
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=3)
COMPARABLE = st.integers(-3, 3) | st.floats(-3, 3, width=32) | st.text("aAé", max_size=2)
TESTS = st.one_of(
    st.sampled_from(["eq", "ne", "contains"]).flatmap(lambda k: st.fixed_dictionaries({k: VALUES})),
    st.fixed_dictionaries({"in": st.lists(VALUES, min_size=1, max_size=3)}),
    st.sampled_from(["gt", "gte", "lt", "lte"]).flatmap(
        lambda kind: st.fixed_dictionaries({kind: COMPARABLE})
    ),
    st.fixed_dictionaries({"exists": st.booleans()}),
)
PATHS = st.lists(KEYS, min_size=1, max_size=3).map(".".join)


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
async def test_any_test_of_any_document_is_answered_alike(database: Database, data: st.DataObject):
    documents = data.draw(st.lists(DOCUMENTS, min_size=1, max_size=8))
    asked = [condition(data.draw(PATHS), data.draw(TESTS)) for _ in range(4)]
    await keep(database, *documents)

    for one in asked:
        expected = [n for n, document in enumerate(documents) if holds(one, document)]
        assert await passing(database, one) == expected, one


@pytest.mark.parametrize(
    ("given_", "path", "message"),
    [
        ({"path": "", "test": {"eq": 1}}, "path", "Name keys and places in lists"),
        ({"path": "a..b", "test": {"eq": 1}}, "path", "Name keys and places in lists"),
        ({"path": 'a"', "test": {"eq": 1}}, "path", "Name keys and places in lists"),
        ({"path": "a" * 201, "test": {"eq": 1}}, "path", "Use at most 200 characters"),
        ({"path": "0.1.2.3", "test": {"eq": 1}}, "path", "Use at most 3 numbers in a path."),
        ({"path": "a", "test": {}}, "test", "Give exactly one of eq, ne, in,"),
        ({"path": "a", "test": {"eq": 1, "gt": 1}}, "test", "Give exactly one of eq, ne, in,"),
        ({"path": "a", "test": {"gt": True}}, "test.gt", "Give a number or text;"),
        ({"path": "a", "test": {"lt": [1]}}, "test.lt", "Give a number or text;"),
        ({"path": "a", "test": {"in": []}}, "test.in", "Give at least 1 items, not 0."),
        ({"path": "a", "test": {"eq": float("nan")}}, "test.eq", "Give finite numbers."),
        ({"path": "a", "test": {"equals": 1}}, "test.equals", "There is no such field"),
    ],
)
def test_a_test_that_cannot_be_is_refused_by_its_field(
    given_: dict[str, Any], path: str, message: str
):
    with pytest.raises(ValidationFailed) as refused:
        validated(JsonCondition, given_)

    assert refused.value.path == tuple(path.split("."))
    assert refused.value.problems[0].message.startswith(message)
