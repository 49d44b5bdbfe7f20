"""Adjustments of behavior that cannot be: what is wrong is named, and nothing is changed."""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from domain.access.scopes import Scope
from domain.kernel.database import Database
from domain.kernel.errors import (
    Conflict,
    ErrorCode,
    Forbidden,
    GobError,
    NotFound,
    QuotaExceeded,
    ValidationFailed,
)
from tests.domain.agent_world import principal_of
from tests.domain.behavior_world import ALL, BehaviorWorld, behavior_world

UNKNOWN = "019aabcd-ef12-7456-9abc-def012345678"


@pytest.fixture
async def world(database: Database) -> BehaviorWorld:
    """A world on each database."""
    return await behavior_world(database)


@pytest.mark.parametrize("number", [7, -1])
async def test_a_rollback_to_a_version_that_never_was_changes_nothing(
    world: BehaviorWorld, number: int
):
    await world.add("a")

    with pytest.raises(NotFound) as refused:
        await world.behavior.rollback(world.ada, {"toVersion": number})

    assert (refused.value.path, refused.value.message) == (
        ("toVersion",),
        f"No version has the number '{number}'.",
    )
    assert len(await world.versions()) == 1


async def test_of_adjustments_of_one_version_only_the_first_is_taken(world: BehaviorWorld):
    patches = ({"add": [{"statement": f"rule {n}"}], "expectedVersion": 0} for n in range(3))

    ended = await asyncio.gather(
        *(world.adjust(**patch) for patch in patches), return_exceptions=True
    )

    refused = [error for error in ended if isinstance(error, Conflict)]
    assert len(refused) == 2
    assert {(error.reason, error.path, error.current_version) for error in refused} == {
        (ErrorCode.VERSION_MISMATCH, ("expectedVersion",), 1)
    }
    assert len(await world.rules()) == 1


@pytest.mark.parametrize(
    ("patch", "path", "message"),
    [
        ({"add": [{}]}, "add.0.statement", "Give a value; this field is required."),
        (
            {"add": [{"statement": " \n "}]},
            "add.0.statement",
            "Give at least one character; this is empty.",
        ),
        (
            {"add": [{"statement": "x" * 2001}]},
            "add.0.statement",
            "Use at most 2000 characters; this has 2001.",
        ),
        ({"add": [{"statement": "a", "priority": 101}]}, "add.0.priority", "Give at most 100."),
        ({"add": [{"statement": "a", "tags": [""]}]}, "add.0.tags.0", None),
        (
            {"add": [{"statement": "a", "scope": "all"}]},
            "add.0.scope",
            (
                "There is no such field; the fields here are statement, effect, priority, tags,"
                " expiresAt."
            ),
        ),
        (
            {"add": [{"statement": "a", "expiresAt": 1_700_000_000_000_000}]},
            "add.0.expiresAt",
            "Give a moment in the future.",
        ),
        (
            {"update": [{"ruleId": "RULE", "expiresAt": "2001-01-01T00:00:00Z"}]},
            "update.0.expiresAt",
            "Give a moment in the future.",
        ),
        (
            {"update": [{"ruleId": "RULE", "statement": None}]},
            "update.0.statement",
            "Give text; leave the field out to keep the statement.",
        ),
        (
            {"update": [{"ruleId": "RULE"}], "remove": ["RULE"]},
            "remove.0",
            "Update or remove a rule, not both.",
        ),
        (
            {"update": [{"ruleId": "RULE"}, {"ruleId": "RULE", "priority": 1}]},
            "update.1.ruleId",
            "An update above names this rule already; say it in one.",
        ),
        ({"strategy": "SWAP"}, "strategy", "Use one of MERGE, REPLACE."),
        ({"comment": "x" * 1001}, "comment", "Use at most 1000 characters; this has 1001."),
        ({"dryRun": 1}, "dryRun", "Give true or false."),
    ],
)
async def test_a_malformed_patch_names_the_field_and_changes_nothing(
    world: BehaviorWorld, patch: dict[str, Any], path: str, message: str | None
):
    [ident] = await world.add("there")
    told = orjson.loads(orjson.dumps(patch).replace(b"RULE", ident.encode()))
    told.setdefault("add", []).append({"statement": "fine"})

    with pytest.raises(ValidationFailed) as refused:
        await world.adjust(**told)

    [problem] = refused.value.problems
    assert ".".join(problem.path) == path
    assert message is None or problem.message == message
    assert await world.said() == ["there"]
    assert len(await world.events()) == 1


