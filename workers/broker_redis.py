"""The Dramatiq broker over Redis or Valkey."""

from typing import cast

import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Middleware


class OwnedRedisBroker(RedisBroker):
    """Gives back its connections when it is closed; Dramatiq's own close leaves them open."""

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
