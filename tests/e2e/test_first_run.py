"""A newcomer's first minutes: one command, GraphiQL opens, a tool runs, tokens arrive."""

import asyncio
import json
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.gob_process import READY, TRACEBACK, GobProcess
from tests.e2e.graphql_client import Client, greet, is_delta, numbers, receive, shown, text_of

CALCULATE = 'calculate {"expression": "2*21"}'
ANSWER = "2*21 = 42"


@pytest.fixture(scope="module")
def gob(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GobProcess]:
    """A server without any setting but a free port."""
    with GobProcess(tmp_path_factory.mktemp("newcomer")) as process:
        yield process


def test_the_start_ends_with_the_address_the_key_and_lines_to_paste(gob: GobProcess):
    lines = gob.out.splitlines()

    assert lines[0].startswith(READY)
    assert lines[1] == "API key    var/api-key (readable by you alone)"
    assert [line.split(" ", 1)[0] for line in lines[3:5]] == ["Try:", "curl"]


def test_the_key_lies_in_a_file_that_only_its_owner_can_read(gob: GobProcess):
    mode = (gob.folder / "var" / "api-key").stat().st_mode

    assert stat.S_IMODE(mode) == 0o600
    assert (gob.folder / "var" / "gob.db").is_file()


def test_the_line_to_paste_runs_as_it_is_printed(gob: GobProcess):
    line = next(line for line in gob.out.splitlines() if line.startswith("curl "))

    pasted = subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=gob.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={"PATH": os.environ["PATH"]},
    )

    run = json.loads(pasted.stdout)["data"]["executeAgent"]["run"]
    assert run["status"] == "SUCCEEDED"
    assert run["output"] != ""


async def test_the_address_leads_a_browser_to_graphiql_which_works_without_a_key(gob: GobProcess):
    own_page = {"sec-fetch-site": "same-origin", "origin": gob.address}
    async with Client(gob.address, None) as browser:
        home = await browser.http.get("/", headers={"accept": "text/html"})
        page = await browser.http.get(home.headers["location"], headers={"accept": "text/html"})
        viewed = await browser.http.post(
            "/graphql", json={"query": "{viewer {workspace {name}}}"}, headers=own_page
        )

    assert (home.status_code, home.headers["location"]) == (307, "/graphql")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "HttpOnly; SameSite=Strict" in page.headers["set-cookie"]
    assert "<title>" in page.text
    assert viewed.json()["data"]["viewer"]["workspace"]["name"] == "Default"


async def test_the_server_names_the_model_providers_that_wait_to_be_set_up(gob: GobProcess):
    async with Client.of(gob) as client:
        seen = await client.ask("{ serverInfo { offline modelProviders { name configured } } }")

    providers = seen["serverInfo"]["modelProviders"]
    assert seen["serverInfo"]["offline"] is True
    assert {each["name"] for each in providers if each["configured"]} == {"offline", "simulated"}
    assert {each["name"] for each in providers if not each["configured"]} == {
        "openai",
        "anthropic",
        "ollama",
        "providers",
    }


async def test_an_instruction_runs_a_tool_and_is_waited_for(gob: GobProcess):
    async with Client.of(gob) as client:
        run = await client.execute(CALCULATE, waitSeconds=30)

    assert (run["status"], run["output"], run["offline"]) == ("SUCCEEDED", ANSWER, True)
    assert run["usage"]["toolCalls"] == 1