@pytest.mark.parametrize(
    ("patch", "path"),
    [
        ({"update": [{"ruleId": UNKNOWN, "priority": 1}]}, ("update", "0", "ruleId")),
        ({"remove": [UNKNOWN]}, ("remove", "0")),
        ({"strategy": "REPLACE", "remove": [UNKNOWN]}, ("remove", "0")),
        ({"profileId": UNKNOWN}, ("profileId",)),
    ],
)
async def test_a_patch_of_what_is_not_there_changes_nothing(
    world: BehaviorWorld, patch: Mapping[str, Any], path: tuple[str, ...]
):
    await world.add("there")

    with pytest.raises(NotFound) as refused:
        await world.adjust(add=[{"statement": "fine"}], **patch)

    assert (refused.value.path, refused.value.ident) == (path, UNKNOWN)
    assert await world.said() == ["there"]


async def test_a_profile_has_at_most_200_rules(world: BehaviorWorld):
    full = [{"statement": f"rule {n}"} for n in range(200)]
    await world.adjust(add=full)

    with pytest.raises(QuotaExceeded) as refused:
        await world.adjust(add=[{"statement": "one more"}])
    swapped = await world.adjust(
        add=[{"statement": "one more"}], remove=[(await world.rules())[0].id]
    )

    assert (refused.value.quota, refused.value.limit) == ("behavior.rules", 200)
    assert (swapped.changed, len(await world.rules())) == (True, 200)


async def test_another_workspace_sees_and_changes_nothing_of_it(world: BehaviorWorld):
    done = await world.adjust(add=[{"statement": "ours"}])
    profile, version = done.profile_row, done.version_row
    assert version is not None
    theirs, stranger = world.behavior, world.stranger

    for refused in (
        theirs.adjust(stranger, {"profileId": profile.id, "add": [{"statement": "x"}]}),
        theirs.rollback(stranger, {"profileId": profile.id, "toVersion": 0}),
    ):
        with pytest.raises(NotFound):
            await refused

    assert await theirs.profile(stranger, profile.id) is None
    assert await theirs.version(stranger, version.id) is None
    assert await theirs.diff(stranger, profile.id, older=0, newer=1) is None
    assert list((await theirs.versions(stranger, profile.id, ALL)).items) == []
    assert await theirs.profiles_by_ids(stranger, [profile.id]) == {}
    own = await theirs.profile(stranger)
    assert own is not None
    assert (own.id == profile.id, own.version) == (False, 0)
    assert await world.said() == ["ours"]


@pytest.mark.parametrize("call", ["adjust", "rollback"])
async def test_who_may_only_look_changes_nothing(world: BehaviorWorld, call: str):
    reader = principal_of(world.ada.workspace_id, Scope.BEHAVIOR_READ)

    with pytest.raises(Forbidden) as refused:
        await getattr(world.behavior, call)(reader, {"toVersion": 0})

    assert refused.value.scope == "behavior:write"
    assert await world.versions() == []


async def test_reading_asks_for_its_scope(world: BehaviorWorld):
    writer = principal_of(world.ada.workspace_id, Scope.BEHAVIOR_WRITE)
    looker = principal_of(world.ada.workspace_id, Scope.MEMORY_READ)

    for refused in (
        world.behavior.profile(writer),
        world.behavior.profiles(writer),
        world.behavior.versions(writer, UNKNOWN, ALL),
        world.behavior.diff(writer, UNKNOWN, older=0, newer=1),
        world.behavior.version(looker, UNKNOWN),
        world.behavior.profiles_by_ids(looker, [UNKNOWN]),
    ):
        with pytest.raises(GobError) as error:
            await refused
        assert isinstance(error.value, Forbidden)
        assert error.value.scope == "behavior:read"
