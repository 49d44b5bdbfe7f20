"""Memory over REST: the twins of saveMemory, memories and searchMemory."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest

from domain.access.scopes import Scope
from schema.ids import Kind, encode_id
from tests.api.rest_world import ROOT, RestWorld, fields_of, problem_of, rest_world

UNKNOWN = "019aabcd-ef12-7456-9abc-def012345678"
AGENT = encode_id(Kind.AGENT, UNKNOWN)
SAVE = f"{ROOT}/memory/save"
QUERY = f"{ROOT}/memory/query"
SHOWN = """
query ($id: ID!) { memory(id: $id) {
  id kind content metadata agent { id } conversation { id }
  source { createdBy run { id } message { id } derivedFrom { id } trusted }
  artifacts { language code entryPoint inputSchema tests { name arguments expected } }
  pinned recallable validFrom validTo supersededBy { id } expiresAt forgottenAt tokenCount
  recallCount lastRecalledAt version createdAt updatedAt
} }
"""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[RestWorld, None]:
    async with rest_world(tmp_path) as opened:
        yield opened


async def saved(world: RestWorld, content: str, **given: Any) -> dict[str, Any]:
    response = await world.client.post(SAVE, json={"content": content, **given})
    assert response.status_code == 201, response.text
    return response.json()


async def asked(world: RestWorld, query: str = "") -> dict[str, Any]:
    response = await world.client.get(httpx.URL(f"http://localhost{QUERY}?{query}"))
    assert response.status_code == 200, response.text
    return response.json()


async def listed(world: RestWorld, query: str = "") -> list[str]:
    return [node["content"] for node in (await asked(world, query))["nodes"]]


async def test_a_memory_reads_as_graphql_shows_it(world: RestWorld):
    old = await saved(world, "Ada likes tea")

    new = await saved(
        world,
        "Sorting a table",
        kind="SOLUTION",
        metadata={"customer": {"tier": 3}},
        artifacts=[
            {"language": "python", "code": "x = 1", "tests": [{"name": "a", "arguments": {}}]}
        ],
        supersedes=[old["id"]],
        pinned=True,
        validFrom="2020-01-01T01:00:00+01:00",
        expiresAt="2099-01-01T00:00:00Z",
    )

    assert new == (await world.api.ask(SHOWN, id=new["id"]))["memory"]
    assert (new["kind"], new["validFrom"], new["expiresAt"]) == (
        "SOLUTION",
        "2020-01-01T00:00:00.000Z",
        "2099-01-01T00:00:00.000Z",
    )


async def test_an_equal_memory_is_answered_and_nothing_is_saved(world: RestWorld):
    first = await saved(world, "Ada likes tea")

    again = await world.client.post(SAVE, json={"content": "Ada likes tea", "metadata": None})

    assert (again.status_code, again.json()) == (200, first)
    assert "idempotent-replayed" not in again.headers
    assert len(await listed(world)) == 1


async def test_a_repeated_save_is_answered_as_the_first(world: RestWorld):
    sent = {"idempotency-key": "once"}
    first = await world.client.post(SAVE, json={"content": "tea"}, headers=sent)

    again = await world.client.post(SAVE, json={"content": "tea"}, headers=sent)

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers


async def test_a_repeat_over_graphql_is_the_same_request(world: RestWorld):
    first = await saved(world, "tea", idempotencyKey="once")
    document = """mutation { saveMemory(input: {content: "tea", idempotencyKey: "once"}) {
      ... on MemorySuccess { memory { id } unchanged } } }"""

    again = (await world.api.ask(document))["saveMemory"]

    assert again == {"memory": {"id": first["id"]}, "unchanged": True}


async def test_memories_are_found_by_words_with_the_reason_why(world: RestWorld):
    await saved(world, "Bob drinks coffee")
    tea = await saved(world, "Ada likes green tea")

    found = await asked(world, "q=who%20likes%20tea")

    (hit,) = found["hits"]
    assert (hit["memory"], hit["rank"]) == (tea, 1)
    assert hit["score"]["lexicalRank"] == 1
    assert "tea" in hit["score"]["matchedTerms"]
    assert (found["hybrid"], found["tokenCount"]) == (False, tea["tokenCount"])


@pytest.mark.parametrize(
    ("query", "contents"),
    [
        ("", ["three", "two", "one"]),
        ("kind=FRAGMENT", ["two"]),
        ("kind=FRAGMENT&kind=SOLUTION", ["three", "two"]),
        ("metadata.tier=3", ["two", "one"]),
        ("metadata.tier=3&metadata.customer.name=Ada", ["two"]),
        ("metadata.open=true", ["three"]),
        ("metadata.tier=4", []),
        ("since=2000-01-01T00:00:00Z", ["three", "two", "one"]),
        ("since=2000-01-01T00:00:00+01:00", ["three", "two", "one"]),
        ("until=2000-01-01T00:00:00Z", []),
        ("q=two", ["two"]),
        ("q=two&kind=SOLUTION", []),
        (f"agentId={AGENT}", []),
    ],
)
async def test_parameters_narrow_what_is_found(world: RestWorld, query: str, contents: list[str]):
    await saved(world, "one", metadata={"tier": 3})
    world.api.runs.clock.move(1)
    await saved(world, "two", kind="FRAGMENT", metadata={"tier": "3", "customer": {"name": "Ada"}})
    world.api.runs.clock.move(1)
    await saved(world, "three", kind="SOLUTION", metadata={"open": True})

    found = await asked(world, query)

    shown = [node["content"] for node in found.get("nodes", [])]
    shown += [hit["memory"]["content"] for hit in found.get("hits", [])]
    assert shown == contents


async def test_the_link_leads_from_page_to_page(world: RestWorld):
    for number in range(5):
        await saved(world, f"item {number}", kind="FRAGMENT")
        world.api.runs.clock.move(1)
    await saved(world, "other")

    seen, address = [], f"{QUERY}?kind=FRAGMENT&first=2"
    while address:
        response = await world.client.get(address)
        page = response.json()
        seen.append([node["content"] for node in page["nodes"]])
        link = response.headers.get("link", "")
        assert page["pageInfo"]["hasNextPage"] == bool(link)
        address = link.partition("<")[2].partition('>; rel="next"')[0]

    assert seen == [["item 4", "item 3"], ["item 2", "item 1"], ["item 0"]]


@pytest.mark.parametrize(
    ("given", "where", "words"),
    [
        ({}, "content", "Give a value"),
        ({"content": " "}, "content", "Give more than blanks."),
        ({"content": "x" * 100_001}, "content", "Use at most 100000 characters"),
        ({"content": "x", "kind": "NOTE"}, "kind", "USER_DATA"),
        ({"content": "x", "kind": "KNOWLEDGE"}, "kind", "documents only"),
        ({"content": "x", "metadata": "y"}, "metadata", "Give a JSON object."),
        ({"content": "x", "metadata": [1]}, "metadata", "Give a JSON object."),
        ({"content": "x", "agentId": "y"}, "agentId", "is no id"),
        ({"content": "x", "supersedes": ["y"]}, "supersedes.0", "is no id"),
        ({"content": "x", "validFrom": "yesterday"}, "validFrom", "is no moment"),
        ({"content": "x", "expiresAt": 5}, "expiresAt", "is no moment"),
        ({"content": "x", "expiresAt": "2001-01-01T00:00:00Z"}, "expiresAt", "in the future"),
        ({"content": "x", "artifacts": [{"language": "python", "code": "y"}]}, "artifacts", "code"),
        ({"content": "x", "colour": 1}, "colour", "no such field"),
    ],
)
async def test_a_bad_memory_is_named_and_not_saved(
    world: RestWorld, given: dict[str, Any], where: str, words: str
):
    response = await world.client.post(SAVE, json=given)

    (found,) = fields_of(problem_of(response, 422, "VALIDATION_FAILED"))
    assert found[:2] == ("body", where)
    assert words in found[2]
    assert await listed(world) == []


@pytest.mark.parametrize("field", ["agentId", "conversationId", "messageId"])
async def test_a_memory_of_nothing_there_is_not_saved(world: RestWorld, field: str):
    kind = {"agentId": Kind.AGENT, "conversationId": Kind.CONVERSATION, "messageId": Kind.MESSAGE}
    given = {"content": "x", field: encode_id(kind[field], UNKNOWN)}

    response = await world.client.post(SAVE, json=given)

    assert fields_of(problem_of(response, 404, "NOT_FOUND"))[0][:2] == ("body", field)
    assert await listed(world) == []


@pytest.mark.parametrize(
    ("query", "where", "words"),
    [
        ("kind=NOTE", "kind.0", "USER_DATA"),
        ("query=x", "query", "no such parameter"),
        ("q=", "q", "Give at least one character"),
        ("q=%20", "q", "Give more than blanks."),
        ("q=x&after=y", "after", "Leave this out with q"),
        ("agentId=x", "agentId", "is no id"),
        ("first=0", "first", "Give at least 1."),
        ("first=101", "first", "Give at most 100."),
        ("first=ten", "first", "Give a whole number."),
        ("since=yesterday", "since", "is no moment"),
        ("since=1700000000", "since", "is no moment"),
        ("metadata=x", "metadata", "no such parameter"),
        ("metadata.=x", "metadata.", "single dots"),
        ("metadata.a..b=x", "metadata.a..b", "single dots"),
        ("metadata.a=x&metadata.a=y", "metadata.a", "Send this parameter once."),
        ("q=x&q=y", "q", "Send this parameter once."),
    ],
)
async def test_a_bad_parameter_is_named(world: RestWorld, query: str, where: str, words: str):
    response = await world.client.get(httpx.URL(f"http://localhost{QUERY}?{query}"))

    (found,) = fields_of(problem_of(response, 422, "VALIDATION_FAILED"))
    assert found[:2] == ("query", where)
    assert words in found[2]


async def test_a_cursor_of_nothing_is_refused(world: RestWorld):
    response = await world.client.get(QUERY, params={"after": "x"})

    assert fields_of(problem_of(response, 422, "BAD_CURSOR"))[0][:2] == ("query", "after")


async def test_reading_is_no_right_to_save(world: RestWorld):
    async with await world.with_scopes(Scope.MEMORY_READ) as client:
        assert (await client.get(QUERY)).status_code == 200
        response = await client.post(SAVE, json={"content": "x"})

    assert problem_of(response, 403, "FORBIDDEN")["requiredScope"] == "MEMORY_WRITE"
    assert await listed(world) == []
