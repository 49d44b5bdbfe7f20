"""Hands committed events to the subscribers of this process, gapless and in order.

Each workspace with subscribers has one tail. The bus tells the tail what is new; where a message
is missing, and once a second in any case, the tail reads the table. A subscriber that falls
behind its bounded queue is served from the table again, so a slow client costs no memory.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Self

import structlog

from domain.events.records import EventRecord, decode_batch
from domain.events.store import EventStore, channel_of
from domain.kernel.background import start_detached
from domain.kernel.errors import GobError
from domain.kernel.ports import Clock, EventBus, Listener

QUEUE = 1000
"""Events a subscriber may fall behind before it is served from the table."""
POLL_S = 1.0
HEARTBEAT_S = 15.0

log = structlog.get_logger("domain.events.hub")


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """What a subscriber follows: one run, everything below a root run, or a whole workspace.

    `types` leaves out all other types of events.
    """

    workspace_id: str
    run_id: str | None = None
    below: bool = False
    types: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Events in order; `upto` is the last position scanned. Empty batches are heartbeats."""

    events: Sequence[EventRecord]
    upto: int
    replayed: bool


class _Subscriber:
    __slots__ = ("lagging", "ready", "topic", "waiting")

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.waiting: deque[EventRecord] = deque()
        self.ready = asyncio.Event()
        self.lagging = False

    def push(self, event: EventRecord) -> None:
        types = self.topic.types
        if self.lagging or (types is not None and event.type not in types):
            return
        if len(self.waiting) >= QUEUE:
            self.lagging = True
            self.waiting.clear()
        else:
            self.waiting.append(event)
        self.ready.set()


class _Tail:
    """The end of one workspace's events, as far as this process has seen it."""

    def __init__(self, workspace_id: str, store: EventStore) -> None:
        self.workspace_id = workspace_id
        self.position = -1
        self.opened = asyncio.Event()
        self.listener: Listener | None = None
        self._store = store
        self._by_key: dict[tuple[str | None, bool], set[_Subscriber]] = {}
        self._reading: asyncio.Task[None] | None = None
        self._again = False

    @property
    def is_idle(self) -> bool:
        return not self._by_key

    def attach(self, subscriber: _Subscriber) -> None:
        topic = subscriber.topic
        self._by_key.setdefault((topic.run_id, topic.below), set()).add(subscriber)

    def detach(self, subscriber: _Subscriber) -> None:
        key = (subscriber.topic.run_id, subscriber.topic.below)
        members = self._by_key.get(key)
        if members is not None:
            members.discard(subscriber)
            if not members:
                del self._by_key[key]

    def receive(self, message: bytes) -> None:
        if self.position < 0 or self._reading is not None:
            return self.read_to_end()
        events = decode_batch(message)
        if events[0].cursor > self.position + 1:
            return self.read_to_end()
        return self._deliver(events)

    def _deliver(self, events: Sequence[EventRecord]) -> None:
        for event in events:
            if event.cursor <= self.position:
                continue
            self.position = event.cursor
            keys: list[tuple[str | None, bool]] = [(None, False)]
            if event.run_id is not None:
                keys += [(event.run_id, False), (event.root_run_id, True)]
            for key in keys:
                for subscriber in self._by_key.get(key, ()):
                    subscriber.push(event)

    def read_to_end(self) -> None:
        """Read from the table what the bus did not bring; one reader at a time."""
        self._again = True
        if self._reading is None:
            self._reading = start_detached(self._read(), name="event-tail")

    async def _read(self) -> None:
        try:
            while self._again:
                self._again = False
                heads = await self._store.heads([self.workspace_id])
                head = heads[self.workspace_id][0]
                if self.position < 0:
                    self.position = head
                    self.opened.set()
                while self.position < head:
                    page = await self._store.page(self.workspace_id, after=self.position, upto=head)
                    self._deliver(page)
                    if not page:
                        self.position = head
        except GobError as error:
            # The next poll tries again; subscribers only wait longer.
            log.warning("events.read_failed", workspace_id=self.workspace_id, reason=error.message)
        except Exception:  # the edge of a background task: the next poll tries again
            log.exception("events.read_crashed", workspace_id=self.workspace_id)
        finally:
            self._reading = None

    def close(self) -> None:
        if self.listener is not None:
            self.listener.close()
        if self._reading is not None:
            self._reading.cancel()


