"""What a schedule means, before a task is made of it."""

from enum import Enum
from typing import Self

from strawberry import field

from domain.tasks import preview
from schema.declare import api_enum, api_type
from schema.errors import FieldError
from schema.scalars import Moment, moment


@api_enum
class ScheduleWarningCode(Enum):
    """What is surprising about a schedule."""

    DST_SKIPPED = "The clock jumps over the time; it runs right after the jump."
    DST_REPEATED = "The clock shows the time twice; it runs the first time only."
    NEVER_DUE = "No due time lies ahead."
    IRREGULAR = "Some months or years have no due time."
    TOO_FREQUENT = "It is due more often than its runs are likely to end."


@api_type
class ScheduleWarning:
    """Surprise in a schedule."""

    code: ScheduleWarningCode = field(description="What it is.")
    message: str = field(description="What it means, for a human.")
    at: Moment | None = field(description="When it happens first; null when always.")

    @classmethod
    def of(cls, warning: preview.ScheduleWarning) -> Self:
        """Show a surprise."""
        return cls(
            code=ScheduleWarningCode[warning.code],
            message=warning.message,
            at=moment(warning.at_us),
        )


@api_type
class SchedulePreview:
    """What a schedule means."""

    summary: str = field(description="The schedule in words.")
    times: list[Moment] = field(description="Next due times.")
    warnings: list[ScheduleWarning] = field(description="Surprises to know about.")
    errors: list[FieldError] = field(description="Why it is invalid; empty when it is valid.")

    @classmethod
    def of(cls, found: preview.SchedulePreview) -> Self:
        """Show what was found."""
        return cls(
            summary=found.summary,
            times=[Moment(time) for time in found.times],
            warnings=[ScheduleWarning.of(warning) for warning in found.warnings],
            errors=[
                FieldError(path=list(problem.path), message=problem.message)
                for problem in found.problems
            ],
        )
