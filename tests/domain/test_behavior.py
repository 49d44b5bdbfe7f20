"""Behavior over real databases: whole versions, all or nothing, told and recorded."""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from domain.behavior.rules import RuleKind, read
from domain.kernel.database import Database
from domain.kernel.paging import PageRequest
from tests.domain.behavior_world import HOUR_US, BehaviorWorld, behavior_world

UNKNOWN = "019aabcd-ef12-7456-9abc-def012345678"


@pytest.fixture
async def world(database: Database) -> BehaviorWorld:
    """A world on each database."""
    return await behavior_world(database)


async def test_a_workspace_has_one_active_profile_without_rules(world: BehaviorWorld):
    profiles = await world.behavior.profiles(world.ada)

    [profile] = profiles
    assert (profile.name, profile.active, profile.version, profile.version_id) == (
        "default",
        True,
        0,
        None,
    )
    found = await world.behavior.profile(world.ada)
    assert found is not None
    assert found.id == profile.id
    assert await world.versions() == []


async def test_processes_that_need_the_profile_at_once_make_one(world: BehaviorWorld):
    found = await asyncio.gather(*(world.behavior.profile(world.ada) for _ in range(8)))

    assert len({profile.id for profile in found if profile is not None}) == 1
    assert len(await world.behavior.profiles(world.ada)) == 1


async def test_an_adjustment_is_a_whole_new_version(world: BehaviorWorld):
    later_us = world.clock.now_us() + HOUR_US
    done = await world.adjust(
        add=[
            {"statement": "  Answer briefly. "},
            {
                "statement": "Ask before you pay.",
                "priority": 90,
                "tags": ["money", "safety", "money"],
                "expiresAt": later_us,
            },
        ],
        comment="first",
    )

    assert (done.changed, done.dry_run, done.conflicts) == (True, False, ())
    assert done.version_row is not None
    assert (done.profile_row.version, done.profile_row.version_id) == (1, done.version_row.id)
    assert (done.diff.from_version, done.diff.to_version) == (0, 1)
    assert (done.version_row.comment, done.version_row.created_by) == ("first", "ada")
    strong, weak = await world.rules()
    assert (strong.statement, strong.priority, strong.tags, strong.expires_at) == (
        "Ask before you pay.",
        90,
        ("money", "safety"),
        later_us,
    )
    assert (weak.statement, weak.priority, weak.tags, weak.expires_at) == (
        "Answer briefly.",
        50,
        (),
        None,
    )
    assert {rule.kind for rule in (strong, weak)} == {RuleKind.GUIDANCE}
    assert {rule.created_by for rule in (strong, weak)} == {"ada"}


async def test_rules_of_one_priority_stand_in_the_order_in_which_they_came(world: BehaviorWorld):
    await world.add("b", "a")
    await world.add("c")

    assert await world.said() == ["b", "a", "c"]


async def test_a_merge_keeps_what_it_does_not_name(world: BehaviorWorld):
    kept, changed, gone = await world.add("kept", "changed", "gone")

    done = await world.adjust(
        add=[{"statement": "new"}],
        update=[{"ruleId": changed, "statement": "better", "priority": 70, "tags": ["x"]}],
        remove=[gone],
    )

    assert [rule.id for rule in done.diff.removed] == [gone]
    assert [rule.statement for rule in done.diff.added] == ["new"]
    [change] = done.diff.changed
    assert (change.before.statement, change.after.statement) == ("changed", "better")
    assert (change.before.id, change.after.id) == (changed, changed)
    rules = await world.rules()
    assert [rule.statement for rule in rules] == ["better", "kept", "new"]
    assert rules[1].id == kept


async def test_a_replacement_drops_what_it_does_not_name(world: BehaviorWorld):
    same, updated, _ = await world.add("same", "updated", "dropped")

    done = await world.adjust(
        strategy="REPLACE",
        add=[{"statement": "same"}, {"statement": "new"}],
        update=[{"ruleId": updated, "priority": 60}],
    )

    rules = await world.rules()
    assert [rule.statement for rule in rules] == ["updated", "same", "new"]
    assert [rule.id for rule in rules[:2]] == [updated, same]
    assert [rule.statement for rule in done.diff.removed] == ["dropped"]


