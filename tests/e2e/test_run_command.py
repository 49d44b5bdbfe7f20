"""`gob run` as people and scripts use it: with a server, and without one."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.gob_process import DEADLINE_S, GobProcess, clean_settings, run_gob
from tests.server_processes import free_port

ENDLESS = json.dumps({"tokens": 10_000, "delay_s": 0.05})
CALLING = json.dumps(
    {"tokens": 3, "tool": {"name": "calculate", "arguments": {"expression": "6 * 7"}}}
)
SHORT_LEASES = {"LEASE_S": "1.5", "LEASE_GIVE_UP_S": "1", "LEASE_RENEW_S": "0.3"}
SIMULATED = ("--model", "simulated:simulated")


@pytest.fixture(scope="module")
def gob(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GobProcess]:
    with GobProcess(tmp_path_factory.mktemp("gob"), SHORT_LEASES) as process:
        yield process


@contextmanager
def running(
    folder: Path, *arguments: str, settings: Mapping[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """The command while it runs."""
    with subprocess.Popen(
        [sys.executable, "-m", "app", "run", *arguments],
        env=clean_settings(folder, settings),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def first(process: subprocess.Popen[str], kind: str) -> Mapping[str, Any]:
    """Read JSON lines until one is of a type."""
    assert process.stdout is not None
    for line in process.stdout:
        item: Mapping[str, Any] = json.loads(line)
        if item.get("type") == kind:
            return item
    raise AssertionError(f"{kind} never came")


def at(gob: GobProcess) -> Mapping[str, str]:
    """The settings of somebody on the machine of a server."""
    return {"PORT": gob.address.rpartition(":")[2], "DATA_DIR": str(gob.data_folder)}


def lines_of(text: str) -> Sequence[Mapping[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_an_instruction_from_standard_input_that_fails_ends_with_exit_code_1(gob: GobProcess):
    done = subprocess.run(
        [sys.executable, "-m", "app", "run", "-"],
        env=clean_settings(gob.folder, at(gob)),
        cwd=gob.folder,
        input="Paint my cat blue",
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )

    assert done.returncode == 1
    assert done.stdout.startswith("I am the offline planner")
    assert "The run failed; the answer says why.\n" in done.stderr


def test_a_pipe_gets_the_answer_of_the_server_of_this_machine(gob: GobProcess):
    ended = run_gob(gob.folder, "run", "What is 12% of 300?", settings=at(gob))

    assert (ended.code, ended.out) == (0, "12 / 100 * 300 = 36\n")
    told = ended.err.splitlines()
    assert told[0] == f"Asking the server at http://localhost:{at(gob)['PORT']}."
    assert told[1].startswith("Run run_")
    assert told[-1].endswith(": 2 model calls, 1 tool call, offline.")


def test_json_lines_are_the_stories_events_and_last_the_run(gob: GobProcess):
    key_file = gob.data_folder / "api-key"
    named = ["--server", gob.address, "--key-file", str(key_file), "--input", "day=1"]

    ended = run_gob(gob.folder, "run", *SIMULATED, CALLING, "--json", *named)

    *story, run = lines_of(ended.out)
    assert ended.code == 0
    assert [item["seq"] for item in story] == list(range(1, len(story) + 1))
    assert (story[0]["type"], story[-1]["type"]) == ("RunStarted", "RunFinished")
    assert [item["result"] for item in story if item["type"] == "ToolCallFinished"] == [
        {"value": 42, "text": "42"}
    ]
    assert (run["status"], run["output"]) == ("SUCCEEDED", story[-1]["output"])
    assert run["inputs"] == {"day": 1}


def test_ctrl_c_cancels_the_run_of_a_server_and_keeps_what_it_said(gob: GobProcess):
    with running(gob.folder, *SIMULATED, ENDLESS, "--json", settings=at(gob)) as process:
        first(process, "TokenDelta")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=DEADLINE_S)

    run = lines_of(out)[-1]
    assert process.returncode == 130
    assert (run["status"], run["statusReason"]) == ("CANCELLED", "Ctrl-C")
    assert run["output"].startswith("token-1 ")


def test_a_run_goes_on_with_no_event_twice_when_its_server_was_killed(gob: GobProcess):
    told = json.dumps({"tokens": 40, "delay_s": 0.02})
    with running(gob.folder, *SIMULATED, told, "--json", settings=at(gob)) as process:
        begun = first(process, "TokenDelta")
        gob.kill()
        gob.start()
        out, err = process.communicate(timeout=DEADLINE_S)

    *story, run = lines_of(out)
    assert (process.returncode, run["status"]) == (0, "SUCCEEDED")
    # Text that is read again comes in fewer, larger pieces, which say from where.
    assert [item.get("fromSeq", item["seq"]) for item in story] == [
        item["seq"] + 1 for item in [begun, *story[:-1]]
    ]
    assert [item["voidedStepId"] for item in story if item["type"] == "Retrying"] == [
        begun["stepId"]
    ]
    assert "Trying again." in err


def test_without_a_server_the_command_does_the_work_itself(tmp_path: Path):
    port = str(free_port())
    order = {"name": "Later", "instruction": "What is 6 * 7?", "in_minutes": 90}

    ended = run_gob(tmp_path, "run", f"schedule_task {json.dumps(order)}", settings={"PORT": port})

    assert ended.code == 0
    assert ended.out.startswith('I scheduled "Later": Once, at ')
    told = ended.err.splitlines()
    assert told[0] == (
        f"No server answers at http://localhost:{port}: running in this process, on var/gob.db."
    )
    assert "Tasks fire only while a server runs; start one with `gob serve`." in told
    assert not (tmp_path / "var" / "api-key").exists()


def test_ctrl_c_cancels_a_run_of_this_process(tmp_path: Path):
    with running(tmp_path, *SIMULATED, ENDLESS, "--json", settings={}) as process:
        first(process, "TokenDelta")
        os.kill(process.pid, signal.SIGINT)
        process.communicate(timeout=DEADLINE_S)

    with closing(sqlite3.connect(tmp_path / "var" / "gob.db")) as database:
        rows = database.execute("SELECT status, output, lease_owner FROM run").fetchall()
    assert process.returncode == 130
    assert [(status, owner) for status, _, owner in rows] == [("CANCELLED", None)]
    assert rows[0][1].startswith("token-1 ")
