"""An OpenAI-compatible HTTP server that plays what a test wrote down, over a real socket.

    async with ScriptedOpenAI() as provider:
        provider.answer("Hello world")                  # or script(Say("Hel", "lo"), Finish())
        ...                                             # point OPENAI_BASE_URL at provider.base_url
        assert provider.requests[0].headers["traceparent"] == sent

Each `script`, `answer`, `call_tool` or `fail` is one reply; requests take them in order.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True)
class Say:
    """Text deltas, a chunk each."""

    parts: tuple[str, ...]

    def __init__(self, *parts: str) -> None:
        object.__setattr__(self, "parts", parts)


@dataclass(frozen=True)
class Delta:
    """A delta of any shape, such as {"reasoning_content": "..."} or {"refusal": "..."}."""

    delta: Mapping[str, Any]


@dataclass(frozen=True)
class Call:
    """A tool call whose arguments come in fragments; calls side by side are interleaved."""

    name: str
    arguments: str
    id: str | None = "call_a"
    index: int | None = 0
    pieces: int = 3


@dataclass(frozen=True)
class Finish:
    """The chunk with the reason to stop."""

    reason: str = "stop"


@dataclass(frozen=True)
class Usage:
    """The chunk that counts tokens."""

    input_tokens: int = 7
    output_tokens: int = 3
    cached_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True)
class Error:
    """An error object inside the stream."""

    error: Any


@dataclass(frozen=True)
class Raw:
    """Bytes as they are, in a chunk of the transfer."""

    data: bytes


@dataclass(frozen=True)
class Wait:
    """Nothing until the test sets the event."""

    event: asyncio.Event


class Hang:
    """Nothing, until the client goes away."""


@dataclass(frozen=True)
class Endless:
    """The same text delta until the client goes away."""

    text: str = "more "


class Cut:
    """Half a chunk, then the connection is gone."""


class Done:
    """The [DONE] marker."""


Act = Say | Delta | Call | Finish | Usage | Error | Raw | Wait | Hang | Endless | Cut | Done


@dataclass
class ReceivedRequest:
    """What a client sent; `disconnected` is set when it left before the reply was whole."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    connection: int
    disconnected: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class _Reply:
    acts: Sequence[Act] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    when: Callable[[ReceivedRequest], bool] | None = None


class _Gone(Exception):
    """The client closed its connection."""


