"""Runs over REST: started, read, followed and stopped."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from app.documents.run_events import Event, RunStreamItem, heartbeat, resync_required, run_event
from app.documents.runs import Run
from app.middleware.problems import problem_json
from app.middleware.responses import HeaderList
from app.rest import examples
from app.rest.answers import Answer, EventStream, Outcome, path_to, replayed_header
from app.rest.calls import Call
from app.rest.endpoints import KEYED, Body, Endpoint, Example, Success
from app.rest.failures import crash_of, refusal_of
from app.rest.queries import CURSOR_PATTERN, FlagText, Query
from app.sse import EVENT_STREAM
from domain.access.scopes import Scope
from domain.events.feed import StreamHeartbeat, StreamItem
from domain.events.records import EventRecord
from domain.kernel.errors import GobError, NotFound
from domain.kernel.validation import ClientModel, Text, validated
from domain.runs.rows import RunRow
from domain.runs.spec import LONGEST_WAIT_S, ExecuteSpec
from domain.runs.state import RunStatus
from schema.ids import Kind, encode_id

RECONNECT_MS = 1000
RUN_LINKS = ("run", "runEvents", "cancelRun")


class FollowQuery(Query):
    """From where to follow a run, and what with it."""

    after: (
        Annotated[
            Text,
            Field(
                min_length=1,
                json_schema_extra={"pattern": CURSOR_PATTERN},
                description=(
                    "Cursor of the last event seen; absent starts with the run's first. The header"
                    " Last-Event-ID says the same and wins."
                ),
            ),
        ]
        | None
    ) = None
    include_descendants: Annotated[
        FlagText, Field(description="True adds the events of all runs below it.")
    ] = False


class CancelSpec(ClientModel):
    """Why a run is stopped."""

    reason: Annotated[Text, StringConstraints(max_length=2000)] | None = None


async def execute(call: Call) -> Outcome:
    """Accept a run, then wait for its end, or stream its events."""
    values: dict[str, Any] = {"waitSeconds": LONGEST_WAIT_S, **call.values}
    streams = call.media == EVENT_STREAM
    if streams:
        validated(ExecuteSpec, values)
        values["waitSeconds"] = 0
    done = await call.services.runs.execute(call.principal, values)
    more = [replayed_header()] if done.replayed else []
    if streams:
        return _stream(call, done.row.id, more=[*more, (b"location", _path_of(done.row))])
    return _answer(done.row, more=more)


async def read(call: Call) -> Outcome:
    """Show a run."""
    row = await call.services.runs.run(call.principal, call.ident(Kind.RUN))
    if row is None:
        raise NotFound(Kind.RUN.noun, call.scope["path_params"]["id"], path=["id"])
    return Answer.of(Run.of(row))


async def follow(call: Call) -> Outcome:
    """Stream a run's events from a cursor on."""
    run_id, query = call.ident(Kind.RUN), call.query(FollowQuery)
    after = call.header(b"last-event-id") or query.after
    if await call.services.runs.is_told(call.principal, run_id, after=after):
        return Answer.empty()
    return _stream(call, run_id, after=after, below=query.include_descendants)


async def cancel(call: Call) -> Outcome:
    """Order a run to stop."""
    run_id, spec = call.ident(Kind.RUN), validated(CancelSpec, call.values)
    done = await call.services.runs.stop(call.principal, run_id, spec.reason)
    return _answer(done.row)


def _answer(row: RunRow, *, more: Sequence[tuple[bytes, bytes]] = ()) -> Answer:
    """The run: 200 once it has ended, 202 while it goes on."""
    headers: HeaderList = [(b"location", _path_of(row)), *more]
    status = 200 if RunStatus(row.status).is_final else 202
    return Answer(status=status, body=Run.of(row).json_bytes(), headers=headers)


def _path_of(row: RunRow) -> bytes:
    return path_to("runs", encode_id(Kind.RUN, row.id)).encode()


def _stream(
    call: Call,
    run_id: str,
    *,
    after: str | None = None,
    below: bool = False,
    more: Sequence[tuple[bytes, bytes]] = (),
) -> EventStream:
    items = call.services.runs.stream(
        call.principal, run_id, after=after, include_descendants=below
    )
    return EventStream(frames=_frames(call, items), headers=list(more))


async def _frames(call: Call, items: AsyncGenerator[StreamItem, None]) -> AsyncGenerator[str, None]:
    """Write each item as an event whose id is its cursor; a failure is the last of them."""
    yield f"retry: {RECONNECT_MS}\n\n"
    try:
        async with aclosing(items):
            async for item in items:
                event = _event_of(item)
                if event is not None:
                    yield event
    except GobError as error:
        call.note_denied(error)
        refusal = refusal_of(error, call.endpoint, call.scope)
    except Exception as error:  # noqa: BLE001  # the outermost edge of a stream
        refusal = crash_of(error, call.scope)
    else:
        return
    problem = problem_json(
        refusal.code,
        refusal.message,
        instance=call.scope["path"],
        trace_id=call.trace.trace_id,
        extras=refusal.extras,
    )
    yield f"event: problem\ndata: {problem.decode()}\n\n"


