"""Tasks over REST: made, found, changed, held, started and deleted."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from app.documents.tasks import Occurrence, Task, TaskPage
from app.middleware.responses import HeaderList
from app.rest import examples
from app.rest.answers import Answer, Outcome, next_page, path_to, replayed_header
from app.rest.backfill import BACKFILL
from app.rest.calls import Call
from app.rest.endpoints import KEYED, Body, Endpoint, Example, Success
from app.rest.queries import After, MomentQuery, PageSize, Query, of_kind
from app.rest.task_bodies import (
    FlatTaskChanges,
    PauseTaskBody,
    RunNowBody,
    UpdateTaskBody,
    about_task,
)
from domain.access.scopes import Scope
from domain.kernel.errors import NotFound, ValidationFailed
from domain.kernel.paging import DEFAULT_SIZE, PageRequest
from domain.kernel.searching import LONGEST_SEARCH
from domain.kernel.validation import Text
from domain.tasks.flat import FlatTask, from_flat, in_flat_names, is_flat
from domain.tasks.flat_changes import changes_of
from domain.tasks.queries import TaskFilter, TaskOrder
from domain.tasks.rows import TaskRow
from domain.tasks.schedule import ScheduleKind
from domain.tasks.spec import NewTask
from domain.tasks.state import OPEN, TaskStatus
from schema.ids import Kind, decode_id, encode_id

TASK_LINKS = (
    "task",
    "updateTask",
    "pauseTask",
    "resumeTask",
    "runTaskNow",
    "backfillTask",
    "nextOccurrences",
    "taskOccurrences",
    "deleteTask",
)


class ScheduleType(StrEnum):
    """Kind of schedule, as this door says it."""

    ADHOC = "adhoc"
    PLANNED = "planned"
    SCHEDULED = "scheduled"


class TaskQuery(Query):
    """Which tasks, and which part of the list."""

    search: Annotated[
        Text | None,
        Field(max_length=LONGEST_SEARCH, description="Words in the name or instruction."),
    ] = None
    status: list[TaskStatus] = Field(
        default_factory=list[TaskStatus],
        description="One of these states; may come several times.",
    )
    type: list[ScheduleType] = Field(
        default_factory=list[ScheduleType],
        description="One of these kinds of schedule; may come several times.",
    )
    agent_id: Annotated[
        Text | None, of_kind(Kind.AGENT), Field(description="Only those of this agent.")
    ] = None
    next_run_since: Annotated[
        MomentQuery | None, Field(description="Next due at or after this moment.")
    ] = None
    next_run_until: Annotated[
        MomentQuery | None, Field(description="Next due before this moment.")
    ] = None
    order_by: Annotated[TaskOrder, Field(description="Sort order.")] = TaskOrder.NEXT_RUN_AT_ASC
    first: PageSize = DEFAULT_SIZE
    after: After | None = None


async def create(call: Call) -> Outcome:
    """Make a task, its schedule written in either form."""
    values = from_flat(call.values)
    began_us = call.context.now_us()
    try:
        row = await call.services.tasks.create(call.principal, values)
    except ValidationFailed as error:
        raise in_flat_names(error) if is_flat(call.values) else error from None
    headers: HeaderList = [(b"location", _path_of(row).encode())]
    if row.created_at < began_us:
        headers.append(replayed_header())
    shown = await _shown(call, row)
    return Answer(status=201, body=shown.json_bytes(), headers=headers)


async def listing(call: Call) -> Outcome:
    """Show a page of tasks."""
    asked = call.query(TaskQuery)
    agent = asked.agent_id
    narrowing = TaskFilter(
        search=asked.search,
        statuses=asked.status or None,
        schedules=[ScheduleKind[one.name] for one in asked.type] or None,
        agent_id=None if agent is None else decode_id(Kind.AGENT, agent, path="agentId"),
        since_us=asked.next_run_since,
        until_us=asked.next_run_until,
    )
    page = PageRequest.of(first=asked.first, after=asked.after)
    found = await call.services.tasks.tasks(call.principal, narrowing, asked.order_by, page)
    ids = [row.id for row in found.items]
    last = await call.services.tasks.last_occurrences(call.principal, ids)
    headers = next_page(call.scope, found)
    return Answer(status=200, body=TaskPage.of(found, last).json_bytes(), headers=headers)


async def read(call: Call) -> Outcome:
    """Show a task."""
    row = await call.services.tasks.task(call.principal, call.ident(Kind.TASK))
    if row is None:
        raise NotFound(Kind.TASK.noun, call.scope["path_params"]["id"], path=["id"])
    return Answer.of(await _shown(call, row))


async def update(call: Call) -> Outcome:
    """Change a task, its schedule written in either form."""
    row = await call.services.tasks.change(call.principal, changes_of(about_task(call)))
    return Answer.of(await _shown(call, row))


async def pause(call: Call) -> Outcome:
    """Hold a task."""
    row = await call.services.tasks.pause(call.principal, about_task(call))
    return Answer.of(await _shown(call, row))


async def resume(call: Call) -> Outcome:
    """Let a held task go on."""
    row = await call.services.tasks.resume(call.principal, call.ident(Kind.TASK))
    return Answer.of(await _shown(call, row))


async def delete(call: Call) -> Outcome:
    """Delete a task."""
    await call.services.tasks.delete(call.principal, call.ident(Kind.TASK))
    return Answer.empty()


async def run_now(call: Call) -> Outcome:
    """Start a task at once."""
    started = await call.services.tasks.run_now(call.principal, about_task(call))
    occurrence = Occurrence.of(started.row)
    headers: HeaderList = [replayed_header()] if started.replayed else []
    if occurrence.run is not None:
        headers.append((b"location", path_to("runs", occurrence.run.id).encode()))
    status = 202 if occurrence.status in OPEN else 200
    return Answer(status=status, body=occurrence.json_bytes(), headers=headers)


async def _shown(call: Call, row: TaskRow) -> Task:
    last = await call.services.tasks.last_occurrences(call.principal, [row.id])
    return Task.of(row, last.get(row.id))


def _path_of(row: TaskRow) -> str:
    return path_to("tasks", encode_id(Kind.TASK, row.id))


CREATE = Endpoint(
    method="POST",
    path="/tasks",
    operation_id="createTask",
    tag="Tasks",
    summary="Create a task",
    description=(
        "Makes an instruction run on demand, at given times or on a schedule. Say when with"
        " `type`: `adhoc`, `planned` with `times`, or `scheduled` with `cron` and `timezone`; or"
        " with `schedule` as in GraphQL."
    ),
    scope=Scope.TASKS_WRITE,
    perform=create,
    body=Body(
        model=FlatTask | NewTask,
        example=Example(summary="Every weekday at nine", value=examples.CREATE_TASK),
        more_examples=[
            Example(summary="At one time", value=examples.CREATE_PLANNED_TASK),
            Example(summary="As in GraphQL", value=examples.CREATE_NESTED_TASK),
        ],
        ids={"agent.id": Kind.AGENT},
        takes_null=True,
    ),
    headers=KEYED,
    answers={
        201: Success(
            description="The task is made.",
            document=Task,
            headers=["Location", "Idempotent-Replayed"],
            links=TASK_LINKS,
            example=examples.TASK,
        )
    },
    problems=[404, 409],
)

LIST = Endpoint(
    method="GET",
    path="/tasks",
    operation_id="tasks",
    tag="Tasks",
    summary="List tasks",
    description="Tasks of the workspace, page by page; the next due first unless told otherwise.",
    scope=Scope.TASKS_READ,
    perform=listing,
    query=TaskQuery,
    answers={
        200: Success(
            description="A page of tasks.",
            document=TaskPage,
            headers=["Link"],
            example=examples.TASK_PAGE,
        )
    },
    problems=[404],
)

READ = Endpoint(
    method="GET",
    path="/tasks/{id}",
    operation_id="task",
    tag="Tasks",
    summary="Read a task",
    description="One task as it is now.",
    scope=Scope.TASKS_READ,
    perform=read,
    kind=Kind.TASK,
    answers={200: Success(description="The task.", document=Task, example=examples.TASK)},
)

UPDATE = Endpoint(
    method="PATCH",
    path="/tasks/{id}",
    operation_id="updateTask",
    tag="Tasks",
    summary="Change a task",
    description=(
        "Changes what is given: what is absent stays, null clears to the default. Say when with"
        " `type` and the fields that go with it, of which a kind that stays keeps what is absent;"
        " or with `schedule` as in GraphQL, which changes as a whole. With `expectedVersion` a"
        " newer version is a conflict. A run at work keeps the old settings."
    ),
    scope=Scope.TASKS_WRITE,
    perform=update,
    kind=Kind.TASK,
    body=Body(
        model=FlatTaskChanges | UpdateTaskBody,
        example=Example(summary="An hour later", value=examples.UPDATE_TASK),
        more_examples=[
            Example(summary="As in GraphQL", value=examples.UPDATE_NESTED_TASK),
        ],
        ids={"agent.id": Kind.AGENT},
    ),
    renames={"taskId": "id"},
    answers={
        200: Success(description="The task as saved.", document=Task, example=examples.TASK_CHANGED)
    },
    problems=[409],
)

PAUSE = Endpoint(
    method="POST",
    path="/tasks/{id}/pause",
    operation_id="pauseTask",
    tag="Tasks",
    summary="Hold a task",
    description=(
        "Holds a task, for good or until a moment; runs at work go on. What falls into the pause"
        " is treated by the missed-run policy when the task goes on."
    ),
    scope=Scope.TASKS_WRITE,
    perform=pause,
    kind=Kind.TASK,
    body=Body(
        model=PauseTaskBody,
        example=Example(summary="Until the holidays are over", value=examples.PAUSE_TASK),
        moments=("until",),
        is_required=False,
    ),
    renames={"taskId": "id"},
    answers={
        200: Success(description="The task is held.", document=Task, example=examples.TASK_HELD)
    },
    problems=[409],
)

RESUME = Endpoint(
    method="POST",
    path="/tasks/{id}/resume",
    operation_id="resumeTask",
    tag="Tasks",
    summary="Let a held task go on",
    description="Lets a held task go on; one that is not held stays as it is.",
    scope=Scope.TASKS_WRITE,
    perform=resume,
    kind=Kind.TASK,
    renames={"taskId": "id"},
    answers={200: Success(description="The task goes on.", document=Task, example=examples.TASK)},
    problems=[409],
)

DELETE = Endpoint(
    method="DELETE",
    path="/tasks/{id}",
    operation_id="deleteTask",
    tag="Tasks",
    summary="Delete a task",
    description="Deletes a task, cancelling its run at work; its history and runs are kept.",
    scope=Scope.TASKS_WRITE,
    perform=delete,
    kind=Kind.TASK,
    renames={"taskId": "id"},
    answers={204: Success(description="The task is deleted.")},
    problems=[409],
)

RUN = Endpoint(
    method="POST",
    path="/tasks/{id}/run",
    operation_id="runTaskNow",
    tag="Tasks",
    summary="Run a task now",
    description=(
        "Starts a task at once, beside its schedule. `Location` leads to its run, once there is"
        " one; 202 says that it has not ended."
    ),
    scope=Scope.TASKS_WRITE,
    perform=run_now,
    kind=Kind.TASK,
    body=Body(
        model=RunNowBody,
        example=Example(summary="With inputs of its own", value=examples.RUN_TASK),
        is_required=False,
    ),
    headers=KEYED,
    renames={"taskId": "id"},
    answers={
        200: Success(
            description="It has ended.",
            document=Occurrence,
            headers=["Location", "Idempotent-Replayed"],
            example=examples.OCCURRENCE_ENDED,
        ),
        202: Success(
            description="It has begun.",
            document=Occurrence,
            headers=["Location", "Idempotent-Replayed"],
            example=examples.OCCURRENCE,
        ),
    },
    problems=[409],
)

TASK_ENDPOINTS: Sequence[Endpoint] = (
    CREATE,
    LIST,
    READ,
    UPDATE,
    DELETE,
    PAUSE,
    RESUME,
    RUN,
    BACKFILL,
)
