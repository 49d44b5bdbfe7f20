"""What schedules mean, as JSON."""

from collections.abc import Sequence
from typing import Self

from pydantic import Field

from app.documents.base import Document, MomentText, moment_text
from domain.kernel.errors import FieldProblem
from domain.tasks import preview
from domain.tasks.preview import WarningCode
from schema.scalars import format_moment


class FieldError(Document):
    """Problem with one input field."""

    path: list[str]
    message: str

    @classmethod
    def of(cls, problem: FieldProblem) -> Self:
        """Show a problem."""
        return cls(path=list(problem.path), message=problem.message)


class ScheduleWarning(Document):
    """Surprise in a schedule."""

    code: WarningCode
    message: str
    at: MomentText | None

    @classmethod
    def of(cls, warning: preview.ScheduleWarning) -> Self:
        """Show a surprise."""
        return cls(code=warning.code, message=warning.message, at=moment_text(warning.at_us))


class SchedulePreview(Document):
    """What a schedule means."""

    summary: str
    times: list[MomentText]
    warnings: list[ScheduleWarning]
    errors: list[FieldError]

    @classmethod
    def of(cls, found: preview.SchedulePreview) -> Self:
        """Show what was found."""
        return cls(
            summary=found.summary,
            times=[format_moment(time) for time in found.times],
            warnings=[ScheduleWarning.of(warning) for warning in found.warnings],
            errors=[FieldError.of(problem) for problem in found.problems],
        )


class NextOccurrences(Document):
    """Next due times of a task."""

    times: list[MomentText] = Field(description="The times, soonest first.")

    @classmethod
    def of(cls, times: Sequence[int]) -> Self:
        """Show due times."""
        return cls(times=[format_moment(time) for time in times])
