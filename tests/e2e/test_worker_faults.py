"""A process frozen past its lease, told to stop, or ended by its own tool: runs go on elsewhere."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from domain.runs.lease import MOST_LOSSES
from tests.databases import new_sqlite
from tests.e2e.gob_process import TRACEBACK, GobProcess
from tests.e2e.graphql_client import Client, is_delta, numbers, text_of
from tests.e2e.ledger import ANSWER, SAID, Ledger, open_ledger
from tests.e2e.stored import new_database, rows

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two processes that serve and work over one database."""

    one: GobProcess
    two: GobProcess
    ledger: Ledger
    url: str


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="module",
    params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)],
)
async def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Pair, None]:
    """Two processes on each database."""
    folder: Path = tmp_path_factory.mktemp("pair")
    async with AsyncExitStack() as stack:
        if request.param == "postgres":
            server = request.getfixturevalue("postgres_server")
            url = await stack.enter_async_context(new_database(server))
        else:
            url = new_sqlite(folder)
        ledger = await stack.enter_async_context(open_ledger(folder))
        # A little longer: a machine under load must not cost runs a lease that they count.
        settings = {"DB_URL": url, "MIGRATE": "auto", "LEASE_S": "2", "LEASE_GIVE_UP_S": "1.6"}
        one = stack.enter_context(ledger.process(folder / "one", **settings))
        two = stack.enter_context(ledger.process(folder / "two", **settings))
        yield Pair(one=one, two=two, ledger=ledger, url=url)
        assert [process for process in (one, two) if TRACEBACK in process.err] == []


@contextlib.contextmanager
def no_writer(url: str) -> Generator[None]:
    """Keep every process out of a write of SQLite: one frozen in it would stop all others."""
    if not url.startswith("sqlite:///"):
        yield
        return
    path = url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


async def stored(url: str) -> Sequence[Sequence[tuple[Any, ...]]]:
    """All that runs leave behind."""
    return [
        await rows(url, f"SELECT * FROM {table} ORDER BY 1, 2")
        for table in ("run", "run_step", "event", "message")
    ]


async def test_what_a_process_writes_that_was_frozen_past_its_lease_changes_nothing(pair: Pair):
    pair.ledger.gate.clear()
    async with Client.of(pair.one) as one, Client.of(pair.two) as two:
        run = await one.execute("say frozen")
        seen = await two.events_until(run["id"], is_delta)
        with no_writer(pair.url):
            pair.one.freeze()
        pair.ledger.gate.set()
        rest = await two.story(run["id"], seen[-1]["cursor"])
        before = await stored(pair.url)
        pair.one.thaw()
        lines = await asyncio.to_thread(pair.one.wait_for_lines, "run.lease_lost")
        late = await asyncio.to_thread(pair.one.wait_for_lines, "run.taken_over")
        after = await stored(pair.url)
        ended = await one.run(run["id"])
        next_run = await one.execute("say awake", waitSeconds=30)

    assert (ended["status"], ended["output"], ended["attempt"]) == ("SUCCEEDED", SAID, 2)
    assert numbers([*seen, *rest]) == list(range(1, rest[-1]["seq"] + 1))
    assert text_of([*seen, *rest]) == SAID
    assert after == before
    assert {line["trace_id"] for line in late} == {run["traceId"]}
    assert len(lines) == 1
    assert (next_run["status"], next_run["output"]) == ("SUCCEEDED", SAID)


async def test_a_process_told_to_stop_hands_its_runs_to_the_other_uncounted(pair: Pair):
    pair.ledger.gate.clear()
    async with Client.of(pair.one) as one, Client.of(pair.two) as two:
        said = [await one.execute(f"say drained-{number}") for number in range(3)]
        for run in said:
            await two.events_until(run["id"], is_delta)
        paid = [await one.execute(f"pay drained-{number}") for number in range(3)]
        code = await asyncio.to_thread(pair.one.stop)
        pair.ledger.gate.set()
        stories = [await two.story(run["id"]) for run in (*said, *paid)]
        ended = [await two.run(run["id"]) for run in (*said, *paid)]
    pair.one.start()

    assert code == 0
    assert [(run["status"], run["attempt"]) for run in ended] == [("SUCCEEDED", 1)] * 6
    assert [run["output"] for run in ended] == [SAID] * 3 + [ANSWER] * 3
    assert [text_of(story) for story in stories[:3]] == [SAID] * 3
    assert [numbers(story) for story in stories] == [
        list(range(1, story[-1]["seq"] + 1)) for story in stories
    ]
    paid_once = [pair.ledger.effects("pay")[f"drained-{number}"] for number in range(3)]
    assert set(paid_once) <= {0, 1}
    released = {line["trace_id"] for line in pair.one.named("run.released")}
    assert {run["traceId"] for run in said} <= released


@contextlib.asynccontextmanager
async def kept_alive(*processes: GobProcess) -> AsyncGenerator[asyncio.Queue[None], None]:
    """Start each again whenever it ends, as an operator's supervisor does, and say so."""
    ends: asyncio.Queue[None] = asyncio.Queue()

    async def keep(process: GobProcess) -> None:
        while True:
            await process.ended()
            ends.put_nowait(None)
            process.close()
            process.spawn()

    keepers = [asyncio.create_task(keep(process)) for process in processes]
    try:
        yield ends
    finally:
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)
        for process in processes:
            await asyncio.to_thread(process.wait_until_ready)


async def test_a_tool_that_ends_its_process_ends_its_own_run_and_takes_no_other_along(pair: Pair):
    pair.ledger.gate.clear()
    async with Client.of(pair.one) as client:
        beside = [await client.execute(f"say beside-{number}") for number in range(3)]
        for run in beside:
            await client.events_until(run["id"], is_delta)
        async with kept_alive(pair.one, pair.two) as ends, asyncio.timeout(60):
            crash = await client.execute("crash c1")
            for end in range(1, MOST_LOSSES + 1):
                await ends.get()
                if end == MOST_LOSSES - 1:
                    pair.ledger.gate.set()
    async with Client.of(pair.one) as client:
        story = await client.story(crash["id"])
        for run in beside:
            await client.story(run["id"])
        crashed = await client.run(crash["id"])
        others = [await client.run(run["id"]) for run in beside]

    assert (crashed["status"], crashed["error"]["code"]) == ("FAILED", "WORKER_LOST")
    assert pair.ledger.effects("crash")["c1"] == MOST_LOSSES
    assert [(run["status"], run["output"]) for run in others] == [("SUCCEEDED", SAID)] * 3
    assert numbers(story) == list(range(1, story[-1]["seq"] + 1))
