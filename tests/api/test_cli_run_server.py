"""`gob run` follows a server through broken connections, and reads its refusals as sentences."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import pytest
import pytest_asyncio

from app.cli.run.desk import Json, LostSightError, RunDesk
from app.cli.run.following import Exit, Stops, follow, heard_signals
from app.cli.run.server_desk import Patience, ServerDesk, is_server
from app.failures import StartRefused
from tests.ports.scripted_openai import ScriptedOpenAI
from tests.server_processes import free_port

ORDER: Json = {"agent": {"slug": "default"}, "instruction": "Say hi", "idempotencyKey": "once"}
RUN: Json = {"id": "run_1", "status": "SUCCEEDED", "offline": True}
AT_ONCE = Patience(give_up_s=30.0, first_s=0.0)


def event(seq: int, kind: str = "TokenDelta", **fields: Any) -> Json:
    return {"type": kind, "cursor": f"c{seq}", "seq": seq, **fields}


def frames(*items: Mapping[str, Any]) -> bytes:
    lines = [f"id: {item.get('cursor')}\ndata: {json.dumps(item)}\n\n" for item in items]
    return "".join(["retry: 1000\n\n", ": \n\n", *lines]).encode()


class Server:
    """A GOB server that answers as scripted."""

    def __init__(self, wire: ScriptedOpenAI) -> None:
        self.wire = wire
        self.address = f"http://127.0.0.1:{wire.port}"
        self.told: list[str] = []

    def answers(self, status: int, document: Mapping[str, Any]) -> None:
        self.wire.reply(status, json.dumps(document).encode())

    def streams(self, *items: Mapping[str, Any]) -> None:
        self.wire.reply(200, frames(*items), content_type="text/event-stream")

    def desk(self, patience: Patience = AT_ONCE) -> ServerDesk:
        return ServerDesk(self.address, "gob_key", tell=self.told.append, patience=patience)


@pytest_asyncio.fixture
async def server() -> AsyncGenerator[Server, None]:
    async with ScriptedOpenAI() as wire:
        yield Server(wire)


async def events(desk: ServerDesk) -> Sequence[Json]:
    return [item async for item in desk.events("run_1")]


async def test_a_broken_stream_goes_on_after_its_cursor_with_no_event_twice(server: Server):
    server.streams(
        event(1, "RunStarted"), event(2, text="It "), {"type": "Heartbeat", "cursor": "c9"}
    )
    server.answers(503, {"detail": "The database cannot be reached; try again soon."})
    server.streams(event(2, text="It "), event(3, text="is"), event(4, "RunFinished"))

    async with server.desk() as desk:
        found = await events(desk)

    assert [item.get("seq") for item in found] == [1, 2, None, 3, 4]
    asked = [request.headers.get("last-event-id") for request in server.wire.requests]
    assert asked == [None, "c9", "c9"]
    assert server.told == [
        f"{server.address} ended the stream. Trying again.",
        "The server is back.",
    ]


async def test_letters_that_break_lines_elsewhere_break_none_here(server: Server):
    item = event(1, text="a\u2028b\x85c")
    line = json.dumps(item, ensure_ascii=False)
    body = f"data: {line}\n\ndata: {json.dumps(event(2, 'RunFinished'))}\n\n".encode()
    server.wire.reply(200, body, content_type="text/event-stream")

    async with server.desk() as desk:
        found = await events(desk)

    assert found[0] == item


async def test_a_server_that_stays_away_is_given_up(server: Server):
    server.streams(event(1, "RunStarted"))

    async with server.desk(Patience(give_up_s=0.0)) as desk:
        with pytest.raises(LostSightError) as caught:
            await events(desk)

    assert str(caught.value) == f"{server.address} ended the stream."


@pytest.mark.parametrize(
    "reply", [(404, b'{"detail": "No run has the id \'run_1\'."}'), (200, None)], ids=["404", "mid"]
)
async def test_a_refusal_on_the_way_is_final(server: Server, reply: tuple[int, bytes | None]):
    problem = {"status": 404, "detail": "No run has the id 'run_1'."}
    status, body = reply
    server.wire.reply(status, body or frames(problem))

    async with server.desk() as desk:
        with pytest.raises(LostSightError) as caught:
            await events(desk)

    assert str(caught.value) == "No run has the id 'run_1'."
    assert len(server.wire.requests) == 1


async def test_a_run_is_started_with_a_key_that_makes_it_once(server: Server):
    server.answers(202, RUN)

    async with server.desk() as desk:
        run = await desk.start(ORDER)

    (request,) = server.wire.requests
    assert run == RUN
    assert (request.method, request.path) == ("POST", "/api/v1/agents/execute")
    assert request.headers["authorization"] == "Bearer gob_key"
    assert request.headers["idempotency-key"] == "once"
    assert request.body == {"agent": {"slug": "default"}, "instruction": "Say hi"}


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, b'{"detail": "No agent has the slug \'x\'."}', "No agent has the slug 'x'."),
        (
            401,
            b'{"detail": "No such key."}',
            "No such key. Name yours with --key-file, or set GOB_API_KEY.",
        ),
        (200, b"<html>", "What answers at ADDRESS is no GOB server."),
        (404, b"<html>", "What answers at ADDRESS is no GOB server (HTTP 404)."),
    ],
)
async def test_a_refused_start_is_a_sentence(server: Server, status: int, body: bytes, said: str):
    server.wire.reply(status, body)

    async with server.desk() as desk:
        with pytest.raises(StartRefused) as caught:
            await desk.start(ORDER)

    assert str(caught.value) == said.replace("ADDRESS", server.address)


async def test_a_server_that_is_not_there_is_named():
    address = f"http://127.0.0.1:{free_port()}"

    async with ServerDesk(address, "gob_key", tell=print) as desk:
        with pytest.raises(StartRefused) as caught:
            await desk.start(ORDER)

    assert str(caught.value) == (
        f"No server answers at {address} (All connection attempts failed); start one with "
        "`gob serve`, or leave out --server and GOB_SERVER."
    )


async def test_only_a_gob_server_is_taken_for_one(server: Server):
    server.answers(503, {"status": "down", "checks": []})
    server.answers(200, {"status": "ok"})
    server.wire.reply(200, b"hello")

    assert [await is_server(server.address) for _ in range(3)] == [True, False, False]
    assert not await is_server(f"http://127.0.0.1:{free_port()}")


class Shown:
    """A view that notes what it is shown."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.kinds: list[str] = []

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)

    def started(self, run: Json) -> None:
        self.kinds.append("started")

    def show(self, item: Json) -> None:
        self.kinds.append(item["type"])

    def ended(self, run: Json) -> None:
        self.kinds.append("ended")

    def cancelling(self) -> None:
        self.kinds.append("cancelling")

    def tick(self) -> None:
        """No clock."""

    def close(self) -> None:
        """No terminal."""


