"""Memories found through the API: lists, searches, filters and pages."""

import logging
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from tests.api.api_world import ApiWorld, api_world

SAVE = """mutation ($input: SaveMemoryInput!) { saveMemory(input: $input) {
    ... on MemorySuccess { memory { id } } } }"""
LIST = "query ($filter: MemoryFilter) { memories(filter: $filter) { nodes { content } } }"
SEARCH = """
query ($input: SearchMemoryInput!) {
  searchMemory(input: $input) {
    hybrid tokenCount durationMs
    hits {
      rank score { total lexicalRank matchedTerms vectorSimilarity boosts { name value } }
      memory { content }
    }
  }
}
"""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[ApiWorld, None]:
    async with api_world(tmp_path) as opened:
        yield opened


async def saved(world: ApiWorld, content: str, **given: Any) -> str:
    done = await world.ask(SAVE, input={"content": content, **given})
    return done["saveMemory"]["memory"]["id"]


async def listed(world: ApiWorld, narrowing: dict[str, Any]) -> list[str]:
    data = await world.ask(LIST, filter=narrowing)
    return [node["content"] for node in data["memories"]["nodes"]]


async def test_a_nested_filter_narrows_a_list_and_a_search(world: ApiWorld):
    await saved(world, "tea one", metadata={"tier": "gold", "items": [{"sku": "a"}]})
    await saved(world, "tea two", metadata={"tier": "silver"}, kind="FRAGMENT")
    await saved(world, "tea three", kind="SOLUTION")
    narrowing = {
        "or": [
            {"metadata": [{"path": "items.0.sku", "test": {"eq": "a"}}]},
            {"and": [{"kinds": ["FRAGMENT", "SOLUTION"]}, {"not": {"kinds": ["SOLUTION"]}}]},
        ]
    }

    data = await world.ask(SEARCH, input={"query": "tea", "filter": narrowing})

    assert set(await listed(world, narrowing)) == {"tea one", "tea two"}
    assert {hit["memory"]["content"] for hit in data["searchMemory"]["hits"]} == {
        "tea one",
        "tea two",
    }


async def test_a_hit_says_why_it_was_found(world: ApiWorld):
    await saved(world, "The deploy runs on Friday", pinned=True)

    result = (await world.ask(SEARCH, input={"query": "When are deploys?"}))["searchMemory"]

    [hit] = result["hits"]
    assert (result["hybrid"], result["tokenCount"]) == (False, 7)
    assert (hit["rank"], hit["score"]["lexicalRank"], hit["score"]["matchedTerms"]) == (
        1,
        1,
        ["deploys"],
    )
    assert hit["score"]["vectorSimilarity"] is None
    assert [boost["name"] for boost in hit["score"]["boosts"]] == ["pinned"]
    assert 0 < hit["score"]["total"] <= 1


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"query": ""}, ["query"]),
        ({"query": "a", "limit": 101}, ["limit"]),
        ({"query": "a", "minSimilarity": 0.1}, ["minSimilarity"]),
        ({"query": "a", "filter": {"not": {}}}, ["filter", "not"]),
    ],
)
async def test_a_question_that_cannot_be_is_an_error_at_its_field(
    world: ApiWorld, given: dict[str, Any], path: list[str]
):
    response = await world.answer(SEARCH, input=given)

    extensions = response["errors"][0]["extensions"]
    assert (extensions["code"], extensions["argumentPath"]) == ("VALIDATION_FAILED", path)


async def test_memories_are_read_page_by_page(world: ApiWorld):
    for n in range(3):
        await saved(world, f"memory {n}")
    query = """
        query ($first: Int, $after: String) {
          memories(first: $first, after: $after, orderBy: CREATED_AT_ASC) {
            pageInfo { hasNextPage endCursor } edges { cursor node { content } }
          }
        }
    """

    first = (await world.ask(query, first=2))["memories"]
    second = (await world.ask(query, first=2, after=first["pageInfo"]["endCursor"]))["memories"]

    assert [edge["node"]["content"] for edge in first["edges"]] == ["memory 0", "memory 1"]
    assert (first["pageInfo"]["hasNextPage"], second["pageInfo"]["hasNextPage"]) == (True, False)
    assert [edge["node"]["content"] for edge in second["edges"]] == ["memory 2"]


async def test_related_memories_of_a_list_are_read_by_one_query(
    world: ApiWorld, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    for n in range(3):
        old = await saved(world, f"old {n}")
        await saved(world, f"new {n}", supersedes=[old])
    asked: list[str] = []
    database = world.runs.database
    fetch = database.fetch

    async def watched(sql: str, *args: Any) -> Any:
        asked.append(sql)
        return await fetch(sql, *args)

    monkeypatch.setattr(database, "fetch", watched)
    caplog.set_level(logging.DEBUG, logger="tortoise.db_client")

    data = await world.ask("{ memories { nodes { content supersededBy { content } } } }")

    replaced = [node["supersededBy"] for node in data["memories"]["nodes"] if node["supersededBy"]]
    assert len(replaced) == 3
    assert len(asked) == 2
    assert caplog.messages == []