def _event_of(item: StreamItem) -> str | None:
    shown: Event | None
    if isinstance(item, EventRecord):
        shown = run_event(item)
    else:
        shown = heartbeat(item) if isinstance(item, StreamHeartbeat) else resync_required(item)
    if shown is None:
        return None
    kind = type(shown).__name__
    return f"id: {shown.cursor}\nevent: {kind}\ndata: {shown.json_bytes().decode()}\n\n"


EXECUTE = Endpoint(
    method="POST",
    path="/agents/execute",
    operation_id="executeAgent",
    tag="Runs",
    summary="Run an instruction",
    description=(
        "Has an agent carry out an instruction, and waits for the end as long as `waitSeconds`"
        " says: 300 by default, 0 runs in the background. A run that has ended comes with 200,"
        " whatever its end; one that goes on comes with 202 and a `Location` to look at. With"
        " `Accept: text/event-stream` the answer is the run's events as they happen, to its last;"
        " a client that goes away does not stop its run."
    ),
    scope=Scope.RUNS_EXECUTE,
    perform=execute,
    body=Body(
        model=ExecuteSpec,
        example=Example(summary="An instruction for the default agent", value=examples.EXECUTE),
        more_examples=[
            Example(summary="In the background", value=examples.EXECUTE_BACKGROUND),
        ],
        ids={"agent.id": Kind.AGENT, "conversationId": Kind.CONVERSATION},
        defaults={"waitSeconds": LONGEST_WAIT_S},
    ),
    headers=KEYED,
    answers={
        200: Success(
            description="The run has ended; or its events, as they happen.",
            document=Run,
            stream=RunStreamItem,
            headers=["Location", "Idempotent-Replayed"],
            links=RUN_LINKS,
            example=examples.RUN,
        ),
        202: Success(
            description="The run is accepted and goes on.",
            document=Run,
            headers=["Location", "Idempotent-Replayed"],
            links=RUN_LINKS,
            example=examples.RUN_QUEUED,
        ),
    },
    problems=[404, 409, 429],
)

READ = Endpoint(
    method="GET",
    path="/runs/{id}",
    operation_id="run",
    tag="Runs",
    summary="Read a run",
    description="One run as it is now, with what it has said so far.",
    scope=Scope.RUNS_READ,
    perform=read,
    kind=Kind.RUN,
    answers={200: Success(description="The run.", document=Run, example=examples.RUN)},
)

FOLLOW = Endpoint(
    method="GET",
    path="/runs/{id}/events",
    operation_id="runEvents",
    tag="Runs",
    summary="Follow a run",
    description=(
        "Events of one run as server-sent events: what happened so far, then what happens, to its"
        " last. The id of each is its cursor; the header `Last-Event-ID`, or `after`, goes on"
        " behind it. Text written before joining arrives in fewer, larger pieces. 204 says that"
        " nothing is left to tell, and ends the reconnecting of browsers. A failure on the way is"
        " an event named `problem` whose data is a problem document."
    ),
    scope=Scope.RUNS_READ,
    perform=follow,
    kind=Kind.RUN,
    query=FollowQuery,
    headers={"after": "Last-Event-ID"},
    renames={"runId": "id"},
    answers={
        200: Success(description="The events.", stream=RunStreamItem),
        204: Success(description="The run has ended, and its last event was seen."),
    },
)

CANCEL = Endpoint(
    method="POST",
    path="/runs/{id}/cancel",
    operation_id="cancelRun",
    tag="Runs",
    summary="Stop a run",
    description=(
        "Stops a run and all runs below it; partial output is kept. 202 says that the order is"
        " given and the run has not stopped yet."
    ),
    scope=Scope.RUNS_EXECUTE,
    perform=cancel,
    kind=Kind.RUN,
    body=Body(
        model=CancelSpec,
        example=Example(summary="With a reason", value={"reason": "No longer needed"}),
        is_required=False,
    ),
    renames={"runId": "id"},
    answers={
        200: Success(
            description="The run has stopped.",
            document=Run,
            headers=["Location"],
            example=examples.RUN_CANCELLED,
        ),
        202: Success(
            description="The run will stop.",
            document=Run,
            headers=["Location"],
            example=examples.RUN_CANCELLING,
        ),
    },
    problems=[409],
)

RUN_ENDPOINTS: Sequence[Endpoint] = (EXECUTE, READ, FOLLOW, CANCEL)
