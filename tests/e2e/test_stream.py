"""The WebSocket /ws/stream as a script uses it: subscribe, read, resume, be refused."""

import asyncio
import json
from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed

from app.stream.schema import schema_text
from tests.e2e.gob_process import TRACEBACK, GobProcess
from tests.e2e.graphql_client import Client
from tests.e2e.stream_client import SCHEMA, Frame, StreamClient, stream_of

WORDS = '{"text": "one two three four five", "tokens": 1}'
TRACE = "0af7651916cd43dd8448eb211c80319c"
NO_RUN = "run_AaIFUcbtcACmlahnaKbHiw"


@pytest.fixture(scope="module")
def gob(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GobProcess]:
    """One server whose model says what it is told to."""
    folder = tmp_path_factory.mktemp("stream")
    with GobProcess(folder, {"MODEL_PROVIDER": "simulated"}) as process:
        yield process
        assert TRACEBACK not in process.err
        assert [line for line in process.lines if line["level"] == "error"] == []


def is_end(frame: Frame) -> bool:
    return frame["type"] == "event" and frame["data"].get("type") in {"RunFinished", "RunFailed"}


def is_complete(frame: Frame) -> bool:
    return frame["type"] == "complete"


def text_of(frames: list[Frame]) -> str:
    return "".join(frame["data"]["text"] for frame in frames if frame.get("event") == "agent.token")


async def closed(stream: StreamClient) -> int | None:
    with pytest.raises(ConnectionClosed):
        await stream.heard()
    return stream.socket.close_code


def test_the_schema_of_the_frames_is_checked_in():
    assert SCHEMA.read_text() == schema_text()


async def test_a_run_is_followed_from_its_first_event_to_its_last(gob: GobProcess):
    async with Client.of(gob) as client, stream_of(gob) as stream:
        run = await client.execute(WORDS)
        await stream.subscribe("a", "agent.token", "run.update", runId=run["id"])
        seen = await stream.until(is_complete)

    kinds = [frame["data"]["type"] for frame in seen if frame.get("event") == "run.update"]
    assert kinds == ["RunStarted", "UsageUpdated", "RunFinished"]
    assert text_of(seen) == "one two three four five"
    assert seen[-1] == {"type": "complete", "id": "a"}
    assert {frame["data"]["runId"] for frame in seen[:-1]} == {run["id"]}
    assert {frame["traceId"] for frame in seen[:-1]} == {run["traceId"]}


async def test_without_a_run_all_runs_are_told_from_now_on(gob: GobProcess):
    async with Client.of(gob) as client, stream_of(gob) as stream:
        earlier = await client.execute(WORDS, waitSeconds=30)
        await stream.subscribe("all", "run.update")
        later = await client.execute(WORDS)
        seen = await stream.until(is_end)

    assert {frame["data"]["runId"] for frame in seen} == {later["id"]}
    assert earlier["id"] != later["id"]
    assert seen[-1]["data"]["output"] == "one two three four five"


async def test_a_lost_socket_goes_on_after_its_cursor(gob: GobProcess):
    async with Client.of(gob) as client:
        run = await client.execute(WORDS, waitSeconds=30)
        async with stream_of(gob) as stream:
            await stream.subscribe("a", "run.update", runId=run["id"])
            whole = await stream.until(is_complete)
        async with stream_of(gob) as stream:
            cursor = whole[0]["cursor"]
            await stream.subscribe("a", "run.update", runId=run["id"], after=cursor)
            rest = await stream.until(is_complete)

    assert rest == whole[1:]


async def test_a_run_that_has_ended_before_the_cursor_completes_at_once(gob: GobProcess):
    async with Client.of(gob) as client, stream_of(gob) as stream:
        run = await client.execute(WORDS, waitSeconds=30)
        await stream.subscribe("a", "run.update", runId=run["id"])
        whole = await stream.until(is_complete)
        await stream.subscribe("b", "run.update", runId=run["id"], after=whole[-2]["cursor"])
        assert await stream.heard() == {"type": "complete", "id": "b"}


async def test_a_subscription_ends_when_the_client_wishes(gob: GobProcess):
    async with Client.of(gob) as client, stream_of(gob) as stream:
        await stream.subscribe("a", "run.update")
        await stream.send({"type": "unsubscribe", "id": "a"})
        assert await stream.heard() == {"type": "complete", "id": "a"}
        await client.execute(WORDS, waitSeconds=30)
        await stream.send({"type": "ping"})
        assert await stream.heard() == {"type": "pong"}


