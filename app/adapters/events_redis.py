"""The bus between processes, over Redis or Valkey pub/sub.

One connection listens to everything of the bus and fans out in process; another publishes in
batches. Pub/sub forgets: what is sent while Redis is away is lost, and nobody waits for it (I1).
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self, cast

import redis.asyncio as redis
import structlog
from redis.exceptions import RedisError

from app.adapters.listeners import ChannelListener, Listeners
from domain.kernel.errors import Unavailable

MOST_WAITING = 10_000
"""Messages kept while the connection is busy; older ones go first, since they are hints."""
RECONNECT_S = (0.1, 0.5, 1.0, 2.0)

log = structlog.get_logger("app.events_redis")


class RedisEventBus:
    """Owns its two connections while its block runs."""

    def __init__(self, url: str, *, namespace: str = "gob") -> None:
        self._prefix = f"{namespace}:".encode()
        self._client = cast(
            "Any",
            redis.Redis.from_url(  # pyright: ignore[reportUnknownMemberType] - bare **kwargs
                url, socket_connect_timeout=2, socket_keepalive=True, health_check_interval=15
            ),
        )
        self._listeners = Listeners()
        self._waiting: deque[tuple[str, bytes]] = deque(maxlen=MOST_WAITING)
        self._more = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [
            asyncio.create_task(self._listen_for_ever(), name="bus-listener"),
            asyncio.create_task(self._publish_for_ever(), name="bus-publisher"),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        with suppress(RedisError, OSError):
            await self._client.aclose()

    def publish(self, channel: str, message: bytes) -> None:
        """Send soon, together with what else waits."""
        self._waiting.append((channel, message))
        self._more.set()

    def listen(self, channel: str, receive: Callable[[bytes], None]) -> ChannelListener:
        """Call `receive` for every message that arrives on the channel."""
        return self._listeners.add(channel, receive)

    async def check(self) -> None:
        """Raise Unavailable when Redis does not answer."""
        try:
            async with asyncio.timeout(3):
                await self._client.ping()
        except (RedisError, OSError, TimeoutError) as error:
            raise Unavailable(f"Redis cannot be reached: {error}") from error

    async def _publish_for_ever(self) -> None:
        reachable = True
        while True:
            await self._more.wait()
            self._more.clear()
            pipeline = self._client.pipeline(transaction=False)
            while self._waiting:
                channel, message = self._waiting.popleft()
                pipeline.publish(self._prefix + channel.encode(), message)
            try:
                async with asyncio.timeout(5):
                    await pipeline.execute()
                reachable = True
            except (RedisError, OSError, TimeoutError) as error:
                if reachable:
                    log.warning("bus.publish_failed", reason=str(error))
                reachable = False

    async def _listen_for_ever(self) -> None:
        failures = 0
        while True:
            try:
                async with self._client.pubsub(ignore_subscribe_messages=True) as pubsub:
                    await pubsub.psubscribe(self._prefix + b"*")
                    if failures:
                        log.info("bus.reconnected", after_failures=failures)
                    failures = 0
                    async for message in pubsub.listen():
                        self._hand_out(message["channel"], message["data"])
            except (RedisError, OSError) as error:
                if not failures:
                    log.warning("bus.connection_lost", reason=str(error))
                await asyncio.sleep(RECONNECT_S[min(failures, len(RECONNECT_S) - 1)])
                failures += 1

    def _hand_out(self, channel: bytes, message: bytes) -> None:
        self._listeners.hand_out(channel[len(self._prefix) :].decode(errors="replace"), message)
