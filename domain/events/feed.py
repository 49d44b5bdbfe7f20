"""The events of a workspace as a stream: some types of them, after a cursor, then live."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass

from domain.events.cursors import decode_cursor
from domain.events.hub import HEARTBEAT_S, Hub, Topic
from domain.events.records import EventRecord
from domain.events.store import EventStore
from domain.kernel.errors import BadCursor
from domain.kernel.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamHeartbeat:
    """Nothing happened for a while; `cursor` is the last position scanned and delivered."""

    workspace_id: str
    cursor: int
    trace_id: str
    occurred_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamResync:
    """Events after the given cursor are gone; `oldest` is the first that is kept."""

    workspace_id: str
    cursor: int
    oldest: int | None
    trace_id: str
    occurred_at: int


StreamItem = EventRecord | StreamHeartbeat | StreamResync


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a stream goes on; late when events after the given cursor are gone."""

    position: int
    is_late: bool = False
    oldest: int | None = None


async def place_of(store: EventStore, workspace_id: str, after: str) -> Place:
    """Find the place of a cursor. Raises BadCursor."""
    position = decode_cursor(workspace_id, after)
    head, pruned = (await store.heads([workspace_id]))[workspace_id]
    if position > head:
        raise BadCursor("This cursor lies after the last event.", path=["after"])
    if position >= pruned:
        return Place(position=position)
    oldest = pruned + 1 if pruned < head else None
    return Place(position=pruned, is_late=True, oldest=oldest)


class WorkspaceFeed:
    """Follows a workspace through the hub of this process, for those who may see it."""

    def __init__(self, hub: Hub, store: EventStore, clock: Clock) -> None:
        self._hub = hub
        self._store = store
        self._clock = clock

    async def follow(
        self,
        workspace_id: str,
        types: Iterable[str],
        *,
        trace_id: str,
        after: str | None = None,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> AsyncGenerator[StreamItem, None]:
        """Yield events of the types after the cursor, for ever; without one, from now on.

        Heartbeats and gaps carry `trace_id`, that of the subscription. Raises BadCursor.
        """
        place = await self.place(workspace_id, after)
        stream = self.follow_from(
            place, workspace_id, types, trace_id=trace_id, heartbeat_s=heartbeat_s
        )
        async with aclosing(stream):
            async for item in stream:
                yield item

    async def place(self, workspace_id: str, after: str | None) -> Place:
        """Find where a stream begins: after the cursor, without one now. Raises BadCursor."""
        if after is not None:
            return await place_of(self._store, workspace_id, after)
        head, _ = (await self._store.heads([workspace_id]))[workspace_id]
        return Place(position=head)

    async def follow_from(
        self,
        place: Place,
        workspace_id: str,
        types: Iterable[str],
        *,
        trace_id: str,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> AsyncGenerator[StreamItem, None]:
        """Yield events of the types after a place, for ever."""
        if place.is_late:
            yield StreamResync(
                workspace_id=workspace_id,
                cursor=place.position,
                oldest=place.oldest,
                trace_id=trace_id,
                occurred_at=self._clock.now_us(),
            )
        topic = Topic(workspace_id=workspace_id, types=frozenset(types))
        following = self._hub.follow(topic, after=place.position, heartbeat_s=heartbeat_s)
        async with aclosing(following):
            async for batch in following:
                for event in batch.events:
                    yield event
                if not batch.events:
                    yield StreamHeartbeat(
                        workspace_id=workspace_id,
                        cursor=batch.upto,
                        trace_id=trace_id,
                        occurred_at=self._clock.now_us(),
                    )