async def test_an_update_leaves_absent_fields_and_clears_nulls(world: BehaviorWorld):
    expires_us = world.clock.now_us() + HOUR_US
    [ident] = await world.add("rule", priority=80, tags=["a"], expiresAt=expires_us)

    await world.adjust(update=[{"ruleId": ident, "statement": "said anew"}])
    [said] = await world.rules()
    await world.adjust(update=[{"ruleId": ident, "priority": None, "tags": None}])
    [cleared] = await world.rules()
    await world.adjust(update=[{"ruleId": ident, "expiresAt": None}])
    [lasting] = await world.rules()

    assert (said.priority, said.tags, said.expires_at) == (80, ("a",), expires_us)
    assert (cleared.priority, cleared.tags, cleared.expires_at) == (50, (), expires_us)
    assert (lasting.statement, lasting.expires_at) == ("said anew", None)


async def test_a_rule_that_has_expired_stands_in_nobodys_way(world: BehaviorWorld):
    expires_us = world.clock.now_us() + HOUR_US
    [ident] = await world.add("today", expiresAt=expires_us)
    world.clock.move(3600)

    await world.adjust(add=[{"statement": "always"}])
    await world.adjust(update=[{"ruleId": ident, "priority": 60}])
    again = await world.adjust(add=[{"statement": "Today"}])

    assert await world.said() == ["today", "always", "Today"]
    assert again.conflicts == ()


@pytest.mark.parametrize(
    "patch",
    [
        {},
        {"add": [{"statement": "there"}, {"statement": " there "}]},
        {"strategy": "REPLACE", "add": [{"statement": "there"}]},
        {"add": None, "update": None, "remove": None, "profileId": None},
    ],
)
async def test_a_patch_that_changes_nothing_makes_no_version(
    world: BehaviorWorld, patch: Mapping[str, Any]
):
    await world.add("there")

    done = await world.adjust(**patch)

    assert (done.changed, done.diff.from_version, done.diff.to_version) == (False, 1, 1)
    assert done.profile_row.version == 1
    assert len(await world.versions()) == 1
    assert len(await world.events()) == 1
    assert len(await world.lines()) == 1


async def test_an_update_to_what_it_is_already_makes_no_version(world: BehaviorWorld):
    [ident] = await world.add("there")

    done = await world.adjust(update=[{"ruleId": ident, "statement": "there", "priority": 50}])

    assert (done.changed, done.profile_row.version) == (False, 1)


async def test_a_dry_run_shows_the_outcome_and_changes_nothing(world: BehaviorWorld):
    [ident] = await world.add("Be kind.")

    done = await world.adjust(add=[{"statement": "be kind"}], dryRun=True)

    assert (done.dry_run, done.changed, done.profile_row.version) == (True, False, 1)
    assert (done.diff.from_version, done.diff.to_version) == (1, 2)
    assert [rule.statement for rule in done.diff.added] == ["be kind"]
    [conflict] = done.conflicts
    assert [rule.statement for rule in conflict.rules] == ["Be kind.", "be kind"]
    assert [rule.id for rule in await world.rules()] == [ident]
    assert len(await world.events()) == 1


async def test_a_dry_run_before_the_first_version_has_none_to_show(world: BehaviorWorld):
    done = await world.adjust(add=[{"statement": "a"}], dryRun=True)

    assert done.version_row is None
    assert (done.diff.from_version, done.diff.to_version) == (0, 1)


async def test_a_rollback_is_a_new_version_of_the_same_bytes(world: BehaviorWorld):
    [first] = await world.add("first", tags=["ü", "a"])
    await world.adjust(add=[{"statement": "second"}], remove=[first])

    done = await world.behavior.rollback(world.ada, {"toVersion": 1, "comment": "back"})

    newest, _, oldest = await world.versions()
    assert newest.rules == oldest.rules
    assert (newest.version, newest.restored_from, newest.comment) == (3, 1, "back")
    assert [rule.id for rule in done.diff.added] == [first]
    assert (done.changed, done.profile_row.version) == (True, 3)


