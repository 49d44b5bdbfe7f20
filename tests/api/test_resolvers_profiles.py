"""Profiles of behavior and what rules enforce, through the API."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from domain.access.scopes import Principal, Scope
from schema.ids import Kind, encode_id
from tests.api.api_world import ApiWorld, api_world
from tests.fakes import say

UNKNOWN = encode_id(Kind.BEHAVIOR_PROFILE, "019aabcd-ef12-7456-9abc-def012345678")
FAILED = """
    __typename
    ... on Error {
      message code path
      ... on NotFound { id }
      ... on Conflict {
        conflicting { __typename ... on Agent { id } ... on BehaviorProfile { id } }
      }
      ... on Forbidden { requiredScope }
    }
"""
SAVED = f"{FAILED} ... on BehaviorProfileSuccess {{ profile {{ id name active version }} }}"
RULE = """
    statement kind priority
    effect {
      __typename
      ... on ToolEffect { decision tools when }
      ... on LimitEffect { metric maximum window onReach }
    }
"""
ADJUST = f"""
mutation ($input: AdjustBehaviorInput!) {{
  adjustBehavior(input: $input) {{
    {FAILED}
    ... on ValidationFailed {{ fields {{ path message }} }}
    ... on AdjustBehaviorSuccess {{
      profile {{ id version }}
      diff {{ added {{ id {RULE} }} changed {{ after {{ {RULE} }} }} }}
      conflicts {{ message winner {{ statement }} rules {{ statement }} }}
    }}
  }}
}}
"""
AGENT = f"""
mutation ($input: CreateAgentInput!) {{
  createAgent(input: $input) {{
    {FAILED}
    ... on AgentSuccess {{ agent {{ id version behaviorProfile {{ name }} }} }}
  }}
}}
"""
UPDATE_AGENT = AGENT.replace("CreateAgentInput", "UpdateAgentInput").replace(
    "createAgent", "updateAgent"
)
NO_MAIL = {"tool": {"decision": "DENY", "tools": ["mail_*"]}}
INSIDE = {"path": "to", "test": {"in": ["a@example.org", 1, True]}}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[ApiWorld, None]:
    async with api_world(tmp_path) as opened:
        yield opened


async def ask(
    world: ApiWorld, mutation: str, *, caller: Principal | None = None, **given: Any
) -> dict[str, Any]:
    kind = f"{mutation[0].upper()}{mutation[1:]}Input"
    shown = (
        SAVED
        if mutation != "deleteBehaviorProfile"
        else (f"{FAILED} ... on DeleteSuccess {{ deletedId }}")
    )
    document = f"mutation ($input: {kind}!) {{ {mutation}(input: $input) {{ {shown} }} }}"
    return (await world.ask(document, caller=caller, input=given))[mutation]


async def made(world: ApiWorld, name: str = "careful") -> str:
    return (await ask(world, "createBehaviorProfile", name=name))["profile"]["id"]


async def adjusted(world: ApiWorld, **given: Any) -> dict[str, Any]:
    return (await world.ask(ADJUST, input=given))["adjustBehavior"]


async def profiles(world: ApiWorld) -> dict[str, bool]:
    data = await world.ask("{ behaviorProfiles { name active } }")
    return {profile["name"]: profile["active"] for profile in data["behaviorProfiles"]}


async def test_a_profile_is_made_put_in_force_and_deleted(world: ApiWorld):
    created = await ask(world, "createBehaviorProfile", name="careful", description="Pays.")
    ident = created["profile"]["id"]
    activated = await ask(world, "activateBehaviorProfile", profileId=ident)
    default = next(
        profile["id"]
        for profile in (await world.ask("{ behaviorProfiles { id active } }"))["behaviorProfiles"]
        if not profile["active"]
    )
    deleted = await ask(world, "deleteBehaviorProfile", profileId=default)

    assert created["profile"] == {"id": ident, "name": "careful", "active": False, "version": 0}
    assert activated["profile"] == {"id": ident, "name": "careful", "active": True, "version": 1}
    assert deleted == {"__typename": "DeleteSuccess", "deletedId": default}
    data = await world.ask(
        "query ($id: ID!) { behaviorProfile { id description } node(id: $id) { id } }", id=default
    )
    assert data == {"behaviorProfile": {"id": ident, "description": "Pays."}, "node": None}
    assert await profiles(world) == {"careful": True}


async def test_what_cannot_be_done_with_a_profile_is_told_as_data(world: ApiWorld):
    ident = await made(world)
    agent = await world.ask(AGENT, input={"name": "Ann", "behaviorProfileId": ident})
    default = (await world.ask("{ behaviorProfile { id } }"))["behaviorProfile"]["id"]

    taken = await ask(world, "createBehaviorProfile", name="careful")
    nameless = await ask(world, "createBehaviorProfile", name=" ")
    unknown = [
        await ask(world, name, profileId=UNKNOWN)
        for name in ("activateBehaviorProfile", "deleteBehaviorProfile")
    ]
    active = await ask(world, "deleteBehaviorProfile", profileId=default)
    used = await ask(world, "deleteBehaviorProfile", profileId=ident)

    assert taken["code"] == "NAME_TAKEN"
    assert taken["conflicting"] == {"__typename": "BehaviorProfile", "id": ident}
    assert (nameless["code"], nameless["path"]) == ("VALIDATION_FAILED", ["name"])
    assert {(one["code"], one["id"], *one["path"]) for one in unknown} == {
        ("NOT_FOUND", UNKNOWN, "profileId")
    }
    assert (active["code"], active["conflicting"]) == ("INVALID_STATE", None)
    assert used["code"] == "INVALID_STATE"
    assert used["conflicting"] == {
        "__typename": "Agent",
        "id": agent["createAgent"]["agent"]["id"],
    }
    assert await profiles(world) == {"careful": False, "default": True}


async def test_who_may_not_write_is_told_the_scope(world: ApiWorld):
    ident = await made(world)
    reader = world.caller(Scope.BEHAVIOR_READ)

    told = [
        await ask(world, "createBehaviorProfile", caller=reader, name="x"),
        await ask(world, "activateBehaviorProfile", caller=reader, profileId=ident),
        await ask(world, "deleteBehaviorProfile", caller=reader, profileId=ident),
    ]

    assert {one["requiredScope"] for one in told} == {"BEHAVIOR_WRITE"}
    assert await profiles(world) == {"careful": False, "default": True}


async def test_rules_show_what_they_enforce_as_it_was_given(world: ApiWorld):
    tool = {"decision": "ASK", "tools": ["mail_*", "exec"], "when": [INSIDE]}
    done = await adjusted(
        world,
        add=[
            {"statement": "Ask.", "effect": {"tool": tool}, "priority": 80},
            {"statement": "Pay.", "effect": {"limit": {"metric": "COST_USD", "maximum": 5}}},
            {"statement": "Smile."},
        ],
    )
    ident = done["diff"]["added"][0].pop("id")
    cleared = await adjusted(world, update=[{"ruleId": ident, "effect": None}])

    shown = [{k: v for k, v in rule.items() if k != "id"} for rule in done["diff"]["added"]]
    assert shown == [
        {
            "statement": "Ask.",
            "kind": "POLICY",
            "priority": 80,
            "effect": {"__typename": "ToolEffect", **tool},
        },
        {
            "statement": "Pay.",
            "kind": "POLICY",
            "priority": 50,
            "effect": {
                "__typename": "LimitEffect",
                "metric": "COST_USD",
                "maximum": 5.0,
                "window": "RUN",
                "onReach": "STOP",
            },
        },
        {"statement": "Smile.", "kind": "GUIDANCE", "priority": 50, "effect": None},
    ]
    assert [change["after"]["effect"] for change in cleared["diff"]["changed"]] == [None]


async def test_a_budget_below_zero_and_a_malformed_condition_are_named(world: ApiWorld):
    broken = {"path": "a..b", "test": {"eq": 1}}
    done = await adjusted(
        world,
        add=[
            {"statement": "a", "effect": {"limit": {"metric": "TOKENS", "maximum": -5}}},
            {"statement": "b", "effect": {"tool": {**NO_MAIL["tool"], "when": [INSIDE, broken]}}},
        ],
    )

    assert [field["path"] for field in done["fields"]] == [
        ["add", "0", "effect", "limit", "maximum"],
        ["add", "1", "effect", "tool", "when", "1", "path"],
    ]
    data = await world.ask("{ behaviorProfile { version rules { id } } }")
    assert data["behaviorProfile"] == {"version": 0, "rules": []}


async def test_policies_that_contradict_each_other_are_shown_with_the_winner(world: ApiWorld):
    allow = {"tool": {**NO_MAIL["tool"], "decision": "ALLOW"}}
    done = await adjusted(
        world,
        dryRun=True,
        add=[
            {"statement": "Write.", "effect": allow},
            {"statement": "No mail.", "effect": NO_MAIL},
        ],
    )

    [conflict] = done["conflicts"]
    assert conflict["winner"] == {"statement": "No mail."}
    assert [rule["statement"] for rule in conflict["rules"]] == ["No mail.", "Write."]


async def test_an_agent_shows_its_profile_and_every_rule_that_reaches_it(world: ApiWorld):
    ident = await made(world)
    await adjusted(world, add=[{"statement": "No mail.", "priority": 90, "effect": NO_MAIL}])
    allow = {"tool": {"decision": "ALLOW", "tools": ["mail_send"]}}
    await adjusted(
        world,
        profileId=ident,
        add=[{"statement": "Write.", "effect": allow}, {"statement": "Rhyme.", "priority": 60}],
    )
    created = await world.ask(AGENT, input={"name": "Ann", "behaviorProfileId": ident})

    data = await world.ask(
        'query { agent(by: { slug: "ann" }) { effectiveRules {'
        " applies explanation rule { statement } profile { name } } } }"
    )

    assert created["createAgent"]["agent"]["behaviorProfile"] == {"name": "careful"}
    assert data["agent"]["effectiveRules"] == [
        {
            "applies": True,
            "explanation": (
                "Calls of mail_* are refused, unless a stronger rule or a bound of the run says"
                " otherwise."
            ),
            "rule": {"statement": "No mail."},
            "profile": {"name": "default"},
        },
        {
            "applies": True,
            "explanation": "Advice: the model reads it before each step.",
            "rule": {"statement": "Rhyme."},
            "profile": {"name": "careful"},
        },
        {
            "applies": False,
            "explanation": (
                "Overridden: “No mail.” of the workspace's profile (priority 90) is stronger and"
                " decides every call that this one fits."
            ),
            "rule": {"statement": "Write."},
            "profile": {"name": "careful"},
        },
    ]


async def test_an_agents_profile_is_changed_cleared_and_kept_in_its_versions(world: ApiWorld):
    ident = await made(world)
    agent = (await world.ask(AGENT, input={"name": "Ann"}))["createAgent"]["agent"]

    async def update(**given: Any) -> dict[str, Any]:
        values = {"agentId": agent["id"], **given}
        return (await world.ask(UPDATE_AGENT, input=values))["updateAgent"]

    given = await update(behaviorProfileId=ident)
    kept = await update(description="Changed.")
    cleared = await update(behaviorProfileId=None)
    unknown = await update(behaviorProfileId=UNKNOWN)

    assert agent["behaviorProfile"] is None
    named = [done["agent"]["behaviorProfile"] for done in (given, kept, cleared)]
    assert named == [{"name": "careful"}, {"name": "careful"}, None]
    assert (unknown["code"], unknown["path"], unknown["id"]) == (
        "NOT_FOUND",
        ["behaviorProfileId"],
        UNKNOWN,
    )
    data = await world.ask(
        'query { agent(by: { slug: "ann" }) { versions(first: 3) { nodes {'
        " settings changes { path before after } } } } }"
    )
    last, _, first = data["agent"]["versions"]["nodes"]
    assert first["settings"]["behaviorProfileId"] == ident
    assert last["changes"] == [{"path": ["behaviorProfileId"], "before": ident, "after": None}]


async def test_the_rules_of_agents_without_a_profile_are_read_without_one(world: ApiWorld):
    await adjusted(world, add=[{"statement": "Be brief."}])

    data = await world.ask(
        "{ agents { nodes { behaviorProfile { id } effectiveRules { applies } } } }"
    )

    assert data["agents"]["nodes"] == [
        {"behaviorProfile": None, "effectiveRules": [{"applies": True}]}
    ]


async def test_a_run_shows_the_workspaces_version_then_its_agents(world: ApiWorld):
    ident = await made(world)
    await adjusted(world, add=[{"statement": "Be brief."}])
    await adjusted(world, profileId=ident, add=[{"statement": "Rhyme."}])
    await world.ask(AGENT, input={"name": "Ann", "behaviorProfileId": ident})
    run = await world.execute(say("ok"), agent={"slug": "ann"})

    data = await world.ask(
        "query ($id: ID!) { run(id: $id) { behaviorVersions {"
        " profile { name } rules { statement } } } }",
        id=run["id"],
    )

    assert data["run"]["behaviorVersions"] == [
        {"profile": {"name": "default"}, "rules": [{"statement": "Be brief."}]},
        {"profile": {"name": "careful"}, "rules": [{"statement": "Rhyme."}]},
    ]
