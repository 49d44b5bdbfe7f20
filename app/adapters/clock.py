"""The real clock; the only place that reads time."""

import asyncio
import time


class SystemClock:
    """Time of this machine."""

    def now_us(self) -> int:
        """The moment now, in microseconds since 1970-01-01 UTC."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """Seconds on a clock that never steps."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)
