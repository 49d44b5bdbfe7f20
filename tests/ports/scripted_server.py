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
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

from tests.ports.acts import Act, Call, Done, Finish, Say, Usage
from tests.ports.scripted_stage import Answer, Gone, ReceivedRequest, Reply, Stage, Then


class ScriptedServer(ABC):
    """The provider; `requests` holds what it got, in order of arrival."""

    answer_type: ClassVar[type[Answer]]
    prefix: ClassVar[str] = ""

    def __init__(self, *, port: int = 0) -> None:
        self.requests: list[ReceivedRequest] = []
        self.fallback: Callable[[ReceivedRequest], Sequence[Act]] | None = None
        """Says what is played for a request that nothing is scripted for; else an HTTP error."""
        self.port = port
        self._replies: list[Reply] = []
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
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        when: Callable[[ReceivedRequest], bool] | None = None,
        then: Then = "waits",
    ) -> None:
        """Play these acts for the next request, or for the next that `when` accepts."""
        closing = {"Connection": "close"} if then == "leaves" else {}
        headers = {**closing, **(headers or {})}
        self._replies.append(Reply(acts=acts, status=status, headers=headers, when=when, then=then))

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
        self._replies.append(Reply(status=status, body=body, headers=headers, when=when))

    async def received(self, count: int) -> ReceivedRequest:
        """Wait until so many requests have arrived; the last of them."""
        async with asyncio.timeout(20), self._arrived:
            await self._arrived.wait_for(lambda: len(self.requests) >= count)
        return self.requests[count - 1]

    async def alone(self) -> None:
        """Wait until no connection is open."""
        async with asyncio.timeout(20):
            await asyncio.gather(*self._connections)

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
                early = await self._perform(Stage(reader, writer, request), reply)
        except (ConnectionError, asyncio.IncompleteReadError, Gone):
            return
        finally:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _perform(self, stage: Stage, reply: Reply) -> bytes:
        """Play a reply; what the client sent meanwhile belongs to its next request."""
        if reply.body is not None:
            await stage.send_whole(reply)
            return b""
        leave = self.leave if reply.then == "leaves" else None
        return await stage.play(reply, self.answer_type(), leave)

    def _take(self, request: ReceivedRequest) -> Reply:
        for reply in self._replies:
            if reply.when is None or reply.when(request):
                self._replies.remove(reply)
                return reply
        if self.fallback is not None:
            return Reply(acts=self.fallback(request))
        body = self.error_body(501, message="nothing is scripted", code=None)
        return Reply(status=501, body=json.dumps(body).encode())


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
