"""The outside as every feature sees it: time, hints between processes, work for others."""

from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """Time. Moments are whole microseconds since 1970-01-01 UTC."""

    def now_us(self) -> int:
        """The moment now."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never steps."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class Listener(Protocol):
    """One registration with the bus."""

    def close(self) -> None:
        """Hear no more."""
        ...


class EventBus(Protocol):
    """Tells other processes that there is more. Messages are hints: any may be lost (I1)."""

    def publish(self, channel: str, message: bytes) -> None:
        """Send without waiting; an unreachable bus loses the message and logs it once."""
        ...

    def listen(self, channel: str, receive: Callable[[bytes], None]) -> Listener:
        """Call `receive` on this process's loop for every message, in the order of arrival."""
        ...

    async def check(self) -> None:
        """Raise Unavailable when the bus cannot be reached."""
        ...


class JobQueue(Protocol):
    """Hands a job to some worker. Messages hold only an id and may be lost or doubled (I1, I4)."""

    def enqueue(self, job: str, ident: str) -> None:
        """Hint that the row `ident` of the job named `job` is due."""
        ...
