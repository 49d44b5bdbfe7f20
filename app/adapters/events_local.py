"""The bus inside one process."""

from collections.abc import Callable

from app.adapters.listeners import ChannelListener, Listeners


class LocalEventBus:
    """Calls every listener of the channel at once."""

    def __init__(self) -> None:
        self._listeners = Listeners()

    def publish(self, channel: str, message: bytes) -> None:
        """Hand the message to who listens now."""
        self._listeners.hand_out(channel, message)

    def listen(self, channel: str, receive: Callable[[bytes], None]) -> ChannelListener:
        """Call `receive` for every message."""
        return self._listeners.add(channel, receive)

    async def check(self) -> None:
        """Nothing to reach."""
