"""Opens the event bus that the settings ask for."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from app.adapters.events_local import LocalEventBus
from app.failures import REDIS_CURE, StartRefused
from app.settings import Settings
from domain.kernel.errors import Unavailable
from domain.kernel.ports import EventBus


@asynccontextmanager
async def open_bus(settings: Settings, *, namespace: str) -> AsyncGenerator[EventBus, None]:
    """Yield the bus of this process. Raises StartRefused when Redis cannot be reached."""
    if settings.is_embedded:
        yield LocalEventBus()
        return
    # Redis' clients are loaded only where they are used: they are 5 MB.
    from app.adapters.events_redis import RedisEventBus

    async with RedisEventBus(settings.redis_url, namespace=namespace) as bus:
        try:
            await bus.check()
        except Unavailable as error:
            raise StartRefused(f"{error.message}. {REDIS_CURE}") from error
        yield bus
