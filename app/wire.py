"""What every WebSocket of ours does alike: frames in and out, slow clients, and how it closes."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import orjson
from starlette.types import Receive, Send

from domain.kernel.errors import Unauthenticated, Unavailable


class SocketClosed(Exception):
    """The socket must close with a code and a short reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class ClientGone(Exception):
    """The client closed the socket."""


@dataclass(slots=True)
class Wire:
    """Writes frames and knows since when the client has not taken one."""

    send: Send
    waiting: int = 0
    moved_at: float = 0.0

    async def text(self, text: str) -> None:
        """Send a text frame; returns when the transport has room for the next one."""
        loop = asyncio.get_running_loop()
        if not self.waiting:
            self.moved_at = loop.time()
        self.waiting += 1
        try:
            await self.send({"type": "websocket.send", "text": text})
        finally:
            self.waiting -= 1
            self.moved_at = loop.time()

    async def watch(
        self, longest_s: float, check: Callable[[], Awaitable[object]] | None = None
    ) -> None:
        """Raise SocketClosed once a frame has waited so long while none was taken.

        Now and then `check` looks whether the client's key still works; it raises
        Unauthenticated when it was revoked or has expired.
        """
        while True:
            stalled_s = self._stalled_for_s()
            if stalled_s >= longest_s:
                raise SocketClosed(1013, "The client takes no frames")
            await asyncio.sleep(max(longest_s - stalled_s, 0.01))
            try:
                if check is not None:
                    await check()
            except Unauthenticated as error:
                raise SocketClosed(4401, error.message) from None
            except Unavailable:
                # What cannot be asked now is asked again next time.
                continue

    def _stalled_for_s(self) -> float:
        return asyncio.get_running_loop().time() - self.moved_at if self.waiting else 0.0


async def serve_socket(
    reading: Coroutine[Any, Any, None],
    watching: Coroutine[Any, Any, None],
    operations: Mapping[str, asyncio.Task[None]],
) -> None:
    """Read until either ends by an exception, which is raised; every operation ends with it."""
    reader, watch = asyncio.create_task(reading), asyncio.create_task(watching)
    try:
        await asyncio.wait({watch, reader}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        tasks = [watch, reader, *operations.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in (reader, watch):
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


async def next_message(receive: Receive, *, longest: int) -> dict[str, Any]:
    """Read the next frame, a JSON object. Raises ClientGone and SocketClosed."""
    event = await receive()
    if event["type"] == "websocket.disconnect":
        raise ClientGone
    text = event.get("text")
    if text is None:
        raise SocketClosed(4400, "Only text frames are accepted")
    if len(text) > longest:
        raise SocketClosed(1009, "Message too big")
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise SocketClosed(4400, "The message is not valid JSON") from None
    if not isinstance(message, dict):
        raise SocketClosed(4400, "The message must be a JSON object")
    return cast("dict[str, Any]", message)


async def close_socket(send: Send, closed: SocketClosed) -> None:
    """Say why the socket closes; a client that takes no frames is not waited for."""
    reason = closed.reason.encode()[:120].decode(errors="ignore")
    with suppress(TimeoutError, OSError):
        async with asyncio.timeout(1.0):
            await send({"type": "websocket.close", "code": closed.code, "reason": reason})
