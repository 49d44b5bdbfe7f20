"""Results as server-sent events: the distinct connections mode of GraphQL over SSE.

Lines end in a plain newline: clients such as urql split frames there.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.types import Receive, Send

from app.sse import send_frames


async def stream_events(payloads: AsyncGenerator[str, None], receive: Receive, send: Send) -> None:
    """Send payloads as `next` events and `complete` after the last one."""
    await send_frames(_frames(payloads), receive, send)


async def _frames(payloads: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
    async with aclosing(payloads):
        async for text in payloads:
            yield f"event: next\ndata: {text}\n\n"
    yield "event: complete\ndata:\n\n"
