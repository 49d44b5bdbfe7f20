"""A run in the hands of a process, and why it is taken from its engine."""

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum

from domain.runs.lease import LAST_TRY
from domain.runs.work import Work


class Stop(StrEnum):
    """Why a run is taken from its engine."""

    CANCEL = "cancel"
    SHUTDOWN = "shutdown"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """How many runs a process takes, and how its leases are kept (seconds)."""

    runs: int = 32
    inline: int = 32
    renew_s: float = 2.0
    give_up_s: float = 5.0
    drain_s: float = 5.0
    """Longest wait for tools at work when the process stops."""


@dataclass(slots=True)
class Held:
    """A run at work here; `done` is set when it left, however it left."""

    work: Work
    inline: bool
    done: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    started: bool = False
    ended: bool = False
    """True when the run reached its end here, not only left."""
    hinted: bool = False
    """True when it was announced as due while it was at work here."""
    stop: Stop | None = None
    reason: str | None = None


def is_last_try(work: Work) -> bool:
    """True for a run that the loss of one more worker ends."""
    return work.claim.losses == LAST_TRY
