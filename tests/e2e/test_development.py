"""`make dev` in server mode: the server and a worker under one command, loud when one is gone."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.gob_process import READY, TRACEBACK, GobProcess
from tests.e2e.graphql_client import Client, is_delta, numbers, text_of
from tests.e2e.stored import rows
from tests.e2e.test_restarts import change, checkout
from tests.server_processes import free_port

__all__ = ["checkout"]

pytestmark = [pytest.mark.postgres, pytest.mark.redis]

RELOADING = ["serve", "--reload"]
WORDS_TO_SAY = '{"tokens": 24, "delay_s": 0.05}'
WORDS = "".join(f"token-{number} " for number in range(1, 25))
ENDLESS = '{"tokens": 10000, "delay_s": 0.05}'


@pytest.fixture
def settings(postgres_url: str, redis_url: str, checkout: Path) -> Mapping[str, str]:
    """Two settings make server mode; the rest is for the test."""
    return {
        "DB_URL": postgres_url,
        "REDIS_URL": redis_url,
        "MIGRATE": "auto",
        "MODEL_PROVIDER": "simulated",
        "PYTHONPATH": str(checkout),
    }


def lines(gob: GobProcess) -> list[Mapping[str, Any]]:
    """The log lines; what stands between them is for people."""
    return [json.loads(line) for line in gob.err.splitlines() if line.startswith("{")]


def spoken(gob: GobProcess) -> list[str]:
    """What stands between the log lines."""
    return [line for line in gob.err.splitlines() if line and not line.startswith("{")]


def named(gob: GobProcess, event: str) -> list[Mapping[str, Any]]:
    """The log lines with this event."""
    return [line for line in lines(gob) if line["event"] == event]


def wait_for(gob: GobProcess, count: int, *events: str) -> None:
    """Wait until each event was said so many times."""

    def look() -> bool:
        return all(len(named(gob, event)) == count for event in events)

    gob.wait_for(look, f"{count} times {events}")


def both_started(gob: GobProcess, lives: int) -> None:
    """Wait until the server and the worker have got up so many times."""
    wait_for(gob, lives, "server.started", "worker.started")


def pid_of(gob: GobProcess, name: str) -> int:
    """Number of the process in its present life."""
    return [line["pid"] for line in named(gob, "process.started") if line["name"] == name][-1]


def is_alive(pid: int) -> bool:
    """True while a process has this number."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


async def test_one_command_starts_both_and_names_them_in_their_log_lines(
    tmp_path: Path, settings: Mapping[str, str]
):
    with GobProcess(tmp_path, settings, arguments=RELOADING) as gob:
        both_started(gob, 1)
        async with Client.of(gob) as client:
            run = await client.execute(WORDS_TO_SAY)
            story = await client.story(run["id"])
        wait_for(gob, 1, "run.ended")
        code = gob.stop()

    assert text_of(story) == WORDS
    assert [line["process"] for line in named(gob, "run.ended")] == ["worker"]
    assert {line["process"] for line in named(gob, "http.request")} == {"server"}
    assert {line["process"] for line in lines(gob)} == {"watch", "server", "worker"}
    assert (code, named(gob, "process.died")) == (0, [])
    assert gob.out.count(READY) == 1


async def test_a_change_of_the_code_starts_both_again_and_loses_no_run(
    tmp_path: Path, settings: Mapping[str, str], checkout: Path
):
    with GobProcess(tmp_path, settings, arguments=RELOADING) as gob:
        both_started(gob, 1)
        async with Client.of(gob) as client:
            run = await client.execute(WORDS_TO_SAY)
            seen = await client.events_until(run["id"], is_delta)
            change(checkout / "app" / "health.py")
            await asyncio.to_thread(both_started, gob, 2)
            rest = await client.story(run["id"], seen[-1]["cursor"])
            ended = await client.run(run["id"])

    assert (ended["status"], ended["output"], ended["attempt"]) == ("SUCCEEDED", WORDS, 1)
    assert numbers([*seen, *rest]) == list(range(1, rest[-1]["seq"] + 1))
    assert gob.out.count(READY) == 1
    assert TRACEBACK not in gob.err


async def test_ctrl_c_ends_both_in_order_though_a_run_is_watched(
    tmp_path: Path, settings: Mapping[str, str]
):
    with GobProcess(tmp_path, settings, arguments=RELOADING) as gob:
        both_started(gob, 1)
        pids = [gob.pid, pid_of(gob, "server"), pid_of(gob, "worker")]
        async with Client.of(gob) as client:
            run = await client.execute(ENDLESS)
            watching = asyncio.create_task(client.story(run["id"]))
            await client.events_until(run["id"], is_delta)
            # The terminal sends it to all of them at once.
            os.killpg(gob.pid, signal.SIGINT)
            code = await asyncio.to_thread(gob.wait)
            await asyncio.wait([watching])
        left = [pid for pid in pids if is_alive(pid)]
    held = await rows(settings["DB_URL"], "SELECT lease_owner, losses, due_at > 0 FROM run")

    assert (code, left) == (0, [])
    # What a machine under load has not ended in time is killed, and that is said.
    assert held == [(None, 0, True)] or named(gob, "process.killed") != []
    assert watching.exception() is not None
    assert TRACEBACK not in gob.err


