"""`gob demo`: something to look at, once, through the public API."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from graphql import GraphQLSchema, build_schema, parse, validate

from app.cli import demo
from tests.e2e.gob_process import ROOT, GobProcess, run_gob
from tests.e2e.stored import counts
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


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_document_of_the_demo_fits_the_served_schema(name: str, schema: GraphQLSchema):
    assert validate(schema, parse(DOCUMENTS[name])) == []


async def test_the_demo_fills_a_running_server_and_a_second_time_adds_nothing(
    gob: GobProcess, tmp_path: Path
):
    filled = run_gob(tmp_path, "demo", "--url", gob.address)
    after_one = await counts(stored(gob))

    again = run_gob(tmp_path, "demo", "--url", gob.address)

    assert (filled.code, filled.err, again.code, again.err) == (0, "", 0, "")
    added = [line for line in filled.out.splitlines() if line.startswith("+ ")]
    found = [line for line in again.out.splitlines() if line.startswith("= ")]
    assert added == [
        "+ agent   ops-analyst - Operations analyst",
        "+ agent   librarian - Librarian",
        "+ agent   timekeeper - Timekeeper",
        "+ rule    Say which figures stand out, and by how much. - in force now",
        (
            "+ run     Summarize the numbers 212, 198, 230, 4100, 205 - SUCCEEDED: "
            "numbers_summary: count 5, total 4945.0, mean 989.0, minimum 198.0, "
            "quartile 1 205.0, median 212.0, quartile 3 230.0, maximum 4100.0, "
            "deviation 1739.14260484872."
        ),
    ]
    assert found == [f"={line[1:].partition(' - ')[0]} - there already" for line in added]
    assert "\n+ " not in again.out
    assert await counts(stored(gob)) == after_one


def test_what_the_demo_says_to_paste_shows_what_it_made(gob: GobProcess, tmp_path: Path):
    filled = run_gob(tmp_path, "demo", "--url", gob.address)

    [call] = [line for line in filled.out.splitlines() if line.startswith("  curl ")]
    words = shlex.split(call)
    body = words[words.index("-d") + 1]
    answer = httpx.post(
        words[2],
        content=body,
        headers={"content-type": "application/json", "authorization": f"Bearer {gob.key}"},
    )

    assert words[2] == f"{gob.address}/graphql"
    assert "authorization: Bearer $(cat var/api-key)" in words
    shown = answer.json()["data"]
    assert {agent["slug"] for agent in shown["agents"]["nodes"]} == {
        "default",
        "ops-analyst",
        "librarian",
        "timekeeper",
    }
    assert demo.RULE["statement"] in {
        rule["statement"] for rule in shown["behaviorProfile"]["rules"]
    }
    assert [run["status"] for run in shown["runs"]["nodes"]] == ["SUCCEEDED"]


async def test_a_reset_forgets_the_demo(gob: GobProcess, tmp_path: Path):
    run_gob(tmp_path, "demo", "--url", gob.address)
    gob.stop()

    ended = run_gob(tmp_path, "reset")

    gob.start()
    kept = await counts(stored(gob))
    assert ended.code == 0
    assert (kept["agent"], kept["run"]) == (1, 0)


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
