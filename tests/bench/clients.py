"""Clients that cost little, so that two cores measure the server and not its callers."""

import asyncio
import base64
import os
import struct
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self, cast

import orjson

from tests.bench.processes import Measured, instruction

TIMEOUT_S = 30.0
EXECUTE = """mutation($i: ExecuteAgentInput!) { executeAgent(input: $i) {
  __typename
  ... on RunSuccess { run { id status output } }
  ... on Error { code message }
} }"""
AGENT_TOKENS = "subscription($id: ID!) { agentTokens(runId: $id) { seq text } }"
RUN_EVENTS = """subscription($id: ID!) { runEvents(runId: $id) {
  __typename
  ... on Event { cursor occurredAt }
  ... on RunEvent { seq runId }
  ... on TokenDelta { stepId text }
  ... on RunFinished { status }
} }"""


class RunRefused(Exception):
    """The server did not do what it was asked for; carries its answer."""


class Caller:
    """One HTTP connection that is kept open."""

    def __init__(self, server: Measured) -> None:
        self._port = server.port
        self._head = (
            f"POST /graphql HTTP/1.1\r\nhost: 127.0.0.1:{server.port}\r\n"
            f"authorization: Bearer {server.key}\r\ncontent-type: application/json\r\n"
            "accept: application/json\r\ncontent-length: "
        ).encode()

    async def __aenter__(self) -> Self:
        opened = await asyncio.open_connection("127.0.0.1", self._port)
        self._reader, self._writer = opened
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    async def run(self, tokens: int, delay_s: float, *, wait_s: int) -> Mapping[str, Any]:
        """Execute an instruction. Raises RunRefused where there is no run."""
        wanted = {
            "agent": {"slug": "default"},
            "instruction": instruction(tokens, delay_s),
            "waitSeconds": wait_s,
        }
        said = await self.post({"query": EXECUTE, "variables": {"i": wanted}})
        data: dict[str, Any] = said.get("data") or {}
        outcome: dict[str, Any] = data.get("executeAgent") or {}
        if "run" not in outcome:
            raise RunRefused(str(said))
        return outcome["run"]

    async def post(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send a GraphQL request and read its answer."""
        content = orjson.dumps(body)
        self._writer.write(b"%b%d\r\n\r\n%b" % (self._head, len(content), content))
        async with asyncio.timeout(TIMEOUT_S):
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            return orjson.loads(await self._reader.readexactly(int(length)))


class Subscriber(asyncio.Protocol):
    """One WebSocket with one subscription at a time; counts its tokens, frames and bytes."""

    def __init__(self, server: Measured) -> None:
        loop = asyncio.get_running_loop()
        self._server = server
        self._bytes = bytearray()
        self._upgraded = False
        self.transport: asyncio.Transport | None = None
        self.opened: asyncio.Future[None] = loop.create_future()
        self.restart()

    def restart(self) -> None:
        """Begin to count anew."""
        loop = asyncio.get_running_loop()
        self.first: asyncio.Future[float] = loop.create_future()
        self.done: asyncio.Future[None] = loop.create_future()
        self.tokens = self.frames = self.size_bytes = 0
        self.pieces: list[str] = []

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, "127.0.0.1", self._server.port)
        async with asyncio.timeout(TIMEOUT_S):
            await self.opened
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.transport is not None:
            self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade; the greeting follows its answer."""
        # uvloop's transports are none by class, only by what they can do.
        transport = self.transport = cast("asyncio.Transport", transport)
        nonce = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET /graphql HTTP/1.1\r\nhost: 127.0.0.1:{self._server.port}\r\nupgrade: websocket"
            f"\r\nconnection: Upgrade\r\nauthorization: Bearer {self._server.key}\r\n"
            f"sec-websocket-key: {nonce}\r\nsec-websocket-version: 13\r\n"
            "sec-websocket-protocol: graphql-transport-ws\r\n\r\n".encode()
        )

    def subscribe(self, query: str, run_id: str) -> None:
        """Follow a run."""
        payload = {"query": query, "variables": {"id": run_id}}
        self._send({"id": "1", "type": "subscribe", "payload": payload})

    def data_received(self, data: bytes) -> None:
        """Take apart what came: the upgrade first, frames after it."""
        self._bytes += data
        if not self._upgraded:
            head, mark, rest = bytes(self._bytes).partition(b"\r\n\r\n")
            if not mark:
                return
            assert b" 101 " in head.partition(b"\r\n")[0], head
            self._upgraded = True
            self._send({"type": "connection_init"})
            self._bytes = bytearray(rest)
        while (frame := self._next_frame()) is not None:
            self._frame(*frame)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail whoever waits."""
        for waiting in (self.opened, self.first, self.done):
            if not waiting.done():
                waiting.set_exception(ConnectionError(str(exc)))
                waiting.exception()

    def _next_frame(self) -> tuple[int, int, bytes] | None:
        """Opcode, bytes on the wire, content (RFC 6455, section 5.2)."""
        have = self._bytes
        if len(have) < 2:
            return None
        start, size = 2, have[1] & 127
        if size == 126:
            start, size = 4, int.from_bytes(have[2:4], "big")
        elif size == 127:
            start, size = 10, int.from_bytes(have[2:10], "big")
        if len(have) < start or len(have) < start + size:
            return None
        frame = (have[0] & 15, start + size, bytes(have[start : start + size]))
        del have[: start + size]
        return frame

    def _frame(self, opcode: int, size: int, content: bytes) -> None:
        if opcode != 1:
            return
        message = orjson.loads(content)
        match message["type"]:
            case "connection_ack":
                self.opened.set_result(None)
            case "complete":
                self.done.set_result(None)
            case "error":
                self.done.set_exception(RunRefused(content.decode()))
            case "next":
                self._event(message["payload"], size)
            case _:
                pass

    def _event(self, payload: Mapping[str, Any], size: int) -> None:
        item = next(iter(payload["data"].values()))
        if not isinstance(text := item.get("text"), str):
            return
        if not self.first.done():
            self.first.set_result(time.perf_counter())
        self.frames += 1
        self.size_bytes += size
        self.tokens += text.count(" ")
        self.pieces.append(text)

    def _send(self, message: Mapping[str, Any]) -> None:
        """A masked text frame; a mask of zeros changes nothing and costs nothing."""
        content = orjson.dumps(message)
        head = b"\x81" + _length(len(content)) + bytes(4)
        assert self.transport is not None
        self.transport.write(head + content)


def _length(size: int) -> bytes:
    return bytes([0x80 | size]) if size < 126 else struct.pack("!BH", 0x80 | 126, size)


def text_of(subscribers: Sequence[Subscriber]) -> list[str]:
    """The whole text that each was given."""
    return ["".join(subscriber.pieces) for subscriber in subscribers]