async def followed(desk: RunDesk, view: Shown, stops: Stops | None = None) -> Exit:
    async with asyncio.timeout(20):
        return await follow(desk, ORDER, view, stops=stops or Stops())


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("SUCCEEDED", Exit.SUCCEEDED),
        ("FAILED", Exit.FAILED),
        ("TIMED_OUT", Exit.TIMED_OUT),
        ("CANCELLED", Exit.CANCELLED),
    ],
)
async def test_the_exit_code_says_how_the_run_ended(server: Server, status: str, code: Exit):
    server.answers(202, {**RUN, "status": "QUEUED"})
    server.streams(event(1, "RunStarted"), event(2, "RunFailed"))
    server.answers(503, {"detail": "The server starts again."})
    server.answers(200, {**RUN, "status": status})
    view = Shown()

    async with server.desk() as desk:
        ended = await followed(desk, view)

    assert ended is code
    assert view.kinds == ["started", "RunStarted", "RunFailed", "ended"]


async def test_what_a_provider_wants_people_to_know_is_said_once(server: Server):
    said: list[Mapping[str, Any]] = [{"notices": ["Cut."]}, {}, {"notices": ["Cut.", "Slow."]}]
    server.answers(202, RUN)
    server.streams(event(1, "RunFinished"))
    server.answers(200, {**RUN, "offline": False})
    server.answers(200, {"data": {"run": {"steps": {"nodes": said}}}})
    view = Shown()

    async with server.desk() as desk:
        ended = await followed(desk, view)

    assert ended is Exit.SUCCEEDED
    assert view.notes == ["Cut.", "Slow."]
    asked = server.wire.requests[-1]
    assert (asked.path, asked.body["variables"]) == ("/graphql", {"id": "run_1", "first": 100})


async def test_a_run_out_of_sight_may_go_on(server: Server):
    server.answers(202, RUN)
    server.answers(403, {"detail": "The key 'ci' lacks the scope runs:read."})
    view = Shown()

    async with server.desk() as desk:
        ended = await followed(desk, view)

    assert ended is Exit.LOST_SIGHT
    assert view.notes == [
        "The key 'ci' lacks the scope runs:read. The run run_1 may go on without being watched."
    ]


async def test_an_order_that_was_taken_and_not_answered_may_have_been_carried_out():
    taken: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    silent = await asyncio.start_server(listen, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
    view = Shown()

    async with silent, ServerDesk(address, "gob_key", tell=view.note) as desk:
        ended = await followed(desk, view)

    assert (ended, len(taken), view.kinds) == (Exit.LOST_SIGHT, 2, [])
    assert view.notes == [
        f"{address} took the order and did not answer; the run may have been started."
    ]


async def test_a_wish_to_stop_before_the_start_starts_nothing(server: Server):
    stops = Stops()
    stops.ask("Ctrl-C")
    view = Shown()

    async with server.desk() as desk:
        ended = await followed(desk, view, stops)

    assert ended is Exit.CANCELLED
    assert view.notes == ["Nothing was started."]
    assert server.wire.requests == []


async def test_a_signal_asks_to_stop_and_a_second_one_leaves():
    stops, left = Stops(), asyncio.Event()
    with heard_signals(stops, left.set):
        stops.ask("It took too long.", is_timeout=True)
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0)
        after_one = left.is_set()
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(20):
            await left.wait()

    assert not after_one
    assert (stops.reason, stops.is_timeout) == ("It took too long.", True)
