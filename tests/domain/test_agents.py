"""Agents: listed, found, validated, and visible to their workspace alone."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from domain.access.scopes import Scope
from domain.agents.service import AgentFilter, AgentOrder, AgentService
from domain.agents.slugs import free_slug, slug_of
from domain.kernel.database import Database
from domain.kernel.errors import (
    BadCursor,
    Conflict,
    ErrorCode,
    Forbidden,
    NotFound,
    ObjectRef,
    ValidationFailed,
)
from domain.kernel.paging import PageRequest
from tests.domain.agent_world import (
    ADMIN,
    ALL,
    BY_NAME,
    LIVE,
    STRANGER,
    add_workspaces,
    agent_service,
    names_of,
    principal_of,
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


async def test_a_new_agent_takes_defaults_for_what_is_absent_or_null(
    agents: AgentService, clock: SteppedClock
) -> None:
    row = await agents.create(
        ADMIN, {"name": "Nightly Report", "description": None, "limits": {"maxSteps": None}}
    )

    assert (row.slug, row.name, row.description, row.version) == (
        "nightly-report",
        "Nightly Report",
        "",
        1,
    )
    assert (row.created_at, row.updated_at, row.archived_at) == (
        clock.now_us(),
        clock.now_us(),
        None,
    )
    assert row.settings == {
        "name": "Nightly Report",
        "slug": "nightly-report",
        "description": "",
        "instructions": "",
        "model": None,
        "fallbackModels": [],
        "allowedTools": ["*"],
        "delegateIds": [],
        "behaviorProfileId": None,
        "limits": {
            "maxSteps": 50,
            "maxSeconds": 900,
            "maxDelegationDepth": 3,
            "maxParallelDelegations": 4,
            "maxTokens": None,
            "maxCostUsd": None,
        },
        "memory": {
            "scope": "WORKSPACE",
            "recallKinds": ["USER_DATA", "FRAGMENT", "SOLUTION"],
            "recallLimit": 8,
            "memorize": True,
        },
        "metadata": {},
    }


async def test_a_new_agent_keeps_all_that_was_given(agents: AgentService) -> None:
    helper = await agents.create(ADMIN, {"name": "Helper"})
    given = {
        "name": "Chief",
        "slug": "the-chief",
        "description": "Leads.",
        "instructions": "Lead.",
        "model": {"provider": "openai", "name": "gpt", "parameters": {"temperature": 0.5}},
        "fallbackModels": [{"provider": "ollama", "name": "small", "parameters": {}}],
        "allowedTools": ["fs.*", "json_merge"],
        "delegateIds": [helper.id],
        "limits": {
            "maxSteps": 1000,
            "maxSeconds": 86_400,
            "maxDelegationDepth": 0,
            "maxParallelDelegations": 32,
            "maxTokens": 2**53 - 1,
            "maxCostUsd": 0.5,
        },
        "memory": {
            "scope": "NONE",
            "recallKinds": [],
            "recallLimit": 0,
            "memorize": False,
        },
        "behaviorProfileId": None,
        "metadata": {"team": ["a", 1, None]},
    }

    row = await agents.create(ADMIN, given)
    version = await agents.version(ADMIN, row.id, 1)

    assert row.settings == given
    assert version is not None
    assert (version.settings, version.comment, version.created_by) == (given, None, "ada")


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "x", "slug": "No Slug"}, "slug"),
        ({"name": "x", "slug": "x" * 64}, "slug"),
        ({"name": "x", "slug": ""}, "slug"),
        ({"name": "x", "description": "x" * 2001}, "description"),
        ({"name": "x", "instructions": "x" * 100_001}, "instructions"),
        ({"name": "x", "model": {"provider": "openai"}}, "model.name"),
        ({"name": "x", "fallbackModels": [{"provider": "a", "name": "b"}] * 6}, "fallbackModels"),
        ({"name": "x", "allowedTools": ["ok", "rm -rf"]}, "allowedTools.1"),
        ({"name": "x", "allowedTools": ["a"] * 101}, "allowedTools"),
        ({"name": "x", "delegateIds": ["a"] * 51}, "delegateIds"),
        ({"name": "x", "limits": {"maxSteps": 0}}, "limits.maxSteps"),
        ({"name": "x", "limits": {"maxSeconds": 86_401}}, "limits.maxSeconds"),
        ({"name": "x", "limits": {"maxDelegationDepth": 11}}, "limits.maxDelegationDepth"),
        ({"name": "x", "limits": {"maxParallelDelegations": 0}}, "limits.maxParallelDelegations"),
        ({"name": "x", "limits": {"maxTokens": 0}}, "limits.maxTokens"),
        ({"name": "x", "limits": {"maxCostUsd": 0}}, "limits.maxCostUsd"),
        ({"name": "x", "limits": []}, "limits"),
        ({"name": "x", "memory": {"scope": "ALL"}}, "memory.scope"),
        ({"name": "x", "memory": {"recallKinds": ["DREAM"]}}, "memory.recallKinds.0"),
        ({"name": "x", "memory": {"recallLimit": 51}}, "memory.recallLimit"),
        ({"name": "x", "metadata": []}, "metadata"),
        ({"name": "x", "behaviorProfile": "b"}, "behaviorProfile"),
        ({"name": "x", "behaviorProfileId": ""}, "behaviorProfileId"),
        ({"name": "x", "idempotencyKey": "k" * 201}, "idempotencyKey"),
    ],
)
async def test_a_bad_setting_is_named_and_makes_no_agent(
    agents: AgentService, values: Mapping[str, Any], path: str
) -> None:
    with pytest.raises(ValidationFailed) as refused:
        await agents.create(ADMIN, values)

    assert [".".join(problem.path) for problem in refused.value.problems] == [path]
    assert await names_of(agents) == []


async def test_a_slug_that_is_taken_is_a_conflict_naming_its_agent(agents: AgentService) -> None:
    first = await agents.create(ADMIN, {"name": "One", "slug": "same"})

    with pytest.raises(Conflict) as refused:
        await agents.create(ADMIN, {"name": "Two", "slug": "same"})

    assert refused.value.reason is ErrorCode.NAME_TAKEN
    assert refused.value.path == ("slug",)
    assert refused.value.conflicting == ObjectRef(kind="Agent", id=first.id)
    assert await names_of(agents) == ["One"]


async def test_slugs_are_unique_within_a_workspace_only(agents: AgentService) -> None:
    await agents.create(ADMIN, {"name": "One", "slug": "same"})

    row = await agents.create(STRANGER, {"name": "Two", "slug": "same"})

    assert row.slug == "same"


async def test_agents_of_one_name_made_at_once_get_numbered_slugs(agents: AgentService) -> None:
    rows = await asyncio.gather(*(agents.create(ADMIN, {"name": "Büro!"}) for _ in range(5)))

    assert sorted(row.slug for row in rows) == ["buro", "buro-2", "buro-3", "buro-4", "buro-5"]


def test_a_slug_is_made_of_what_a_name_has_of_letters_and_digits() -> None:
    names = ["Ärger & Söhne", "  Report #7 ", "数据", "x" * 70, "a" * 62 + " b"]

    slugs = [slug_of(name) for name in names]

    assert slugs == ["arger-sohne", "report-7", "agent", "x" * 63, "a" * 62]


def test_a_numbered_slug_stays_within_its_length() -> None:
    wanted = "x" * 60 + "-ab"

    assert free_slug(wanted, {wanted}) == "x" * 60 + "-2"
    assert free_slug("a", {"a", "a-2", "a-4"}) == "a-3"


async def test_delegates_must_be_agents_of_the_workspace(agents: AgentService) -> None:
    own = await agents.create(ADMIN, {"name": "Own"})
    foreign = await agents.create(STRANGER, {"name": "Foreign"})

    with pytest.raises(NotFound) as refused:
        await agents.create(ADMIN, {"name": "Chief", "delegateIds": [own.id, foreign.id]})

    assert refused.value.path == ("delegateIds", "1")
    assert refused.value.ident == foreign.id
    assert await names_of(agents) == ["Own"]


async def test_a_repeated_key_returns_the_first_agent(agents: AgentService) -> None:
    values = {"name": "Once", "idempotencyKey": "k1"}

    first, *repeats = await asyncio.gather(*(agents.create(ADMIN, values) for _ in range(6)))

    assert {row.id for row in repeats} == {first.id}
    assert await names_of(agents) == ["Once"]


async def test_a_key_with_another_input_is_a_conflict(agents: AgentService) -> None:
    await agents.create(ADMIN, {"name": "Once", "idempotencyKey": "k1"})

    with pytest.raises(Conflict) as refused:
        await agents.create(ADMIN, {"name": "Twice", "idempotencyKey": "k1"})

    assert refused.value.reason is ErrorCode.IDEMPOTENCY_MISMATCH
    assert await names_of(agents) == ["Once"]


async def test_the_default_agent_is_made_once_however_many_ask(
    agents: AgentService, database: Database, clock: SteppedClock
) -> None:
    services = [agents, *(agent_service(database, clock) for _ in range(9))]

    rows = await asyncio.gather(*(service.ensure_default("w1") for service in services))

    assert len({row.id for row in rows}) == 1
    assert (rows[0].slug, rows[0].name, rows[0].version) == ("default", "Default agent", 1)
    assert await versions_of(agents, rows[0]) == [(1, None)]
    assert await agents.agent(ADMIN, slug="default") == rows[0]


async def test_lists_are_sorted_by_name_or_by_change(
    agents: AgentService, clock: SteppedClock
) -> None:
    for name in ("beta", "Alpha", "gamma"):
        await agents.create(ADMIN, {"name": name})
        clock.move(1)

    changed = await agents.agents(ADMIN, LIVE, AgentOrder.UPDATED_AT_DESC, PageRequest.of(first=2))
    rest = await agents.agents(
        ADMIN,
        LIVE,
        AgentOrder.UPDATED_AT_DESC,
        PageRequest.of(first=2, after=changed.cursors[-1]),
    )

    assert await names_of(agents) == ["Alpha", "beta", "gamma"]
    assert [row.name for row in changed.items] == ["gamma", "Alpha"]
    assert [row.name for row in rest.items] == ["beta"]
    assert await agents.count(ADMIN, LIVE) == 3
    with pytest.raises(BadCursor):
        await agents.agents(ADMIN, LIVE, BY_NAME, PageRequest.of(after=changed.cursors[0]))


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("report", ["50% Report", "Reporter"]),
        ("REPORT night", ["50% Report"]),
        ("50%", ["50% Report"]),
        ("_", ["snake_case"]),
        ("\\", []),
        ("  ", ["50% Report", "Reporter", "snake_case"]),
        ("nothing", []),
    ],
)
async def test_a_search_finds_agents_that_have_every_word(
    agents: AgentService, search: str, expected: list[str]
) -> None:
    await agents.create(ADMIN, {"name": "50% Report", "description": "Every night."})
    await agents.create(ADMIN, {"name": "Reporter", "description": "By day."})
    await agents.create(ADMIN, {"name": "snake_case", "slug": "other"})

    assert await names_of(agents, AgentFilter(search=search)) == expected
    assert await agents.count(ADMIN, AgentFilter(search=search)) == len(expected)


@pytest.mark.parametrize("search", ["x" * 201, "a\0", "\ud800"])
async def test_a_search_that_cannot_be_is_refused(agents: AgentService, search: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        await agents.agents(ADMIN, AgentFilter(search=search), BY_NAME, ALL)

    assert refused.value.path == ("filter", "search")


async def test_settings_are_found_by_agent_and_version(agents: AgentService) -> None:
    one = await agents.create(ADMIN, {"name": "One"})
    two = await agents.create(ADMIN, {"name": "Two"})
    await agents.update(ADMIN, one.id, {"name": "Eins"})

    found = await agents.settings_at(ADMIN, [(one.id, 1), (one.id, 2), (two.id, 1), (two.id, 2)])

    assert {key: settings.name for key, settings in found.items()} == {
        (one.id, 1): "One",
        (one.id, 2): "Eins",
        (two.id, 1): "Two",
    }
    assert await agents.settings_at(ADMIN, []) == {}


async def test_a_key_without_the_scope_reads_and_changes_nothing(agents: AgentService) -> None:
    made = await agents.create(ADMIN, {"name": "One"})
    none = principal_of("w1", Scope.MEMORY_READ)
    reader = principal_of("w1", Scope.AGENTS_READ)

    for refused in (
        agents.agents(none, LIVE, BY_NAME, ALL),
        agents.count(none, LIVE),
        agents.agent(none, agent_id=made.id),
        agents.by_ids(none, [made.id]),
        agents.versions(none, made.id, ALL),
        agents.version(none, made.id, 1),
        agents.settings_at(none, [(made.id, 1)]),
        agents.create(reader, {"name": "Two"}),
        agents.update(reader, made.id, {"name": "Two"}),
        agents.archive(reader, made.id, archived=True),
        agents.rollback(reader, made.id, to_version=1),
    ):
        with pytest.raises(Forbidden):
            await refused

    assert await names_of(agents) == ["One"]
    assert await versions_of(agents, made) == [(1, None)]
