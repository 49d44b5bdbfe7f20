"""Events: gapless cursors whoever writes, and streams that miss nothing and repeat nothing."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest

from app.adapters.clock import SystemClock
from app.adapters.events_local import LocalEventBus
from domain.access.service import AccessService
from domain.events import hub as hub_module
from domain.events import store as store_module
from domain.events.cursors import decode_cursor, encode_cursor
from domain.events.hub import Hub, Topic
from domain.events.records import EventDraft, EventRecord
from domain.events.store import EventStore
from domain.kernel.database import Database, Statement, WriteRefusedError
from domain.kernel.errors import BadCursor
from domain.kernel.ids import IdSource

TRACE = "0" * 31 + "1"


def draft(run_id: str | None = None, seq: int | None = None, kind: str = "Test") -> EventDraft:
    """An event with nothing special about it."""
    return EventDraft(kind, "{}", TRACE, 1, run_id, seq, run_id)


@pytest.fixture
async def workspace_id(database: Database, new_id: IdSource) -> str:
    """A workspace to write events of."""
    return (await AccessService(database, SystemClock(), new_id).ensure_default()).id


@pytest.fixture
def bus() -> LocalEventBus:
    """The bus inside one process."""
    return LocalEventBus()


@pytest.fixture
def store(database: Database, bus: LocalEventBus) -> EventStore:
    """The event table."""
    return EventStore(database, bus)


@pytest.fixture
async def hub(store: EventStore, bus: LocalEventBus) -> AsyncGenerator[Hub, None]:
    """A hub that polls."""
    async with Hub(store, bus, SystemClock()) as running:
        yield running


async def write(
    database: Database, store: EventStore, workspace_id: str, drafts: Sequence[EventDraft]
) -> int:
    """Commit events without telling anybody."""
    return store.head_of(await database.write(store.append(workspace_id, drafts)))


async def collect(hub: Hub, topic: Topic, *, after: int, count: int) -> list[EventRecord]:
    """Follow until so many events came."""
    found: list[EventRecord] = []
    async with asyncio.timeout(20):
        async for batch in hub.follow(topic, after=after):
            found += batch.events
            if len(found) >= count:
                return found
    raise AssertionError


async def test_cursors_are_gapless_and_in_commit_order_with_many_writers(
    database: Database, store: EventStore, workspace_id: str
) -> None:
    writes = [[draft(kind=f"w{n}")] * (n % 3 + 1) for n in range(60)]

    heads = await asyncio.gather(
        *(write(database, store, workspace_id, drafts) for drafts in writes)
    )

    total = sum(len(drafts) for drafts in writes)
    found = await store.page(workspace_id, after=0, upto=total)
    assert [event.cursor for event in found] == list(range(1, total + 1))
    assert max(heads) == total
    for drafts, head in zip(writes, heads, strict=True):
        own = [event for event in found if head - len(drafts) < event.cursor <= head]
        assert [event.type for event in own] == [event.type for event in drafts]


async def test_a_refused_write_uses_up_no_cursor(
    database: Database, store: EventStore, workspace_id: str
) -> None:
    refusing = Statement("SELECT 1 WHERE 1 = 0", (), must_match=True)

    with pytest.raises(WriteRefusedError):
        await database.write([*store.append(workspace_id, [draft()]), refusing])
    head = await write(database, store, workspace_id, [draft()])

    assert head == 1
    assert len(await store.page(workspace_id, after=0, upto=10)) == 1


async def test_a_follower_gets_the_past_and_then_what_comes(
    database: Database, store: EventStore, hub: Hub, workspace_id: str
) -> None:
    first = [draft("run-1", 1), draft("run-2", 1), draft("run-1", 2)]
    await write(database, store, workspace_id, first)
    topic = Topic(workspace_id=workspace_id, run_id="run-1")
    following = asyncio.create_task(collect(hub, topic, after=0, count=4))

    for seq in (3, 4):
        more = [draft("run-2", seq), draft("run-1", seq)]
        store.announce(workspace_id, await write(database, store, workspace_id, more), more)

    found = await following
    assert [(event.run_id, event.seq) for event in found] == [
        ("run-1", seq) for seq in (1, 2, 3, 4)
    ]


async def test_what_the_bus_lost_is_read_from_the_table(
    database: Database, store: EventStore, hub: Hub, workspace_id: str
) -> None:
    topic = Topic(workspace_id=workspace_id)
    following = asyncio.create_task(collect(hub, topic, after=0, count=30))

    for number in range(30):
        drafts = [draft("run", number + 1)]
        head = await write(database, store, workspace_id, drafts)
        if number % 3 == 0:
            store.announce(workspace_id, head, drafts)

    assert [event.cursor for event in await following] == list(range(1, 31))


async def test_messages_that_come_twice_or_late_are_told_once(
    database: Database, store: EventStore, hub: Hub, workspace_id: str
) -> None:
    topic = Topic(workspace_id=workspace_id)
    following = asyncio.create_task(collect(hub, topic, after=0, count=6))
    written: list[tuple[int, list[EventDraft]]] = []

    for number in range(6):
        drafts = [draft("run", number + 1)]
        written.append((await write(database, store, workspace_id, drafts), drafts))
    for head, drafts in [*reversed(written), *written, *written]:
        store.announce(workspace_id, head, drafts)

    assert [event.cursor for event in await following] == [1, 2, 3, 4, 5, 6]


async def test_a_follower_that_falls_behind_is_served_from_the_table(
    database: Database,
    store: EventStore,
    hub: Hub,
    workspace_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hub_module, "QUEUE", 5)
    topic = Topic(workspace_id=workspace_id)
    stream = hub.follow(topic, after=0)
    first = [draft("run", 1)]
    store.announce(workspace_id, await write(database, store, workspace_id, first), first)
    found = list((await anext(stream)).events)

    for seq in range(2, 52):
        drafts = [draft("run", seq)]
        store.announce(workspace_id, await write(database, store, workspace_id, drafts), drafts)
    async with asyncio.timeout(20):
        async for batch in stream:
            found += batch.events
            if found[-1].cursor == 51:
                break
    await stream.aclose()

    assert [event.cursor for event in found] == list(range(1, 52))


async def test_a_quiet_stream_beats_with_the_position_it_has_scanned(
    database: Database, store: EventStore, hub: Hub, workspace_id: str
) -> None:
    drafts = [draft("other", 1)]
    head = await write(database, store, workspace_id, drafts)
    topic = Topic(workspace_id=workspace_id, run_id="mine")

    stream = hub.follow(topic, after=0, heartbeat_s=0.01)
    beat = await anext(stream)
    await stream.aclose()

    assert (beat.events, beat.upto) == ((), head)


def test_a_cursor_returns_to_its_place_in_its_workspace_only() -> None:
    text = encode_cursor("ws-1", 42)

    assert decode_cursor("ws-1", text) == 42
    with pytest.raises(BadCursor, match="another workspace"):
        decode_cursor("ws-2", text)


@pytest.mark.parametrize("text", ["", "42", "x.y", "-1.00000000", "1.0.0", "9" * 99, "٤٢.a", "1."])
def test_text_that_never_was_a_cursor_is_refused(text: str) -> None:
    with pytest.raises(BadCursor):
        decode_cursor("ws-1", text)


async def test_a_root_run_is_followed_with_all_runs_below_it_in_order(
    database: Database, store: EventStore, workspace_id: str
) -> None:
    root = EventDraft("Test", "{}", TRACE, 1, "root", 1, "root")
    child = EventDraft("Test", "{}", TRACE, 1, "child", 1, "root", "root", 1)
    later = EventDraft("Test", "{}", TRACE, 1, "root", 2, "root")
    await write(database, store, workspace_id, [root, draft("other", 1), child, later])

    alone = await store.run_page("root", after=0, upto=99)
    below = await store.run_page("root", after=0, upto=99, below=True)
    rest = await store.run_page("root", after=3, upto=99, below=True)

    assert [event.cursor for event in alone] == [1, 4]
    assert [(event.cursor, event.run_id) for event in below] == [
        (1, "root"),
        (3, "child"),
        (4, "root"),
    ]
    assert [event.cursor for event in rest] == [4]


@pytest.mark.parametrize("below", [False, True], ids=["alone", "with what is below"])
async def test_a_long_run_is_replayed_page_by_page_and_nothing_twice(
    database: Database,
    store: EventStore,
    hub: Hub,
    workspace_id: str,
    monkeypatch: pytest.MonkeyPatch,
    below: bool,
) -> None:
    monkeypatch.setattr(store_module, "PAGE", 7)
    drafts = [
        EventDraft("Test", "{}", TRACE, 1, "root", n // 2 + 1, "root")
        if n % 2 == 0
        else EventDraft("Test", "{}", TRACE, 1, "child", n // 2 + 1, "root", "root", 1)
        for n in range(100)
    ]
    await write(database, store, workspace_id, drafts)
    asked, original = list[int](), store.run_page

    async def run_page(run_id: str, *, seen_seq: int, **more: Any) -> list[EventRecord]:
        asked.append(seen_seq)
        return await original(run_id, seen_seq=seen_seq, **more)

    monkeypatch.setattr(store, "run_page", run_page)
    topic = Topic(workspace_id=workspace_id, run_id="root", below=below)
    events = await collect(hub, topic, after=20, count=80 if below else 40)

    cursors = range(21, 101) if below else range(21, 101, 2)
    assert [event.cursor for event in events] == list(cursors)
    # The run's own last seq goes along, so that no page reads what lies before it again.
    own = [event.seq for event in events if event.run_id == "root"]
    assert asked[:1] == [0]
    assert set(asked[1:]) <= set(own)
    assert asked == sorted(set(asked))