async def test_a_subscription_streams_tool_call_and_tokens_to_the_end(gob: GobProcess):
    async with Client.of(gob) as client:
        run = await client.execute(CALCULATE)
        items = await client.story(run["id"])
        pieces = [piece async for piece in client.tokens(run["id"])]

    kinds = [item["__typename"] for item in items if not is_delta(item)]
    assert kinds == [
        "RunStarted",
        "UsageUpdated",
        "ToolCallStarted",
        "ToolCallFinished",
        "UsageUpdated",
        "RunFinished",
    ]
    called = next(item for item in items if item["__typename"] == "ToolCallStarted")
    assert (called["toolName"], called["arguments"]) == ("calculate", {"expression": "2*21"})
    ended = next(item for item in items if item["__typename"] == "ToolCallFinished")
    assert (ended["toolStatus"], ended["result"]) == ("SUCCEEDED", {"value": 42, "text": "42"})
    assert numbers(items) == list(range(1, items[-1]["seq"] + 1))
    assert text_of(items) == items[-1]["output"] == shown(pieces) == ANSWER


async def test_a_call_without_a_key_is_told_where_one_lies(gob: GobProcess):
    async with Client(gob.address, None) as stranger:
        answer = await stranger.post("{viewer {scopes}}")

    error = answer.json()["errors"][0]
    assert answer.status_code == 401
    assert error["extensions"]["code"] == "UNAUTHENTICATED"
    assert "var/api-key" in error["message"]


async def test_a_socket_without_a_key_is_closed_with_the_same_words(gob: GobProcess):
    async with Client(gob.address, None) as stranger, stranger.socket() as socket:
        await socket.send('{"type": "connection_init"}')
        async with asyncio.timeout(30):
            await socket.wait_closed()

    assert socket.close_code == 4401
    assert "Authorization: Bearer" in (socket.close_reason or "")


async def test_one_socket_carries_several_subscriptions(gob: GobProcess):
    document = "subscription S($id: ID!) { agentTokens(runId: $id) { text } }"
    async with Client.of(gob) as client, client.socket() as socket:
        runs = [(await client.execute(CALCULATE, waitSeconds=30))["id"] for _ in range(3)]
        await greet(socket)
        for run_id in runs:
            payload = {"query": document, "variables": {"id": run_id}}
            frame = {"id": run_id, "type": "subscribe", "payload": payload}
            await socket.send(json.dumps(frame))
        texts = dict.fromkeys(runs, "")
        ended: set[str] = set()
        while len(ended) < len(runs):
            frame = await receive(socket)
            if frame["type"] == "complete":
                ended.add(frame["id"])
            else:
                texts[frame["id"]] += frame["payload"]["data"]["agentTokens"]["text"]

    assert texts == dict.fromkeys(runs, ANSWER)


def test_none_of_this_left_a_traceback(gob: GobProcess):
    assert TRACEBACK not in gob.out + gob.err
    assert [line for line in gob.lines if line["level"] not in {"info", "debug"}] == []


async def test_the_key_and_the_runs_outlive_a_restart(tmp_path: Path):
    with GobProcess(tmp_path) as gob:
        key = gob.key
        async with Client.of(gob) as client:
            run = await client.execute(CALCULATE, waitSeconds=30)
        code = gob.stop()
        gob.start()
        async with Client(gob.address, key) as client:
            again = await client.run(run["id"])

    assert code == 0
    assert gob.key == key
    assert again == run


async def test_a_background_run_of_a_conversation_ends_well_and_leaves_its_messages(
    gob: GobProcess,
):
    make = (
        "mutation { createConversation(input: {})"
        " { ... on ConversationSuccess { conversation { id } } } }"
    )
    read = "query($id: ID!) { conversation(id: $id) { messages { nodes { role content } } } }"
    async with Client.of(gob) as client:
        conversation = (await client.ask(make))["createConversation"]["conversation"]["id"]
        for _ in range(2):
            run = await client.execute(CALCULATE, conversationId=conversation)
            story = await client.story(run["id"])
        messages = await client.ask(read, {"id": conversation})

    assert story[-1]["__typename"] == "RunFinished"
    said = messages["conversation"]["messages"]["nodes"]
    assert [message["role"] for message in said] == ["USER", "ASSISTANT"] * 2
    assert {m["content"] for m in said if m["role"] == "ASSISTANT"} == {ANSWER}
