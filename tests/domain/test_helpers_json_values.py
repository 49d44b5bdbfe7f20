"""JSON values: merged, picked and compared without changing what was given."""

from typing import Any

import pytest

from domain.helpers.errors import HelperError
from domain.helpers.json_values import JsonChange, json_diff, json_merge, json_pick


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ("replace", [2, 3, 3]),
        ("append", [1, 2, 2, 3, 3]),
        ("union", [1, 2, 3]),
    ],
)
def test_lists_are_merged_by_the_chosen_policy(lists: Any, expected: list[int]):
    base, patch = {"a": {"l": [1, 2]}}, {"a": {"l": [2, 3, 3]}}

    merged = json_merge(base, patch, lists=lists)

    assert merged == {"a": {"l": expected}}
    assert base == {"a": {"l": [1, 2]}}


def test_the_patch_wins_and_what_it_does_not_name_stays():
    merged = json_merge({"a": 1, "b": {"c": 1, "d": 2}}, {"b": {"c": None, "e": {}}, "f": [1]})

    assert merged == {"a": 1, "b": {"c": None, "d": 2, "e": {}}, "f": [1]}


def test_nulls_of_the_patch_remove_keys_when_asked():
    merged = json_merge(
        {"a": 1, "b": {"c": 1}}, {"a": None, "b": {"c": None}, "x": None}, nulls="remove"
    )

    assert merged == {"b": {}}


def test_a_union_tells_true_from_one():
    assert json_merge({"l": [1]}, {"l": [True, 1]}, lists="union") == {"l": [1, True]}


def test_values_nested_too_deep_are_refused():
    with pytest.raises(HelperError, match="nested more than 100 deep"):
        json_merge(nested(5_000), nested(5_000))
    with pytest.raises(HelperError, match="nested more than 100 deep"):
        json_diff(nested(5_000), nested(5_000))


DOCUMENT: Any = {
    "items": [{"name": "a", "tags": ["x"]}, {"name": "b", "tags": []}],
    "a.b": {"c[0]": 1},
    "7": "seven",
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("items[0].name", "a"),
        ("items.1.name", "b"),
        ("items[-1].name", "b"),
        ("items.*.name", ["a", "b"]),
        ("items.*.tags.*", ["x"]),
        ('["a.b"]["c[0]"]', 1),
        ("7", "seven"),
    ],
)
def test_a_path_leads_to_its_value(path: str, value: object):
    assert json_pick(DOCUMENT, path) == value


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("items[2]", "path: items[2] asks for element 2 of a list of 2."),
        (
            "item",
            (
                "path: item has nothing at 'item'; "
                "there is an object with the keys 'items', 'a.b', '7'."
            ),
        ),
        (
            "items[0].name.x",
            "path: items[0].name.x has nothing at 'x'; there is a str without parts.",
        ),
        (
            "items[a]",
            (
                "path: cannot be read from '[a]' on; write it like items[0].name, "
                'with ["..."] around keys that hold dots or brackets.'
            ),
        ),
    ],
)
def test_a_path_that_leads_nowhere_says_what_is_there(path: str, message: str):
    with pytest.raises(HelperError) as refusal:
        json_pick(DOCUMENT, path)

    assert str(refusal.value) == message


def test_differences_are_listed_with_paths_that_pick_understands():
    before = {"a": 1, "b": [1, {"c": 2}], "x.y": 0}
    after = {"a": True, "b": [1, {"c": 3}, 4], "n": None}

    diff = json_diff(before, after)

    assert diff.changes == [
        JsonChange(path="a", kind="changed", before=1, after=True),
        JsonChange(path="b[1].c", kind="changed", before=2, after=3),
        JsonChange(path="b[2]", kind="added", before=None, after=4),
        JsonChange(path='["x.y"]', kind="removed", before=0, after=None),
        JsonChange(path="n", kind="added", before=None, after=None),
    ]
    assert (diff.equal, diff.truncated) == (False, False)
    assert json_pick(after, "b[1].c") == 3


def test_equal_values_have_no_differences_whatever_the_order_of_keys():
    diff = json_diff({"a": 1, "b": [{}]}, {"b": [{}], "a": 1.0})

    assert (diff.equal, diff.changes) == (True, [])


def test_a_long_list_of_differences_is_cut_and_says_so():
    diff = json_diff(list(range(20)), list(range(1, 21)), limit=3)

    assert [change.path for change in diff.changes] == ["[0]", "[1]", "[2]"]
    assert diff.truncated is True