class Hub:
    """One per process that has subscribers; owns its poll as a background task."""

    def __init__(self, store: EventStore, bus: EventBus, clock: Clock) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock
        self._tails: dict[str, _Tail] = {}
        self._poll: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._poll = asyncio.create_task(self._poll_heads(), name="event-poll")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._poll is not None:
            self._poll.cancel()
            with suppress(asyncio.CancelledError):
                await self._poll
        for tail in self._tails.values():
            tail.close()

    async def follow(
        self,
        topic: Topic,
        *,
        after: int,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> AsyncGenerator[Batch, None]:
        """Yield what came after the cursor, then what comes, for ever.

        The caller has checked that `after` is still kept.
        """
        position = after
        while True:
            subscriber = _Subscriber(topic)
            tail = self._attach(subscriber)
            try:
                await tail.opened.wait()
                upto = tail.position
                async with aclosing(self._replay(topic, position, upto)) as replay:
                    async for batch in replay:
                        yield batch
                position = max(position, upto)
                while not subscriber.lagging:
                    batch = await self._next(subscriber, tail, position, heartbeat_s)
                    if batch is not None:
                        position = batch.upto
                        yield batch
            finally:
                self._detach(tail, subscriber)

    def _attach(self, subscriber: _Subscriber) -> _Tail:
        workspace_id = subscriber.topic.workspace_id
        tail = self._tails.get(workspace_id)
        if tail is None:
            tail = self._tails[workspace_id] = _Tail(workspace_id, self._store)
            tail.listener = self._bus.listen(channel_of(workspace_id), tail.receive)
        tail.attach(subscriber)
        if not tail.opened.is_set():
            tail.read_to_end()
        return tail

    def _detach(self, tail: _Tail, subscriber: _Subscriber) -> None:
        tail.detach(subscriber)
        if tail.is_idle and self._tails.get(tail.workspace_id) is tail:
            del self._tails[tail.workspace_id]
            tail.close()

    async def _replay(self, topic: Topic, after: int, upto: int) -> AsyncGenerator[Batch, None]:
        seen_seq = 0
        while after < upto:
            if topic.run_id is None:
                page = await self._store.page(
                    topic.workspace_id, after=after, upto=upto, types=topic.types
                )
            else:
                page = await self._store.run_page(
                    topic.run_id, after=after, upto=upto, below=topic.below, seen_seq=seen_seq
                )
            if not page:
                return
            after = page[-1].cursor
            own = [event.seq or 0 for event in page if event.run_id == topic.run_id]
            seen_seq = own[-1] if own else seen_seq
            yield Batch(events=page, upto=after, replayed=True)

    async def _next(
        self, subscriber: _Subscriber, tail: _Tail, position: int, heartbeat_s: float
    ) -> Batch | None:
        if not subscriber.waiting and not subscriber.lagging:
            await self._pause(subscriber, heartbeat_s)
            if not subscriber.waiting and not subscriber.lagging:
                return Batch(events=(), upto=max(position, tail.position), replayed=False)
        events = [event for event in subscriber.waiting if event.cursor > position]
        subscriber.waiting.clear()
        if not events:
            return None
        return Batch(events=events, upto=events[-1].cursor, replayed=False)

    @staticmethod
    async def _pause(subscriber: _Subscriber, longest_s: float) -> None:
        """Wait for an event, or so long; a bare timer costs a fifth of `asyncio.timeout`."""
        subscriber.ready.clear()
        timer = asyncio.get_running_loop().call_later(longest_s, subscriber.ready.set)
        try:
            await subscriber.ready.wait()
        finally:
            timer.cancel()

    async def _poll_heads(self) -> None:
        while True:
            await self._clock.sleep(POLL_S)
            if not self._tails:
                continue
            try:
                heads = await self._store.heads(list(self._tails))
            except GobError as error:
                log.warning("events.poll_failed", reason=error.message)
                continue
            except Exception:  # the edge of a background loop: the next poll tries again
                log.exception("events.poll_crashed")
                continue
            for workspace_id, (head, _) in heads.items():
                tail = self._tails.get(workspace_id)
                if tail is not None and head > tail.position:
                    tail.read_to_end()
