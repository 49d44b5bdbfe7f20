"""Whom `gob run` asks: a server, or the parts of one in this process; both answer alike."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, Protocol

Json = Mapping[str, Any]
"""A document as REST gives it."""

Tell = Callable[[str], None]
"""Takes a sentence for the person who waits."""

MOST_STEPS = 100
"""So many of a run's steps are looked through for notices."""
LAST_EVENTS = frozenset({"RunFinished", "RunFailed"})


class LostSightError(Exception):
    """The run was accepted and cannot be watched any more; the message says why."""


class RunDesk(Protocol):
    """Takes a run, tells what it does, and stops it."""

    async def start(self, values: Json) -> Json:
        """Have a run accepted. Raises StartRefused, a GobError, LostSightError."""
        ...

    def events(self, run_id: str) -> AsyncGenerator[Json, None]:
        """Yield its events from the first to the last, each once. Raises LostSightError."""
        ...

    async def cancel(self, run_id: str, reason: str) -> None:
        """Order it to stop; one that has ended stays as it is. Raises LostSightError."""
        ...

    async def run(self, run_id: str) -> Json:
        """Return the run as it is now. Raises LostSightError."""
        ...

    async def notices(self, run_id: str) -> Sequence[str]:
        """Return what model providers want people to know of the run's calls."""
        ...
