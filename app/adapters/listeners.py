"""Who listens to a bus inside this process, by channel; both buses hand out through it."""

from collections.abc import Callable

import structlog

log = structlog.get_logger("app.listeners")


class ChannelListener:
    """One who listens, until closed."""

    def __init__(
        self, listeners: "Listeners", channel: str, receive: Callable[[bytes], None]
    ) -> None:
        self._listeners = listeners
        self.channel = channel
        self.receive = receive

    def close(self) -> None:
        """Hear no more; a second time changes nothing."""
        self._listeners.remove(self)


class Listeners:
    """The listeners of one bus."""

    def __init__(self) -> None:
        self._by_channel: dict[str, list[ChannelListener]] = {}

    def add(self, channel: str, receive: Callable[[bytes], None]) -> ChannelListener:
        """Call `receive` for every message of the channel from now on."""
        listener = ChannelListener(self, channel, receive)
        self._by_channel.setdefault(channel, []).append(listener)
        return listener

    def remove(self, listener: ChannelListener) -> None:
        """Drop a listener; one that is gone changes nothing."""
        members = self._by_channel.get(listener.channel, [])
        if listener in members:
            members.remove(listener)
        if not members:
            self._by_channel.pop(listener.channel, None)

    def hand_out(self, channel: str, message: bytes) -> None:
        """Give a message to who listens now."""
        for listener in tuple(self._by_channel.get(channel, ())):
            try:
                listener.receive(message)
            except Exception:  # the edge: one message that cannot be read must not deafen all
                log.exception("bus.message_not_read", channel=channel)
