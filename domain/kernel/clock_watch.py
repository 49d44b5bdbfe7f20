"""Notices when the clock that moments are read from was set back."""

from domain.kernel.ports import Clock

STEP_US = 1_000_000
"""A smaller step back is none: clocks of processes may differ as much."""


class ClockWatch:
    """Holds one clock, such as the database's, against another that never steps."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: tuple[int, float] | None = None

    def set_back_from(self, now_us: int) -> int | None:
        """Return which moment it would be, had the clock not been set back since the last look.

        A step back is told again until the moment after it is `accept`ed.
        """
        if self._seen is not None:
            seen_us, monotonic = self._seen
            expected_us = seen_us + round((self._clock.monotonic() - monotonic) * 1_000_000)
            if expected_us - now_us > STEP_US:
                return expected_us
        self.accept(now_us)
        return None

    def accept(self, now_us: int) -> None:
        """Go by this moment from now on: what a step back asks for is done."""
        self._seen = (now_us, self._clock.monotonic())
