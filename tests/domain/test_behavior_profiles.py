"""Profiles as wholes: made, put in force one at a time, deleted when nobody uses them."""

import asyncio
from typing import Any

import orjson
import pytest

from domain.access.scopes import Scope
from domain.agents.service import AgentService
from domain.behavior.rows import BehaviorProfileRow
from domain.behavior.writes import MOST_PROFILES, insert_profile
from domain.kernel.database import Database
from domain.kernel.errors import (
    Conflict,
    ErrorCode,
    Forbidden,
    NotFound,
    ObjectRef,
    QuotaExceeded,
    ValidationFailed,
)
from tests.domain.agent_world import agent_service, principal_of
from tests.domain.behavior_world import BehaviorWorld, behavior_world

UNKNOWN = "019aabcd-ef12-7456-9abc-def012345678"


@pytest.fixture
async def world(database: Database) -> BehaviorWorld:
    """A world on each database."""
    return await behavior_world(database)


@pytest.fixture
def agents(world: BehaviorWorld) -> AgentService:
    """Agents of the same workspaces."""
    return agent_service(world.database, world.clock)


async def make(world: BehaviorWorld, name: str = "careful", *rules: str) -> BehaviorProfileRow:
    """Make a profile with rules of these words."""
    made = await world.behavior.create(world.ada, {"name": name})
    if not rules:
        return made
    add = [{"statement": rule} for rule in rules]
    return (await world.adjust(profileId=made.id, add=add)).profile_row


async def shown(world: BehaviorWorld) -> list[tuple[str, bool, int]]:
    """Name, activity and version of each profile."""
    rows = await world.behavior.profiles(world.ada)
    return [(row.name, row.active, row.version) for row in rows]


async def test_a_new_profile_is_empty_and_nobody_follows_it(world: BehaviorWorld):
    given = {"name": "  Careful ", "description": "For payments."}
    made = await world.behavior.create(world.ada, given)

    assert (made.name, made.description) == ("Careful", "For payments.")
    assert (made.active, made.version, made.version_id) == (False, 0, None)
    assert (made.created_at, made.updated_at) == (world.clock.now_us(), world.clock.now_us())
    assert await shown(world) == [("Careful", False, 0), ("default", True, 0)]
    [line] = await world.lines()
    assert line[:4] == ("ada", "behavior.created", "BehaviorProfile", made.id)
    assert await world.events() == []


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({}, "name"),
        ({"name": " "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a", "description": "x" * 2001}, "description"),
        ({"name": "a", "rules": []}, "rules"),
    ],
)
async def test_a_bad_profile_is_named_and_not_made(
    world: BehaviorWorld, values: dict[str, Any], path: str
):
    with pytest.raises(ValidationFailed) as refused:
        await world.behavior.create(world.ada, values)

    assert [".".join(problem.path) for problem in refused.value.problems] == [path]
    assert await shown(world) == [("default", True, 0)]


async def test_a_name_is_given_once_also_by_many_at_once(world: BehaviorWorld):
    ended = await asyncio.gather(
        *(world.behavior.create(world.ada, {"name": "one"}) for _ in range(5)),
        return_exceptions=True,
    )
    with pytest.raises(Conflict) as taken:
        await world.behavior.create(world.ada, {"name": "default"})

    made = [row for row in ended if isinstance(row, BehaviorProfileRow)]
    refused = [error for error in ended if isinstance(error, Conflict)]
    assert (len(made), len(refused)) == (1, 4)
    assert {(error.reason, error.path) for error in refused} == {(ErrorCode.NAME_TAKEN, ("name",))}
    assert {error.conflicting for error in refused} == {
        ObjectRef(kind="BehaviorProfile", id=made[0].id)
    }
    assert "'default'" in taken.value.message
    assert await shown(world) == [("default", True, 0), ("one", False, 0)]


async def test_a_workspace_has_so_many_profiles_and_no_more(world: BehaviorWorld):
    workspace_id, now_us = world.ada.workspace_id, world.clock.now_us()
    rows = [(f"p{n}", workspace_id, f"profile {n}", "", now_us) for n in range(MOST_PROFILES - 2)]
    await world.database.write([insert_profile(row) for row in rows])
    await make(world, "the last")

    with pytest.raises(QuotaExceeded) as refused:
        await make(world, "one more")
    await world.behavior.delete(world.ada, "p0")
    await make(world, "one more")

    assert (refused.value.quota, refused.value.limit) == ("behavior.profiles", 100)
    assert len(await world.behavior.profiles(world.ada)) == MOST_PROFILES


