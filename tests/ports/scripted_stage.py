"""How a scripted reply is played on one connection."""

import asyncio
import contextlib
import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from tests.ports.acts import (
    Act,
    Call,
    Cut,
    Endless,
    Garbage,
    Hang,
    Pause,
    Raw,
    Reset,
    Say,
    Spoken,
    Wait,
)


class Answer(ABC):
    """How one wire writes an answer; an object for each answer, since some wires count."""

    content_type: ClassVar[str]
    half_line: ClassVar[bytes]
    """The beginning of a delta."""

    @abstractmethod
    def opening(self, acts: Sequence[Act]) -> bytes:
        """What stands before everything else."""

    @abstractmethod
    def lines(self, act: Spoken) -> Iterable[bytes]:
        """An act as events of the wire."""

    @abstractmethod
    def calls(self, calls: Sequence[Call]) -> Iterable[bytes]:
        """Calls that stand side by side as events of the wire."""


@dataclass
class ReceivedRequest:
    """What a client sent; `disconnected` is set when it left before the reply was whole."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    connection: int
    disconnected: asyncio.Event = field(default_factory=asyncio.Event)
    left_at: float | None = None
    """When it left, by the loop's clock."""

    def leave(self) -> None:
        """The client is gone."""
        self.left_at = asyncio.get_running_loop().time()
        self.disconnected.set()


Then = Literal["waits", "closes", "leaves"]
"""What the server does after a reply: it may close the connection, or stop listening as well."""


@dataclass
class Reply:
    """What one request gets."""

    acts: Sequence[Act] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    when: Callable[[ReceivedRequest], bool] | None = None
    then: Then = "waits"


class Gone(Exception):
    """The connection is closed, by the client or by the script."""


class Stage:
    """One reply on one connection."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        request: ReceivedRequest,
    ) -> None:
        self._request = request
        self._reader = reader
        self._writer = writer

    async def send_whole(self, reply: Reply) -> None:
        body = reply.body or b""
        self._head(reply.status, {**reply.headers, "Content-Length": str(len(body))})
        self._writer.write(body)
        await self._writer.drain()

    async def play(self, reply: Reply, answer: Answer, leave: Callable[[], None] | None) -> bytes:
        """Play the acts until their end or the client's going; return what it sent meanwhile."""
        acting = asyncio.create_task(self._act_all(reply, answer, leave))
        watching = asyncio.create_task(self._reader.read(1))
        try:
            await asyncio.wait({acting, watching}, return_when=asyncio.FIRST_COMPLETED)
            early = watching.result() if watching.done() else b""
            if watching.done() and not early:
                self._request.leave()
                raise Gone
            await acting
            if reply.then != "waits":
                raise Gone
            return early
        except ConnectionError:
            self._request.leave()
            raise
        finally:
            acting.cancel()
            watching.cancel()
            await asyncio.gather(acting, watching, return_exceptions=True)

    async def _act_all(
        self, reply: Reply, answer: Answer, leave: Callable[[], None] | None
    ) -> None:
        if reply.acts and isinstance(reply.acts[0], Reset):
            self._reset()
        chunked = {"Content-Type": answer.content_type, "Transfer-Encoding": "chunked"}
        self._head(reply.status, {**chunked, **reply.headers})
        await self._send(answer.opening(reply.acts))
        for act in _calls_joined(reply.acts):
            if isinstance(act, list):
                await self._send(*answer.calls(act))
            elif isinstance(act, Spoken):
                await self._send(*answer.lines(act))
            else:
                await self._direct(act, answer)
        if leave is not None:
            leave()
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()

    async def _direct(self, act: Act, answer: Answer) -> None:
        """Do what is not said."""
        match act:
            case Raw(data):
                await self._send(data)
            case Garbage():
                await self._send(answer.half_line + b"\n\n")
            case Wait(event):
                await event.wait()
            case Pause(seconds):
                await self._pause(seconds)
            case Hang():
                await asyncio.Event().wait()
            case Endless(text, pause_s):
                while True:
                    await self._send(*answer.lines(Say(text)))
                    await self._pause(pause_s)
            case Cut():
                half = answer.half_line
                self._writer.write(b"%x\r\n%s" % (2 * len(half), half))
                await self._writer.drain()
                self._writer.close()
                raise Gone
            case _:
                message = f"{act} cannot stand here"
                raise ValueError(message)

    async def _pause(self, seconds: float) -> None:
        """Let time pass as a slow model does, unless the client leaves."""
        await asyncio.sleep(0)
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._request.disconnected.wait(), seconds)

    async def _send(self, *payloads: bytes) -> None:
        for payload in filter(None, payloads):
            self._writer.write(b"%x\r\n%s\r\n" % (len(payload), payload))
            await self._writer.drain()

    def _reset(self) -> None:
        """Close the connection in a way that its other end is told is an error."""
        raw = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()
        raise Gone

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        lines = [f"HTTP/1.1 {status} Scripted", *(f"{k}: {v}" for k, v in headers.items())]
        self._writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))


def _calls_joined(acts: Sequence[Act]) -> Iterator[Act | list[Call]]:
    """The acts, with calls that stand side by side taken together."""
    calls: list[Call] = []
    for act in acts:
        if isinstance(act, Call):
            calls.append(act)
            continue
        if calls:
            yield calls
            calls = []
        yield act
    if calls:
        yield calls
