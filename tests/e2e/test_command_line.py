"""The command line against what the server uses: keys, workspaces, doctor, reset."""

import asyncio
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.e2e.gob_process import DEADLINE_S, TRACEBACK, GobProcess, run_gob
from tests.e2e.graphql_client import EXECUTE, Client
from tests.server_processes import free_port


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def settings(request: pytest.FixtureRequest, redis_url: str) -> Mapping[str, str]:
    """The embedded server, and the one with PostgreSQL and Redis."""
    if request.param == "sqlite":
        return {}
    url = request.getfixturevalue("postgres_url")
    return {"DB_URL": url, "REDIS_URL": redis_url, "MIGRATE": "auto"}


async def refusal(client: Client) -> httpx.Response:
    """The first answer that lets the key in no more: servers remember keys for a second."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            answer = await client.post("{ viewer { scopes } }")
            if answer.status_code != 200:
                return answer


def test_the_first_command_on_nothing_prints_only_the_key(tmp_path: Path):
    made = run_gob(tmp_path, "keys", "create", "ci")

    assert made.code == 0
    assert made.err == "Keep this key now; it is not shown again.\n"
    assert made.out.startswith("gob_")
    assert len(made.out.splitlines()) == 1


def test_json_on_nothing_is_json(tmp_path: Path):
    made = run_gob(tmp_path, "keys", "create", "ci", "--json")

    assert json.loads(made.out)["name"] == "ci"


async def test_a_key_opens_the_door_until_it_is_revoked(tmp_path: Path):
    wanted = ["keys", "create", "reader", "--scope", "runs:read", "--json"]
    with GobProcess(tmp_path) as gob:
        made = json.loads(run_gob(tmp_path, *wanted).out)
        listed = json.loads(run_gob(tmp_path, "keys", "list", "--json").out)
        shown = run_gob(tmp_path, "keys", "list").out
        async with Client(gob.address, made["secret"]) as client:
            viewer = (await client.ask("{ viewer { scopes apiKey { name } } }"))["viewer"]
            forbidden = await client.ask(
                EXECUTE, {"input": {"agent": {"slug": "default"}, "instruction": "x"}}
            )
            revoked = run_gob(tmp_path, "keys", "revoke", made["id"])
            refused = await refusal(client)
        left = json.loads(run_gob(tmp_path, "keys", "list", "--json").out)

    assert viewer == {"scopes": ["RUNS_READ"], "apiKey": {"name": "reader"}}
    assert forbidden["executeAgent"]["__typename"] == "Forbidden"
    assert [key["name"] for key in listed] == ["reader", "local"]
    assert made["secret"] not in json.dumps(listed) + shown
    assert (revoked.code, revoked.out) == (0, f"Revoked {made['id']}.\n")
    assert refused.status_code == 401
    assert [key["name"] for key in left] == ["local"]
    assert made["secret"] not in gob.err
    assert TRACEBACK not in gob.err


async def test_a_public_server_starts_once_it_has_a_key_and_shows_none(tmp_path: Path):
    key = run_gob(tmp_path, "keys", "create", "ops").out.strip()
    with GobProcess(tmp_path, {"HOST": "0.0.0.0", "ALLOWED_HOSTS": "127.0.0.1"}) as gob:
        async with Client(gob.address, key) as client, Client(gob.address, None) as stranger:
            viewed = await client.post("{ viewer { scopes } }")
            page = await stranger.http.get("/graphql", headers={"accept": "text/html"})
            refused = await stranger.post("{ viewer { scopes } }")

    assert viewed.json()["data"]["viewer"]["scopes"] == ["ADMIN"]
    assert "set-cookie" not in page.headers
    assert refused.status_code == 401
    assert str(tmp_path) not in refused.text
    assert not (tmp_path / "var" / "api-key").exists()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["keys", "revoke", "nobody"], "No API key has the id 'nobody'."),
        (["keys", "create", "x", "--scope", "everything"], "everything"),
        (["workspaces", "create", ""], "name: "),
    ],
    ids=["unknown-key", "unknown-scope", "no-name"],
)
def test_a_command_that_cannot_be_done_says_why(tmp_path: Path, command: list[str], said: str):
    ended = run_gob(tmp_path, *command)

    assert ended.code == 2
    assert said in ended.err
    assert ended.out == ""
    assert len(ended.err.strip().splitlines()) == 1


def test_a_key_is_made_listed_and_revoked_in_its_workspace(tmp_path: Path):
    run_gob(tmp_path, "workspaces", "create", "Night shift", "--slug", "night")
    wanted = ["--workspace", "night", "--scopes", "runs:read,runs:execute", "--expires-days", "3"]
    made = json.loads(run_gob(tmp_path, "keys", "create", "ci", *wanted, "--json").out)
    again = run_gob(tmp_path, "keys", "create", "ci", "--workspace", "night")
    elsewhere = run_gob(tmp_path, "keys", "list")
    refused = run_gob(tmp_path, "keys", "revoke", made["id"])
    revoked = run_gob(tmp_path, "keys", "revoke", made["id"], "--workspace", "night")
    told = run_gob(tmp_path, "audit", "list", "--workspace", "night", "--json")

    assert (made["scopes"], made["expires"] is None) == ("runs:execute runs:read", False)
    assert again.code == 2
    assert again.err.startswith("A key that works has the name 'ci' already;")
    assert elsewhere.out == "There is no key.\n"
    assert (refused.code, refused.err) == (2, f"No API key has the id {made['id']!r}.\n")
    assert revoked.code == 0
    assert [(line["seq"], line["actor"], line["action"]) for line in json.loads(told.out)] == [
        (1, "command line", "workspace.created"),
        (2, "system", "agent.created"),
        (3, "command line", "key.created"),
        (4, "command line", "key.revoked"),
    ]


async def test_a_new_workspace_has_a_default_agent_and_shares_nothing(tmp_path: Path):
    with GobProcess(tmp_path) as gob:
        run_gob(tmp_path, "workspaces", "create", "Night shift")
        night = run_gob(tmp_path, "keys", "create", "ci", "--workspace", "night-shift").out.strip()
        async with Client(gob.address, night) as client, Client.of(gob) as day:
            run = await client.execute('calculate {"expression": "2*21"}', waitSeconds=10)
            seen = await day.run(run["id"])
            key = (await client.ask("{ viewer { apiKey { id } } }"))["viewer"]["apiKey"]["id"]
        revoked = run_gob(tmp_path, "keys", "revoke", key, "--workspace", "night-shift")

    assert run["status"] == "SUCCEEDED"
    assert seen is None
    assert revoked.out == f"Revoked {key}.\n"


def test_nothing_is_cut_off_a_table_that_a_program_reads(tmp_path: Path):
    made = json.loads(run_gob(tmp_path, "keys", "create", "ci", "--json").out)

    shown = run_gob(tmp_path, "keys", "list", settings={"COLUMNS": "40"})

    assert made["id"] in shown.out


def test_the_audit_log_is_checked_and_a_changed_line_is_named(tmp_path: Path):
    run_gob(tmp_path, "keys", "create", "ci")
    fine = run_gob(tmp_path, "audit", "verify")
    head = fine.out.split()[-1]
    with closing(sqlite3.connect(tmp_path / "var" / "gob.db")) as database:
        database.execute("UPDATE audit SET actor = 'eve' WHERE action = 'key.created'")
        database.commit()
    broken = run_gob(tmp_path, "audit", "verify", "--head", head)
    behind = run_gob(tmp_path, "audit", "verify", "--from", "9")
    nowhere = run_gob(tmp_path, "audit", "verify", "--workspace", "nowhere")

    assert (fine.code, fine.out) == (0, f"2 lines fit; head {head}\n")
    assert (broken.code, broken.out) == (1, "")
    assert broken.err.startswith("The audit log is broken at line 2: Line 2 does not fit")
    assert len(broken.err.splitlines()) == 1
    assert (behind.code, nowhere.code) == (2, 2)
    assert behind.err == "fromSeq: The log has 2 lines; begin at one of 1 to 3.\n"
    assert nowhere.err == "No workspace has the slug 'nowhere'.\n"


def test_workspaces_are_made_and_listed(tmp_path: Path):
    made = run_gob(tmp_path, "workspaces", "create", "Night shift", "--json")
    listed = run_gob(tmp_path, "workspaces", "list", "--json")

    assert json.loads(made.out)[0]["slug"] == "night-shift"
    assert [one["slug"] for one in json.loads(listed.out)] == ["default", "night-shift"]


def test_the_doctor_finds_a_real_set_up_well(tmp_path: Path, settings: Mapping[str, str]):
    with GobProcess(tmp_path, settings):
        ended = run_gob(tmp_path, "doctor", "--json", settings=settings)

    report = json.loads(ended.out)
    assert (ended.code, report["ok"]) == (0, True)
    assert [check["name"] for check in report["checks"] if check["status"] == "failed"] == []


def test_the_doctor_names_each_trouble_with_its_cure(tmp_path: Path):
    nowhere = f"127.0.0.1:{free_port()}"
    settings = {
        "DB_URL": f"postgresql://gob:hunter2@{nowhere}/gob",
        "REDIS_URL": f"redis://:hunter2@{nowhere}/0",
        "MODEL_PROVIDER": "ollama",
        "MODEL_NAME": "qwen3",
        "OLLAMA_BASE_URL": f"http://{nowhere}",
        "OPENAI_BASE_URL": f"http://{nowhere}/v1",
        "OPENAI_API_KEY": "sk-never-to-be-seen",
    }

    ended = run_gob(tmp_path, "doctor", settings=settings)

    assert ended.code == 1
    bad = [line.split("  ")[1] for line in ended.out.splitlines() if line.startswith("BAD ")]
    assert [name.strip() for name in bad] == ["database", "redis", "model", "model openai"]
    assert "-> Start it with `ollama serve`, or set OLLAMA_BASE_URL to where it runs." in ended.out
    assert "hunter2" not in ended.out + ended.err
    assert "sk-never-to-be-seen" not in ended.out + ended.err


def test_reset_is_refused_while_a_server_runs_and_empties_afterwards(tmp_path: Path):
    with GobProcess(tmp_path) as gob:
        refused = run_gob(tmp_path, "reset")
        kept = (tmp_path / "var" / "gob.db").exists()
        gob.stop()
        done = run_gob(tmp_path, "reset")

    assert (refused.code, kept) == (2, True)
    assert refused.err == "A server is running on var; stop it first.\n"
    assert done.code == 0
    assert not (tmp_path / "var" / "gob.db").exists()
    assert not (tmp_path / "var" / "api-key").exists()
