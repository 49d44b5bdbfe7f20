"""Sockets that speak nonsense, and cursors that cannot be: said in a frame or a close code."""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode

from tests.e2e.gob_process import TRACEBACK, GobProcess
from tests.e2e.graphql_client import EVENTS, TOKENS, Client, Refused, numbers
from tests.e2e.stored import counts, rows

NO_RUN = "run_AaIFUcbtcACmlahnaKbHiw"
INIT = '{"type": "connection_init"}'
ASK = {"type": "subscribe", "id": "1", "payload": {"query": "{ viewer { scopes } }"}}
ENDLESS = "subscription { events { __typename } }"


@pytest.fixture(scope="module")
def gob(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GobProcess]:
    """One server for all of it, which must not have choked on anything."""
    folder = tmp_path_factory.mktemp("abused")
    with GobProcess(folder, {"MODEL_PROVIDER": "simulated"}) as process:
        yield process
        assert TRACEBACK not in process.err
        assert [line for line in process.lines if line["level"] == "error"] == []


@pytest.fixture
def url(gob: GobProcess) -> str:
    """The server's database."""
    return f"sqlite:///{gob.folder / 'var' / 'gob.db'}"


@pytest.fixture
async def client(gob: GobProcess, url: str) -> AsyncGenerator[Client, None]:
    """A client; when its test is over, the server is well."""
    async with Client.of(gob) as opened:
        yield opened
        assert (await opened.http.get("/readyz")).json()["status"] == "ok"


@pytest.fixture
async def run_id(client: Client, url: str) -> AsyncGenerator[str, None]:
    """A finished run; after the test nothing else has been written."""
    run = await client.execute('{"tokens": 3}', waitSeconds=30)
    before = await counts(url)
    yield run["id"]
    assert await counts(url) == before


async def closing(client: Client, frames: Sequence[str | bytes]) -> tuple[int | None, str | None]:
    """Send the frames; how the server closes."""
    async with client.socket() as socket:
        try:
            for frame in frames:
                await socket.send(frame)
        except ConnectionClosed:
            pass
        async with asyncio.timeout(30):
            await socket.wait_closed()
        return socket.close_code, socket.close_reason


NONSENSE: Mapping[str, tuple[Sequence[str | bytes], int, str]] = {
    "words": (["hello"], 4400, "The message is not valid JSON"),
    "a list": (["[]"], 4400, "The message must be a JSON object"),
    "bytes": ([b"\x00\x01"], 4400, "Only text frames are accepted"),
    "unknown type": (['{"type": "shout"}'], 4400, "Unknown message type"),
    "no type": (["{}"], 4400, "Unknown message type"),
    "odd greeting": (
        ['{"type": "connection_init", "payload": []}'],
        4400,
        "The payload of connection_init must be an object",
    ),
    "two greetings": ([INIT, INIT], 4429, "Too many initialisation requests"),
    "no greeting": ([json.dumps(ASK)], 4401, "Unauthorized"),
    "no id": ([INIT, '{"type": "subscribe"}'], 4400, "A subscribe message needs an id"),
    "no query": (
        [INIT, '{"type": "subscribe", "id": "1", "payload": {}}'],
        4400,
        "subscribe: `query` must be a string",
    ),
    "a huge frame": (["x" * (2 << 20)], 1009, "frame"),
}


@pytest.mark.parametrize("name", NONSENSE)
async def test_a_socket_that_speaks_nonsense_is_closed_with_code_and_reason(
    client: Client, name: str
):
    frames, code, reason = NONSENSE[name]

    said = await closing(client, frames)

    assert said[0] == code
    assert (said[1] or "").startswith(reason)


async def test_a_frame_that_is_no_utf8_closes_the_socket(client: Client):
    async with client.socket() as socket:
        broken = Frame(Opcode.TEXT, b"\xff\xfe").serialize(mask=True)
        socket.transport.write(broken)
        async with asyncio.timeout(30):
            await socket.wait_closed()

    assert socket.close_code == 1007


