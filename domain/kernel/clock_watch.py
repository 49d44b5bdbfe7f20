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
        """Return which moment it would be, had the clock not been set back since the last look."""
        monotonic = self._clock.monotonic()
        seen, self._seen = self._seen, (now_us, monotonic)
        if seen is None:
            return None
        expected_us = seen[0] + round((monotonic - seen[1]) * 1_000_000)
        return expected_us if expected_us - now_us > STEP_US else None
