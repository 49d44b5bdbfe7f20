"""Occurrences: due times of tasks, and what became of them."""

from enum import Enum
from typing import TYPE_CHECKING, Annotated, Self

import strawberry
from strawberry import ID, UNSET, Private, field

from domain.kernel.errors import NotFound
from domain.kernel.paging import Page
from domain.tasks.backfill import Backfilled
from domain.tasks.reading import occurrence_as_shown
from domain.tasks.rows import OccurrenceRow
from schema.context import Info
from schema.declare import api_enum, api_input, api_type
from schema.ids import Kind, encode_id
from schema.inputs import refers_to
from schema.relay import Connection, Edge, Node, TimeRange
from schema.scalars import Moment

if TYPE_CHECKING:
    from schema.runs import Run
    from schema.tasks import Task


@api_enum
class OccurrenceTrigger(Enum):
    """What made a task due."""

    SCHEDULE = "Its schedule."
    MANUAL = "A call of runTaskNow."
    BACKFILL = "A call of backfillTask."
    CATCH_UP = "Its missed-run policy."


@api_enum
class OccurrenceStatus(Enum):
    """What became of a due time."""

    QUEUED = "Waits for its turn, or for the next attempt."
    RUNNING = "At work."
    SUCCEEDED = "Done."
    FAILED = "Every attempt failed."
    CANCELLED = "Stopped by request."
    MISSED = "Not started in time."
    SKIPPED = "Not started, by the overlap policy or by request."


@api_type
class Occurrence(Node):
    """One due time of a task and what became of it."""

    id: ID = field(description="Opaque global id.")
    trigger: OccurrenceTrigger = field(description="What made it due.")
    scheduled_for: Moment = field(description="When it was due.")
    status: OccurrenceStatus = field(description="What became of it.")
    reason: str | None = field(description="Why it was missed, skipped or failed.")

    row: Private[OccurrenceRow]

    @classmethod
    def of(cls, row: OccurrenceRow) -> Self:
        """Show a row; one that cannot be read says why."""
        row = occurrence_as_shown(row)
        return cls(
            id=encode_id(Kind.OCCURRENCE, row.id),
            trigger=OccurrenceTrigger[row.trigger],
            scheduled_for=Moment(row.scheduled_for),
            status=OccurrenceStatus[row.status],
            reason=row.reason,
            row=row,
        )

    @field(description="Task it belongs to.")
    async def task(self, info: Info) -> Annotated["Task", strawberry.lazy("schema.tasks")]:
        """Load it, also when it was deleted meanwhile."""
        from schema.tasks import Task

        row = await info.context.loaders.task_with_deleted(self.row.task_id)
        if row is None:
            raise NotFound(Kind.TASK.noun, encode_id(Kind.TASK, self.row.task_id))
        return Task.of(row)

    @field(description="Its latest attempt; null when none was made.")
    async def run(self, info: Info) -> Annotated["Run", strawberry.lazy("schema.runs")] | None:
        """Load it."""
        from schema.runs import Run

        row = None if self.row.run_id is None else await info.context.loaders.run(self.row.run_id)
        return None if row is None else Run.of(row)

    @field(description="Every attempt, oldest first.")
    async def attempts(self, info: Info) -> list[Annotated["Run", strawberry.lazy("schema.runs")]]:
        """Load them."""
        from schema.runs import Run

        return [Run.of(row) for row in await info.context.loaders.attempts(self.row.id)]


@api_type
class OccurrenceEdge(Edge[Occurrence]):
    """Place of one occurrence in a page."""


@api_type
class OccurrenceConnection(Connection[Occurrence, OccurrenceEdge]):
    """Page of occurrences."""

    @classmethod
    def of(cls, page: Page[OccurrenceRow]) -> Self:
        """Show a page of rows."""
        return cls.over(page, [Occurrence.of(row) for row in page.items], OccurrenceEdge)


@api_input
class OccurrenceFilter:
    """Narrows a list of occurrences."""

    task_id: ID | None = field(
        description="Only those of this task.", default=UNSET, metadata=refers_to(Kind.TASK)
    )
    statuses: list[OccurrenceStatus] | None = field(
        description="Only these outcomes.", default=UNSET
    )
    scheduled_for: TimeRange | None = field(
        description="Only those due in this span.", default=UNSET
    )


@api_type
class RunTaskNowSuccess:
    """The started occurrence."""

    occurrence: Occurrence = field(description="The occurrence.")
    replayed: bool = field(
        description="True when the idempotency key was used before and nothing new was started."
    )


@api_type
class BackfillTaskSuccess:
    """Past due times that run or would run."""

    times: list[Moment] = field(description="The times.")
    occurrences: list[Occurrence] = field(description="Occurrences started; empty after a dry run.")
    dry_run: bool = field(description="True when nothing was started.")

    @classmethod
    def of(cls, done: Backfilled) -> Self:
        """Show what was started, or would be."""
        return cls(
            times=[Moment(time) for time in done.times],
            occurrences=[Occurrence.of(row) for row in done.rows],
            dry_run=done.dry_run,
        )
