"""Ids that sort by time: UUID version 7 (RFC 9562, section 5.7), as text."""

import os
import struct
import threading
from collections.abc import Callable, Iterator

AT_ONCE = 128
"""Ids whose random bits are asked of the system together: asking costs more than all else."""


def _tails() -> Iterator[int]:
    """Yield the variant and 62 random bits."""
    while True:
        found = os.urandom(8 * AT_ONCE)
        for (bits,) in struct.iter_unpack("!Q", found):
            yield bits & ((1 << 62) - 1) | (1 << 63)


class IdSource:
    """Gives out ids that grow strictly within a process, also inside one millisecond.

    Layout: 48 bits of milliseconds, 12 bits of counter, 62 random bits (RFC 9562, section 6.2,
    method 1). A clock that steps back does not make ids step back.
    """

    def __init__(self, now_us: Callable[[], int]) -> None:
        self._now_us = now_us
        self._lock = threading.Lock()
        self._last = 0
        self._random = _tails()

    def __call__(self) -> str:
        """Return a new id in the canonical 8-4-4-4-12 form."""
        with self._lock:
            stamp = max((self._now_us() // 1000) << 12, self._last + 1)
            self._last = stamp
            tail = next(self._random)
        millis, counter = stamp >> 12, stamp & 0xFFF
        text = f"{(millis << 16) | 0x7000 | counter:016x}{tail:016x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
