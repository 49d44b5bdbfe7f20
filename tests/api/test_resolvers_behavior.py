"""Behavior through the API, over the real service."""

import logging
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from domain.access.scopes import Scope
from schema.ids import Kind, encode_id
from tests.api.api_world import ApiWorld, api_world
from tests.fakes import call, say

SOME = "019aabcd-ef12-7456-9abc-def012345678"
UNKNOWN = encode_id(Kind.BEHAVIOR_PROFILE, SOME)
UNKNOWN_RULE = encode_id(Kind.BEHAVIOR_RULE, SOME)
AGENT = encode_id(Kind.AGENT, SOME)
OUTCOME = """
    __typename
    ... on AdjustBehaviorSuccess {
      dryRun
      profile { id version rules { id statement } }
      diff { from to added { id statement } removed { statement }
             changed { before { statement } after { statement } } }
      conflicts { message winner { id } rules { statement } }
    }
    ... on Error { message code path }
    ... on NotFound { id }
    ... on Conflict { currentVersion }
    ... on Forbidden { requiredScope }
"""
ADJUST = f"""
mutation ($input: AdjustBehaviorInput!) {{
  adjustBehavior(input: $input) {{
    {OUTCOME}
    ... on ValidationFailed {{ fields {{ path message }} }}
    ... on QuotaExceeded {{ quota limit retryAfterSeconds }}
  }}
}}
"""
ROLLBACK = (
    f"mutation ($input: RollbackBehaviorInput!) {{ rollbackBehavior(input: $input) {{{OUTCOME}}} }}"
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[ApiWorld, None]:
    async with api_world(tmp_path) as opened:
        yield opened


async def adjusted(world: ApiWorld, **given: Any) -> dict[str, Any]:
    return (await world.ask(ADJUST, input=given))["adjustBehavior"]


async def added(world: ApiWorld, *statements: str) -> list[str]:
    """Add rules of these words, and return their ids in this order."""
    done = await adjusted(world, add=[{"statement": statement} for statement in statements])
    ids = {rule["statement"]: rule["id"] for rule in done["diff"]["added"]}
    return [ids[statement] for statement in statements]


async def rolled_back(world: ApiWorld, **given: Any) -> dict[str, Any]:
    return (await world.ask(ROLLBACK, input=given))["rollbackBehavior"]


async def said(world: ApiWorld) -> list[str]:
    data = await world.ask("{ behaviorProfile { rules { statement } } }")
    return [rule["statement"] for rule in data["behaviorProfile"]["rules"]]


async def test_a_new_workspace_has_an_empty_active_profile(world: ApiWorld):
    data = await world.ask(
        "{ behaviorProfile { name description active version rules { id } createdAt updatedAt"
        "  versions { nodes { id } } }"
        "  viewer { workspace { behaviorProfile { name } } } }"
    )

    assert data["behaviorProfile"] == {
        "name": "default",
        "description": "Followed by every agent of the workspace.",
        "active": True,
        "version": 0,
        "rules": [],
        "createdAt": "2023-11-14T22:13:20.000Z",
        "updatedAt": "2023-11-14T22:13:20.000Z",
        "versions": {"nodes": []},
    }
    assert data["viewer"]["workspace"]["behaviorProfile"] == {"name": "default"}


async def test_a_profile_shows_its_rules_its_versions_and_what_differs(world: ApiWorld):
    rule = {
        "statement": "Ask before you pay.",
        "priority": 90,
        "tags": ["money"],
        "expiresAt": "2024-01-01T00:00:00Z",
    }
    await adjusted(world, add=[rule, {"statement": "Be brief."}], comment="start")
    [_, weak] = (await world.ask("{ behaviorProfile { rules { id } } }"))["behaviorProfile"][
        "rules"
    ]
    await adjusted(world, remove=[weak["id"]])

    data = await world.ask(
        """
        { behaviorProfiles { id version active
            rules { statement kind priority tags expiresAt createdBy }
            versions { nodes { version comment createdBy restoredFrom
                               rules { statement } profile { id } } }
            diff(from: 1, to: 2) { from to added { id } removed { statement }
                                   changed { __typename } }
            none: diff(from: 1, to: 9) { from }
        } }
        """
    )

    [profile] = data["behaviorProfiles"]
    shown = {**rule, "kind": "GUIDANCE", "createdBy": "tester"}
    assert profile["rules"] == [{**shown, "expiresAt": "2024-01-01T00:00:00.000Z"}]
    common = {"createdBy": "tester", "restoredFrom": None, "profile": {"id": profile["id"]}}
    statements = [{"statement": "Ask before you pay."}, {"statement": "Be brief."}]
    assert profile["versions"]["nodes"] == [
        {"version": 2, "comment": None, "rules": statements[:1], **common},
        {"version": 1, "comment": "start", "rules": statements, **common},
    ]
    assert profile["diff"] == {
        "from": 1,
        "to": 2,
        "added": [],
        "removed": [{"statement": "Be brief."}],
        "changed": [],
    }
    assert profile["none"] is None


async def test_an_adjustment_answers_with_what_changed(world: ApiWorld):
    changed, _ = await added(world, "Be kind.", "Sing.")

    done = await adjusted(
        world,
        strategy="REPLACE",
        add=[{"statement": "Never be polite."}],
        update=[{"ruleId": changed, "statement": "Be polite."}],
        expectedVersion=1,
    )

    assert done["dryRun"] is False
    assert done["profile"]["version"] == 2
    assert done["diff"] == {
        "from": 1,
        "to": 2,
        "added": [{"id": done["profile"]["rules"][1]["id"], "statement": "Never be polite."}],
        "removed": [{"statement": "Sing."}],
        "changed": [
            {"before": {"statement": "Be kind."}, "after": {"statement": "Be polite."}},
        ],
    }
    assert done["conflicts"] == [
        {
            "message": "One of these rules asks for what another forbids.",
            "winner": None,
            "rules": [{"statement": "Be polite."}, {"statement": "Never be polite."}],
        }
    ]


async def test_a_dry_run_only_shows_the_outcome(world: ApiWorld):
    await added(world, "Be kind.")

    adjustment = await adjusted(world, add=[{"statement": "Sing."}], dryRun=True)
    rollback = await rolled_back(world, toVersion=0, dryRun=True)

    for done in (adjustment, rollback):
        assert (done["dryRun"], done["profile"]["version"]) == (True, 1)
        assert (done["diff"]["from"], done["diff"]["to"]) == (1, 2)
    assert rollback["diff"]["removed"] == [{"statement": "Be kind."}]
    assert await said(world) == ["Be kind."]


async def test_a_rollback_brings_back_the_same_rules(world: ApiWorld):
    [ident] = await added(world, "Be kind.")
    await adjusted(world, strategy="REPLACE", add=[{"statement": "Sing."}])

    done = await rolled_back(world, toVersion=1)

    assert done["profile"]["version"] == 3
    assert done["profile"]["rules"] == [{"id": ident, "statement": "Be kind."}]
    data = await world.ask("{ behaviorProfile { versions(first: 1) { nodes { restoredFrom } } } }")
    assert data["behaviorProfile"]["versions"]["nodes"] == [{"restoredFrom": 1}]


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        (
            {"add": [{"statement": " "}]},
            {
                "__typename": "ValidationFailed",
                "code": "VALIDATION_FAILED",
                "path": ["add", "0", "statement"],
                "message": "add.0.statement: Give at least one character; this is empty.",
                "fields": [
                    {
                        "path": ["add", "0", "statement"],
                        "message": "Give at least one character; this is empty.",
                    }
                ],
            },
        ),
        (
            {"remove": [UNKNOWN_RULE]},
            {
                "__typename": "NotFound",
                "code": "NOT_FOUND",
                "path": ["remove", "0"],
                "message": f"No behavior rule has the id {UNKNOWN_RULE!r}.",
                "id": UNKNOWN_RULE,
            },
        ),
        (
            {"update": [{"ruleId": AGENT, "priority": 1}]},
            {
                "__typename": "NotFound",
                "code": "NOT_FOUND",
                "path": ["update", "0", "ruleId"],
                "message": f"No behavior rule has the id {AGENT!r}.",
                "id": AGENT,
            },
        ),
        (
            {"profileId": UNKNOWN},
            {
                "__typename": "NotFound",
                "code": "NOT_FOUND",
                "path": ["profileId"],
                "message": f"No behavior profile has the id {UNKNOWN!r}.",
                "id": UNKNOWN,
            },
        ),
        (
            {"expectedVersion": 0},
            {
                "__typename": "Conflict",
                "code": "VERSION_MISMATCH",
                "path": ["expectedVersion"],
                "message": "The profile is at version 1, not 0; read it again.",
                "currentVersion": 1,
            },
        ),
    ],
)
async def test_a_patch_that_cannot_be_is_told_as_data(
    world: ApiWorld, given: dict[str, Any], answer: dict[str, Any]
):
    await added(world, "Be kind.")

    given = {**given, "add": [*given.get("add", []), {"statement": "fine"}]}
    done = await adjusted(world, **given)

    assert done == answer
    assert await said(world) == ["Be kind."]


