"""What becomes of the calls of an answer: who may go ahead, who waits, who is refused.

The seams between the engine and the features that have a say: policy, approvals, delegation.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from domain.kernel.database import Statement
from domain.models.ports import ToolSpec
from domain.runs.calls import CallDone
from domain.runs.context import Turn
from domain.runs.state import EventType
from domain.runs.steps import StepStart
from domain.runs.work import Work

Telling = tuple[EventType, Mapping[str, Any]]
"""An event to be numbered when it is written: its type and its data."""


class Next(StrEnum):
    """What happens to a call now."""

    RUN = "run"
    DONE = "done"
    WAIT = "wait"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What becomes of one call now, and what is written and told with it in one commit."""

    next: Next
    start: StepStart
    """The call; with the arguments that are used, where a person edited them."""
    done: CallDone | None = None
    """How it ended; for DONE."""
    is_asked: bool = False
    """True while a person is asked; for WAIT."""
    until_us: int | None = None
    """When the wait ends by itself, None for never; for WAIT."""
    statements: Sequence[Statement] = ()
    """Written after the step itself."""
    tellings: Sequence[Telling] = ()
    committed: Callable[[], None] | None = None
    """Called after the commit, for hints."""


class CallGate(Protocol):
    """The one place that decides before every call."""

    async def rule(self, work: Work, turn: Turn, starts: Sequence[StepStart]) -> list[Ruling]:
        """Decide on calls that begin, or go on after a wait: one ruling each, in order."""
        ...


class Delegations(Protocol):
    """Calls that hand work to another agent."""

    def is_delegation(self, turn: Turn, name: str) -> bool:
        """Tell whether a call of this name hands work on."""
        ...

    async def rule(self, work: Work, turn: Turn, rulings: Sequence[Ruling]) -> list[Ruling]:
        """Begin allowed delegations, or look how begun ones came along.

        Gets what the gate allowed; returns one ruling each, in order, none of them RUN.
        """
        ...


class Offers(Protocol):
    """Chooses which of a run's tools a model is shown."""

    async def offered(self, work: Work, turn: Turn, step: StepStart) -> Sequence[ToolSpec]:
        """Return them for one model call."""
        ...


class OpenGate:
    """Lets every call go ahead."""

    async def offered(self, work: Work, turn: Turn, step: StepStart) -> Sequence[ToolSpec]:
        """Offer all of them."""
        del work, step
        return turn.specs

    async def rule(self, work: Work, turn: Turn, starts: Sequence[StepStart]) -> list[Ruling]:
        """Allow them."""
        del work, turn
        return [Ruling(next=Next.RUN, start=start) for start in starts]


class NoDelegations:
    """For processes whose agents work alone."""

    def is_delegation(self, turn: Turn, name: str) -> bool:
        """No call hands work on."""
        del turn, name
        return False

    async def rule(self, work: Work, turn: Turn, rulings: Sequence[Ruling]) -> list[Ruling]:
        """Never asked."""
        del work, turn
        return list(rulings)
