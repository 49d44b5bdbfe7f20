"""`gob demo`: something to look at, once, through the public API."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from graphql import GraphQLSchema, build_schema, parse, validate

from app.cli import demo
from tests.e2e.gob_process import ROOT, GobProcess, run_gob
from tests.e2e.stored import counts, rows
from tests.server_processes import free_port

DOCUMENTS = {
    name: text
    for name, text in vars(demo).items()
    if name.isupper() and isinstance(text, str) and "{" in text
}


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    return build_schema((ROOT / "docs" / "api" / "schema.graphql").read_text())


@pytest.fixture
def gob(tmp_path: Path) -> Iterator[GobProcess]:
    with GobProcess(tmp_path) as process:
        yield process


def stored(gob: GobProcess) -> str:
    return f"sqlite:///{gob.data_folder / 'gob.db'}"


async def made(gob: GobProcess) -> tuple[int, ...]:
    """How many there are of what the demo makes; runs of its task come by themselves."""
    tables = ("agent", "memory", "task", "behavior_profile", "run WHERE occurrence_id IS NULL")
    return tuple([(await rows(stored(gob), f"SELECT count(*) FROM {one}"))[0][0] for one in tables])


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_document_of_the_demo_fits_the_served_schema(name: str, schema: GraphQLSchema):
    assert validate(schema, parse(DOCUMENTS[name])) == []


async def test_the_demo_fills_a_running_server_and_a_second_time_adds_nothing(
    gob: GobProcess, tmp_path: Path
):
    filled = run_gob(tmp_path, "demo", "--url", gob.address)
    after_one = await made(gob)

    again = run_gob(tmp_path, "demo", "--url", gob.address)

    assert (filled.code, filled.err, again.code, again.err) == (0, "", 0, "")
    *added, task, run = [line for line in filled.out.splitlines() if line.startswith("+ ")]
    assert added == [
        "+ agent   ops-analyst - Operations analyst",
        "+ agent   librarian - Librarian",
        "+ agent   timekeeper - Timekeeper",
        *(f"+ memory  {memory['kind']} - {memory['content']}" for memory in demo.MEMORIES),
        "+ rule    Say which figures stand out, and by how much. - in force now",
    ]
    assert task.startswith("+ task    Watch the latencies - each minute until you pause it, next 2")
    assert run.startswith("+ run     Recall when releases go out - SUCCEEDED: ")
    assert demo.MEMORIES[0]["content"] in run
    assert [line for line in again.out.splitlines() if line.startswith(("+", "="))] == [
        f"={line[1:].partition(' - ')[0]} - there already" for line in (*added, task, run)
    ]
    assert await made(gob) == after_one == (4, 3, 1, 1, 1)


def test_what_the_demo_says_to_paste_shows_what_it_made(gob: GobProcess, tmp_path: Path):
    filled = run_gob(tmp_path, "demo", "--url", gob.address)

    lines = filled.out.splitlines()
    [query] = [line for line in lines if line.startswith("  {")]
    [call] = [line for line in lines if line.startswith("  curl ")]
    _, _, address, _, header = shlex.split(call)
    key = {"authorization": f"Bearer {gob.key}"}
    shown = httpx.post(f"{gob.address}/graphql", json={"query": query}, headers=key).json()["data"]
    found = httpx.get(address, headers=key).json()

    assert header == "authorization: Bearer $(cat var/api-key)"
    assert found["hits"][0]["memory"]["content"] == demo.MEMORIES[0]["content"]
    assert {agent["slug"] for agent in shown["agents"]["nodes"]} == {
        "default",
        "ops-analyst",
        "librarian",
        "timekeeper",
    }
    assert demo.RULE["statement"] in {
        rule["statement"] for rule in shown["behaviorProfile"]["rules"]
    }
    assert {memory["content"] for memory in shown["memories"]["nodes"]} == {
        memory["content"] for memory in demo.MEMORIES
    }
    assert [task["name"] for task in shown["tasks"]["nodes"]] == [demo.TASK["name"]]
    assert (demo.RUN["instruction"], "SUCCEEDED") in {
        (run["instruction"], run["status"]) for run in shown["runs"]["nodes"]
    }


async def test_a_reset_forgets_the_demo(gob: GobProcess, tmp_path: Path):
    run_gob(tmp_path, "demo", "--url", gob.address)
    gob.stop()

    ended = run_gob(tmp_path, "reset")

    gob.start()
    assert ended.code == 0
    assert await made(gob) == (1, 0, 0, 0, 0)


async def test_a_wrong_key_is_one_line_and_adds_nothing(gob: GobProcess, tmp_path: Path):
    before = await counts(stored(gob))

    ended = run_gob(tmp_path, "demo", "--url", gob.address, settings={"GOB_API_KEY": "gob_wrong"})

    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"The server at {gob.address} says: ")
    assert ended.err.count("\n") == 1
    assert await counts(stored(gob)) == before


def test_a_server_that_does_not_run_is_one_line(tmp_path: Path):
    address = f"http://localhost:{free_port()}"

    ended = run_gob(tmp_path, "demo", "--url", address, "--key", "gob_any")

    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        f"No server answers at {address}; start one with `make dev`, "
        "or name another one with --url.\n"
    )


def test_without_a_server_here_there_is_no_key(tmp_path: Path):
    ended = run_gob(tmp_path, "demo")

    assert (ended.code, ended.out) == (2, "")
    assert ended.err == ("There is no key in var/api-key; start a server here with `make dev`.\n")


def test_the_key_of_this_machine_goes_to_no_other(gob: GobProcess, tmp_path: Path):
    ended = run_gob(tmp_path, "demo", "--url", "http://gob.example.com")

    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "http://gob.example.com needs a key: give --key, or set GOB_API_KEY.\n"
