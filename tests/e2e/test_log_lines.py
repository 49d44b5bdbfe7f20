"""Every log line of a real run is one JSON object with its ids, and none shows a secret."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.gob_process import TRACEBACK, GobProcess
from tests.e2e.graphql_client import Client, greet
from tests.e2e.stored import rows

ALWAYS = {"event", "level", "timestamp", "logger", "trace_id", "run_id", "workspace_id"}
MODEL_KEY = "sk-never-to-be-seen-1234567890"
PROMPT = "a prompt that nobody may read in a log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """A server's whole life, and what the database says of the runs in it."""

    gob: GobProcess
    key: str
    runs: list[tuple[str, str, str, str]]
    """Id, workspace, trace and status of each run."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def life(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Life, None]:
    """Everything a client can do, from start to stop, with all lines shown."""
    folder: Path = tmp_path_factory.mktemp("life")
    url = f"sqlite:///{folder / 'gob.db'}"
    settings = {
        "DB_URL": url,
        "MODEL_PROVIDER": "simulated",
        "OPENAI_API_KEY": MODEL_KEY,
        "LOG_LEVEL": "DEBUG",
    }
    with GobProcess(folder, settings) as gob:
        key = gob.key
        async with Client.of(gob) as client:
            tool = '"tool": {"name": "calculate", "arguments": {"expression": "1+1"}}'
            await client.execute(f'{PROMPT} {{"tokens": 5, {tool}}}', waitSeconds=30)
            await client.execute(f'{PROMPT} {{"tokens": 5, "fail": "unavailable"}}', waitSeconds=30)
            planner = {"provider": "offline", "name": "offline"}
            await client.execute(PROMPT, model=planner, waitSeconds=30)
            background = await client.execute(f'{PROMPT} {{"tokens": 5, "delay_s": 0.05}}')
            await client.story(background["id"])
            slow = await client.execute(f'{PROMPT} {{"tokens": 1000, "delay_s": 0.05}}')
            await client.cancel(slow["id"], "enough")
            await client.post("{ viewer { nothing } }")
            await client.http.get(f"/nowhere/{key}?token={key}")
            await client.http.post("/graphql", content=b"\xff", headers={"cookie": f"a={key}"})
            async with client.socket() as socket:
                await greet(socket)
                await socket.send("nonsense")
                await socket.wait_closed()
        async with Client(gob.address, f"{key}x") as stranger:
            await stranger.post("{viewer {scopes}}")
        gob.stop()
        found = await rows(url, "SELECT id, workspace_id, trace_id, status FROM run ORDER BY id")
        yield Life(gob=gob, key=key, runs=[tuple(row) for row in found])


def test_every_line_is_one_json_object_with_its_ids(life: Life):
    assert len(life.gob.lines) > 20
    assert [line for line in life.gob.lines if not set(line) >= ALWAYS] == []
    assert {line["level"] for line in life.gob.lines} <= {"debug", "info", "warning"}
    assert all(datetime.fromisoformat(line["timestamp"]) for line in life.gob.lines)


def test_the_libraries_lines_go_the_same_way(life: Life):
    loggers = {line["logger"].partition(".")[0] for line in life.gob.lines}

    assert {"app", "domain", "uvicorn", "dramatiq"} <= loggers


def test_the_lines_of_a_run_carry_its_ids(life: Life):
    ends = ["SUCCEEDED", "FAILED", "FAILED", "SUCCEEDED", "CANCELLED"]
    assert [status for *_, status in life.runs] == ends

    for run_id, workspace_id, trace_id, _ in life.runs:
        said = [line for line in life.gob.lines if line["run_id"] == run_id]
        assert said != []
        assert {line["workspace_id"] for line in said} == {workspace_id}
        assert {line["trace_id"] for line in said} == {trace_id}


def test_the_end_of_each_run_is_said_once(life: Life):
    ends = {"run.ended", "run.cancelled"}

    said = [line["run_id"] for line in life.gob.lines if line["event"] in ends]

    assert sorted(said) == [run_id for run_id, *_ in life.runs]


def test_a_request_is_said_with_the_trace_of_its_run(life: Life):
    traces = {line["trace_id"] for line in life.gob.named("http.request")}

    assert {trace_id for _, _, trace_id, _ in life.runs} <= traces


def test_no_line_shows_a_key_or_a_prompt(life: Life):
    assert life.key not in life.gob.err + life.gob.out
    assert MODEL_KEY not in life.gob.err + life.gob.out
    assert PROMPT not in life.gob.err


def test_nothing_of_it_left_a_traceback(life: Life):
    assert TRACEBACK not in life.gob.err
    assert [line for line in life.gob.lines if "exception" in line] == []
