"""Streams of a workspace's events, as the subscriptions of every noun give them."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing

from domain.events.records import EventRecord
from resolvers.outcomes import public_ids
from resolvers.services import Info
from schema.events import Event

Keeps = Callable[[EventRecord], Awaitable[bool]]
"""Tells whether a subscriber is given a record."""


async def workspace_stream(
    info: Info, types: Iterable[str], *, after: str | None, keeps: Keeps | None = None
) -> AsyncGenerator[Event, None]:
    """Yield events of the types after the cursor, then live, heartbeats in between.

    The caller has checked the scope. Without a cursor the stream begins now. Raises BadCursor.
    """
    context = info.context
    stream = context.services.feed.follow(
        context.principal.workspace_id,
        types,
        trace_id=context.trace.trace_id,
        after=after or None,
    )
    with public_ids():
        async with aclosing(stream):
            async for item in stream:
                if keeps is not None and isinstance(item, EventRecord) and not await keeps(item):
                    continue
                view = context.services.views.of(item)
                if view is not None:
                    yield view
