"""Behavior over REST: the twins of behaviorProfile and adjustBehavior."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from domain.access.scopes import Scope
from schema.ids import Kind, encode_id
from tests.api.rest_world import ROOT, RestWorld, fields_of, problem_of, rest_world

UNKNOWN = "019aabcd-ef12-7456-9abc-def012345678"
PROFILE = encode_id(Kind.BEHAVIOR_PROFILE, UNKNOWN)
RULE = encode_id(Kind.BEHAVIOR_RULE, UNKNOWN)
SHOWN = """
query { behaviorProfile {
  id name description active version createdAt updatedAt
  rules { id statement kind effect { __typename } priority tags expiresAt createdBy }
} }
"""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[RestWorld, None]:
    async with rest_world(tmp_path) as opened:
        yield opened


async def adjusted(world: RestWorld, **given: Any) -> dict[str, Any]:
    response = await world.client.post(f"{ROOT}/behavior/adjust", json=given)
    assert response.status_code == 200, response.text
    return response.json()


async def profile(world: RestWorld) -> dict[str, Any]:
    return (await world.client.get(f"{ROOT}/behavior")).json()


async def test_a_new_workspace_has_a_profile_without_rules(world: RestWorld):
    found = await profile(world)

    assert (found["version"], found["rules"], found["active"]) == (0, [], True)


async def test_behavior_reads_as_graphql_shows_it(world: RestWorld):
    await adjusted(
        world,
        add=[
            {"statement": "Answer in German.", "tags": ["language"]},
            {"statement": "Be short.", "priority": 90, "expiresAt": "2099-01-01T01:00:00+01:00"},
        ],
    )

    found = await profile(world)

    assert found == (await world.api.ask(SHOWN))["behaviorProfile"]
    assert [rule["statement"] for rule in found["rules"]] == ["Be short.", "Answer in German."]
    assert found["rules"][0]["expiresAt"] == "2099-01-01T00:00:00.000Z"


async def test_an_adjustment_tells_what_it_changed(world: RestWorld):
    first = await adjusted(world, add=[{"statement": "Be short."}, {"statement": "Be kind."}])
    short, kind = first["profile"]["rules"]

    done = await adjusted(
        world,
        update=[{"ruleId": short["id"], "priority": 80}],
        remove=[kind["id"]],
        expectedVersion=1,
    )

    assert done["diff"] == {
        "from": 1,
        "to": 2,
        "added": [],
        "removed": [kind],
        "changed": [{"before": short, "after": {**short, "priority": 80}}],
    }
    assert (done["dryRun"], done["profile"]["version"]) == (False, 2)
    assert done["profile"] == await profile(world)


async def test_a_dry_run_changes_nothing(world: RestWorld):
    done = await adjusted(world, add=[{"statement": "Be short."}], dryRun=True)

    assert (done["dryRun"], len(done["diff"]["added"])) == (True, 1)
    assert (await profile(world))["version"] == 0


@pytest.mark.parametrize(
    ("given", "where", "words"),
    [
        ({"add": [{}]}, "add.0.statement", "Give a value"),
        ({"add": [{"statement": " "}]}, "add.0.statement", "Give at least one character"),
        ({"add": [{"statement": "x", "colour": 1}]}, "add.0.colour", "no such field"),
        ({"add": [{"statement": "x", "expiresAt": 1}]}, "add.0.expiresAt", "is no moment"),
        ({"add": [{"statement": "x", "expiresAt": "now"}]}, "add.0.expiresAt", "is no moment"),
        (
            {"add": [{"statement": "x", "expiresAt": "2001-01-01T00:00:00Z"}]},
            "add.0.expiresAt",
            "in the future",
        ),
        ({"update": [{"ruleId": "x"}]}, "update.0.ruleId", "is no id"),
        ({"remove": [RULE, "x"]}, "remove.1", "is no id"),
        ({"profileId": "x"}, "profileId", "is no id"),
        ({"strategy": "MIX"}, "strategy", "MERGE, REPLACE"),
        (
            {"add": [{"statement": "x", "effect": {"limit": {"metric": "STEPS", "maximum": 0}}}]},
            "add.0.effect.limit.maximum",
            "Give more than 0",
        ),
        (
            {"add": [{"statement": "x", "effect": {"tool": {"decision": "ASK", "tools": [" "]}}}]},
            "add.0.effect.tool.tools.0",
            "Use letters",
        ),
        ({"add": [{"statement": "x", "effect": {}}]}, "add.0.effect", "exactly one"),
        ({"add": "x"}, "add", "Give a list."),
        ({"update": [1]}, "update.0", "Give a JSON object."),
    ],
)
async def test_a_bad_adjustment_is_named_and_changes_nothing(
    world: RestWorld, given: dict[str, Any], where: str, words: str
):
    response = await world.client.post(f"{ROOT}/behavior/adjust", json=given)

    (found,) = fields_of(problem_of(response, 422, "VALIDATION_FAILED"))
    assert found[:2] == ("body", where)
    assert words in found[2]
    assert (await profile(world))["version"] == 0


@pytest.mark.parametrize(
    ("given", "where"),
    [({"remove": [RULE]}, "remove.0"), ({"profileId": PROFILE}, "profileId")],
)
async def test_what_is_not_there_cannot_be_adjusted(
    world: RestWorld, given: dict[str, Any], where: str
):
    response = await world.client.post(f"{ROOT}/behavior/adjust", json=given)

    problem = problem_of(response, 404, "NOT_FOUND")
    assert fields_of(problem)[0][:2] == ("body", where)
    assert problem["id"] in {RULE, PROFILE}
    assert (await profile(world))["version"] == 0


async def test_an_adjustment_of_an_older_version_hears_the_newer(world: RestWorld):
    await adjusted(world, add=[{"statement": "Be short."}])

    response = await world.client.post(
        f"{ROOT}/behavior/adjust", json={"add": [{"statement": "x"}], "expectedVersion": 0}
    )

    problem = problem_of(response, 409, "VERSION_MISMATCH")
    assert problem["currentVersion"] == 1
    assert len((await profile(world))["rules"]) == 1


async def test_a_profile_is_found_by_its_id(world: RestWorld):
    found = await profile(world)

    by_id = await world.client.get(f"{ROOT}/behavior", params={"id": found["id"]})

    assert by_id.json() == found


@pytest.mark.parametrize(
    ("ident", "status", "code"),
    [(PROFILE, 404, "NOT_FOUND"), (RULE, 404, "NOT_FOUND"), ("x", 422, "VALIDATION_FAILED")],
)
async def test_a_profile_that_is_not_there_is_not_found(
    world: RestWorld, ident: str, status: int, code: str
):
    response = await world.client.get(f"{ROOT}/behavior", params={"id": ident})

    assert fields_of(problem_of(response, status, code))[0][:2] == ("query", "id")


async def test_reading_is_no_right_to_change(world: RestWorld):
    async with await world.with_scopes(Scope.BEHAVIOR_READ) as client:
        assert (await client.get(f"{ROOT}/behavior")).status_code == 200
        response = await client.post(f"{ROOT}/behavior/adjust", json={"comment": "x"})

    assert problem_of(response, 403, "FORBIDDEN")["requiredScope"] == "BEHAVIOR_WRITE"


async def test_rules_of_another_profile_enforce_what_was_sent(world: RestWorld):
    made = await world.api.ask(
        'mutation { createBehaviorProfile(input: { name: "careful" }) {'
        " ... on BehaviorProfileSuccess { profile { id } } } }"
    )
    ident = made["createBehaviorProfile"]["profile"]["id"]
    tool = {
        "decision": "ASK",
        "tools": ["mail_*"],
        "when": [{"path": "to", "test": {"in": ["a@example.org", 1]}}],
    }
    limit = {"metric": "COST_USD", "maximum": 2.5, "window": "DAY", "onReach": "PAUSE"}

    done = await adjusted(
        world,
        profileId=ident,
        add=[
            {"statement": "Ask.", "priority": 60, "effect": {"tool": tool}},
            {"statement": "Pay.", "effect": {"limit": limit}},
            {"statement": "Pay.", "priority": 40, "effect": {"limit": {**limit, "maximum": 9}}},
        ],
    )
    found = (await world.client.get(f"{ROOT}/behavior", params={"id": ident})).json()

    assert (found["name"], found["active"], found["version"]) == ("careful", False, 1)
    assert found["rules"] == done["profile"]["rules"]
    assert [(rule["kind"], rule["effect"]) for rule in found["rules"]] == [
        ("POLICY", {"tool": tool, "limit": None}),
        ("POLICY", {"tool": None, "limit": limit}),
        ("POLICY", {"tool": None, "limit": {**limit, "maximum": 9}}),
    ]
    assert (await profile(world))["rules"] == []
    # What is shown can be sent back as it is.
    shown = [
        {key: rule[key] for key in ("statement", "priority", "effect")} for rule in found["rules"]
    ]
    again = await adjusted(world, profileId=ident, strategy="REPLACE", add=shown)
    assert (again["profile"]["version"], again["profile"]["rules"]) == (1, found["rules"])