async def test_a_full_profile_is_told_as_data(world: ApiWorld):
    await adjusted(world, add=[{"statement": f"rule {n}"} for n in range(200)])

    done = await adjusted(world, add=[{"statement": "one more"}])

    assert (done["__typename"], done["quota"], done["limit"], done["retryAfterSeconds"]) == (
        "QuotaExceeded",
        "behavior.rules",
        200.0,
        None,
    )


async def test_a_rollback_to_a_version_that_never_was_is_told_as_data(world: ApiWorld):
    done = await rolled_back(world, toVersion=3)

    assert done == {
        "__typename": "NotFound",
        "code": "NOT_FOUND",
        "path": ["toVersion"],
        "message": "No version has the number '3'.",
        "id": "3",
    }


async def test_who_may_not_write_is_told_the_scope_and_changes_nothing(world: ApiWorld):
    caller = world.caller(Scope.BEHAVIOR_READ)
    given = {"add": [{"statement": "a"}]}

    adjust = await world.ask(ADJUST, caller=caller, input=given)
    rollback = await world.ask(ROLLBACK, caller=caller, input={"toVersion": 0})

    for done in (adjust["adjustBehavior"], rollback["rollbackBehavior"]):
        assert (done["__typename"], done["requiredScope"]) == ("Forbidden", "BEHAVIOR_WRITE")
    assert await said(world) == []


