"""Saving agents: versions, conflicts, rollbacks and idempotent creation."""

import asyncio

import pytest

from domain.agents.rows import AgentRow
from domain.agents.service import AgentFilter, AgentService
from domain.kernel.changes import Change, changes_between
from domain.kernel.database import Database
from domain.kernel.errors import (
    Conflict,
    ErrorCode,
    NotFound,
    ObjectRef,
    ValidationFailed,
)
from tests.domain.agent_world import (
    ADMIN,
    STRANGER,
    add_workspaces,
    agent_service,
    names_of,
    versions_of,
)
from tests.fakes import SteppedClock


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
async def agents(database: Database, clock: SteppedClock) -> AgentService:
    await add_workspaces(database)
    return agent_service(database, clock)


async def test_an_update_changes_what_is_given_and_nothing_else(
    agents: AgentService, clock: SteppedClock
) -> None:
    made = await agents.create(
        ADMIN, {"name": "One", "description": "Old.", "limits": {"maxSteps": 7, "maxTokens": 9}}
    )
    clock.move(5)

    row = await agents.update(
        ADMIN,
        made.id,
        {"name": "Two", "limits": {"maxSeconds": 60, "maxTokens": None}},
        expected_version=1,
        comment="Faster.",
    )

    assert (row.name, row.slug, row.description, row.version) == ("Two", "one", "Old.", 2)
    assert (row.created_at, row.updated_at) == (made.created_at, made.created_at + 5_000_000)
    assert row.settings == {
        **made.settings,
        "name": "Two",
        "limits": {**made.settings["limits"], "maxSeconds": 60, "maxTokens": None},
    }
    assert await versions_of(agents, row) == [(2, "Faster."), (1, None)]


async def test_a_null_clears_to_the_default(agents: AgentService) -> None:
    made = await agents.create(
        ADMIN,
        {
            "name": "One",
            "slug": "other",
            "description": "Old.",
            "model": {"provider": "openai", "name": "gpt"},
            "allowedTools": ["a"],
            "limits": {"maxSteps": 7},
            "memory": {"scope": "AGENT", "recallLimit": 3},
        },
    )

    row = await agents.update(
        ADMIN,
        made.id,
        {
            "slug": None,
            "description": None,
            "model": None,
            "allowedTools": None,
            "limits": None,
            "memory": {"scope": None},
        },
    )

    assert (row.slug, row.description) == ("one", "")
    assert (row.settings["model"], row.settings["allowedTools"]) == (None, ["*"])
    assert row.settings["limits"]["maxSteps"] == 50
    assert row.settings["memory"]["scope"] == "WORKSPACE"
    assert row.settings["memory"]["recallLimit"] == 3


async def test_a_name_cannot_be_cleared(agents: AgentService) -> None:
    made = await agents.create(ADMIN, {"name": "One"})

    with pytest.raises(ValidationFailed) as refused:
        await agents.update(ADMIN, made.id, {"name": None})

    assert refused.value.path == ("name",)
    assert await versions_of(agents, made) == [(1, None)]


async def test_an_update_without_a_change_makes_no_version(
    agents: AgentService, clock: SteppedClock
) -> None:
    made = await agents.create(ADMIN, {"name": "One", "limits": {"maxCostUsd": 2}})
    clock.move(5)

    row = await agents.update(
        ADMIN, made.id, {"name": "One", "limits": {"maxCostUsd": 2, "maxSteps": 50}}
    )

    assert (row.version, row.updated_at) == (1, made.updated_at)
    assert await versions_of(agents, row) == [(1, None)]


async def test_an_update_of_an_older_version_is_a_conflict(agents: AgentService) -> None:
    made = await agents.create(ADMIN, {"name": "One"})
    await agents.update(ADMIN, made.id, {"name": "Two"}, expected_version=1)

    with pytest.raises(Conflict) as refused:
        await agents.update(ADMIN, made.id, {"name": "Three"}, expected_version=1)

    assert refused.value.reason is ErrorCode.VERSION_MISMATCH
    assert (refused.value.current_version, refused.value.path) == (2, ("expectedVersion",))
    assert await names_of(agents) == ["Two"]


async def test_updates_of_several_fields_at_once_are_all_kept(agents: AgentService) -> None:
    made = await agents.create(ADMIN, {"name": "One"})
    changes = [
        {"description": "New."},
        {"instructions": "Do."},
        {"limits": {"maxSteps": 9}},
        {"limits": {"maxSeconds": 9}},
        {"slug": "moved"},
    ]

    await asyncio.gather(*(agents.update(ADMIN, made.id, values) for values in changes))
    row = await agents.agent(ADMIN, agent_id=made.id)

    assert row is not None
    assert (row.version, row.description, row.slug) == (6, "New.", "moved")
    assert row.settings["instructions"] == "Do."
    assert (row.settings["limits"]["maxSteps"], row.settings["limits"]["maxSeconds"]) == (9, 9)
    assert [number for number, _ in await versions_of(agents, row)] == [6, 5, 4, 3, 2, 1]


