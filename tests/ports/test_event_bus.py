"""The contract of the event bus, held by the local and the Redis adapter alike."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from structlog.testing import capture_logs

from app.adapters.events_local import LocalEventBus
from app.adapters.events_redis import RedisEventBus
from domain.kernel.errors import Unavailable
from domain.kernel.ports import EventBus


@pytest.fixture(params=["local", pytest.param("redis", marks=pytest.mark.redis)])
async def bus(request: pytest.FixtureRequest) -> AsyncGenerator[EventBus, None]:
    """Each adapter, ready to carry messages."""
    if request.param == "local":
        yield LocalEventBus()
        return
    async with RedisEventBus(request.getfixturevalue("redis_url")) as redis_bus:
        await _until_heard(redis_bus)
        yield redis_bus


async def _until_heard(bus: EventBus) -> None:
    """Publish until the first message comes back: the subscription is up."""
    heard = asyncio.Event()
    listener = bus.listen("ready", lambda _: heard.set())
    async with asyncio.timeout(10):
        while not heard.is_set():
            bus.publish("ready", b"?")
            try:
                async with asyncio.timeout(0.05):
                    await heard.wait()
            except TimeoutError:
                continue
    listener.close()


class Inbox:
    """Collects messages and waits for a number of them."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self._more = asyncio.Event()

    def __call__(self, message: bytes) -> None:
        self.messages.append(message)
        self._more.set()

    async def holds(self, count: int) -> list[bytes]:
        async with asyncio.timeout(10):
            while len(self.messages) < count:
                self._more.clear()
                await self._more.wait()
        return self.messages


async def test_messages_arrive_in_the_order_they_were_published(bus: EventBus) -> None:
    inbox = Inbox()
    bus.listen("a", inbox)

    for number in range(500):
        bus.publish("a", b"%d" % number)

    assert await inbox.holds(500) == [b"%d" % number for number in range(500)]


async def test_every_listener_of_a_channel_hears_and_no_other(bus: EventBus) -> None:
    first, second, other = Inbox(), Inbox(), Inbox()
    bus.listen("a", first)
    bus.listen("a", second)
    bus.listen("b", other)

    bus.publish("a", b"for a")
    bus.publish("b", b"for b")

    assert await first.holds(1) == [b"for a"]
    assert await second.holds(1) == [b"for a"]
    assert await other.holds(1) == [b"for b"]


async def test_a_closed_listener_hears_no_more_and_closing_twice_is_harmless(
    bus: EventBus,
) -> None:
    closed, still = Inbox(), Inbox()
    listener = bus.listen("a", closed)
    bus.listen("a", still)

    listener.close()
    listener.close()
    bus.publish("a", b"x")

    assert await still.holds(1) == [b"x"]
    assert closed.messages == []


async def test_a_listener_that_fails_does_not_deafen_the_others(bus: EventBus) -> None:
    before, after = Inbox(), Inbox()

    def fail(_: bytes) -> None:
        raise ValueError("this message cannot be read")

    bus.listen("a", before)
    bus.listen("a", fail)
    bus.listen("a", after)
    with capture_logs() as logs:
        bus.publish("a", b"1")
        bus.publish("a", b"2")
        heard = [await inbox.holds(2) for inbox in (before, after)]

    assert heard == [[b"1", b"2"]] * 2
    told = [(line["log_level"], line["event"], line["channel"]) for line in logs]
    assert told == [("error", "bus.message_not_read", "a")] * 2
    assert [line["exc_info"] for line in logs] == [True, True]


async def test_a_bus_that_works_passes_its_check(bus: EventBus) -> None:
    await bus.check()

    inbox = Inbox()
    bus.listen("a", inbox)
    bus.publish("a", b"\x00\xff")
    assert await inbox.holds(1) == [b"\x00\xff"]


@pytest.mark.redis
async def test_a_redis_bus_goes_on_by_itself_after_redis_was_away(redis_server) -> None:
    async with RedisEventBus(redis_server.url) as bus:
        await _until_heard(bus)
        inbox = Inbox()
        bus.listen("a", inbox)

        redis_server.kill()
        bus.publish("a", b"lost")
        with pytest.raises(Unavailable, match="Redis cannot be reached"):
            await bus.check()
        redis_server.start()
        await _until_heard(bus)
        bus.publish("a", b"heard")

        assert (await inbox.holds(1))[-1] == b"heard"
