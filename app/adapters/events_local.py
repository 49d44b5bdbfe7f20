"""The bus inside one process."""

from collections.abc import Callable

import structlog

log = structlog.get_logger("app.events_local")


class _LocalListener:
    def __init__(
        self, bus: "LocalEventBus", channel: str, receive: Callable[[bytes], None]
    ) -> None:
        self._bus = bus
        self.channel = channel
        self.receive = receive

    def close(self) -> None:
        """Hear no more."""
        self._bus.forget(self)


class LocalEventBus:
    """Calls every listener of the channel at once."""

    def __init__(self) -> None:
        self._listeners: dict[str, list[_LocalListener]] = {}

    def publish(self, channel: str, message: bytes) -> None:
        """Hand the message to who listens now."""
        for listener in tuple(self._listeners.get(channel, ())):
            try:
                listener.receive(message)
            except Exception:  # the edge: who publishes has committed and must not hear of it
                log.exception("bus.message_not_read", channel=channel)

    def listen(self, channel: str, receive: Callable[[bytes], None]) -> _LocalListener:
        """Call `receive` for every message."""
        listener = _LocalListener(self, channel, receive)
        self._listeners.setdefault(channel, []).append(listener)
        return listener

    def forget(self, listener: _LocalListener) -> None:
        """Drop a listener; a second time changes nothing."""
        members = self._listeners.get(listener.channel, [])
        if listener in members:
            members.remove(listener)
        if not members:
            self._listeners.pop(listener.channel, None)

    async def check(self) -> None:
        """Nothing to reach."""
