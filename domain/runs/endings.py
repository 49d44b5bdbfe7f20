"""How a run ends, and what other features add to the commit in which it does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from domain.events.records import EventDraft
from domain.kernel.database import Row, Statement
from domain.runs.state import RunStatus
from domain.runs.work import RunFailure, Work, dumps


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """How a run ends."""

    status: RunStatus
    output: str | None = None
    reason: str | None = None
    failure: RunFailure | None = None
    data: Any = None
    """The answer as data, where a schema asked for it."""

    def columns(self) -> tuple[object, ...]:
        """In the order of the END statement."""
        failure = self.failure
        problem = (failure.code, failure.message, failure.retryable) if failure else (None,) * 3
        data = None if self.data is None else dumps(self.data)
        return (self.status, self.reason, self.output, *problem, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndWrites:
    """What a feature writes in the ending commit; `committed` is called after it, for hints."""

    statements: Sequence[Statement]
    drafts: Sequence[EventDraft]
    committed: Callable[[], None]
    answered: Callable[[Sequence[Sequence[Row]]], None] | None = None
    """Called after it too, with the rows of each of the statements."""


class Ending(Protocol):
    """A feature that has a part in the end of runs."""

    def at_end(self, work: Work, end: RunEnd, now_us: int) -> EndWrites | None:
        """Say what to write, None for a run that is not concerned. Reads nothing.

        The statements come after those of the run and must not fail: they would hold up its end.
        """
        ...
