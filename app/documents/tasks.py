"""Tasks and their occurrences as JSON."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import Field

from app.documents.base import (
    Document,
    MomentText,
    Reference,
    id_field,
    moment_text,
    reference,
)
from app.documents.pages import PageDocument, PageInfo
from app.documents.runs import Run
from domain.kernel.paging import Page
from domain.runs.rows import RunRow
from domain.runs.state import RunErrorCode
from domain.tasks import schedule, spec
from domain.tasks.backfill import Backfilled
from domain.tasks.cron import ScheduleError
from domain.tasks.reading import occurrence_as_shown, task_as_shown
from domain.tasks.rows import OccurrenceRow, TaskRow
from domain.tasks.state import (
    MissedRunPolicy,
    OccurrenceStatus,
    OccurrenceTrigger,
    OverlapPolicy,
    TaskStatus,
)
from domain.tasks.wording import summary
from schema.ids import Kind, encode_id
from schema.scalars import format_moment


class AdhocSchedule(Document):
    """Due only when started by runTaskNow."""

    type: Literal["adhoc"] = Field(default="adhoc", description="Kind of schedule.")
    summary: str


class PlannedSchedule(Document):
    """Due at given times."""

    type: Literal["planned"] = Field(default="planned", description="Kind of schedule.")
    summary: str
    times: list[MomentText]


class CronSchedule(Document):
    """Due again and again by a cron expression."""

    type: Literal["scheduled"] = Field(default="scheduled", description="Kind of schedule.")
    summary: str
    expression: str
    timezone: str


AnySchedule: TypeAlias = AdhocSchedule | PlannedSchedule | CronSchedule


def schedule_of(stored: Mapping[str, Any]) -> AnySchedule:
    """Show a stored schedule; one that cannot be read is never due, and says so."""
    try:
        found = schedule.read(stored)
        words = summary(found)
    except ScheduleError as error:
        return AdhocSchedule(summary=f"Cannot be read: {error}")
    match found:
        case schedule.Adhoc():
            return AdhocSchedule(summary=words)
        case schedule.Planned(times=times):
            return PlannedSchedule(summary=words, times=[format_moment(time) for time in times])
        case schedule.Cron(expression=expression, timezone=timezone):
            return CronSchedule(summary=words, expression=expression, timezone=timezone)


class RetryPolicy(Document):
    """What happens when an attempt fails."""

    max_attempts: int
    backoff_seconds: int
    max_backoff_seconds: int
    retry_on: list[RunErrorCode]

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """Show a stored policy."""
        policy = spec.RetryPolicy.model_validate(stored)
        return cls(
            max_attempts=policy.max_attempts,
            backoff_seconds=policy.backoff_seconds,
            max_backoff_seconds=policy.max_backoff_seconds,
            retry_on=list(policy.retry_on),
        )


class Occurrence(Document):
    """One due time of a task and what became of it."""

    id: Annotated[str, id_field(Kind.OCCURRENCE)]
    task: Reference
    trigger: OccurrenceTrigger
    scheduled_for: MomentText
    status: OccurrenceStatus
    reason: str | None
    run: Reference | None

    @classmethod
    def of(cls, row: OccurrenceRow) -> Self:
        """Show a row; one that cannot be read says why."""
        row = occurrence_as_shown(row)
        return cls(
            id=encode_id(Kind.OCCURRENCE, row.id),
            task=Reference.of(Kind.TASK, row.task_id),
            trigger=OccurrenceTrigger(row.trigger),
            scheduled_for=format_moment(row.scheduled_for),
            status=OccurrenceStatus(row.status),
            reason=row.reason,
            run=reference(Kind.RUN, row.run_id),
        )


class OccurrenceWithAttempts(Occurrence):
    """One due time of a task, and every run that was started for it."""

    attempts: list[Run]

    @classmethod
    def with_runs(cls, row: OccurrenceRow, runs: Sequence[RunRow]) -> Self:
        """Show a row and its runs."""
        return cls(
            **dict(Occurrence.of(row)),
            attempts=[Run.of(run) for run in runs],
        )


class OccurrencePage(PageDocument):
    """Page of occurrences."""

    nodes: list[Occurrence] = Field(description="The occurrences.")

    @classmethod
    def of(cls, page: Page[OccurrenceRow]) -> Self:
        """Show a page of rows."""
        nodes = [Occurrence.of(row) for row in page.items]
        return cls(nodes=nodes, page_info=PageInfo.of(page))


class Task(Document):
    """Instruction that runs on demand, at given times or on a schedule."""

    id: Annotated[str, id_field(Kind.TASK)]
    name: str
    status: TaskStatus
    pause_reason: str | None
    agent: Reference
    conversation: Reference | None
    instruction: str
    inputs: dict[str, Any]
    schedule: Annotated[AnySchedule, Field(discriminator="type")]
    starts_at: MomentText | None
    ends_at: MomentText | None
    retry: RetryPolicy
    overlap_policy: OverlapPolicy
    missed_run_policy: MissedRunPolicy
    grace_seconds: int
    timeout_seconds: int
    jitter_seconds: int
    max_concurrency: int
    priority: int
    next_run_at: MomentText | None
    last_occurrence: Occurrence | None
    consecutive_failures: int
    pause_after_failures: int | None
    max_runs: int | None
    metadata: dict[str, Any]
    version: int
    created_at: MomentText
    updated_at: MomentText

    @classmethod
    def of(cls, row: TaskRow, last: OccurrenceRow | None) -> Self:
        """Show a row and its latest occurrence; one that cannot be read is paused and says why."""
        row = task_as_shown(row)
        return cls(
            id=encode_id(Kind.TASK, row.id),
            name=row.name,
            status=TaskStatus(row.status),
            pause_reason=row.pause_reason,
            agent=Reference.of(Kind.AGENT, row.agent_id),
            conversation=reference(Kind.CONVERSATION, row.conversation_id),
            instruction=row.instruction,
            inputs=row.inputs,
            schedule=schedule_of(row.schedule),
            starts_at=moment_text(row.starts_at),
            ends_at=moment_text(row.ends_at),
            retry=RetryPolicy.of(row.retry),
            overlap_policy=OverlapPolicy(row.overlap_policy),
            missed_run_policy=MissedRunPolicy(row.missed_run_policy),
            grace_seconds=row.grace_seconds,
            timeout_seconds=row.timeout_seconds,
            jitter_seconds=row.jitter_seconds,
            max_concurrency=row.max_concurrency,
            priority=row.priority,
            next_run_at=moment_text(row.next_run_at),
            last_occurrence=None if last is None else Occurrence.of(last),
            consecutive_failures=row.consecutive_failures,
            pause_after_failures=row.pause_after_failures,
            max_runs=row.max_runs,
            metadata=row.metadata,
            version=row.version,
            created_at=format_moment(row.created_at),
            updated_at=format_moment(row.updated_at),
        )


class TaskPage(PageDocument):
    """Page of tasks."""

    nodes: list[Task] = Field(description="The tasks.")

    @classmethod
    def of(cls, page: Page[TaskRow], last: Mapping[str, OccurrenceRow]) -> Self:
        """Show a page of rows, each with the latest occurrence of its id."""
        nodes = [Task.of(row, last.get(row.id)) for row in page.items]
        return cls(nodes=nodes, page_info=PageInfo.of(page))


class BackfillTaskSuccess(Document):
    """Past due times, and their occurrences."""

    times: list[MomentText]
    occurrences: list[Occurrence]
    dry_run: bool

    @classmethod
    def of(cls, done: Backfilled) -> Self:
        """Show what was started, or would be."""
        return cls(
            times=[format_moment(time) for time in done.times],
            occurrences=[Occurrence.of(row) for row in done.rows],
            dry_run=done.dry_run,
        )
