"""Past due times of a task over REST: listed, and run."""

from app.documents.tasks import BackfillTaskSuccess
from app.middleware.responses import HeaderList
from app.rest import examples
from app.rest.answers import Answer, Outcome, replayed_header
from app.rest.calls import Call
from app.rest.endpoints import KEYED, Body, Endpoint, Example, Success
from app.rest.task_bodies import about_task
from domain.access.scopes import Scope
from domain.tasks.backfill import BackfillWish
from domain.tasks.state import OPEN
from schema.ids import Kind


async def backfill(call: Call) -> Outcome:
    """List past due times of a task, or have them run."""
    done = await call.services.tasks.backfill(call.principal, about_task(call))
    headers: HeaderList = [replayed_header()] if done.replayed else []
    status = 202 if any(row.status in OPEN for row in done.rows) else 200
    body = BackfillTaskSuccess.of(done).json_bytes()
    return Answer(status=status, body=body, headers=headers)


BACKFILL = Endpoint(
    method="POST",
    path="/tasks/{id}/backfill",
    operation_id="backfillTask",
    tag="Tasks",
    summary="Run a task for past due times",
    description=(
        "Lists the due times of a span that nobody has run, at most 500; with `dryRun` false, runs"
        " them, oldest first. 202 says that some have not ended."
    ),
    scope=Scope.TASKS_WRITE,
    perform=backfill,
    kind=Kind.TASK,
    body=Body(
        model=BackfillWish,
        example=Example(summary="Run what was missed on a day", value=examples.BACKFILL_TASK),
        moments=("span.since", "span.until"),
        takes_null=True,
    ),
    headers=KEYED,
    renames={"taskId": "id"},
    answers={
        200: Success(
            description="Nothing was started, or all of it has ended.",
            document=BackfillTaskSuccess,
            headers=["Idempotent-Replayed"],
            example=examples.BACKFILL_LISTED,
        ),
        202: Success(
            description="They wait for their turn, or are at work.",
            document=BackfillTaskSuccess,
            headers=["Idempotent-Replayed"],
            example=examples.BACKFILL_STARTED,
        ),
    },
    problems=[409],
)
