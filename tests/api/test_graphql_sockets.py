"""graphql-transport-ws over real sockets: its operations, its rules and its close codes."""

import asyncio
import json
from typing import Any

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import connect

from app.graphql.door import DoorOptions
from app.graphql.sockets import SocketLimits
from tests.api.sample_app import beside_access, make_app
from tests.api.sample_schema import Seen
from tests.api.servers import serving
from tests.api.socket_client import (
    PROTOCOL,
    closing,
    dialed,
    greeted,
    heard,
    say,
    subscribe,
)


async def test_a_subscription_sends_its_events_and_completes() -> None:
    seen = Seen()
    async with greeted(seen) as socket:
        await subscribe(
            socket, "a", "subscription ($n: Int!) { count(to: $n) }", variables={"n": 2}
        )

        frames = [await heard(socket) for _ in range(3)]

    assert socket.subprotocol == PROTOCOL
    assert frames == [
        {"id": "a", "type": "next", "payload": {"data": {"count": 1}}},
        {"id": "a", "type": "next", "payload": {"data": {"count": 2}}},
        {"id": "a", "type": "complete"},
    ]
    assert (seen.opened, seen.closed) == (1, 1)


async def test_queries_and_mutations_have_one_result() -> None:
    seen = Seen()
    async with greeted(seen) as socket:
        await subscribe(socket, "q", "query B { hello } query C { whoami }", operationName="C")
        query = [await heard(socket), await heard(socket)]
        await subscribe(socket, "m", 'mutation { save(input: {text: "x"}) { __typename } }')
        mutation = [await heard(socket), await heard(socket)]

    assert query[0]["payload"] == {"data": {"whoami": "guest"}}
    assert mutation[0]["payload"] == {"data": {"save": {"__typename": "Saved"}}}
    assert (query[1]["type"], mutation[1]["type"]) == ("complete", "complete")
    assert seen.saved == ["x"]


async def test_an_id_may_be_used_again_after_its_operation_ended() -> None:
    async with greeted() as socket:
        for _ in range(2):
            await subscribe(socket, 'odd "id" é', "{ hello }")
            assert (await heard(socket))["id"] == 'odd "id" é'
            assert (await heard(socket))["type"] == "complete"


async def test_completing_closes_the_source_at_once_and_says_no_more() -> None:
    seen = Seen()
    async with greeted(seen) as socket:
        await subscribe(socket, "a", "subscription { idle }")
        await heard(socket)

        await say(socket, type="complete", id="a")
        async with asyncio.timeout(5):
            await seen.closing.wait()
        await say(socket, type="ping")

        assert await heard(socket) == {"type": "pong"}
    assert (seen.opened, seen.closed) == (1, 1)


async def test_closing_the_socket_closes_every_source_at_once() -> None:
    seen = Seen()
    app = make_app(seen)
    async with serving(app) as address:
        async with connect(f"ws://{address}/graphql", subprotocols=[PROTOCOL]) as socket:  # type: ignore[list-item]
            await say(socket, type="connection_init")
            await heard(socket)
            await subscribe(socket, "a", "subscription { idle }")
            await heard(socket)
        async with asyncio.timeout(5):
            await seen.closing.wait()

    assert (seen.opened, seen.closed) == (1, 1)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("subscription { nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription ($n: Int!) { count(to: $n) }", "BAD_USER_INPUT"),
        ("{ run {" + " id" * 21 + "} }", "GRAPHQL_LIMIT_EXCEEDED"),
        ("subscription { refused }", "NOT_FOUND"),
    ],
)
async def test_a_refused_operation_is_an_error_frame_and_the_socket_lives_on(
    query: str, code: str
) -> None:
    with capture_logs() as logs:
        async with greeted() as socket:
            await subscribe(socket, "a", query)
            refused = await heard(socket)
            await subscribe(socket, "a", "{ hello }")
            answered = await heard(socket)

    assert (refused["id"], refused["type"]) == ("a", "error")
    assert [error["extensions"]["code"] for error in refused["payload"]] == [code]
    assert answered["payload"] == {"data": {"hello": "hello world"}}
    assert beside_access(logs) == []


async def test_a_source_that_refuses_later_ends_with_its_error() -> None:
    async with greeted() as socket:
        await subscribe(socket, "a", "subscription { refused(after: 1) }")

        frames = [await heard(socket), await heard(socket)]

    assert [frame["type"] for frame in frames] == ["next", "error"]
    assert frames[1]["payload"] == [
        {"message": "No run has the id 'run_9'.", "extensions": {"code": "NOT_FOUND"}}
    ]


async def test_a_source_that_crashes_is_masked_and_logged_once() -> None:
    with capture_logs() as logs:
        async with greeted() as socket:
            await subscribe(socket, "a", "subscription { crashed }")
            frames = [await heard(socket), await heard(socket)]

    assert frames[1]["payload"][0]["extensions"]["code"] == "INTERNAL"
    assert "hunter2" not in json.dumps(frames)
    assert [line["event"] for line in beside_access(logs)] == ["graphql.failed"]


async def test_pings_are_answered_with_their_payload() -> None:
    async with dialed() as socket:
        await say(socket, type="ping", payload={"n": 1})
        await say(socket, type="pong")
        await say(socket, type="ping")

        assert await heard(socket) == {"type": "pong", "payload": {"n": 1}}
        assert await heard(socket) == {"type": "pong"}


