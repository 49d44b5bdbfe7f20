"""Memory from end to end: saved by a client or by a run, found by the other, and followed."""

from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import pytest

from tests.e2e.gob_process import GobProcess
from tests.e2e.graphql_client import Client

SAVE = """mutation ($input: SaveMemoryInput!) { saveMemory(input: $input) {
    ... on MemorySuccess { memory { id } } ... on Error { message } } }"""
SEARCH = """query ($input: SearchMemoryInput!) { searchMemory(input: $input) {
    hits { memory { id content recallCount source { createdBy run { id traceId } } } } } }"""
UPDATES = """subscription ($after: String) { memoryUpdates(after: $after) {
    __typename ... on MemoryUpdate { action memoryId traceId } } }"""


@pytest.fixture(scope="module")
def gob(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GobProcess]:
    """A server without any setting but a free port."""
    with GobProcess(tmp_path_factory.mktemp("memory")) as process:
        yield process


async def found(client: Client, query: str) -> list[dict[str, Any]]:
    data = await client.ask(SEARCH, {"input": {"query": query}})
    return [hit["memory"] for hit in data["searchMemory"]["hits"]]


async def test_what_a_client_saves_is_recalled_by_a_run(gob: GobProcess):
    async with Client.of(gob) as client:
        await client.ask(SAVE, {"input": {"content": "The deploy runs on Friday"}})

        run = await client.execute('recall {"query": "deploy"}', waitSeconds=30)

        [memory] = await found(client, "deploys")

    assert run["status"] == "SUCCEEDED"
    assert "The deploy runs on Friday" in run["output"]
    assert (memory["recallCount"], memory["source"]["run"]) == (1, None)


async def test_what_a_run_remembers_is_found_and_names_its_run(gob: GobProcess):
    async with Client.of(gob) as client:
        run = await client.execute("Remember: the kettle is blue", waitSeconds=30)
        again = await client.execute("Remember: the kettle is blue", waitSeconds=30)

        [memory] = await found(client, "kettle")

    assert (run["status"], again["status"]) == ("SUCCEEDED", "SUCCEEDED")
    assert memory["content"] == "the kettle is blue"
    assert memory["source"]["createdBy"] == "default"
    assert memory["source"]["run"]["id"] == run["id"]


async def test_a_change_is_followed_from_the_cursor_of_a_run_with_the_trace_of_its_call(
    gob: GobProcess,
):
    async with Client.of(gob) as client:
        before = await client.execute('recall {"query": "tea"}', waitSeconds=30)
        after = (await client.story(before["id"]))[-1]["cursor"]
        run = await client.execute('remember {"content": "Tea at four"}', waitSeconds=30)
        async with aclosing(client.subscribe(UPDATES, {"after": after})) as items:
            told = (await anext(items))["memoryUpdates"]
        [memory] = await found(client, "tea")

    assert (told["action"], told["memoryId"]) == ("SAVED", memory["id"])
    assert told["traceId"] == memory["source"]["run"]["traceId"]
    assert memory["source"]["run"]["id"] == run["id"]