async def test_a_profile_is_found_by_its_id_and_an_unknown_one_is_null(world: ApiWorld):
    profile = (await world.ask("{ behaviorProfile { id } }"))["behaviorProfile"]
    query = "query ($id: ID) { behaviorProfile(id: $id) { id } }"

    assert await world.ask(query, id=profile["id"]) == {"behaviorProfile": profile}
    assert await world.ask(query, id=None) == {"behaviorProfile": profile}
    assert await world.ask(query, id=UNKNOWN) == {"behaviorProfile": None}
    refused = await world.answer(query, id="")
    assert refused["errors"][0]["extensions"]["code"] == "VALIDATION_FAILED"


async def test_profiles_and_versions_are_nodes_and_rules_are_not(world: ApiWorld):
    [rule] = await added(world, "Be kind.")
    data = await world.ask("{ behaviorProfile { id versions { nodes { id } } } }")
    profile = data["behaviorProfile"]
    [version] = profile["versions"]["nodes"]

    found = await world.ask(
        "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id"
        " ... on BehaviorVersion { version rules { id } } } }",
        ids=[profile["id"], version["id"], rule, UNKNOWN],
    )

    assert found["nodes"] == [
        {"__typename": "BehaviorProfile", "id": profile["id"]},
        {
            "__typename": "BehaviorVersion",
            "id": version["id"],
            "version": 1,
            "rules": [{"id": rule}],
        },
        None,
        None,
    ]


async def test_a_run_shows_the_rules_that_its_latest_step_followed(world: ApiWorld):
    before = await world.execute(say("Done."))
    await added(world, "Be kind.")
    after = await world.execute(call("note", '{"text": "a"}'), say("Done."))

    data = await world.ask(
        "{ runs { nodes { id behaviorVersions { version profile { name }"
        " rules { statement } } } } }",
        caller=world.caller(Scope.RUNS_READ),
    )

    followed = {run["id"]: run["behaviorVersions"] for run in data["runs"]["nodes"]}
    assert followed == {
        before["id"]: [],
        after["id"]: [
            {"version": 1, "profile": {"name": "default"}, "rules": [{"statement": "Be kind."}]}
        ],
    }


async def test_the_rules_of_many_runs_are_read_by_one_query_each(
    world: ApiWorld, caplog: pytest.LogCaptureFixture
):
    await added(world, "Be kind.")
    for _ in range(4):
        await world.execute(say("Done."))
    caplog.set_level(logging.DEBUG, logger="tortoise.db_client")
    caplog.clear()

    data = await world.ask("{ runs { nodes { behaviorVersions { profile { name } } } } }")

    assert len(data["runs"]["nodes"]) == 4
    reads = [line for line in caplog.messages if line.split()[0] in {"SELECT", "WITH"}]
    # Runs, versions and profiles; which run followed which goes past the mapper.
    assert len(reads) == 3
