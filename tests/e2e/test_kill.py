"""A server killed as by a power cut: whatever it had accepted is done by the next one."""

import asyncio
from pathlib import Path

import pytest

from domain.runs.state import LAST_EVENTS
from tests.e2e.gob_process import TRACEBACK, GobProcess
from tests.e2e.graphql_client import Client, is_delta, shown, text_of
from tests.e2e.stored import rows, stories

RUNS = 40
TOKENS = 20
INSTRUCTION = f'{{"tokens": {TOKENS}, "delay_s": 0.1}}'
ANSWER = "".join(f"token-{number} " for number in range(1, TOKENS + 1))
# Short leases: what the dead server held is taken over after two seconds, not six.
SETTINGS = {
    "MODEL_PROVIDER": "simulated",
    "MIGRATE": "auto",
    "RUN_CAPACITY": "16",
    "LEASE_S": "2",
    "LEASE_GIVE_UP_S": "1.5",
    "LEASE_RENEW_S": "0.3",
    "SWEEP_INTERVAL_S": "0.2",
}


async def accept_all(gob: GobProcess) -> list[str]:
    """Start forty background runs, and come back when the tenth has written its first word."""
    async with Client.of(gob) as client:
        accepted = [client.execute(INSTRUCTION, metadata={"n": n}) for n in range(RUNS)]
        ids = [run["id"] for run in await asyncio.gather(*accepted)]
        await client.events_until(ids[9], is_delta)
    return ids


async def wait_for_all(gob: GobProcess, ids: list[str]) -> list[dict[str, object]]:
    """Follow every run to its end and read it."""
    async with Client.of(gob) as client:
        await asyncio.gather(*(client.story(run_id) for run_id in ids))
        return list(await asyncio.gather(*(client.run(run_id) for run_id in ids)))


async def test_forty_of_forty_runs_succeed_after_a_kill(tmp_path: Path, database_url: str):
    settings = {**SETTINGS, "DB_URL": database_url}
    with GobProcess(tmp_path, settings) as gob:
        ids = await accept_all(gob)
        gob.kill()
        states = await rows(database_url, "SELECT status, count(*) FROM run GROUP BY status")
        gob.start()
        runs = await wait_for_all(gob, ids)

    assert "RUNNING" in dict(states)
    assert {run["status"] for run in runs} == {"SUCCEEDED"}
    assert {run["output"] for run in runs} == {ANSWER}
    assert TRACEBACK not in gob.err
    written = await stories(database_url)
    assert len(written) == RUNS
    for story in written.values():
        assert [seq for seq, _ in story] == list(range(1, len(story) + 1))
        assert [kind for _, kind in story if kind in LAST_EVENTS] == ["RunFinished"]
        assert story[-1][1] == "RunFinished"


async def test_a_step_that_was_recorded_is_not_done_again(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'gob.db'}"
    tool = '"tool": {"name": "calculate", "arguments": {"expression": "6*7"}}'
    with GobProcess(tmp_path, {**SETTINGS, "DB_URL": url}) as gob:
        async with Client.of(gob) as client:
            run = await client.execute(f'{{"tokens": 20, "delay_s": 0.1, {tool}}}')
            seen = await client.events_until(run["id"], is_delta)
            before = [await anext(client.tokens(run["id"]))]
        gob.kill()
        gob.start()
        (ended,) = await wait_for_all(gob, [run["id"]])
        async with Client.of(gob) as client:
            rest = await client.story(run["id"], seen[-1]["cursor"])
            after = [piece async for piece in client.tokens(run["id"], before[-1]["seq"])]

    steps = await rows(url, "SELECT kind, status FROM run_step ORDER BY position")
    assert (ended["status"], ended["output"], ended["attempt"]) == ("SUCCEEDED", ANSWER, 2)
    assert steps == [
        ("MODEL_CALL", "SUCCEEDED"),
        ("TOOL_CALL", "SUCCEEDED"),
        ("MODEL_CALL", "CANCELLED"),
        ("MODEL_CALL", "SUCCEEDED"),
    ]
    retrying = [item for item in rest if item["__typename"] == "Retrying"]
    assert [item["voidedStepId"] for item in retrying] == [seen[-1]["stepId"]]
    assert [item["error"]["code"] for item in retrying] == ["WORKER_LOST"]
    assert text_of([*seen, *rest]) == shown([*before, *after]) == ANSWER


@pytest.mark.soak
async def test_runs_outlive_ten_kills(tmp_path: Path, database_url: str):
    settings = {**SETTINGS, "DB_URL": database_url}
    with GobProcess(tmp_path, settings) as gob:
        everything: list[str] = []
        for _ in range(10):
            everything += await accept_all(gob)
            gob.kill()
            gob.start()
            # What loses its worker three times ends as WORKER_LOST: let each life end its own.
            runs = await wait_for_all(gob, everything)

    assert len(runs) == 10 * RUNS
    assert {run["status"] for run in runs} == {"SUCCEEDED"}
    assert {run["output"] for run in runs} == {ANSWER}
