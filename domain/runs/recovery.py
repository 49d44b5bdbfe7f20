"""Where a run that lost its worker goes on. Pure: recorded steps in, the next thing to do out."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.runs.lease import PastStep
from domain.runs.state import OPEN_STEPS, StepKind, StepStatus

ANSWERED = frozenset({StepStatus.SUCCEEDED, StepStatus.REUSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What a worker that takes a run up finds undone.

    A model call whose text is void; calls of the last answer that have no result; an answer
    whose calls were not begun, since the run was to be held.
    """

    voided: PastStep | None
    open_calls: tuple[PastStep, ...]
    unbegun: PastStep | None = None


def recover(past: Sequence[PastStep]) -> Recovery:
    """Find the first thing that is not recorded."""
    running = [step for step in past if step.status in OPEN_STEPS]
    voided = [step for step in running if step.kind == StepKind.MODEL_CALL]
    last = past[-1] if past else None
    unbegun = last if last is not None and last.calls and last.status in ANSWERED else None
    return Recovery(
        voided=voided[-1] if voided else None,
        open_calls=tuple(step for step in running if step.kind != StepKind.MODEL_CALL),
        unbegun=unbegun,
    )
