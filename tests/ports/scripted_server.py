"""A model server that plays what a test wrote down, over a real socket.

    async with ScriptedOpenAI() as provider:            # or ScriptedAnthropic, ScriptedOllama
        provider.answer("Hello world")                  # or script(Say("Hel", "lo"), Finish())
        ...                                             # point OPENAI_BASE_URL at provider.base_url
        assert provider.requests[0].headers["traceparent"] == sent

Each `script`, `answer`, `call_tool` or `fail` is one reply; requests take them in order. What a
wire looks like stands in its own file; here are sockets, replies and faults.
"""

import asyncio
import contextlib
import json
import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from tests.ports.acts import (
    Act,
    Call,
    Cut,
    Done,
    Endless,
    Finish,
    Garbage,
    Hang,
    Pause,
    Raw,
    Reset,
    Say,
    Spoken,
    Usage,
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


@dataclass
class _Reply:
    acts: Sequence[Act] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    when: Callable[[ReceivedRequest], bool] | None = None
    is_last: bool = False


class _Gone(Exception):
    """The connection is closed, by the client or by the script."""


class ScriptedServer(ABC):
    """The provider; `requests` holds what it got, in order of arrival."""

    answer_type: ClassVar[type[Answer]]
    prefix: ClassVar[str] = ""

    def __init__(self, *, port: int = 0) -> None:
        self.requests: list[ReceivedRequest] = []
        self.fallback: Callable[[ReceivedRequest], Sequence[Act]] | None = None
        """Says what is played for a request that nothing is scripted for; else an HTTP error."""
        self.port = port
        self._replies: list[_Reply] = []
        self._connections: set[asyncio.Task[None]] = set()
        self._arrived = asyncio.Condition()
        self._opened = 0
        self._server: asyncio.Server | None = None

    @abstractmethod
    def error_body(self, status: int, *, message: str, code: str | None) -> Mapping[str, Any]:
        """An error in the shape of the wire."""

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.leave()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    @property
    def base_url(self) -> str:
        """The address that a client is given."""
        return f"http://127.0.0.1:{self.port}{self.prefix}"

    @property
    def unplayed(self) -> int:
        """Replies that no request has asked for."""
        return len(self._replies)

    async def listen(self) -> None:
        """Take connections, after `leave` at the same port as before."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    def leave(self) -> None:
        """Refuse connections; those that are open stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def script(
        self,
        *acts: Act,
        headers: Mapping[str, str] | None = None,
        when: Callable[[ReceivedRequest], bool] | None = None,
        then_leaves: bool = False,
    ) -> None:
        """Play these acts for the next request, or for the next that `when` accepts.

        Nobody listens any more when a reply has ended that `then_leaves`.
        """
        closing = {"Connection": "close"} if then_leaves else {}
        headers = {**closing, **(headers or {})}
        self._replies.append(_Reply(acts=acts, headers=headers, when=when, is_last=then_leaves))

    def answer(self, text: str, *, when: Callable[[ReceivedRequest], bool] | None = None) -> None:
        """Stream the text word by word, with usage and a proper end."""
        words = text.split(" ")
        parts = [*(f"{word} " for word in words[:-1]), words[-1]]
        usage = Usage(input_tokens=7, output_tokens=len(words))
        self.script(Say(*parts), Finish(), usage, Done(), when=when)

    def call_tool(
        self, name: str, arguments: Mapping[str, Any], *, call_id: str = "call_a"
    ) -> None:
        """Ask for one tool call."""
        call = Call(name, json.dumps(arguments), id=call_id)
        self.script(call, Finish("tool_calls"), Usage(), Done())

    def fail(
        self,
        status: int,
        *,
        message: str = "scripted failure",
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer the next request with an HTTP error in the provider's shape."""
        body = self.error_body(status, message=message, code=code)
        self.reply(status, json.dumps(body).encode(), headers=headers)

    def reply(
        self,
        status: int,
        body: bytes,
        *,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
        when: Callable[[ReceivedRequest], bool] | None = None,
    ) -> None:
        """Answer the next request, or the next that `when` accepts, with exactly this body."""
        headers = {"Content-Type": content_type, **(headers or {})}
        self._replies.append(_Reply(status=status, body=body, headers=headers, when=when))

    async def received(self, count: int) -> ReceivedRequest:
        """Wait until so many requests have arrived; the last of them."""
        async with asyncio.timeout(20), self._arrived:
            await self._arrived.wait_for(lambda: len(self.requests) >= count)
        return self.requests[count - 1]

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._opened += 1
        connection = asyncio.create_task(self._serve(reader, writer, self._opened))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        early = b""
        try:
            while True:
                request = await _read_request(reader, early, number)
                self.requests.append(request)
                async with self._arrived:
                    self._arrived.notify_all()
                reply = self._take(request)
                early = await self._perform(_Stage(reader, writer, request), reply)
        except (ConnectionError, asyncio.IncompleteReadError, _Gone):
            return
        finally:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _perform(self, stage: "_Stage", reply: _Reply) -> bytes:
        """Play a reply; what the client sent meanwhile belongs to its next request."""
        if reply.body is not None:
            await stage.send_whole(reply)
            return b""
        return await stage.play(reply, self.answer_type(), self.leave if reply.is_last else None)

    def _take(self, request: ReceivedRequest) -> _Reply:
        for reply in self._replies:
            if reply.when is None or reply.when(request):
                self._replies.remove(reply)
                return reply
        if self.fallback is not None:
            return _Reply(acts=self.fallback(request))
        body = self.error_body(501, message="nothing is scripted", code=None)
        return _Reply(status=501, body=json.dumps(body).encode())


async def _read_request(
    reader: asyncio.StreamReader, early: bytes, connection: int
) -> ReceivedRequest:
    head = early + await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    method, path, _ = first.split(" ", 2)
    pairs = (line.split(":", 1) for line in lines)
    headers = {name.lower(): value.strip() for name, value in pairs}
    raw = await reader.readexactly(int(headers.get("content-length", "0")))
    return ReceivedRequest(
        method=method,
        path=path,
        headers=headers,
        body=json.loads(raw) if raw else None,
        connection=connection,
    )


class _Stage:
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

    async def send_whole(self, reply: _Reply) -> None:
        body = reply.body or b""
        self._head(reply.status, {**reply.headers, "Content-Length": str(len(body))})
        self._writer.write(body)
        await self._writer.drain()

    async def play(self, reply: _Reply, answer: Answer, leave: Callable[[], None] | None) -> bytes:
        """Play the acts until their end or the client's going; return what it sent meanwhile."""
        acting = asyncio.create_task(self._act_all(reply, answer, leave))
        watching = asyncio.create_task(self._reader.read(1))
        try:
            await asyncio.wait({acting, watching}, return_when=asyncio.FIRST_COMPLETED)
            early = watching.result() if watching.done() else b""
            if watching.done() and not early:
                self._request.leave()
                raise _Gone
            await acting
            if leave is not None:
                raise _Gone
            return early
        except ConnectionError:
            self._request.leave()
            raise
        finally:
            acting.cancel()
            watching.cancel()
            await asyncio.gather(acting, watching, return_exceptions=True)

    async def _act_all(
        self, reply: _Reply, answer: Answer, leave: Callable[[], None] | None
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
                raise _Gone
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
        raise _Gone

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
