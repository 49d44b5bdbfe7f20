"""A disk that is full: refused in words, seen from outside, and well again once there is room."""

import asyncio
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.databases import new_sqlite
from tests.e2e.gob_process import TRACEBACK
from tests.e2e.graphql_client import EXECUTE, Client, is_delta, numbers, text_of
from tests.e2e.ledger import ANSWER, SAID, open_ledger
from tests.e2e.stored import rows
from tests.full_disks import Disk, LimitedFiles, small_disk

INPUT = {"agent": {"slug": "default"}, "instruction": "say refused"}
RUNS = "{ runs { nodes { id } } }"


@pytest.fixture(params=["small", pytest.param("limited", marks=pytest.mark.soak)])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Disk]:
    """A disk for the database; at full size, also the stand-in for it."""
    if request.param == "limited":
        (tmp_path / "disk").mkdir()
        yield LimitedFiles(tmp_path / "disk")
        return
    with small_disk(tmp_path / "disk") as small:
        yield small


async def readiness(client: Client) -> tuple[int, str, dict[str, Any]]:
    """What probes see: status code, status, and the check of the database."""
    answer = await client.http.get("/readyz")
    (check,) = [one for one in answer.json()["checks"] if one["name"] == "database"]
    return answer.status_code, answer.json()["status"], check


async def test_a_full_disk_is_told_at_every_door_and_heals_by_itself(tmp_path: Path, disk: Disk):
    url = new_sqlite(disk.folder)
    async with open_ledger(tmp_path) as ledger:
        with ledger.process(tmp_path, DB_URL=url) as gob:
            async with Client.of(gob) as client:
                said = await client.execute("say full")
                paid = await client.execute("pay full")
                await client.events_until(said["id"], is_delta)
                before = await readiness(client)
                disk.fill(gob.pid)
                refused = (await client.post(EXECUTE, {"input": INPUT})).json()
                rest = await client.http.post("/api/v1/agents/execute", json=INPUT)
                while (meanwhile := await readiness(client))[0] == 200:
                    pass
                alive = await client.http.get("/healthz")
                listed = await client.ask(RUNS)
                ledger.gate.set()
                await asyncio.to_thread(gob.wait_for_lines, "runs.not_claimed")
                disk.clear(gob.pid)
                stories = [await client.story(run["id"]) for run in (said, paid)]
                runs = [await client.run(run["id"]) for run in (said, paid)]
                after = await readiness(client)
                again = await client.execute("say again", waitSeconds=30)

    assert before[:2] == after[:2] == (200, "ok")
    assert refused["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
    assert (rest.status_code, rest.json()["code"]) == (503, "UNAVAILABLE")
    assert rest.headers["retry-after"] == "1"
    assert (*meanwhile[:2], meanwhile[2]["status"]) == (503, "down", "failed")
    told = "disk I/O error" if isinstance(disk, LimitedFiles) else "database or disk is full"
    assert told in meanwhile[2]["detail"]
    assert alive.status_code == 200
    assert {node["id"] for node in listed["runs"]["nodes"]} == {said["id"], paid["id"]}
    assert [(run["status"], run["output"]) for run in runs] == [
        ("SUCCEEDED", SAID),
        ("SUCCEEDED", ANSWER),
    ]
    assert text_of(stories[0]) == SAID
    assert [numbers(story) for story in stories] == [
        list(range(1, story[-1]["seq"] + 1)) for story in stories
    ]
    assert ledger.effects("pay")["full"] in {0, 1}
    assert (again["status"], again["output"]) == ("SUCCEEDED", SAID)
    assert await rows(url, "SELECT count(*) FROM run") == [(3,)]
    assert await rows(url, "PRAGMA integrity_check") == [("ok",)]
    assert TRACEBACK not in gob.err