def operation(payload: str) -> str:
    return f'{{"type": "subscribe", "id": "a", "payload": {payload}}}'


NEEDS_ID = "A subscribe message needs an id, a string that is not empty"


NEEDS_QUERY = "subscribe: `query` must be a string that holds a GraphQL document."


DEEP = "[" * 70 + "]" * 70


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ("{", "The message is not valid JSON"),
        ("[]", "The message must be a JSON object"),
        ("[" * 100_000, "The message is not valid JSON"),
        ('{"type": "start"}', "Unknown message type"),
        ('{"type": 7}', "Unknown message type"),
        ("{}", "Unknown message type"),
        (b"\x00\x01", "Only text frames are accepted"),
        ('{"type": "subscribe"}', NEEDS_ID),
        ('{"type": "subscribe", "id": ""}', NEEDS_ID),
        (operation("null"), "subscribe: The body must be one JSON object with `query`."),
        (operation('{"query": 1}'), NEEDS_QUERY),
        (
            operation('{"query": "{a}", "variables": []}'),
            "subscribe: `variables` must be an object or null.",
        ),
        (
            operation(f'{{"query": "{{a}}", "variables": {{"x": {DEEP}}}}}'),
            "subscribe: the payload is nested too deeply",
        ),
        ('{"type": "complete"}', "A complete message needs the id of an operation"),
    ],
)
async def test_nonsense_closes_with_4400_and_a_reason_and_no_traceback(
    frame: str | bytes, reason: str
) -> None:
    with capture_logs() as logs:
        async with greeted() as socket:
            await socket.send(frame)

            assert await closing(socket) == (4400, reason)
    assert beside_access(logs) == []


async def test_text_that_is_no_utf8_closes_with_1007_and_no_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with greeted() as socket:
        async with socket.send_context():
            socket.protocol.send_text(b'{"type": "\xff"}')

        assert await closing(socket) == (1007, "invalid UTF-8")
    assert [record for record in caplog.records if record.exc_info] == []


async def test_a_frame_that_is_too_long_closes_with_1009() -> None:
    async with greeted(limits=SocketLimits(frame_chars=100)) as socket:
        await say(socket, type="ping", payload={"x": "y" * 100})

        assert await closing(socket) == (1009, "Message too big")


async def test_another_subprotocol_closes_with_4406() -> None:
    async with dialed(protocols=("graphql-ws",)) as socket:
        assert await closing(socket) == (4406, "Subprotocol not acceptable")


async def test_an_operation_before_the_greeting_closes_with_4401() -> None:
    seen = Seen()
    async with dialed(seen) as socket:
        await subscribe(socket, "a", "subscription { count }")

        assert await closing(socket) == (4401, "Unauthorized")
    assert seen.opened == 0


async def test_a_second_greeting_closes_with_4429() -> None:
    async with greeted() as socket:
        await say(socket, type="connection_init")

        assert await closing(socket) == (4429, "Too many initialisation requests")


async def test_a_missing_greeting_closes_with_4408() -> None:
    async with dialed(limits=SocketLimits(init_timeout_s=0.05)) as socket:
        assert await closing(socket) == (4408, "Connection initialisation timeout")


async def test_a_second_operation_of_one_id_closes_with_4409() -> None:
    seen = Seen()
    async with greeted(seen) as socket:
        await subscribe(socket, "a", "subscription { idle }")
        await heard(socket)
        await subscribe(socket, "a", "subscription { idle }")

        assert await closing(socket) == (4409, "Subscriber for a already exists")
        async with asyncio.timeout(5):
            await seen.closing.wait()
    assert (seen.opened, seen.closed) == (1, 1)


async def test_too_many_operations_are_an_error_frame_for_those_beyond() -> None:
    seen = Seen()
    async with greeted(seen, limits=SocketLimits(operations=1)) as socket:
        await subscribe(socket, "a", "subscription { idle }")
        await heard(socket)
        await subscribe(socket, "b", "subscription { idle }")

        refused = await heard(socket)

    assert refused["payload"][0]["extensions"] == {
        "code": "GRAPHQL_LIMIT_EXCEEDED",
        "limit": "subscriptions",
        "value": 2,
        "maximum": 1,
    }
    assert seen.opened == 1


async def test_a_slow_client_stops_its_source_and_is_closed_in_time() -> None:
    seen = Seen()
    limits = SocketLimits(init_timeout_s=0.01, send_timeout_s=0.02)
    inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    closed: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        if '"next"' in message.get("text", ""):
            await asyncio.Event().wait()
        if message["type"] == "websocket.close":
            closed.append(message)

    flood = {"id": "a", "type": "subscribe", "payload": {"query": "subscription { flood }"}}
    inbox.put_nowait({"type": "websocket.connect"})
    for text in ({"type": "connection_init"}, flood):
        inbox.put_nowait({"type": "websocket.receive", "text": json.dumps(text)})
    scope = {
        "type": "websocket",
        "path": "/graphql",
        "headers": [(b"host", b"localhost")],
        "subprotocols": [PROTOCOL],
        "query_string": b"",
    }

    async with asyncio.timeout(5):
        await make_app(seen, options=DoorOptions(socket_limits=limits))(scope, inbox.get, send)

    assert [(message["code"], message["reason"]) for message in closed] == [
        (1013, "The client takes no frames")
    ]
    assert seen.pulled == 1
