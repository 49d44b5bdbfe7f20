"""Where a run that lost its worker goes on. Pure: recorded steps in, the next thing to do out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from domain.runs.lease import PastStep
from domain.runs.state import OPEN_STEPS, StepKind, StepStatus

ANSWERED = frozenset({StepStatus.SUCCEEDED, StepStatus.REUSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What a worker that takes a run up finds undone.

    A model call whose text is void; calls of the last answer that have no result; an answer of
    which calls were not begun: the run was to be held, or tries them again.
    """

    voided: PastStep | None
    open_calls: tuple[PastStep, ...]
    unbegun: PastStep | None = None
    places: tuple[int, ...] = ()
    """Which of its calls were not begun, counted from 0."""


def recover(past: Sequence[PastStep]) -> Recovery:
    """Find the first thing that is not recorded."""
    running = [step for step in past if step.status in OPEN_STEPS]
    voided = [step for step in running if step.kind == StepKind.MODEL_CALL]
    unbegun, places = _last_answer(past)
    return Recovery(
        voided=voided[-1] if voided else None,
        open_calls=tuple(step for step in running if step.kind != StepKind.MODEL_CALL),
        unbegun=unbegun,
        places=places,
    )


def _last_answer(past: Sequence[PastStep]) -> tuple[PastStep | None, tuple[int, ...]]:
    """The last answer if calls of it were not begun, and which; a try again may lack any."""
    begun: Counter[str | None] = Counter()
    for step in reversed(past):
        if step.kind != StepKind.MODEL_CALL:
            begun[step.call_id] += 1
        elif step.status in ANSWERED:
            places: list[int] = []
            for place, call in enumerate(orjson.loads(step.calls or "[]")):
                if begun[call["id"]]:
                    begun[call["id"]] -= 1
                else:
                    places.append(place)
            return (step, tuple(places)) if places else (None, ())
    return None, ()
