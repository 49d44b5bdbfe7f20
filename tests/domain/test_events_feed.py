"""The feed of a workspace: chosen types, from a cursor, then live."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager

import pytest

from app.adapters.events_local import LocalEventBus
from domain.access.service import AccessService
from domain.events.cursors import encode_cursor
from domain.events.feed import StreamHeartbeat, StreamItem, StreamResync, WorkspaceFeed
from domain.events.hub import Hub
from domain.events.records import EventDraft, EventRecord
from domain.events.store import EventStore
from domain.kernel.database import Database, Statement
from domain.kernel.errors import BadCursor
from domain.kernel.ids import IdSource
from tests.fakes import SteppedClock

TRACE = "1" * 32


class Feeds:
    """A workspace, and what is written to it."""

    def __init__(self, database: Database, store: EventStore, feed: WorkspaceFeed) -> None:
        self.database = database
        self.store = store
        self.feed = feed
        self.workspace_id = ""

    async def tell(self, *types: str) -> None:
        drafts = [EventDraft(name, "{}", TRACE, 1) for name in types]
        results = await self.database.write(self.store.append(self.workspace_id, drafts))
        self.store.announce(self.workspace_id, self.store.head_of(results), drafts)

    def follow(self, after: int | None = None, heartbeat_s: float = 60.0):
        cursor = None if after is None else encode_cursor(self.workspace_id, after)
        return self.feed.follow(
            self.workspace_id,
            ["TaskUpdate", "MemoryUpdate"],
            trace_id=TRACE,
            after=cursor,
            heartbeat_s=heartbeat_s,
        )


@asynccontextmanager
async def feeds(database: Database) -> AsyncGenerator[Feeds, None]:
    clock = SteppedClock()
    store = EventStore(database, LocalEventBus())
    made = Feeds(database, store, None)  # type: ignore[arg-type]
    access = AccessService(database, clock, IdSource(clock.now_us))
    made.workspace_id = (await access.ensure_default()).id
    async with Hub(store, store._bus, clock) as hub:
        made.feed = WorkspaceFeed(hub, store, clock)
        yield made


def names(items: list[StreamItem]) -> list[tuple[str, int]]:
    return [(item.type, item.cursor) for item in items if isinstance(item, EventRecord)]


async def test_only_the_chosen_types_come_first_stored_then_live(database: Database):
    async with feeds(database) as made:
        await made.tell("TaskUpdate", "RunStarted", "MemoryUpdate")

        async with aclosing(made.follow(after=0)) as stream:
            seen = [await anext(stream), await anext(stream)]
            await made.tell("TokenDelta", "TaskUpdate")
            seen.append(await anext(stream))

    assert names(seen) == [("TaskUpdate", 1), ("MemoryUpdate", 3), ("TaskUpdate", 5)]


async def test_what_comes_live_is_told_once(database: Database):
    async with feeds(database) as made:
        await made.tell("TaskUpdate")

        async with aclosing(made.follow(after=0)) as stream:
            seen = [await anext(stream)]
            for name in ("MemoryUpdate", "TaskUpdate"):
                await made.tell(name)
                seen.append(await anext(stream))

    assert names(seen) == [("TaskUpdate", 1), ("MemoryUpdate", 2), ("TaskUpdate", 3)]


async def test_without_a_cursor_only_what_comes_is_told(database: Database):
    async with feeds(database) as made:
        await made.tell("TaskUpdate")

        async with aclosing(made.follow(heartbeat_s=0.01)) as stream:
            first = await anext(stream)
            await made.tell("MemoryUpdate")
            second = await anext(stream)
            while isinstance(second, StreamHeartbeat):
                second = await anext(stream)

    assert (type(first), first.cursor) == (StreamHeartbeat, 1)
    assert names([second]) == [("MemoryUpdate", 2)]


async def test_a_cursor_older_than_what_is_kept_is_told_first(database: Database):
    async with feeds(database) as made:
        await made.tell("TaskUpdate", "TaskUpdate", "TaskUpdate")
        await database.write(
            [
                Statement("DELETE FROM event WHERE cursor <= 2"),
                Statement("UPDATE event_head SET pruned = 2"),
            ]
        )

        async with aclosing(made.follow(after=1)) as stream:
            gap, kept = await anext(stream), await anext(stream)

    assert isinstance(gap, StreamResync)
    assert (gap.cursor, gap.oldest, gap.trace_id) == (2, 3, TRACE)
    assert names([kept]) == [("TaskUpdate", 3)]


async def test_a_cursor_from_the_future_is_refused(database: Database):
    async with feeds(database) as made, aclosing(made.follow(after=7)) as stream:
        with pytest.raises(BadCursor) as refused:
            await anext(stream)

    assert refused.value.path == ("after",)
