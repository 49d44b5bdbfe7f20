"""Where a run that lost its worker goes on. Pure: recorded steps in, the next thing to do out."""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from domain.runs.lease import PastStep
from domain.runs.state import OPEN_STEPS, StepKind, StepStatus

ANSWERED = frozenset({StepStatus.SUCCEEDED, StepStatus.REUSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What a worker that takes a run up finds undone.

    A model call whose text is void; calls of the last answer that have no result; an answer
    whose calls, from one on, were not begun: the run was to be held, or tries them again.
    """

    voided: PastStep | None
    open_calls: tuple[PastStep, ...]
    unbegun: PastStep | None = None
    begun: int = 0
    """How many of its calls were begun."""


def recover(past: Sequence[PastStep]) -> Recovery:
    """Find the first thing that is not recorded."""
    running = [step for step in past if step.status in OPEN_STEPS]
    voided = [step for step in running if step.kind == StepKind.MODEL_CALL]
    unbegun, begun = _last_answer(past)
    return Recovery(
        voided=voided[-1] if voided else None,
        open_calls=tuple(step for step in running if step.kind != StepKind.MODEL_CALL),
        unbegun=unbegun,
        begun=begun,
    )


def _last_answer(past: Sequence[PastStep]) -> tuple[PastStep | None, int]:
    """The last answer if calls of it were not begun, and how many of them were."""
    begun = 0
    for step in reversed(past):
        if step.kind != StepKind.MODEL_CALL:
            begun += 1
        elif step.status in ANSWERED:
            calls = orjson.loads(step.calls or "[]")
            return (step, begun) if len(calls) > begun else (None, 0)
    return None, 0