async def test_the_trace_of_a_request_is_on_every_frame_of_its_run(gob: GobProcess):
    traceparent = f"00-{TRACE}-b7ad6b7169203331-01"
    async with Client.of(gob, traceparent=traceparent) as client, stream_of(gob) as stream:
        await stream.subscribe("a", "agent.token", "run.update")
        await client.execute(WORDS)
        seen = await stream.until(is_end)

    assert {frame["traceId"] for frame in seen} == {TRACE}


async def test_browsers_bring_their_key_as_a_subprotocol(gob: GobProcess):
    key = f"gob.bearer.{gob.key}"
    async with stream_of(gob, protocols=["gob.stream", key]) as stream:
        chosen = stream.socket.subprotocol
        await stream.send({"type": "ping"})
        answer = await stream.heard()
    async with stream_of(gob, protocols=[key]) as alone:
        await alone.send({"type": "ping"})
        assert await alone.heard() == {"type": "pong"}

    assert (chosen, answer) == ("gob.stream", {"type": "pong"})


@pytest.mark.parametrize("key", ["gob_nonsense", ""], ids=["unknown", "none"])
async def test_without_a_good_key_the_socket_says_why_and_closes(gob: GobProcess, key: str):
    async with stream_of(gob, protocols=[f"gob.bearer.{key}"]) as stream:
        frame = await stream.heard()
        code = await closed(stream)

    assert (frame["type"], frame["id"], frame["code"]) == ("error", None, "UNAUTHENTICATED")
    assert code == 4401


BAD = {
    "no type": ({"id": "a"}, "VALIDATION_FAILED", ["type"]),
    "unknown type": ({"type": "shout", "id": "a"}, "VALIDATION_FAILED", ["type"]),
    "no events": ({"type": "subscribe", "id": "a"}, "VALIDATION_FAILED", ["events"]),
    "unknown event": (
        {"type": "subscribe", "id": "a", "events": ["agent.thought"]},
        "VALIDATION_FAILED",
        ["events", "0"],
    ),
    "unknown field": (
        {"type": "subscribe", "id": "a", "events": ["run.update"], "run": "x"},
        "VALIDATION_FAILED",
        ["run"],
    ),
    "unknown run": (
        {"type": "subscribe", "id": "a", "events": ["run.update"], "runId": NO_RUN},
        "NOT_FOUND",
        ["runId"],
    ),
    "no run's id": (
        {"type": "subscribe", "id": "a", "events": ["run.update"], "runId": "7"},
        "VALIDATION_FAILED",
        ["runId"],
    ),
    "odd cursor": (
        {"type": "subscribe", "id": "a", "events": ["run.update"], "after": "7"},
        "BAD_CURSOR",
        ["after"],
    ),
    "unknown subscription": ({"type": "unsubscribe", "id": "a"}, "NOT_FOUND", ["id"]),
}


@pytest.mark.parametrize("case", BAD, ids=str)
async def test_a_bad_frame_is_answered_and_the_socket_stays(gob: GobProcess, case: str):
    frame, code, path = BAD[case]
    async with stream_of(gob) as stream:
        await stream.socket.send(json.dumps(frame))
        answer = await stream.heard()
        await stream.send({"type": "ping"})
        after = await stream.heard()

    assert (answer["type"], answer["id"], answer["code"]) == ("error", frame.get("id"), code)
    assert [field["path"] for field in answer["fields"]] == [path]
    assert after == {"type": "pong"}


async def test_an_id_in_use_is_refused_and_the_first_goes_on(gob: GobProcess):
    async with Client.of(gob) as client, stream_of(gob) as stream:
        await stream.subscribe("a", "run.update")
        await stream.send({"type": "subscribe", "id": "a", "events": ["agent.token"]})
        refused = await stream.heard()
        await client.execute(WORDS)
        first = await stream.heard()

    assert (refused["code"], refused["fields"][0]["path"]) == ("INVALID_STATE", ["id"])
    assert (first["id"], first["event"]) == ("a", "run.update")


@pytest.mark.parametrize(("sent", "code"), [("hello", 4400), ("[]", 4400), (b"\x00", 4400)])
async def test_what_is_no_json_object_closes_the_socket(
    gob: GobProcess, sent: str | bytes, code: int
):
    async with stream_of(gob) as stream:
        await stream.socket.send(sent)
        assert await closed(stream) == code


async def test_many_sockets_are_told_the_same(gob: GobProcess):
    async with Client.of(gob) as client:
        run = await client.execute(WORDS, waitSeconds=30)

        async def whole() -> list[Frame]:
            async with stream_of(gob) as stream:
                await stream.subscribe("a", "agent.token", "run.update", runId=run["id"])
                return await stream.until(is_complete)

        stories = await asyncio.gather(*(whole() for _ in range(5)))

    assert all(story == stories[0] for story in stories)