class ScriptedOpenAI:
    """The provider; `requests` holds what it got, in order of arrival."""

    def __init__(self) -> None:
        self.requests: list[ReceivedRequest] = []
        self._replies: list[_Reply] = []
        self._connections: set[asyncio.Task[None]] = set()
        self._arrived = asyncio.Condition()
        self._opened = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def unplayed(self) -> int:
        """Replies that no request has asked for."""
        return len(self._replies)

    def script(
        self,
        *acts: Act,
        headers: Mapping[str, str] | None = None,
        when: Callable[[ReceivedRequest], bool] | None = None,
    ) -> None:
        """Play these acts for the next request, or for the next that `when` accepts."""
        self._replies.append(_Reply(acts=acts, headers=headers or {}, when=when))

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
        """Answer the next request with an HTTP error in OpenAI's shape."""
        error = {"error": {"message": message, "type": "scripted", "code": code}}
        self.reply(status, json.dumps(error).encode(), headers=headers)

    def reply(
        self,
        status: int,
        body: bytes,
        *,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer the next request with exactly this body."""
        headers = {"Content-Type": content_type, **(headers or {})}
        self._replies.append(_Reply(status=status, body=body, headers=headers))

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
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, _Gone):
            while True:
                request = await _read_request(reader, early, number)
                self.requests.append(request)
                async with self._arrived:
                    self._arrived.notify_all()
                early = await self._perform(_Stage(reader, writer, request))
        writer.transport.abort()

    async def _perform(self, stage: "_Stage") -> bytes:
        reply = self._take(stage.request)
        if reply.body is not None:
            await stage.send_whole(reply)
            return b""
        return await stage.play(reply)

    def _take(self, request: ReceivedRequest) -> _Reply:
        for reply in self._replies:
            if reply.when is None or reply.when(request):
                self._replies.remove(reply)
                return reply
        return _Reply(status=501, body=b'{"error": {"message": "nothing is scripted"}}')


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
        self.request = request
        self._reader = reader
        self._writer = writer

    async def send_whole(self, reply: _Reply) -> None:
        body = reply.body or b""
        self._head(reply.status, {**reply.headers, "Content-Length": str(len(body))})
        self._writer.write(body)
        await self._writer.drain()

    async def play(self, reply: _Reply) -> bytes:
        """Play the acts; what the client sent meanwhile belongs to its next request."""
        chunked = {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"}
        self._head(reply.status, {**chunked, **reply.headers})
        acting = asyncio.create_task(self._act_all(reply.acts))
        watching = asyncio.create_task(self._reader.read(1))
        try:
            await asyncio.wait({acting, watching}, return_when=asyncio.FIRST_COMPLETED)
            early = watching.result() if watching.done() else b""
            if watching.done() and not early:
                self.request.disconnected.set()
                raise _Gone
            await acting
            return early
        except ConnectionError:
            self.request.disconnected.set()
            raise
        finally:
            acting.cancel()
            watching.cancel()
            await asyncio.gather(acting, watching, return_exceptions=True)

    async def _act_all(self, acts: Sequence[Act]) -> None:
        self._chunk({"role": "assistant", "content": ""})
        fragments: list[list[Mapping[str, Any]]] = []
        for act in acts:
            if isinstance(act, Call):
                fragments.append(_fragments(act))
                continue
            self._interleave(fragments)
            fragments = []
            await self._act(act)
        self._interleave(fragments)
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()

    async def _act(self, act: Act) -> None:
        match act:
            case Say(parts):
                for part in parts:
                    self._chunk({"content": part})
                    await self._writer.drain()
            case Delta(delta):
                self._chunk(delta)
            case Finish(reason):
                self._chunk({}, finish_reason=reason)
            case Usage():
                self._event({"choices": [], "usage": _usage(act)})
            case Error(error):
                self._event({"error": error})
            case Raw(data):
                self._raw(data)
            case Done():
                self._raw(b"data: [DONE]\n\n")
            case _:
                await self._stage_direction(act)
        await self._writer.drain()

    async def _stage_direction(self, act: Act) -> None:
        match act:
            case Wait(event):
                await event.wait()
            case Hang():
                await asyncio.Event().wait()
            case Endless(text):
                while True:
                    self._chunk({"content": text})
                    await self._writer.drain()
                    await asyncio.sleep(0)
            case _:
                half = b'data: {"choices": [{"index": 0, "delta": {"cont'
                self._writer.write(b"%x\r\n%s" % (2 * len(half), half))
                await self._writer.drain()
                self._writer.close()
                raise _Gone

    def _interleave(self, fragments: list[list[Mapping[str, Any]]]) -> None:
        for turn in range(max(map(len, fragments), default=0)):
            for of_call in fragments:
                if turn < len(of_call):
                    self._chunk({"tool_calls": [of_call[turn]]})

    def _chunk(self, delta: Mapping[str, Any], *, finish_reason: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        self._event({"choices": [choice]})

    def _event(self, fields: Mapping[str, Any]) -> None:
        chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m", **fields}
        self._raw(f"data: {json.dumps(chunk)}\n\n".encode())

    def _raw(self, payload: bytes) -> None:
        self._writer.write(b"%x\r\n%s\r\n" % (len(payload), payload))

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        lines = [f"HTTP/1.1 {status} Scripted", *(f"{k}: {v}" for k, v in headers.items())]
        self._writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))


def _fragments(call: Call) -> list[Mapping[str, Any]]:
    size = max(1, -(-len(call.arguments) // call.pieces))
    cuts = [call.arguments[at : at + size] for at in range(0, len(call.arguments), size)]
    place = {} if call.index is None else {"index": call.index}
    ident = {} if call.id is None else {"id": call.id}
    opening = {**place, **ident, "type": "function", "function": {"name": call.name}}
    return [opening, *({**place, "function": {"arguments": cut}} for cut in cuts)]


def _usage(usage: Usage) -> Mapping[str, Any]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
