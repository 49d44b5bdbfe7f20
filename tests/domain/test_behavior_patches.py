"""Patches that nobody thought of: whole versions, stable ids, and the way back."""

import asyncio
from collections.abc import Callable, Coroutine
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.database import DatabaseOptions, open_database
from domain.behavior.adjustment import Adjustment
from domain.behavior.patch import adjusted, diff
from domain.behavior.rules import Rules, read, strongest_first, written
from domain.kernel.errors import GobError
from domain.kernel.validation import validated
from tests.databases import new_sqlite
from tests.domain.behavior_world import HOUR_US, BehaviorWorld, behavior_world

LATER_US = 1_700_000_000_000_000 + HOUR_US
WORDS = st.sampled_from(["be kind", "Be kind!", "ask", "ö\n\U0001f600", '"quoted\\"', "never ask"])
PLACE = st.integers(0, 5)
PARTS: dict[str, st.SearchStrategy[Any]] = {
    "priority": st.integers(0, 100),
    "tags": st.lists(st.sampled_from("abc"), max_size=3),
    "expiresAt": st.sampled_from([LATER_US, None]),
}
NEW = st.fixed_dictionaries({"statement": WORDS}, optional=PARTS)
UPDATE = st.fixed_dictionaries({"rule": PLACE}, optional={"statement": WORDS, **PARTS})
PATCH = st.fixed_dictionaries(
    {},
    optional={
        "strategy": st.sampled_from(["MERGE", "REPLACE"]),
        "add": st.lists(NEW, max_size=3),
        "update": st.lists(UPDATE, max_size=2, unique_by=lambda change: change["rule"]),
        "remove": st.lists(PLACE, max_size=2),
    },
)
FAULT = st.sampled_from(
    [
        {"add": [{"statement": "fine"}, {"statement": ""}]},
        {"add": [{"statement": "fine"}], "remove": ["nobody"]},
        {"add": [{"statement": "fine"}], "update": [{"ruleId": "nobody"}]},
        {"add": [{"statement": "fine"}], "expectedVersion": -1},
        {"add": [{"statement": "fine", "priority": 1.5}]},
        {"strategy": "REPLACE", "add": [{"statement": "fine"}], "more": 1},
    ]
)


def named(patch: dict[str, Any], rules: Rules) -> dict[str, Any]:
    """Let places of a patch name rules that are there."""

    def ident(place: int) -> str | None:
        return rules[place].id if place < len(rules) else None

    updates = [
        {**{k: v for k, v in change.items() if k != "rule"}, "ruleId": ident(change["rule"])}
        for change in patch.get("update", [])
        if ident(change["rule"]) is not None
    ]
    updated = {change["ruleId"] for change in updates}
    removed = [ident(place) for place in patch.get("remove", [])]
    return {
        **patch,
        "update": updates,
        "remove": [found for found in removed if found is not None and found not in updated],
    }


@settings(deadline=None)
@given(st.lists(PATCH, max_size=6))
def test_a_patched_list_is_in_order_has_no_rule_twice_and_is_told_by_its_diff(
    patches: list[dict[str, Any]],
):
    numbers, rules = count(), ()

    for patch in patches:
        asked = validated(Adjustment, named(patch, rules))
        after = adjusted(rules, asked, new_id=lambda: f"{next(numbers):06}", created_by="ada")

        assert after == strongest_first(after)
        assert len({rule.id for rule in after}) == len(after)
        assert read(written(after)) == after
        told = diff(rules, after, from_version=1, to_version=2)
        gone = {rule.id for rule in told.removed}
        changed = {change.after.id: change.after for change in told.changed}
        kept = [changed.get(rule.id, rule) for rule in rules if rule.id not in gone]
        assert strongest_first([*kept, *told.added]) == after
        rules = after


@settings(max_examples=15, deadline=None)
@given(st.lists(PATCH, min_size=1, max_size=5), FAULT, st.integers(0, 5))
def test_after_any_patches_every_version_can_be_had_back_byte_for_byte(
    patches: list[dict[str, Any]], fault: dict[str, Any], place: int
):
    async def story(world: BehaviorWorld) -> None:
        for patch in patches:
            await world.adjust(**named(patch, tuple(await world.rules())))
        before = await world.versions()
        with pytest.raises(GobError):
            await world.adjust(**fault)
        assert [row.rules for row in await world.versions()] == [row.rules for row in before]
        if before:
            wanted = before[place % len(before)]
            await world.behavior.rollback(world.ada, {"toVersion": wanted.version})
            assert (await world.versions())[0].rules == wanted.rules

    asyncio.run(on_new_database(story))


async def on_new_database(story: Callable[[BehaviorWorld], Coroutine[Any, Any, None]]) -> None:
    with TemporaryDirectory() as folder:
        options = DatabaseOptions(url=new_sqlite(Path(folder)), migrates_at_start=False)
        async with open_database(options) as database:
            await story(await behavior_world(database))