async def test_of_updates_based_on_one_version_one_wins(agents: AgentService) -> None:
    made = await agents.create(ADMIN, {"name": "One"})

    outcomes = await asyncio.gather(
        *(
            agents.update(ADMIN, made.id, {"description": f"{n}"}, expected_version=1)
            for n in range(6)
        ),
        return_exceptions=True,
    )

    won = [outcome for outcome in outcomes if isinstance(outcome, AgentRow)]
    lost = [outcome for outcome in outcomes if isinstance(outcome, Conflict)]
    assert (len(won), len(lost)) == (1, 5)
    assert {conflict.current_version for conflict in lost} == {2}


async def test_agents_that_take_one_slug_at_once_leave_it_to_one(agents: AgentService) -> None:
    rows = [await agents.create(ADMIN, {"name": f"Agent {n}"}) for n in range(4)]

    outcomes = await asyncio.gather(
        *(agents.update(ADMIN, row.id, {"slug": "wanted"}) for row in rows),
        *(agents.create(ADMIN, {"name": "New", "slug": "wanted"}) for _ in range(2)),
        return_exceptions=True,
    )

    won = [outcome for outcome in outcomes if isinstance(outcome, AgentRow)]
    lost = [outcome for outcome in outcomes if isinstance(outcome, Conflict)]
    assert (len(won), len(lost)) == (1, 5)
    assert {conflict.conflicting for conflict in lost} == {ObjectRef(kind="Agent", id=won[0].id)}


async def test_a_comment_that_is_too_long_is_refused(agents: AgentService) -> None:
    made = await agents.create(ADMIN, {"name": "One"})

    with pytest.raises(ValidationFailed) as refused:
        await agents.update(ADMIN, made.id, {"name": "Two"}, comment="x" * 1001)

    assert refused.value.path == ("comment",)
    assert await names_of(agents) == ["One"]


async def test_archiving_hides_an_agent_until_it_is_brought_back(
    agents: AgentService, clock: SteppedClock
) -> None:
    made = await agents.create(ADMIN, {"name": "One"})
    clock.move(1)
    archived = await agents.archive(ADMIN, made.id, archived=True)
    clock.move(1)
    again = await agents.archive(ADMIN, made.id, archived=True)

    assert archived.archived_at == made.created_at + 1_000_000
    assert (again.archived_at, again.updated_at) == (archived.archived_at, archived.updated_at)
    assert await names_of(agents) == []
    assert await names_of(agents, AgentFilter(archived=True)) == ["One"]

    back = await agents.archive(ADMIN, made.id, archived=False)

    assert (back.archived_at, back.version) == (None, 1)
    assert await names_of(agents) == ["One"]


async def test_a_rollback_saves_the_earlier_settings_as_a_new_version(
    agents: AgentService,
) -> None:
    made = await agents.create(ADMIN, {"name": "One"})
    await agents.update(ADMIN, made.id, {"name": "Two", "slug": "two"})

    row = await agents.rollback(ADMIN, made.id, to_version=1, comment="Better.")

    assert (row.version, row.name, row.slug) == (3, "One", "one")
    assert row.settings == made.settings
    assert await versions_of(agents, row) == [(3, "Better."), (2, None), (1, None)]


async def test_a_rollback_to_what_is_not_there_is_refused(agents: AgentService) -> None:
    made = await agents.create(ADMIN, {"name": "One"})
    await agents.update(ADMIN, made.id, {"name": "Two", "slug": "two"})
    await agents.create(ADMIN, {"name": "New", "slug": "one"})

    with pytest.raises(NotFound) as unknown:
        await agents.rollback(ADMIN, made.id, to_version=9)
    with pytest.raises(ValidationFailed) as taken:
        await agents.rollback(ADMIN, made.id, to_version=1)

    assert unknown.value.path == ("toVersion",)
    assert taken.value.path == ("toVersion",)
    assert await versions_of(agents, made) == [(2, None), (1, None)]


async def test_an_unknown_or_foreign_agent_is_not_found(agents: AgentService) -> None:
    foreign = await agents.create(STRANGER, {"name": "Foreign"})

    for ident in ("nobody", foreign.id):
        with pytest.raises(NotFound):
            await agents.update(ADMIN, ident, {"name": "Mine"})
        with pytest.raises(NotFound):
            await agents.archive(ADMIN, ident, archived=True)
        with pytest.raises(NotFound):
            await agents.rollback(ADMIN, ident, to_version=1)

    assert await agents.agent(ADMIN, agent_id=foreign.id) is None
    assert await agents.version(ADMIN, foreign.id, 1) is None
    assert await agents.by_ids(ADMIN, [foreign.id]) == {}
    assert await agents.settings_at(ADMIN, [(foreign.id, 1)]) == {}
    seen = await agents.agent(STRANGER, agent_id=foreign.id)
    assert seen is not None
    assert (seen.name, seen.archived_at) == ("Foreign", None)


def test_changes_name_the_deepest_field_that_differs() -> None:
    before = {"name": "a", "limits": {"maxSteps": 1, "maxTokens": None}, "tools": ["a"], "old": 1}
    after = {"name": "a", "limits": {"maxSteps": 2, "maxTokens": None}, "tools": ["b"], "new": {}}

    changes = changes_between(before, after)

    assert changes == [
        Change(path=("limits", "maxSteps"), before=1, after=2),
        Change(path=("tools",), before=["a"], after=["b"]),
        Change(path=("old",), before=1, after=None),
        Change(path=("new",), before=None, after={}),
    ]
    assert changes_between(after, after) == []