async def test_another_profile_is_put_in_force_in_place_of_the_one_that_was(
    world: BehaviorWorld,
):
    made = await make(world, "careful", "Ask.")
    version_id = made.version_id
    before = len(await world.events())
    world.clock.move(60)

    now = await world.behavior.activate(world.ada, made.id)

    assert (now.active, now.version, now.version_id) == (True, 1, version_id)
    assert now.updated_at == world.clock.now_us()
    assert await shown(world) == [("careful", True, 1), ("default", False, 0)]
    assert await world.said() == ["Ask."]
    [event] = (await world.events())[before:]
    assert (event.type, event.data) == (
        "BehaviorUpdate",
        {"versionId": version_id, "profileId": made.id},
    )
    line = (await world.lines())[-1]
    assert line[:4] == ("ada", "behavior.activated", "BehaviorProfile", made.id)
    assert orjson.loads(line[4]) == {"name": "careful", "version": 1, "insteadOf": "default"}


async def test_a_profile_that_is_in_force_already_is_left_as_it_is(world: BehaviorWorld):
    made = await make(world, "careful", "Ask.")
    await world.behavior.activate(world.ada, made.id)
    events, lines = await world.events(), await world.lines()
    world.clock.move(60)

    again = await world.behavior.activate(world.ada, made.id)

    assert (again.active, again.version) == (True, 1)
    assert again.updated_at < world.clock.now_us()
    assert (await world.events(), await world.lines()) == (events, lines)


async def test_a_profile_without_rules_is_put_in_force_with_a_version_that_has_none(
    world: BehaviorWorld,
):
    await world.add("Gone after this.")
    made = await make(world)

    now = await world.behavior.activate(world.ada, made.id)

    assert (now.version, await world.rules()) == (1, [])
    [version] = await world.versions()
    assert (version.rules, version.created_by, version.comment) == ("[]", "ada", None)
    assert (await world.events())[-1].data == {"versionId": version.id, "profileId": made.id}


async def test_whoever_activates_at_once_exactly_one_profile_is_in_force(world: BehaviorWorld):
    made = [await make(world, name, "rule") for name in ("a", "b", "c")]

    await asyncio.gather(*(world.behavior.activate(world.ada, row.id) for row in made * 2))

    active = [name for name, is_active, _ in await shown(world) if is_active]
    assert len(active) == 1
    found = await world.database.fetch(
        "SELECT count(*) FROM behavior_profile WHERE workspace_id = $1 AND active",
        world.ada.workspace_id,
    )
    assert found == [(1,)]


async def test_an_adjustment_without_a_profile_is_of_the_one_in_force(world: BehaviorWorld):
    made = await make(world)
    await world.behavior.activate(world.ada, made.id)

    done = await world.adjust(add=[{"statement": "a"}])

    assert (done.profile_row.id, done.profile_row.version) == (made.id, 2)


async def test_a_profile_nobody_uses_is_deleted_and_its_name_is_free(world: BehaviorWorld):
    made = await make(world, "careful", "Ask.")
    version_id = made.version_id or ""

    assert await world.behavior.delete(world.ada, made.id) == made.id

    assert await shown(world) == [("default", True, 0)]
    assert await world.behavior.profile(world.ada, made.id) is None
    assert (await world.lines())[-1][1:4] == ("behavior.deleted", "BehaviorProfile", made.id)
    for refused in (
        world.behavior.delete(world.ada, made.id),
        world.behavior.activate(world.ada, made.id),
        world.adjust(profileId=made.id, add=[{"statement": "x"}]),
        world.behavior.rollback(world.ada, {"profileId": made.id, "toVersion": 0}),
    ):
        with pytest.raises(NotFound) as unknown:
            await refused
        assert unknown.value.path == ("profileId",)
    again = await make(world)
    assert (again.name, again.id == made.id) == ("careful", False)
    # Steps that followed it still show by what they were bound.
    version = await world.behavior.version(world.ada, version_id)
    assert version is not None
    [gone] = (await world.behavior.profiles_by_ids(world.ada, [version.profile_id])).values()
    assert gone.shown_name == "careful"


async def test_the_profile_in_force_is_not_deleted(world: BehaviorWorld):
    active = await world.behavior.active(world.ada)

    with pytest.raises(Conflict) as refused:
        await world.behavior.delete(world.ada, active.id)

    assert (refused.value.reason, refused.value.path) == (
        ErrorCode.INVALID_STATE,
        ("profileId",),
    )
    assert refused.value.message == (
        "'default' is the workspace's profile; activate another one first."
    )
    assert await shown(world) == [("default", True, 0)]
    assert await world.lines() == []


