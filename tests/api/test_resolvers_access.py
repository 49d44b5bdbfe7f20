"""API keys and the audit log over GraphQL."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from domain.access.scopes import Scope
from domain.kernel.database import Statement
from domain.kernel.errors import ObjectRef
from schema.ids import Kind, encode_id
from tests.api.api_world import TRACE, ApiWorld, api_world

CREATE = """
mutation ($input: CreateApiKeyInput!) {
  createApiKey(input: $input) {
    __typename
    ... on CreateApiKeySuccess { secret apiKey { id name prefix scopes createdBy expiresAt } }
    ... on Error { code message path }
    ... on Conflict { conflicting { __typename id } }
  }
}
"""
REVOKE = """
mutation ($input: RevokeApiKeyInput!) {
  revokeApiKey(input: $input) {
    __typename
    ... on ApiKeySuccess { apiKey { name revokedAt } }
    ... on Error { code message path }
    ... on Forbidden { requiredScope }
  }
}
"""
LOG = """
query ($filter: AuditFilter, $order: TimeOrder! = OLDEST_FIRST, $first: Int, $after: String) {
  auditLog(filter: $filter, orderBy: $order, first: $first, after: $after) {
    pageInfo { hasNextPage endCursor }
    nodes { id seq occurredAt actor action detail traceId hash target { __typename id } }
  }
}
"""
VERIFY = """
query ($from: Long! = 1) {
  verifyAuditLog(fromSeq: $from) { valid checked firstBrokenSeq headHash }
}
"""
NODE = "query ($id: ID!) { node(id: $id) { __typename id } }"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[ApiWorld, None]:
    async with api_world(tmp_path) as opened:
        yield opened


async def make_key(world: ApiWorld, **given: Any) -> dict[str, Any]:
    wanted = {"name": "ci", "scopes": ["RUNS_READ", "AGENTS_READ"], **given}
    return (await world.ask(CREATE, input=wanted))["createApiKey"]


async def log(world: ApiWorld, **filters: Any) -> list[dict[str, Any]]:
    return (await world.ask(LOG, filter=filters))["auditLog"]["nodes"]


async def test_a_key_is_made_shown_once_and_works(world: ApiWorld):
    made = await make_key(world, expiresAt="2033-01-01T00:00:00Z")

    listed = await world.ask("{ apiKeys { totalCount nodes { id name prefix } } }")
    holder = await world.services.access.authenticate(made["secret"])
    key = made["apiKey"]
    assert key == {
        "id": key["id"],
        "name": "ci",
        "prefix": made["secret"][:12],
        "scopes": ["AGENTS_READ", "RUNS_READ"],
        "createdBy": "tester",
        "expiresAt": "2033-01-01T00:00:00.000Z",
    }
    shown = {name: key[name] for name in ("id", "name", "prefix")}
    assert listed["apiKeys"] == {"totalCount": 1, "nodes": [shown]}
    assert holder.scopes == {Scope.AGENTS_READ, Scope.RUNS_READ}


async def test_a_name_in_use_is_a_conflict_with_its_key(world: ApiWorld):
    first = await make_key(world)

    again = await make_key(world)

    assert again["__typename"] == "Conflict"
    assert (again["code"], again["path"]) == ("NAME_TAKEN", ["name"])
    assert again["conflicting"] == {"__typename": "ApiKey", "id": first["apiKey"]["id"]}
    assert len(await log(world, action="key.*")) == 1


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"name": ""}, ["name"]),
        ({"scopes": []}, ["scopes"]),
        ({"expiresAt": "2001-01-01T00:00:00Z"}, ["expiresAt"]),
    ],
)
async def test_a_bad_key_is_named(world: ApiWorld, given: dict[str, Any], path: list[str]):
    refused = await make_key(world, **given)

    assert (refused["__typename"], refused["path"]) == ("ValidationFailed", path)
    assert await log(world, action="key.*") == []


async def test_a_key_is_revoked_at_once_but_not_the_last_that_may_do_it(world: ApiWorld):
    root = await make_key(world, name="root", scopes=["ADMIN"])
    made = await make_key(world)

    last = await world.ask(REVOKE, input={"apiKeyId": root["apiKey"]["id"]})
    done = await world.ask(REVOKE, input={"apiKeyId": made["apiKey"]["id"]})

    assert done["revokeApiKey"] == {
        "__typename": "ApiKeySuccess",
        "apiKey": {"name": "ci", "revokedAt": "2023-11-14T22:13:20.000Z"},
    }
    assert last["revokeApiKey"]["__typename"] == "Forbidden"
    assert last["revokeApiKey"]["requiredScope"] is None
    assert "is the last key that may administer" in last["revokeApiKey"]["message"]
    assert [line["action"] for line in await log(world, action="key.*")] == [
        "key.created",
        "key.created",
        "key.revoked",
    ]


async def test_an_unknown_key_is_not_found_by_its_public_id(world: ApiWorld):
    nobody = encode_id(Kind.API_KEY, "019aabcd-ef12-7456-9abc-def012345678")

    answer = await world.ask(REVOKE, input={"apiKeyId": nobody})

    assert answer["revokeApiKey"] == {
        "__typename": "NotFound",
        "code": "NOT_FOUND",
        "message": f"No API key has the id {str(nobody)!r}.",
        "path": ["apiKeyId"],
    }


async def test_a_line_tells_who_what_when_and_in_which_trace(world: ApiWorld):
    made = await make_key(world)

    (line,) = await log(world, action="key.created")

    key = made["apiKey"]
    assert line == {
        "id": line["id"],
        "seq": line["seq"],
        "occurredAt": "2023-11-14T22:13:20.000Z",
        "actor": "tester",
        "action": "key.created",
        "detail": {
            "name": "ci",
            "prefix": key["prefix"],
            "scopes": ["agents:read", "runs:read"],
        },
        "traceId": TRACE.trace_id,
        "hash": line["hash"],
        "target": {"__typename": "ApiKey", "id": key["id"]},
    }
    node = await world.ask(NODE, id=line["id"])
    assert node["node"] == {"__typename": "AuditEntry", "id": line["id"]}
    hidden = await world.ask(NODE, caller=world.caller(Scope.RUNS_READ), id=line["id"])
    assert hidden["node"] is None


async def test_lines_are_found_by_object_actor_trace_and_time(world: ApiWorld):
    made = await make_key(world)
    await world.ask(REVOKE, input={"apiKeyId": made["apiKey"]["id"]})
    await make_key(world, name="other")
    target = made["apiKey"]["id"]

    found = {
        "object": await log(world, targetId=target),
        "group": await log(world, targetId=target, action="key.revoked"),
        "nobody": await log(world, actor="nobody"),
        "system": await log(world, actor="system"),
        "trace": await log(world, traceId=TRACE.trace_id),
        "before": await log(world, occurred={"until": "2001-01-01T00:00:00Z"}),
    }

    assert {name: [line["action"] for line in lines] for name, lines in found.items()} == {
        "object": ["key.created", "key.revoked"],
        "group": ["key.revoked"],
        "nobody": [],
        "system": ["workspace.created", "agent.created"],
        "trace": ["key.created", "key.revoked", "key.created"],
        "before": [],
    }


async def test_ids_in_particulars_are_those_that_clients_know(world: ApiWorld):
    run = await world.execute([])
    agent = (await world.ask('{ agent(by: { slug: "default" }) { id } }'))["agent"]["id"]

    (line,) = await log(world, action="run.started")

    assert line["target"] == {"__typename": "Run", "id": run["id"]}
    assert line["detail"] == {"agentId": agent}


async def test_an_object_that_is_gone_or_has_no_id_is_not_shown(world: ApiWorld):
    trail, who = world.runs.audit(), world.runs.principal
    for kind, ident in (("Ghost", "g1"), ("Run", "019aabcd-ef12-7456-9abc-def012345678")):
        target = ObjectRef(kind=kind, id=ident)
        await world.runs.database.write(trail.record(who, "test.done", target=target))

    lines = await log(world, action="test.*")

    assert [line["target"] for line in lines] == [None, None]


async def test_the_log_goes_from_page_to_page_in_either_order(world: ApiWorld):
    await make_key(world)

    first = (await world.ask(LOG, first=2, order="NEWEST_FIRST"))["auditLog"]
    after = first["pageInfo"]["endCursor"]
    second = (await world.ask(LOG, first=2, order="NEWEST_FIRST", after=after))["auditLog"]
    whole = await log(world)

    seqs = [line["seq"] for line in (*first["nodes"], *second["nodes"])]
    assert seqs == [3, 2, 1]
    assert [line["seq"] for line in whole] == [1, 2, 3]
    assert (first["pageInfo"]["hasNextPage"], second["pageInfo"]["hasNextPage"]) == (True, False)


async def test_a_bad_filter_names_its_field(world: ApiWorld):
    group = await world.answer(LOG, filter={"action": "key*"})
    object_ = await world.answer(LOG, filter={"targetId": "nothing"})

    assert group["errors"][0]["extensions"]["argumentPath"] == ["filter", "action"]
    assert object_["errors"][0]["extensions"]["argumentPath"] == ["filter", "targetId"]


async def test_the_chain_is_checked_and_a_changed_line_is_named(world: ApiWorld):
    await make_key(world)
    whole = (await world.ask(VERIFY))["verifyAuditLog"]
    sql = "UPDATE audit SET actor = 'eve' WHERE seq = 2"
    await world.runs.database.write([Statement(sql)])

    broken = (await world.ask(VERIFY))["verifyAuditLog"]
    later = (await world.ask(VERIFY, **{"from": 3}))["verifyAuditLog"]
    beyond = await world.answer(VERIFY, **{"from": 9})

    head = (await log(world))[-1]["hash"]
    assert whole == {"valid": True, "checked": 3, "firstBrokenSeq": None, "headHash": head}
    assert broken == {"valid": False, "checked": 1, "firstBrokenSeq": 2, "headHash": head}
    assert later == {"valid": True, "checked": 1, "firstBrokenSeq": None, "headHash": head}
    assert beyond["errors"][0]["extensions"]["argumentPath"] == ["fromSeq"]
