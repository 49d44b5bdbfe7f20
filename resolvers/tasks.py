"""Tasks: found, made, changed, held, started and watched, with what became of their due times."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Annotated, Any, TypeAlias, cast

import strawberry
from strawberry import ID, UNSET, field

from domain.access.scopes import Scope as DomainScope
from domain.events.hub import HEARTBEAT_S
from domain.kernel.errors import NotFound as NotFoundError
from domain.kernel.moments import SECOND_US
from domain.kernel.paging import PageRequest
from domain.tasks.preview import preview
from domain.tasks.queries import OccurrenceFilter as DomainOccurrences
from domain.tasks.queries import TaskFilter as DomainTasks
from domain.tasks.queries import TaskOrder as DomainOrder
from resolvers.feeds import workspace_stream
from resolvers.fields import IdOf, needs
from resolvers.outcomes import answers
from resolvers.services import Info
from schema.access import Scope
from schema.conversations import DeleteSuccess
from schema.declare import api_type
from schema.errors import (
    Conflict,
    Forbidden,
    NotFound,
    ProviderUnavailable,
    QuotaExceeded,
    ValidationFailed,
)
from schema.events import Heartbeat
from schema.ids import Kind, decode_id, encode_id
from schema.inputs import values_of
from schema.occurrences import (
    BackfillTaskSuccess,
    Occurrence,
    OccurrenceConnection,
    OccurrenceFilter,
    RunTaskNowSuccess,
)
from schema.relay import Paged, TimeOrder
from schema.scalars import Moment
from schema.schedule_previews import SchedulePreview
from schema.schedules import ScheduleInput
from schema.task_events import TaskStreamItem, TaskUpdate
from schema.task_inputs import (
    BackfillTaskInput,
    CreateTaskInput,
    DeleteTaskInput,
    PauseTaskInput,
    ResumeTaskInput,
    RunTaskNowInput,
    TaskFilter,
    TaskOrder,
    UpdateTaskInput,
)
from schema.tasks import Task, TaskConnection, TaskSuccess

TASK_UPDATE = "TaskUpdate"

CreateTaskResult: TypeAlias = Annotated[
    TaskSuccess | ValidationFailed | NotFound | Conflict | Forbidden | QuotaExceeded,
    strawberry.union("CreateTaskResult", description="Outcome of createTask."),
]
UpdateTaskResult: TypeAlias = Annotated[
    TaskSuccess | ValidationFailed | NotFound | Conflict | Forbidden,
    strawberry.union("UpdateTaskResult", description="Outcome of updateTask."),
]
PauseTaskResult: TypeAlias = Annotated[
    TaskSuccess | ValidationFailed | NotFound | Conflict | Forbidden,
    strawberry.union("PauseTaskResult", description="Outcome of pauseTask."),
]
ResumeTaskResult: TypeAlias = Annotated[
    TaskSuccess | NotFound | Conflict | Forbidden,
    strawberry.union("ResumeTaskResult", description="Outcome of resumeTask."),
]
RunTaskNowResult: TypeAlias = Annotated[
    RunTaskNowSuccess
    | ValidationFailed
    | NotFound
    | Conflict
    | Forbidden
    | QuotaExceeded
    | ProviderUnavailable,
    strawberry.union("RunTaskNowResult", description="Outcome of runTaskNow."),
]
BackfillTaskResult: TypeAlias = Annotated[
    BackfillTaskSuccess | ValidationFailed | NotFound | Conflict | Forbidden | QuotaExceeded,
    strawberry.union("BackfillTaskResult", description="Outcome of backfillTask."),
]
DeleteTaskResult: TypeAlias = Annotated[
    DeleteSuccess | NotFound | Conflict | Forbidden,
    strawberry.union("DeleteTaskResult", description="Outcome of deleteTask."),
]


@api_type
class TasksQuery:
    """Reads of tasks."""

    @field(
        description="Tasks of the workspace.",
        directives=needs(Scope.TASKS_READ),
        extensions=[Paged()],
    )
    async def tasks(
        self,
        info: Info,
        page: PageRequest,
        narrow: Annotated[
            TaskFilter | None, strawberry.argument(name="filter", description="Narrows the list.")
        ] = UNSET,
        order_by: Annotated[
            TaskOrder, strawberry.argument(description="Sort order.")
        ] = TaskOrder.NEXT_RUN_AT_ASC,
    ) -> TaskConnection:
        """List them."""
        service, principal = info.context.services.tasks, info.context.principal
        wanted = values_of(narrow, above="filter") if narrow else {}
        span: Mapping[str, Any] = wanted.get("nextRun") or {}
        narrowing = DomainTasks(
            search=wanted.get("search"),
            statuses=wanted.get("statuses"),
            schedules=wanted.get("schedules"),
            agent_id=wanted.get("agentId"),
            since_us=span.get("since"),
            until_us=span.get("until"),
        )
        found = await service.tasks(principal, narrowing, DomainOrder[order_by.name], page)
        return TaskConnection.of(found, count=lambda: service.count(principal, narrowing))

    @field(description="One task; null when unknown.", directives=needs(Scope.TASKS_READ))
    async def task(self, info: Info, ident: IdOf) -> Task | None:
        """Find it."""
        raw = decode_id(Kind.TASK, ident, path="id")
        row = await info.context.services.tasks.task(info.context.principal, raw)
        return None if row is None else Task.of(row)

    @field(
        description="Occurrences of all tasks, such as the missed ones.",
        directives=needs(Scope.TASKS_READ),
        extensions=[Paged()],
    )
    async def occurrences(
        self,
        info: Info,
        page: PageRequest,
        narrow: Annotated[
            OccurrenceFilter | None,
            strawberry.argument(name="filter", description="Narrows the list."),
        ] = UNSET,
        order_by: Annotated[
            TimeOrder, strawberry.argument(description="Sort order, by due time.")
        ] = TimeOrder.NEWEST_FIRST,
    ) -> OccurrenceConnection:
        """List them."""
        wanted = values_of(narrow, above="filter") if narrow else {}
        span: Mapping[str, Any] = wanted.get("scheduledFor") or {}
        narrowing = DomainOccurrences(
            task_id=wanted.get("taskId"),
            statuses=wanted.get("statuses"),
            since_us=span.get("since"),
            until_us=span.get("until"),
        )
        found = await info.context.services.tasks.occurrences(
            info.context.principal,
            narrowing,
            page,
            newest_first=order_by is TimeOrder.NEWEST_FIRST,
        )
        return OccurrenceConnection.of(found)

    @field(
        description="What a schedule means, before a task is made of it.",
        directives=needs(Scope.TASKS_READ),
    )
    async def preview_schedule(
        self,
        info: Info,
        schedule: Annotated[ScheduleInput, strawberry.argument(description="The schedule.")],
        count: Annotated[int, strawberry.argument(description="How many due times, 1 to 100.")] = 5,
        after: Annotated[
            Moment | None,
            strawberry.argument(description="Due times after this moment; absent means now."),
        ] = UNSET,
    ) -> SchedulePreview:
        """Look at it."""
        info.context.principal.needs(DomainScope.TASKS_READ)
        values = {"schedule": values_of(schedule, above="schedule"), "count": count}
        found = preview(
            values if after is None or after is UNSET else {**values, "after": after},
            now_us=info.context.now_us(),
        )
        return SchedulePreview.of(found)


@api_type
class TasksMutation:
    """Changes of tasks."""

    @strawberry.mutation(description="Creates a task.", directives=needs(Scope.TASKS_WRITE))
    @answers
    async def create_task(
        self,
        info: Info,
        given: Annotated[
            CreateTaskInput, strawberry.argument(name="input", description="What to create.")
        ],
    ) -> CreateTaskResult:
        """Make it."""
        service, principal = info.context.services.tasks, info.context.principal
        return TaskSuccess(task=Task.of(await service.create(principal, values_of(given))))

    @strawberry.mutation(description="Changes a task.", directives=needs(Scope.TASKS_WRITE))
    @answers
    async def update_task(
        self,
        info: Info,
        given: Annotated[
            UpdateTaskInput, strawberry.argument(name="input", description="What to change.")
        ],
    ) -> UpdateTaskResult:
        """Save what is given."""
        service, principal = info.context.services.tasks, info.context.principal
        return TaskSuccess(task=Task.of(await service.update(principal, values_of(given))))

    @strawberry.mutation(description="Holds a task.", directives=needs(Scope.TASKS_WRITE))
    @answers
    async def pause_task(
        self,
        info: Info,
        given: Annotated[
            PauseTaskInput,
            strawberry.argument(name="input", description="What to act on, and how."),
        ],
    ) -> PauseTaskResult:
        """Hold it."""
        service, principal = info.context.services.tasks, info.context.principal
        return TaskSuccess(task=Task.of(await service.pause(principal, values_of(given))))

    @strawberry.mutation(description="Lets a held task go on.", directives=needs(Scope.TASKS_WRITE))
    @answers
    async def resume_task(
        self,
        info: Info,
        given: Annotated[
            ResumeTaskInput,
            strawberry.argument(name="input", description="What to act on, and how."),
        ],
    ) -> ResumeTaskResult:
        """Let it go on."""
        service, principal = info.context.services.tasks, info.context.principal
        row = await service.resume(principal, values_of(given)["taskId"])
        return TaskSuccess(task=Task.of(row))

    @strawberry.mutation(
        description="Starts a task at once, beside its schedule.",
        directives=needs(Scope.TASKS_WRITE),
    )
    @answers
    async def run_task_now(
        self,
        info: Info,
        given: Annotated[
            RunTaskNowInput,
            strawberry.argument(name="input", description="What to act on, and how."),
        ],
    ) -> RunTaskNowResult:
        """Start it, and wait for its end as long as asked."""
        service, principal = info.context.services.tasks, info.context.principal
        started = await service.run_now(principal, values_of(given))
        occurrence = Occurrence.of(started.row)
        return RunTaskNowSuccess(occurrence=occurrence, replayed=started.replayed)

    @strawberry.mutation(
        description="Runs a task for past due times, or lists them.",
        directives=needs(Scope.TASKS_WRITE),
    )
    @answers
    async def backfill_task(
        self,
        info: Info,
        given: Annotated[
            BackfillTaskInput,
            strawberry.argument(name="input", description="What to act on, and how."),
        ],
    ) -> BackfillTaskResult:
        """List the times, or have them run."""
        service, principal = info.context.services.tasks, info.context.principal
        return BackfillTaskSuccess.of(await service.backfill(principal, values_of(given)))

    @strawberry.mutation(
        description=("Deletes a task, cancelling its run at work; its history and runs are kept."),
        directives=needs(Scope.TASKS_WRITE),
    )
    @answers
    async def delete_task(
        self,
        info: Info,
        given: Annotated[
            DeleteTaskInput,
            strawberry.argument(name="input", description="What to act on, and how."),
        ],
    ) -> DeleteTaskResult:
        """Delete it."""
        raw = values_of(given)["taskId"]
        await info.context.services.tasks.delete(info.context.principal, raw)
        return DeleteSuccess(deleted_id=encode_id(Kind.TASK, raw))


@api_type
class TasksSubscription:
    """Streams of tasks."""

    @strawberry.subscription(
        description="Changes of one task or of all, and of their occurrences.",
        directives=needs(Scope.TASKS_READ),
    )
    async def task_updates(
        self,
        info: Info,
        task_id: Annotated[
            ID | None, strawberry.argument(description="The task; absent means all.")
        ] = UNSET,
        after: Annotated[
            str | None,
            strawberry.argument(description="Cursor of the last event seen; absent starts live."),
        ] = UNSET,
    ) -> AsyncGenerator[TaskStreamItem, None]:
        """Replay, then go on live."""
        context = info.context
        context.principal.needs(DomainScope.TASKS_READ)
        wanted = await _task_watched(info, task_id) if isinstance(task_id, str) else None
        stream = workspace_stream(info, [TASK_UPDATE], after=after or None)
        told_us = context.now_us()
        async with aclosing(stream):
            async for item in stream:
                now_us = context.now_us()
                if wanted is None or not isinstance(item, TaskUpdate):
                    yield cast("TaskStreamItem", item)
                elif item.raw_task_id == wanted:
                    yield item
                elif now_us - told_us >= HEARTBEAT_S * SECOND_US:
                    # Events of other tasks keep the stream busy, so it beats by itself.
                    yield Heartbeat(
                        cursor=item.cursor,
                        trace_id=context.trace.trace_id,
                        occurred_at=Moment(now_us),
                    )
                else:
                    continue
                told_us = now_us


async def _task_watched(info: Info, task_id: str) -> str:
    """Return the row's id of a task, also of a deleted one. Raises NotFound."""
    raw = decode_id(Kind.TASK, task_id, path="taskId")
    if await info.context.loaders.task_with_deleted(raw) is None:
        raise NotFoundError(Kind.TASK.noun, task_id, path=["taskId"])
    return raw