async def test_a_rollback_to_nothing_and_to_the_present_are_both_possible(world: BehaviorWorld):
    await world.add("a")

    present = await world.behavior.rollback(world.ada, {"toVersion": 1})
    shown = await world.behavior.rollback(world.ada, {"toVersion": 0, "dryRun": True})
    emptied = await world.behavior.rollback(world.ada, {"toVersion": 0})

    assert (present.changed, present.profile_row.version) == (False, 1)
    assert (shown.changed, shown.profile_row.version) == (False, 1)
    assert [rule.statement for rule in shown.diff.removed] == ["a"]
    assert (emptied.changed, emptied.profile_row.version) == (True, 2)
    assert await world.rules() == []


async def test_a_new_version_is_told_and_recorded_in_its_commit(world: BehaviorWorld):
    done = await world.adjust(add=[{"statement": "a"}, {"statement": "b"}], comment="why")
    await world.behavior.rollback(world.ada, {"toVersion": 0})

    first, second = await world.events()
    profile, trace_id = done.profile_row, world.ada.trace.trace_id
    assert done.version_row is not None
    assert (first.type, first.run_id, first.trace_id) == ("BehaviorUpdate", None, trace_id)
    assert first.data == {"versionId": done.version_row.id, "profileId": profile.id}
    assert second.data["versionId"] == (await world.versions())[0].id
    lines = await world.lines()
    target = ("BehaviorProfile", profile.id)
    assert [line[:4] for line in lines] == [
        ("ada", "behavior.adjusted", *target),
        ("ada", "behavior.rolled_back", *target),
    ]
    assert orjson.loads(lines[0][4]) == {
        "version": 1,
        "added": 2,
        "removed": 0,
        "changed": 0,
        "restoredFrom": None,
        "comment": "why",
    }
    assert {line[5] for line in lines} == {trace_id}


async def test_of_adjustments_at_the_same_time_none_is_lost(world: BehaviorWorld):
    await asyncio.gather(*(world.adjust(add=[{"statement": f"rule {n}"}]) for n in range(8)))

    assert sorted(await world.said()) == [f"rule {n}" for n in range(8)]
    assert [row.version for row in await world.versions()] == list(range(8, 0, -1))


async def test_two_versions_are_compared_and_unknown_ones_are_not(world: BehaviorWorld):
    [ident] = await world.add("a")
    await world.adjust(update=[{"ruleId": ident, "statement": "b"}])
    profile = await world.behavior.profile(world.ada)
    assert profile is not None

    async def compare(older: int, newer: int):
        return await world.behavior.diff(world.ada, profile.id, older=older, newer=newer)

    all_new, changed, back = await compare(0, 2), await compare(1, 2), await compare(2, 1)
    assert all_new is not None
    assert changed is not None
    assert back is not None
    assert [rule.statement for rule in all_new.added] == ["b"]
    assert [(c.before.statement, c.after.statement) for c in changed.changed] == [("a", "b")]
    assert [(c.before.statement, c.after.statement) for c in back.changed] == [("b", "a")]
    assert await compare(1, 3) is None
    assert await world.behavior.diff(world.ada, UNKNOWN, older=0, newer=0) is None


async def test_versions_page_from_the_newest(world: BehaviorWorld):
    for word in "abc":
        await world.add(word)
    profile = await world.behavior.profile(world.ada)
    assert profile is not None

    first = await world.behavior.versions(world.ada, profile.id, PageRequest.of(first=2))
    request = PageRequest.of(first=2, after=first.cursors[-1])
    rest = await world.behavior.versions(world.ada, profile.id, request)

    assert [row.version for row in first.items] == [3, 2]
    assert [row.version for row in rest.items] == [1]
    assert [rule.statement for rule in read(rest.items[0].rules)] == ["a"]
