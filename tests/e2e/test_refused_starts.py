"""What stops a start is said in one sentence, without a traceback, and nothing is served."""

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.e2e.gob_process import READY, Ended, run_gob
from tests.server_processes import free_port

BAD_SETTINGS = [
    ({"PORT": "http"}, ["PORT is 'http'; it should be a number from 0 to 65535."]),
    ({"DB_URL": "mysql://localhost/gob"}, ["DB_URL is 'mysql://localhost/gob'; it should be"]),
    ({"MODEL_PROVIDER": "chatty"}, ["MODEL_PROVIDER is 'chatty'; it should be offline, openai"]),
    ({"MODEL_PROVIDER": "openai"}, ["OPENAI_API_KEY is empty; MODEL_PROVIDER=openai needs it"]),
    ({"MODEL_PROVIDER": "providers"}, ["MODEL_NAME is empty; MODEL_PROVIDER=providers needs a"]),
    ({"MODEL_PROVIDER": "anthropic"}, ["ANTHROPIC_API_KEY is empty; MODEL_PROVIDER=anthropic"]),
    ({"MODEL_PROVIDER": "ollama"}, ["MODEL_NAME is empty; MODEL_PROVIDER=ollama has no default"]),
    ({"ALLOW_ORIGINS": "*"}, ["ALLOW_ORIGINS is '*'; it should be origins such as"]),
    (
        {"LOG_LEVEL": "loud", "LEASE_S": "0"},
        ["LOG_LEVEL is 'loud'; it should be", "LEASE_S is '0'; it should be"],
    ),
]


def refusal(ended: Ended) -> str:
    """What a refused start said; checks that it was refused as it should be."""
    assert ended.code == 2, ended
    assert "Traceback" not in ended.out + ended.err
    assert READY not in ended.out
    return ended.err.strip()


def test_a_public_host_without_keys_is_refused(tmp_path: Path):
    said = refusal(run_gob(tmp_path, "serve", settings={"HOST": "0.0.0.0"}))

    assert said.splitlines()[-1] == (
        "HOST=0.0.0.0 is reachable from outside and there is no API key yet. "
        "Make one first with `gob keys create NAME`, or set HOST=127.0.0.1."
    )
    assert not (tmp_path / "var" / "api-key").exists()


@pytest.mark.parametrize("arguments", [["serve"], ["serve", "--reload"]], ids=" ".join)
def test_a_taken_port_is_refused(tmp_path: Path, arguments: Sequence[str]):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        said = refusal(run_gob(tmp_path, *arguments, settings={"PORT": port}))

    assert said == (
        f"Port {port} is taken by another program; stop it, or set PORT to another one "
        "(0 takes any that is free)."
    )


@pytest.mark.parametrize(("settings", "sentences"), BAD_SETTINGS, ids=str)
def test_bad_settings_are_named_all_at_once(
    tmp_path: Path, settings: Mapping[str, str], sentences: Sequence[str]
):
    said = refusal(run_gob(tmp_path, "serve", settings=settings)).splitlines()

    assert len(said) == len(sentences)
    assert all(any(line.startswith(begin) for line in said) for begin in sentences), said


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_a_postgres_that_is_not_there_is_named_without_its_password(tmp_path: Path, command: str):
    address = f"postgresql://gob:hunter2@127.0.0.1:{free_port()}/gob"
    settings = {"DB_URL": address, "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}

    said = refusal(run_gob(tmp_path, command, settings=settings))

    assert len(said.splitlines()) == 1
    assert "postgresql://gob:***@127.0.0.1" in said
    assert "hunter2" not in said


@pytest.mark.postgres
def test_a_database_that_the_server_lacks_is_named(tmp_path: Path, postgres_url: str):
    address = postgres_url.rpartition("/")[0] + "/nowhere"

    said = refusal(run_gob(tmp_path, "serve", settings={"DB_URL": address}))

    assert 'cannot be reached: database "nowhere" does not exist' in said


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_a_redis_that_is_not_there_is_named(tmp_path: Path, command: str):
    settings = {"REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}

    said = refusal(run_gob(tmp_path, command, settings=settings)).splitlines()[-1]

    assert "Redis" in said
    assert "reached" in said


def test_a_worker_without_redis_is_told_that_the_server_works_itself(tmp_path: Path):
    said = refusal(run_gob(tmp_path, "worker"))

    assert said == (
        "A worker of its own needs REDIS_URL; without it `gob serve` does the work itself."
    )


def test_a_file_that_is_no_database_is_refused(tmp_path: Path):
    (tmp_path / "notes.db").write_text("this is no database, however long it goes on " * 100)

    said = refusal(run_gob(tmp_path, "serve", settings={"DB_URL": "sqlite:///notes.db"}))

    assert "database" in said
    assert (tmp_path / "notes.db").read_text().startswith("this is no database")
