"""Where a run that lost its worker goes on. Pure: recorded steps in, the next thing to do out."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.runs.lease import PastStep
from domain.runs.state import StepKind, StepStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """A model call whose text is void, and calls of the last answer that have no result."""

    voided: PastStep | None
    open_calls: tuple[PastStep, ...]


def recover(past: Sequence[PastStep]) -> Recovery:
    """Find the first thing that is not recorded."""
    running = [step for step in past if step.status == StepStatus.RUNNING]
    voided = [step for step in running if step.kind == StepKind.MODEL_CALL]
    return Recovery(
        voided=voided[-1] if voided else None,
        open_calls=tuple(step for step in running if step.kind == StepKind.TOOL_CALL),
    )
