"""A server asked to stop, or started again by a change of the code, loses no run."""

import asyncio
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from app.supervisor import WATCHED
from tests.e2e.gob_process import READY, ROOT, TRACEBACK, GobProcess
from tests.e2e.graphql_client import Client, is_delta, numbers, shown, text_of
from tests.e2e.stored import rows

SIMULATED = {"MODEL_PROVIDER": "simulated"}
WORDS_TO_SAY = '{"tokens": 24, "delay_s": 0.05}'
WORDS = "".join(f"token-{number} " for number in range(1, 25))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the product, to change at will."""
    root = tmp_path / "checkout"
    for name in WATCHED:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, root / name, ignore=ignored)
    return root


def change(file: Path, text: str | None = None) -> None:
    """Save a file as an editor does: with another time, and other text if wanted."""
    if text is not None:
        file.write_text(text)
    then = file.stat().st_mtime_ns + 2_000_000_000
    os.utime(file, ns=(then, then))


def wait_for_life(gob: GobProcess, count: int) -> None:
    """Wait until the server has started so many times."""
    gob.wait_for(lambda: gob.err.count('"event":"server.started"') == count, f"life {count}")


async def test_a_run_under_way_at_sigterm_is_handed_back_and_finished_by_the_next_process(
    tmp_path: Path,
):
    database_url = f"sqlite:///{tmp_path / 'gob.db'}"
    settings = {**SIMULATED, "DB_URL": database_url}
    with GobProcess(tmp_path, settings) as gob:
        async with Client.of(gob) as client:
            run = await client.execute(WORDS_TO_SAY)
            seen = await client.events_until(run["id"], is_delta)
            text_before = [await anext(client.tokens(run["id"]))]
        code = gob.stop()
        unheld = "lease_owner IS NULL AND due_at IS NOT NULL AND losses = 0"
        handed_back = await rows(database_url, f"SELECT count(*) FROM run WHERE {unheld}")
        gob.start()
        async with Client.of(gob) as client:
            rest = await client.story(run["id"], seen[-1]["cursor"])
            after = text_before[-1]["seq"]
            text_after = [piece async for piece in client.tokens(run["id"], after)]
            ended = await client.run(run["id"])

    assert code == 0
    assert handed_back == [(1,)]
    assert (ended["status"], ended["output"], ended["attempt"]) == ("SUCCEEDED", WORDS, 1)
    assert numbers([*seen, *rest]) == list(range(1, rest[-1]["seq"] + 1))
    assert text_of([*seen, *rest]) == shown([*text_before, *text_after]) == WORDS
    assert TRACEBACK not in gob.err


async def test_those_who_wait_and_watch_at_sigterm_are_let_go_and_the_run_goes_on(tmp_path: Path):
    with GobProcess(tmp_path, SIMULATED) as gob:
        async with Client.of(gob) as client, Client.of(gob) as waiting, client.socket() as socket:
            wait = asyncio.create_task(waiting.attempt(WORDS_TO_SAY, waitSeconds=60))
            listed: list[dict[str, str]] = []
            while not listed:
                listed = (await client.ask("{ runs { nodes { id } } }"))["runs"]["nodes"]
            run_id = listed[0]["id"]
            await client.events_until(run_id, is_delta)
            code = await asyncio.to_thread(gob.stop)
            async with asyncio.timeout(30):
                await socket.wait_closed()
            await asyncio.gather(wait, return_exceptions=True)
        gob.start()
        async with Client.of(gob) as client:
            story = await client.story(run_id)

    assert code == 0
    assert socket.close_code == 1012
    assert (story[-1]["__typename"], text_of(story)) == ("RunFinished", WORDS)
    assert TRACEBACK not in gob.err


async def test_a_change_of_the_code_starts_the_server_again_and_loses_no_run(
    tmp_path: Path, checkout: Path
):
    settings: Mapping[str, str] = {**SIMULATED, "PYTHONPATH": str(checkout)}
    with GobProcess(tmp_path, settings, arguments=["serve", "--reload"]) as gob:
        async with Client.of(gob) as client:
            run = await client.execute(WORDS_TO_SAY)
            seen = await client.events_until(run["id"], is_delta)
            change(checkout / "app" / "health.py")
            await asyncio.to_thread(wait_for_life, gob, 2)
            rest = await client.story(run["id"], seen[-1]["cursor"])
            ended = await client.run(run["id"])
        code = gob.stop()

    assert code == 0
    assert (ended["status"], ended["output"], ended["attempt"]) == ("SUCCEEDED", WORDS, 1)
    assert numbers([*seen, *rest]) == list(range(1, rest[-1]["seq"] + 1))
    assert text_of([*seen, *rest]) == WORDS
    assert gob.out.count(READY) == 1
    assert TRACEBACK not in gob.err


async def test_a_mistake_in_the_code_is_shown_and_the_next_change_serves_again(
    tmp_path: Path, checkout: Path
):
    settings: Mapping[str, str] = {**SIMULATED, "PYTHONPATH": str(checkout)}
    health = checkout / "app" / "health.py"
    good = health.read_text()
    with GobProcess(tmp_path, settings, arguments=["serve", "--reload"]) as gob:
        change(health, good + "\nthis is no Python\n")
        gob.wait_for(lambda: "SyntaxError" in gob.err, "the mistake to be shown")
        change(health, good + "\n")
        wait_for_life(gob, 2)
        async with Client.of(gob) as client:
            run = await client.execute('{"tokens": 2}', waitSeconds=30)

    assert run["status"] == "SUCCEEDED"


async def test_what_was_accepted_while_the_server_stopped_is_done_by_the_next(tmp_path: Path):
    with GobProcess(tmp_path, SIMULATED) as gob:
        async with Client.of(gob) as client:
            requests = [client.attempt('{"tokens": 2}', metadata={"n": n}) for n in range(100)]
            sending = asyncio.gather(*requests, return_exceptions=True)
            await asyncio.to_thread(gob.wait_for_lines, "http.request", 3)
            await asyncio.to_thread(gob.stop)
            answers = await sending
        gob.start()
        async with Client.of(gob) as client:
            accepted = [a["run"]["id"] for a in answers if not isinstance(a, BaseException)]
            stories = await asyncio.gather(*(client.story(run_id) for run_id in accepted))

    assert len(accepted) >= 3
    assert [story[-1]["__typename"] for story in stories] == ["RunFinished"] * len(accepted)
    assert TRACEBACK not in gob.err