def test_ctrl_c_in_the_middle_of_a_start_ends_all_without_a_traceback(
    tmp_path: Path, settings: Mapping[str, str]
):
    with contextlib.closing(GobProcess(tmp_path, settings, arguments=RELOADING)) as gob:
        gob.spawn()
        wait_for(gob, 2, "process.started")
        os.killpg(gob.pid, signal.SIGINT)
        code = gob.wait()

    assert (code, spoken(gob), named(gob, "process.died")) == (0, [], [])


@pytest.mark.parametrize("name", ["server", "worker"])
async def test_one_that_is_killed_is_named_and_ends_the_other(
    tmp_path: Path, settings: Mapping[str, str], name: str
):
    with GobProcess(tmp_path, settings, arguments=RELOADING) as gob:
        both_started(gob, 1)
        pids = [pid_of(gob, "server"), pid_of(gob, "worker")]
        os.kill(pid_of(gob, name), signal.SIGKILL)
        code = gob.wait()
        left = [pid for pid in pids if is_alive(pid)]

    assert (code, left) == (2, [])
    assert [line["name"] for line in named(gob, "process.died")] == [name]
    assert spoken(gob)[-1] == (
        f"The {name} ended by itself (exit code -9, SIGKILL); what runs beside it was stopped too."
        " Its last words are above. Nothing accepted is lost: start again."
    )


async def test_without_the_one_that_watches_none_is_left(
    tmp_path: Path, settings: Mapping[str, str]
):
    with GobProcess(tmp_path, settings, arguments=RELOADING) as gob:
        both_started(gob, 1)
        os.kill(gob.pid, signal.SIGKILL)
        # The pipes of the log close when the last of them has ended.
        gob.wait()

    assert [line["process"] for line in named(gob, "worker.stopped")] == ["worker"]
    assert [line["process"] for line in named(gob, "server.stopping")] == ["server"]


async def test_a_mistake_in_the_code_is_shown_and_the_next_change_starts_both_again(
    tmp_path: Path, settings: Mapping[str, str], checkout: Path
):
    sweeper = checkout / "workers" / "sweeper.py"
    good = sweeper.read_text()
    with GobProcess(tmp_path, settings, arguments=RELOADING) as gob:
        both_started(gob, 1)
        change(sweeper, good + "\nthis is no Python\n")
        wait_for(gob, 2, "process.not_started")
        change(sweeper, good + "\n")
        both_started(gob, 2)
        async with Client.of(gob) as client:
            run = await client.execute(WORDS_TO_SAY)
            story = await client.story(run["id"])

    assert "SyntaxError" in gob.err
    assert story[-1]["__typename"] == "RunFinished"


def test_a_first_start_that_fails_ends_all_in_one_sentence(
    tmp_path: Path, settings: Mapping[str, str]
):
    away = {**settings, "DB_URL": f"postgresql://gob:hunter2@127.0.0.1:{free_port()}/gob"}
    with contextlib.closing(GobProcess(tmp_path, away, arguments=RELOADING)) as gob:
        gob.spawn()
        code = gob.wait()

    assert code == 2
    assert spoken(gob)[-1].endswith(
        "did not start (exit code 2). The reason is above; mend it and start again."
    )
    assert "cannot be reached" in gob.err
    assert "hunter2" not in gob.err
    assert TRACEBACK not in gob.err


async def test_a_worker_answers_at_no_port_says_what_it_does_and_drains_at_sigterm(
    tmp_path: Path, settings: Mapping[str, str]
):
    port = str(free_port())
    with (
        GobProcess(tmp_path / "api", settings) as api,
        GobProcess(tmp_path / "w", {**settings, "PORT": port}, arguments=["worker"]) as worker,
    ):
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        async with Client.of(api) as client:
            run = await client.execute(ENDLESS)
            await client.events_until(run["id"], is_delta)
            os.killpg(worker.pid, signal.SIGTERM)
            code = await asyncio.to_thread(worker.wait)
            held = await rows(settings["DB_URL"], "SELECT lease_owner, losses, due_at > 0 FROM run")
            worker.start()
            await asyncio.to_thread(worker.wait_for_lines, "worker.started", 2)
            await client.cancel(run["id"], "enough")
            ended = await client.run(run["id"])

    assert (code, held) == (0, [(None, 0, True)])
    assert (ended["status"], ended["attempt"]) == ("CANCELLED", 1)
    life = [line["event"] for line in worker.lines if line["logger"].startswith(("app", "domain"))]
    for event in ("worker.started", "run.released", "worker.stopping", "worker.stopped"):
        assert event in life
    assert TRACEBACK not in worker.err