async def test_a_profile_of_an_agent_is_not_deleted_until_the_agent_has_another(
    world: BehaviorWorld, agents: AgentService
):
    made = await make(world)
    first, *_ = [
        await agents.create(world.ada, {"name": name, "behaviorProfileId": made.id})
        for name in ("Ann", "Bob", "Cleo", "Dora")
    ]
    # Only the profile counts, wherever else its id stands.
    await agents.create(world.ada, {"name": "Eve", "metadata": {"note": made.id}})

    with pytest.raises(Conflict) as refused:
        await world.behavior.delete(world.ada, made.id)
    for ident in await agent_ids(world):
        await agents.update(world.ada, ident, {"behaviorProfileId": None})
    await world.behavior.delete(world.ada, made.id)

    assert refused.value.message == (
        "'careful' is the profile of 'Ann', 'Bob', 'Cleo' and 1 more; give them another one or"
        " none first."
    )
    assert refused.value.conflicting == ObjectRef(kind="Agent", id=first.id)
    assert await shown(world) == [("default", True, 0)]


async def agent_ids(world: BehaviorWorld) -> list[str]:
    rows = await world.database.fetch(
        "SELECT id FROM agent WHERE workspace_id = $1 ORDER BY id", world.ada.workspace_id
    )
    return [row[0] for row in rows]


async def test_an_agent_is_given_only_a_profile_of_its_workspace(
    world: BehaviorWorld, agents: AgentService
):
    theirs = await world.behavior.create(world.stranger, {"name": "theirs"})
    gone = await make(world, "gone")
    await world.behavior.delete(world.ada, gone.id)
    row = await agents.create(world.ada, {"name": "Ann"})

    for ident in (UNKNOWN, theirs.id, gone.id):
        values = {"behaviorProfileId": ident}
        for refused in (
            agents.create(world.ada, {"name": "Bob", **values}),
            agents.update(world.ada, row.id, values),
        ):
            with pytest.raises(NotFound) as unknown:
                await refused
            assert (unknown.value.path, unknown.value.ident) == (("behaviorProfileId",), ident)

    assert await agent_ids(world) == [row.id]
    found = await agents.agent(world.ada, agent_id=row.id)
    assert found is not None
    assert found.version == 1


async def test_an_agent_does_not_return_to_a_profile_that_was_deleted(
    world: BehaviorWorld, agents: AgentService
):
    made = await make(world)
    row = await agents.create(world.ada, {"name": "Ann", "behaviorProfileId": made.id})
    await agents.update(world.ada, row.id, {"behaviorProfileId": None})
    back = await agents.rollback(world.ada, row.id, to_version=1)
    await agents.update(world.ada, row.id, {"behaviorProfileId": None})
    await world.behavior.delete(world.ada, made.id)

    with pytest.raises(ValidationFailed) as refused:
        await agents.rollback(world.ada, row.id, to_version=1)

    assert back.settings["behaviorProfileId"] == made.id
    assert refused.value.path == ("toVersion",)
    assert refused.value.problems[0].message == (
        "The behavior profile of this version was deleted since."
    )


async def test_of_a_deletion_and_an_agent_that_takes_the_profile_only_one_is_done(
    world: BehaviorWorld, agents: AgentService
):
    for number in range(6):
        made = await make(world, f"profile {number}")
        values = {"name": f"Agent {number}", "behaviorProfileId": made.id}

        ended = await asyncio.gather(
            world.behavior.delete(world.ada, made.id),
            agents.create(world.ada, values),
            return_exceptions=True,
        )

        failed = [isinstance(outcome, Conflict | NotFound) for outcome in ended]
        assert sorted(failed) == [False, True], ended


@pytest.mark.parametrize("call", ["create", "activate", "delete"])
async def test_who_may_only_look_changes_no_profile(world: BehaviorWorld, call: str):
    reader = principal_of(world.ada.workspace_id, Scope.BEHAVIOR_READ)
    made = await make(world)
    given: Any = {"name": "x"} if call == "create" else made.id

    with pytest.raises(Forbidden) as refused:
        await getattr(world.behavior, call)(reader, given)

    assert refused.value.scope == "behavior:write"
    assert await shown(world) == [("careful", False, 0), ("default", True, 0)]


async def test_another_workspace_neither_activates_nor_deletes_a_profile(world: BehaviorWorld):
    made = await make(world)

    for refused in (
        world.behavior.activate(world.stranger, made.id),
        world.behavior.delete(world.stranger, made.id),
    ):
        with pytest.raises(NotFound) as unknown:
            await refused
        assert (unknown.value.path, unknown.value.ident) == (("profileId",), made.id)

    assert await shown(world) == [("careful", False, 0), ("default", True, 0)]
