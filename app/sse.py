"""Server-sent events: frames written one by one, for as long as the client takes them."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from starlette.types import Receive, Send

from app.middleware.responses import HeaderList

EVENT_STREAM = "text/event-stream"
KEEP_ALIVE_S = 12.0
SEND_TIMEOUT_S = 30.0

_HEADERS: HeaderList = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


async def send_frames(
    frames: AsyncGenerator[str, None],
    receive: Receive,
    send: Send,
    *,
    headers: Sequence[tuple[bytes, bytes]] = (),
    keep_alive_s: float = KEEP_ALIVE_S,
    send_timeout_s: float = SEND_TIMEOUT_S,
) -> None:
    """Send frames, each a block of lines that ends with an empty one.

    Ends, and closes the frames at once, when the client goes away or does not take a frame
    within the timeout.
    """
    await send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS, *headers]})
    pump = asyncio.create_task(_pump(frames, send, send_timeout_s))
    gone = asyncio.create_task(_disconnected(receive))
    beat = asyncio.create_task(_keep_alive(send, keep_alive_s))
    try:
        await asyncio.wait({pump, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (pump, gone, beat):
            task.cancel()
        await asyncio.gather(pump, gone, beat, return_exceptions=True)
    if not pump.cancelled() and pump.exception() is None:
        await send({"type": "http.response.body", "body": b""})


async def _pump(frames: AsyncGenerator[str, None], send: Send, timeout_s: float) -> None:
    async with aclosing(frames):
        async for frame in frames:
            async with asyncio.timeout(timeout_s):
                await _write(send, frame)


async def _keep_alive(send: Send, every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        await _write(send, ": \n\n")


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _write(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
