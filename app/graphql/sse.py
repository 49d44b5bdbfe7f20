"""Results as server-sent events: the distinct connections mode of GraphQL over SSE.

Lines end in a plain newline: clients such as urql split frames there.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.types import Receive, Send

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


async def stream_events(
    payloads: AsyncGenerator[str, None],
    receive: Receive,
    send: Send,
    *,
    keep_alive_s: float = 12.0,
    send_timeout_s: float = 30.0,
) -> None:
    """Send payloads as `next` events and `complete` after the last one.

    Ends, and closes the payloads at once, when the client goes away or does not take an event
    within the timeout.
    """
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    pump = asyncio.create_task(_pump(payloads, send, send_timeout_s))
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


async def _pump(payloads: AsyncGenerator[str, None], send: Send, timeout_s: float) -> None:
    async with aclosing(payloads):
        async for text in payloads:
            async with asyncio.timeout(timeout_s):
                await _write(send, f"event: next\ndata: {text}\n\n")
        await _write(send, "event: complete\ndata:\n\n")


async def _keep_alive(send: Send, every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        await _write(send, ": \n\n")


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _write(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