async def test_bytes_that_are_no_websocket_end_the_connection(client: Client):
    async with client.socket() as socket:
        socket.transport.write(os.urandom(64).replace(b"\x88", b"\x00"))
        socket.transport.write(b"\xff" * 64)
        async with asyncio.timeout(30):
            await socket.wait_closed()

    assert socket.close_code is not None


@pytest.mark.usefixtures("run_id")
async def test_an_id_cannot_be_used_twice_at_a_time(client: Client):
    frame = json.dumps({**ASK, "payload": {"query": ENDLESS}})

    said = await closing(client, [INIT, frame, frame])

    assert said == (4409, "Subscriber for 1 already exists")


async def test_a_socket_without_the_protocol_is_not_kept(client: Client):
    async with connect(f"{client.address.replace('http', 'ws', 1)}/graphql", proxy=None) as socket:
        async with asyncio.timeout(30):
            await socket.wait_closed()

    assert (socket.close_code, socket.close_reason) == (4406, "Subprotocol not acceptable")


async def test_a_page_of_another_origin_gets_no_socket(client: Client):
    address = f"{client.address.replace('http', 'ws', 1)}/graphql"

    with pytest.raises(InvalidStatus) as refused:
        await connect(address, proxy=None, origin="http://evil.example")

    assert refused.value.response.status_code == 403
    assert json.loads(refused.value.response.body)["error"]["code"] == "ORIGIN_NOT_ALLOWED"


SUBSCRIPTIONS: Mapping[str, tuple[str, Mapping[str, Any], str]] = {
    "unknown run": (TOKENS, {"runId": NO_RUN, "after": 0}, "NOT_FOUND"),
    "no id": (TOKENS, {"runId": "x", "after": 0}, "VALIDATION_FAILED"),
    "wrong type": (TOKENS, {"runId": NO_RUN, "after": "one"}, "BAD_USER_INPUT"),
    "unknown field": ("subscription { nothing }", {}, "GRAPHQL_VALIDATION_FAILED"),
    "syntax": ("subscription {", {}, "GRAPHQL_PARSE_FAILED"),
}


@pytest.mark.parametrize("name", SUBSCRIPTIONS)
async def test_a_bad_subscription_is_an_error_frame_and_the_socket_lives(client: Client, name: str):
    document, variables, code = SUBSCRIPTIONS[name]

    with pytest.raises(Refused) as refused:
        await anext(client.subscribe(document, variables))

    assert refused.value.errors[0]["extensions"]["code"] == code


CURSORS = {
    "garbage": ("garbage", "'garbage' is no cursor"),
    "foreign": ("1.deadbeef", "This cursor belongs to another workspace."),
    "endless": ("9" * 5000, "is no cursor"),
    "negative": ("-1.deadbeef", "is no cursor"),
    "not yet": ("999999.{tag}", "This cursor lies after the last event."),
}


@pytest.mark.parametrize("name", CURSORS)
async def test_a_cursor_that_was_never_given_out_is_refused(client: Client, run_id: str, name: str):
    cursor, said = CURSORS[name]
    tag = (await client.story(run_id))[0]["cursor"].partition(".")[2]

    with pytest.raises(Refused) as refused:
        await anext(client.subscribe(EVENTS, {"runId": run_id, "after": cursor.format(tag=tag)}))

    error = refused.value.errors[0]
    assert error["extensions"] == {"code": "BAD_CURSOR", "argumentPath": ["after"]}
    assert said in error["message"]


async def test_a_cursor_that_expired_is_told_to_read_again(client: Client, url: str):
    run = await client.execute('{"tokens": 3}', waitSeconds=30)
    story = await client.story(run["id"])
    gone, kept = story[1], story[2:]
    last_gone = gone["cursor"].partition(".")[0]
    await rows(url, f"UPDATE event_head SET pruned = {last_gone}")
    await rows(url, f"DELETE FROM event WHERE cursor <= {last_gone}")

    items = await client.story(run["id"], story[0]["cursor"])

    assert items[0]["__typename"] == "ResyncRequired"
    assert items[0]["oldestCursor"] == f"{int(last_gone) + 1}.{kept[0]['cursor'].partition('.')[2]}"
    assert numbers(items[1:]) == numbers(kept)
