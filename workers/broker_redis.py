"""The Dramatiq broker over Redis or Valkey."""

from collections.abc import Callable
from typing import Any, cast

import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.errors import ConnectionClosed
from dramatiq.middleware import Middleware


class OwnedRedisBroker(RedisBroker):
    """Gives back its connections when it is closed; Dramatiq's own close leaves them open.

    A Redis that does not answer in time is an outage like one that is away: Dramatiq would take
    it for a fault of its own.
    """

    def _dispatch(self, command: str) -> Callable[..., Any]:
        do = cast("Callable[..., Any]", super()._dispatch(command))  # pyright: ignore[reportUnknownMemberType] - Dramatiq leaves it bare

        def in_time(*args: object) -> Any:
            try:
                return do(*args)
            except (redis.TimeoutError, redis.ConnectionError) as error:
                raise ConnectionClosed(error) from None

        return in_time

    def close(self) -> None:
        """Close the broker and its client."""
        super().close()
        cast("redis.Redis", self.client).close()


def make_redis_broker(url: str, middleware: list[Middleware], *, namespace: str) -> RedisBroker:
    """Build the broker on a client whose calls end, also when Redis does not answer."""
    client = redis.Redis.from_url(  # pyright: ignore[reportUnknownMemberType] - bare **kwargs
        url, socket_connect_timeout=2, socket_timeout=5, health_check_interval=30
    )
    return OwnedRedisBroker(client=client, middleware=middleware, namespace=namespace)
