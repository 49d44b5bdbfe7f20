"""A database restarted, or locked by another program, in mid-run: nothing is lost or doubled."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from domain.access.secrets import mint
from tests.databases import new_sqlite
from tests.e2e.gob_process import TRACEBACK
from tests.e2e.graphql_client import Client, Item, is_delta, numbers, text_of
from tests.e2e.ledger import ANSWER, SAID, open_ledger
from tests.e2e.stored import rows, stories
from tests.e2e.stream_client import stream_of
from tests.server_processes import PostgresServer

ASKED = {"query": "{ runs { nodes { id } } }"}
LOCKED_S = 3.0
# The leases that operators have: an outage of seconds is shorter than they are.
USUAL = {"LEASE_S": "6", "LEASE_GIVE_UP_S": "5", "LEASE_RENEW_S": "2"}
ends = pytest.mark.parametrize(
    "end",
    [PostgresServer.crash, pytest.param(PostgresServer.stop, marks=pytest.mark.soak)],
    ids=["crashed", "stopped"],
)


def bearer() -> dict[str, str]:
    """A key that the server has to look up."""
    return {"authorization": f"Bearer {mint().secret}"}


def is_of_a_tool(item: Item) -> bool:
    """True once the run has begun a call."""
    return item["__typename"] == "ToolCallStarted"


@ends
@pytest.mark.postgres
async def test_postgresql_can_be_restarted_in_mid_run(
    tmp_path: Path,
    postgres_server: PostgresServer,
    migrated_postgres_url: str,
    end: Callable[[PostgresServer], None],
):
    url = migrated_postgres_url
    async with open_ledger(tmp_path) as ledger:
        with ledger.process(tmp_path, DB_URL=url, **USUAL) as gob:
            async with Client.of(gob) as client:
                said = await client.execute("say restarted")
                paid = [await client.execute(f"pay restarted-{number}") for number in range(5)]
                await client.events_until(said["id"], is_delta)
                await client.events_until(paid[-1]["id"], is_of_a_tool)
                end(postgres_server)
                refused = await client.post("{ runs { nodes { id } } }")
                unready = await client.http.get("/readyz")
                stranger = await client.http.post("/graphql", headers=bearer(), json=ASKED)
                async with stream_of(gob, key=mint().secret) as stream:
                    turned_away = await stream.heard()
                    await stream.socket.wait_closed()
                ledger.gate.set()
                postgres_server.start()
                told = [await client.story(run["id"]) for run in (said, *paid)]
                runs = [await client.run(run["id"]) for run in (said, *paid)]
                ready = await client.http.get("/readyz")

    assert refused.json()["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
    assert (unready.status_code, ready.status_code) == (503, 200)
    assert (stranger.status_code, stranger.json()["errors"][0]["extensions"]["code"]) == (
        503,
        "UNAVAILABLE",
    )
    assert (turned_away["code"], stream.socket.close_code) == ("UNAVAILABLE", 1013)
    assert [(run["status"], run["output"]) for run in runs] == [
        ("SUCCEEDED", SAID),
        *[("SUCCEEDED", ANSWER)] * 5,
    ]
    assert [numbers(story) for story in told] == [
        list(range(1, story[-1]["seq"] + 1)) for story in told
    ]
    assert set(ledger.effects("pay").values()) == {1}
    assert TRACEBACK not in gob.err


@asynccontextmanager
async def locked(path: Path) -> AsyncGenerator[None, None]:
    """Hold the lock for writers as another program may."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


async def test_sqlite_can_be_locked_by_another_program_in_mid_run(tmp_path: Path):
    url = new_sqlite(tmp_path)
    async with open_ledger(tmp_path) as ledger:
        with ledger.process(tmp_path, DB_URL=url, **USUAL) as gob:
            async with Client.of(gob) as client:
                said = await client.execute("say locked")
                paid = await client.execute("pay locked")
                await client.events_until(said["id"], is_delta)
                async with locked(tmp_path / "gob.db"):
                    ledger.gate.set()
                    asking = asyncio.create_task(client.execute("pay meanwhile"))
                    accepted, _ = await asyncio.wait([asking], timeout=LOCKED_S)
                    listed = await client.ask("{ runs { nodes { id } } }")
                meanwhile = await asking
                told = [await client.story(run["id"]) for run in (said, paid, meanwhile)]
                runs = [await client.run(run["id"]) for run in (said, paid, meanwhile)]
                ready = await client.http.get("/readyz")

    assert accepted == set()
    assert {node["id"] for node in listed["runs"]["nodes"]} == {said["id"], paid["id"]}
    assert [(run["status"], run["output"], run["attempt"]) for run in runs] == [
        ("SUCCEEDED", SAID, 1),
        ("SUCCEEDED", ANSWER, 1),
        ("SUCCEEDED", ANSWER, 1),
    ]
    assert text_of(told[0]) == SAID
    assert [numbers(story) for story in told] == [
        list(range(1, story[-1]["seq"] + 1)) for story in told
    ]
    assert ledger.effects("pay") == {"locked": 1, "meanwhile": 1}
    assert ready.status_code == 200
    assert len(await stories(url)) == len(await rows(url, "SELECT id FROM run")) == 3
    assert TRACEBACK not in gob.err
