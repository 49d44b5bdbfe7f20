"""Due times of tasks over REST: what became of them, and those that lie ahead."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from app.documents.schedules import NextOccurrences, SchedulePreview
from app.documents.tasks import OccurrencePage, OccurrenceWithAttempts
from app.rest import examples
from app.rest.answers import Answer, Outcome, next_page
from app.rest.calls import Call
from app.rest.endpoints import Body, Endpoint, Example, Success
from app.rest.queries import After, MomentQuery, PageSize, Query, WholeText, of_kind
from app.rest.task_bodies import FlatPreviewBody, PreviewBody
from domain.access.scopes import Scope
from domain.kernel.errors import NotFound
from domain.kernel.paging import DEFAULT_SIZE, PageRequest
from domain.kernel.validation import Text
from domain.tasks.flat_preview import preview_in_either_form
from domain.tasks.plan import times_ahead
from domain.tasks.preview import MOST_SHOWN
from domain.tasks.queries import OccurrenceFilter
from domain.tasks.state import OccurrenceStatus
from schema.ids import Kind, decode_id


class TimeOrder(StrEnum):
    """Sort order of lists that only have a time."""

    NEWEST_FIRST = "NEWEST_FIRST"
    OLDEST_FIRST = "OLDEST_FIRST"


class HistoryQuery(Query):
    """Which occurrences of a task, and which part of the list."""

    status: list[OccurrenceStatus] = Field(
        default_factory=list[OccurrenceStatus],
        description="One of these outcomes; may come several times.",
    )
    since: Annotated[MomentQuery | None, Field(description="Due at or after this moment.")] = None
    until: Annotated[MomentQuery | None, Field(description="Due before this moment.")] = None
    order_by: Annotated[TimeOrder, Field(description="Sort order, by due time.")] = (
        TimeOrder.NEWEST_FIRST
    )
    first: PageSize = DEFAULT_SIZE
    after: After | None = None


class OccurrenceQuery(HistoryQuery):
    """Which occurrences, and which part of the list."""

    task_id: Annotated[
        Text | None, of_kind(Kind.TASK), Field(description="Only those of this task.")
    ] = None


class CountQuery(Query):
    """How many due times."""

    count: Annotated[WholeText, Field(ge=1, le=MOST_SHOWN, description="How many, 1 to 100.")] = 5


async def listing(call: Call) -> Outcome:
    """Show a page of the occurrences of all tasks."""
    asked = call.query(OccurrenceQuery)
    task = asked.task_id
    task_id = None if task is None else decode_id(Kind.TASK, task, path="taskId")
    return await _page(call, asked, task_id)


async def history(call: Call) -> Outcome:
    """Show a page of the occurrences of one task, also of a deleted one."""
    task_id = call.ident(Kind.TASK)
    if task_id not in await call.services.tasks.by_ids(call.principal, [task_id]):
        raise _no_such(call, Kind.TASK)
    return await _page(call, call.query(HistoryQuery), task_id)


async def read(call: Call) -> Outcome:
    """Show an occurrence and its attempts."""
    ident, service = call.ident(Kind.OCCURRENCE), call.services.tasks
    row = (await service.occurrences_by_ids(call.principal, [ident])).get(ident)
    if row is None:
        raise _no_such(call, Kind.OCCURRENCE)
    runs = await service.attempts(call.principal, [ident])
    return Answer.of(OccurrenceWithAttempts.with_runs(row, runs[ident]))


async def ahead(call: Call) -> Outcome:
    """Show the next due times of a task."""
    row = await call.services.tasks.task(call.principal, call.ident(Kind.TASK))
    if row is None:
        raise _no_such(call, Kind.TASK)
    times = times_ahead(row, call.context.now_us(), count=call.query(CountQuery).count)
    return Answer.of(NextOccurrences.of(times))


async def preview(call: Call) -> Outcome:
    """Show what a schedule means."""
    call.principal.needs(Scope.TASKS_READ)
    found = preview_in_either_form(call.values, now_us=call.context.now_us())
    return Answer.of(SchedulePreview.of(found))


async def _page(call: Call, asked: HistoryQuery, task_id: str | None) -> Outcome:
    narrowing = OccurrenceFilter(
        task_id=task_id,
        statuses=asked.status or None,
        since_us=asked.since,
        until_us=asked.until,
    )
    found = await call.services.tasks.occurrences(
        call.principal,
        narrowing,
        PageRequest.of(first=asked.first, after=asked.after),
        newest_first=asked.order_by is TimeOrder.NEWEST_FIRST,
    )
    headers = next_page(call.scope, found)
    return Answer(status=200, body=OccurrencePage.of(found).json_bytes(), headers=headers)


def _no_such(call: Call, kind: Kind) -> NotFound:
    return NotFound(kind.noun, call.scope["path_params"]["id"], path=["id"])


_PAGE = {
    200: Success(
        description="A page of occurrences.",
        document=OccurrencePage,
        headers=["Link"],
        example=examples.OCCURRENCE_PAGE,
    )
}

LIST = Endpoint(
    method="GET",
    path="/occurrences",
    operation_id="occurrences",
    tag="Tasks",
    summary="List occurrences",
    description="Occurrences of all tasks, such as the missed ones, page by page; newest first.",
    scope=Scope.TASKS_READ,
    perform=listing,
    query=OccurrenceQuery,
    answers=_PAGE,
    problems=[404],
)

READ = Endpoint(
    method="GET",
    path="/occurrences/{id}",
    operation_id="occurrence",
    tag="Tasks",
    summary="Read an occurrence",
    description="One due time of a task, what became of it, and every run started for it.",
    scope=Scope.TASKS_READ,
    perform=read,
    kind=Kind.OCCURRENCE,
    answers={
        200: Success(
            description="The occurrence.",
            document=OccurrenceWithAttempts,
            example=examples.OCCURRENCE_WITH_ATTEMPTS,
        )
    },
)

HISTORY = Endpoint(
    method="GET",
    path="/tasks/{id}/occurrences",
    operation_id="taskOccurrences",
    tag="Tasks",
    summary="List the occurrences of a task",
    description=(
        "Past and present occurrences of one task, page by page; newest first. A deleted task has"
        " them still."
    ),
    scope=Scope.TASKS_READ,
    perform=history,
    kind=Kind.TASK,
    query=HistoryQuery,
    answers=_PAGE,
)

NEXT = Endpoint(
    method="GET",
    path="/tasks/{id}/next",
    operation_id="nextOccurrences",
    tag="Tasks",
    summary="List the next due times of a task",
    description="Next due times; none while the task is held, and none for a task on demand.",
    scope=Scope.TASKS_READ,
    perform=ahead,
    kind=Kind.TASK,
    query=CountQuery,
    answers={
        200: Success(
            description="The times.",
            document=NextOccurrences,
            example=examples.NEXT_OCCURRENCES,
        )
    },
)

PREVIEW = Endpoint(
    method="POST",
    path="/schedules/preview",
    operation_id="previewSchedule",
    tag="Tasks",
    summary="Look at a schedule",
    description=(
        "What a schedule means, before a task is made of it. A schedule that cannot be is answered"
        " with 200 as well: `errors` names each field and what would be right."
    ),
    scope=Scope.TASKS_READ,
    perform=preview,
    body=Body(
        model=FlatPreviewBody | PreviewBody,
        example=Example(summary="A time that a clock jumps over", value=examples.PREVIEW),
        more_examples=[Example(summary="As in GraphQL", value=examples.NESTED_PREVIEW)],
        moments=("after",),
        takes_null=True,
    ),
    answers={
        200: Success(
            description="What it means.",
            document=SchedulePreview,
            example=examples.SCHEDULE_PREVIEW,
        )
    },
)

OCCURRENCE_ENDPOINTS: Sequence[Endpoint] = (HISTORY, NEXT, LIST, READ, PREVIEW)
