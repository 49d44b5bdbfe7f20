"""Patches that nobody thought of: whole versions, stable ids, and the way back."""

import asyncio
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.database import DatabaseOptions, open_database
from domain.behavior.adjustment import Adjustment
from domain.behavior.patch import adjusted, diff
from domain.behavior.rules import read, strongest_first, written
from domain.kernel.errors import GobError
from domain.kernel.validation import validated
from tests.domain.behavior_model import FAULT, PATCH, Json, named, patched, seen, without_ids
from tests.domain.behavior_world import BehaviorWorld, behavior_world

PATCHES = 5
"""Patches of one story."""
STORIES = st.lists(
    st.tuples(st.one_of(PATCH, PATCH, PATCH, FAULT), st.integers(0, 9)),
    min_size=PATCHES,
    max_size=PATCHES,
)
sizes = pytest.mark.parametrize("patches", [60, pytest.param(1000, marks=pytest.mark.soak)])


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


@sizes
def test_whatever_patches_come_each_version_can_be_had_back_byte_for_byte(
    database_url: str, patches: int
):
    @settings(
        max_examples=patches // PATCHES,
        deadline=None,
        print_blob=True,
    )
    @given(STORIES)
    def holds(story: list[tuple[Json, int]]) -> None:
        asyncio.run(told(database_url, story))

    holds()


async def told(database_url: str, story: list[tuple[Json, int]]) -> None:
    """Send the patches of a story one by one, and take a way back after each."""
    options = DatabaseOptions(url=database_url, migrates_at_start=False)
    async with open_database(options) as database:
        world = await behavior_world(database)
        for patch, place in story:
            if is_fault(patch):
                await refuse(world, patch)
            else:
                await apply(world, patch)
            await go_back(world, place)


def is_fault(patch: Json) -> bool:
    return any(rule.get("statement") == "fine" for rule in patch.get("add", []))


async def refuse(world: BehaviorWorld, fault: Json) -> None:
    before = await stored(world)

    with pytest.raises(GobError):
        await world.adjust(**fault)

    assert await stored(world) == before


async def apply(world: BehaviorWorld, patch: Json) -> None:
    rules = tuple(await world.rules())
    asked = named(patch, rules)
    before, known = await stored(world), frozenset(rule.id for rule in rules)

    shown = await world.adjust(**asked, dryRun=True)
    assert await stored(world) == before
    done = await world.adjust(**asked)

    after = tuple(await world.rules())
    assert without_ids(seen(after), known) == without_ids(patched(seen(rules), asked), known)
    assert after == strongest_first(after)
    assert done.changed is (written(after) != written(rules))
    assert (len(shown.diff.added), shown.diff.removed) == (
        len(done.diff.added),
        done.diff.removed,
    )
    grown = await stored(world)
    assert len(grown.versions) == len(before.versions) + done.changed
    assert grown.events == before.events + done.changed
    assert grown.lines == before.lines + done.changed


async def go_back(world: BehaviorWorld, place: int) -> None:
    """Return to some version, and from there to the one before: both byte for byte."""
    versions = await world.versions()
    if not versions:
        return
    wanted, latest = versions[place % len(versions)], versions[0]

    await world.behavior.rollback(world.ada, {"toVersion": wanted.version})
    assert (await world.versions())[0].rules == wanted.rules
    await world.behavior.rollback(world.ada, {"toVersion": latest.version})

    found = await world.versions()
    assert found[0].rules == latest.rules
    assert [row.rules for row in found[-len(versions) :]] == [row.rules for row in versions]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What a refused patch must leave as it is."""

    versions: tuple[str, ...]
    events: int
    lines: int


async def stored(world: BehaviorWorld) -> Stored:
    versions, events, lines = await world.versions(), await world.events(), await world.lines()
    texts = tuple(row.rules for row in versions)
    return Stored(versions=texts, events=len(events), lines=len(lines))
