"""The command line says what is wrong in one sentence, and what to paste when all is well."""

import errno
import fcntl
import io
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from app.cli.box import lines_to_paste, own_command, print_box
from app.data_folder import LOCK_NAME, empty, in_use
from app.failures import StartRefused, explain
from app.settings import PROJECT_ROOT
from domain.kernel.errors import NotFound, Unavailable

NO_FILE = Path("/dev/null")


def gob(
    *arguments: str, folder: Path, settings: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the real command line in a folder, with these settings and nothing else."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "app", *arguments],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(PROJECT_ROOT),
            "GOB_ENV_FILE": str(NO_FILE),
            "COLUMNS": "100",
            **(settings or {}),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is bound and never listens: connecting is refused, and nobody takes it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_help_names_every_command(tmp_path: Path):
    shown = gob("--help", folder=tmp_path)

    assert shown.returncode == 0
    for command in ("serve", "run", "worker", "migrate", "keys", "workspaces", "audit", "doctor"):
        assert f" {command} " in shown.stdout


def test_the_help_loads_no_part_of_the_server(tmp_path: Path):
    code = (
        "import sys; from app.cli.main import build; build();"
        "print([m for m in ('pydantic','tortoise','strawberry','structlog','redis','httpx')"
        " if m in sys.modules])"
    )

    shown = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert shown.stdout == "[]\n"


@pytest.mark.parametrize("command", ["serve", "worker", "migrate", "doctor", "reset"])
def test_bad_settings_end_every_command_in_sentences(tmp_path: Path, command: str):
    ended = gob(command, folder=tmp_path, settings={"PORT": "eighty", "LOG_FORMAT": "xml"})

    assert ended.returncode == 2
    assert ended.stderr == (
        "PORT is 'eighty'; it should be a number from 0 to 65535.\n"
        "LOG_FORMAT is 'xml'; it should be auto, console or json.\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_worker_without_redis_is_refused(tmp_path: Path):
    ended = gob("worker", folder=tmp_path)

    assert ended.returncode == 2
    assert ended.stderr == (
        "A worker of its own needs REDIS_URL; without it `gob serve` does the work itself.\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "start"),
    [
        (OSError(errno.EADDRINUSE, "in use"), "The port is taken by another program;"),
        (OSError(errno.EADDRNOTAVAIL, "no"), "HOST is no address of this machine;"),
        (PermissionError(errno.EACCES, "no"), "The port may not be opened by this user;"),
        (
            PermissionError(errno.EACCES, "no", "var/x"),
            "A file or folder may not be opened (var/x)",
        ),
        (OSError(errno.ENOSPC, "full"), "The disk is full;"),
        (StartRefused("Not like this."), "Not like this."),
        (Unavailable("The database is away."), "The database is away."),
        (NotFound("key", "k1"), "No key has the id 'k1'."),
    ],
)
def test_what_people_can_mend_is_one_sentence(error: BaseException, start: str):
    sentence = explain(error)

    assert sentence is not None
    assert sentence.startswith(start)
    assert "\n" not in sentence


def test_a_cause_that_is_wrapped_is_found():
    inner = OSError(errno.EADDRINUSE, "in use")
    wrapped = ExceptionGroup("tasks", [RuntimeError("outer")])
    wrapped.exceptions[0].__cause__ = inner

    assert explain(wrapped) == explain(inner)


def test_what_nobody_foresaw_keeps_its_traceback():
    assert explain(KeyError("x")) is None


async def test_a_driver_that_cannot_connect_is_explained(closed_port: int):
    from redis.asyncio import Redis

    client = Redis.from_url(f"redis://127.0.0.1:{closed_port}")
    with pytest.raises(Exception) as caught:  # noqa: PT011 the driver's own class is the subject
        await client.ping()
    await client.aclose()

    sentence = explain(caught.value)

    assert sentence is not None
    assert sentence.startswith("Redis cannot be reached: ")


def test_a_reset_deletes_what_the_server_made_and_nothing_else(tmp_path: Path):
    for name in ("gob.db", "gob.db-wal", "api-key", "notes.txt"):
        (tmp_path / name).write_text("x")
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "mine.csv").write_text("a,b")

    removed = empty(tmp_path, sqlite=tmp_path / "gob.db")

    assert sorted(path.name for path in removed) == ["api-key", "artifacts", "gob.db", "gob.db-wal"]
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["files", LOCK_NAME, "notes.txt"]


def test_a_reset_leaves_a_database_elsewhere_alone(tmp_path: Path):
    elsewhere = tmp_path / "gob.db"
    elsewhere.write_text("x")
    (tmp_path / "var").mkdir()

    assert empty(tmp_path / "var", sqlite=elsewhere) == []
    assert elsewhere.exists()


def test_a_reset_is_refused_while_a_server_runs(tmp_path: Path):
    (tmp_path / "gob.db").write_text("x")

    with in_use(tmp_path), in_use(tmp_path), pytest.raises(StartRefused) as caught:
        empty(tmp_path, sqlite=tmp_path / "gob.db")

    assert str(caught.value) == f"A server is running on {tmp_path}; stop it first."
    assert (tmp_path / "gob.db").exists()


def test_a_server_does_not_start_while_the_folder_is_emptied(tmp_path: Path):
    with (tmp_path / LOCK_NAME).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        with pytest.raises(StartRefused, match="is being emptied"), in_use(tmp_path):
            pass


def test_the_box_is_plain_without_a_terminal():
    output = io.StringIO()

    print_box("http://127.0.0.1:8080", key_path=Path("var/api-key"), stream=output)

    lines = output.getvalue().splitlines()
    assert lines[:2] == [
        "GOB is ready at http://127.0.0.1:8080",
        "API key    var/api-key (readable by you alone)",
    ]
    assert lines[3] == "Try:"
    assert lines[4].startswith("curl -s http://127.0.0.1:8080/graphql ")
    assert lines[5] == "http://127.0.0.1:8080/graphql"
    assert lines[6].endswith(" doctor")


def test_the_box_has_a_frame_on_a_terminal():
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    output = Terminal()

    print_box("http://127.0.0.1:8080", key_path=None, lines=["one", "two"], stream=output)

    assert "╭" in output.getvalue()
    assert output.getvalue().endswith("\nTry:\none\ntwo\n\n")


def test_the_doctor_is_called_as_this_shell_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    program = tmp_path / ".venv" / "bin" / "python"
    program.parent.mkdir(parents=True)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(tmp_path)
    without_command = own_command()

    program.with_name("gob").write_text("#!/bin/sh\n")
    program.with_name("gob").chmod(0o755)
    in_the_project = own_command()
    monkeypatch.setenv("PATH", str(program.parent))
    with_an_active_environment = own_command()

    assert without_command == f"{program} -m app"
    assert in_the_project == ".venv/bin/gob"
    assert with_an_active_environment == "gob"


def test_the_line_to_paste_survives_a_shell(tmp_path: Path):
    key = tmp_path / "it's a key"
    key.write_text("gob_secret\n")
    call = lines_to_paste("http://127.0.0.1:1", key)[0]

    arguments = subprocess.run(
        ["sh", "-c", 'curl() { for part; do printf "%s\\0" "$part"; done; }\n' + call],
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    ).stdout.split("\0")

    assert "authorization: Bearer gob_secret" in arguments
    body = json.loads(arguments[arguments.index("-d") + 1])
    assert body["variables"]["i"]["agent"] == {"slug": "default"}
