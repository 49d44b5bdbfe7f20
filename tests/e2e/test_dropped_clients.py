"""Clients that go away in mid-run, at every door: the run goes on to its end all the same."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from tests.databases import new_sqlite
from tests.e2e.gob_process import TRACEBACK, GobProcess
from tests.e2e.graphql_client import EVENTS, EXECUTE, Client, text_of
from tests.e2e.ledger import SAID, open_ledger
from tests.e2e.rest_client import RestClient
from tests.e2e.stored import rows
from tests.e2e.stream_client import stream_of

SSE = "text/event-stream"


def asked(entry: str) -> dict[str, object]:
    """What every door is asked for."""
    return {"agent": {"slug": "default"}, "instruction": f"say {entry}"}


@asynccontextmanager
async def hung_up(call: Awaitable[object]) -> AsyncGenerator[None, None]:
    """Wait for an answer until the block is over, and go away."""
    waiting = asyncio.ensure_future(call)
    yield
    assert not waiting.done()
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting


async def leave_a_graphql_socket(gob: GobProcess, client: Client) -> None:
    """Cut the line without a word."""
    run = await client.execute("say graphql-socket")
    assert len(await client.cut_off(run["id"], None, 2)) == 2


async def leave_a_graphql_stream(gob: GobProcess, client: Client) -> None:
    """Close the request in the middle of its answer."""
    run = await client.execute("say graphql-sse")
    body = {"query": EVENTS, "variables": {"runId": run["id"]}}
    async with client.http.stream("POST", "/graphql", json=body, headers={"accept": SSE}) as answer:
        lines = answer.aiter_lines()
        while "TokenDelta" not in await anext(lines):
            pass


async def leave_a_stream_socket(gob: GobProcess, client: Client) -> None:
    """Cut the line without a word."""
    run = await client.execute("say stream")
    async with stream_of(gob) as stream:
        begun = await client.events_until(run["id"], lambda _: True)
        after = begun[0]["cursor"]
        await stream.subscribe("a", "agent.token", runId=run["id"], after=after)
        await stream.until(lambda frame: frame["type"] == "event")
        stream.socket.transport.abort()


async def leave_a_rest_stream(gob: GobProcess, client: Client) -> None:
    """Close the request that began the run."""
    async with RestClient.of(gob) as rest:
        given = {"json": asked("rest-sse"), "headers": {"accept": SSE}}
        async with aclosing(rest.stream("POST", "/agents/execute", **given)) as items:
            async for item in items:
                if item["type"] == "TokenDelta":
                    break


async def leave_a_graphql_answer(gob: GobProcess, client: Client) -> None:
    """Wait for the run, and give up."""
    waits = {"input": {**asked("graphql-waits"), "waitSeconds": 60}}
    async with Client.of(gob) as other, hung_up(other.ask(EXECUTE, waits)):
        await seen_in_list(client, "say graphql-waits")


async def leave_a_rest_answer(gob: GobProcess, client: Client) -> None:
    """Wait for the run, and give up."""
    async with (
        RestClient.of(gob) as rest,
        hung_up(rest.post("/agents/execute", asked("rest-waits"))),
    ):
        await seen_in_list(client, "say rest-waits")


async def seen_in_list(client: Client, instruction: str) -> str:
    """Look until the run is listed; its id."""
    while True:
        found = (await client.ask("{ runs { nodes { id instruction } } }"))["runs"]["nodes"]
        for run in found:
            if run["instruction"] == instruction:
                return run["id"]


LEAVING: dict[str, Callable[[GobProcess, Client], Awaitable[None]]] = {
    "graphql-socket": leave_a_graphql_socket,
    "graphql-sse": leave_a_graphql_stream,
    "graphql-waits": leave_a_graphql_answer,
    "stream": leave_a_stream_socket,
    "rest-sse": leave_a_rest_stream,
    "rest-waits": leave_a_rest_answer,
}


async def test_a_run_goes_on_when_whoever_waits_or_watches_goes_away(tmp_path: Path):
    url = new_sqlite(tmp_path)
    async with open_ledger(tmp_path) as ledger:
        with ledger.process(tmp_path, DB_URL=url) as gob:
            async with Client.of(gob) as client, asyncio.timeout(60):
                for leave in LEAVING.values():
                    await leave(gob, client)
                ledger.gate.set()
                ids = [await seen_in_list(client, f"say {door}") for door in LEAVING]
                stories = [await client.story(run_id) for run_id in ids]
                runs = [await client.run(run_id) for run_id in ids]

    told = [(run["status"], run["output"], run["attempt"]) for run in runs]
    assert told == [("SUCCEEDED", SAID, 1)] * len(LEAVING)
    assert [text_of(story) for story in stories] == [SAID] * len(LEAVING)
    assert await rows(url, "SELECT count(*) FROM run") == [(len(LEAVING),)]
    assert await rows(url, "SELECT count(*) FROM run_order") == [(0,)]
    assert TRACEBACK not in gob.err
