"""What the rows say between two rules of the state machine."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from domain.kernel.database import Database

RUN = (
    "id, status, output, error_code, conversation_id, holds_conversation, parent_run_id,"
    " lease_owner, lease_until, fence, due_at, waits_for, parked_at, finished_at, input_tokens,"
    " output_tokens, model_calls, tool_calls, losses, attempt, parent_call_id,"
    " retry_of"
)
STEP = (
    "run_id, id, position, kind, status, name, text, calls, call_id, arguments, result, usage,"
    " error_code, finished_at"
)
APPROVAL = "id, run_id, step_id, tool_name, status, scope, used_at"
EVENT = "run_id, seq, cursor, type, data"


class RunSeen(NamedTuple):
    """A run's row; RUN in order."""

    id: str
    status: str
    output: str | None
    error_code: str | None
    conversation_id: str | None
    holds_conversation: bool
    parent_run_id: str | None
    lease_owner: str | None
    lease_until: int | None
    fence: int
    due_at: int | None
    waits_for: str | None
    parked_at: int | None
    finished_at: int | None
    input_tokens: int
    output_tokens: int
    model_calls: int
    tool_calls: int
    losses: int
    attempt: int
    parent_call_id: str | None
    retry_of: str | None


class StepSeen(NamedTuple):
    """A step's row; STEP in order."""

    run_id: str
    id: str
    position: int
    kind: str
    status: str
    name: str
    text: str | None
    calls: str | None
    call_id: str | None
    arguments: str | None
    result: str | None
    usage: str | None
    error_code: str | None
    finished_at: int | None

    @property
    def is_open(self) -> bool:
        """True while it is not recorded how it ended."""
        return self.finished_at is None


class ApprovalSeen(NamedTuple):
    """An approval's row; APPROVAL in order."""

    id: str
    run_id: str
    step_id: str
    tool_name: str
    status: str
    scope: str | None
    used_at: int | None


class EventSeen(NamedTuple):
    """An event's row, its data read; EVENT in order."""

    run_id: str | None
    seq: int | None
    cursor: int
    type: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All rows of a story at one moment."""

    now_us: int
    runs: Mapping[str, RunSeen]
    steps: Mapping[str, Sequence[StepSeen]]
    """By run, in order."""
    events: Mapping[str, Sequence[EventSeen]]
    """By run, in order."""
    cursors: Sequence[int]
    """Of the whole workspace."""
    head: int
    orders: Mapping[str, Sequence[str]]
    """Kinds of the orders that nobody has taken yet, by run."""
    steered: Collection[str]
    """Runs that were told more while at work."""
    unread: Collection[str]
    """Those of them that did not see it all."""
    approvals: Sequence[ApprovalSeen]
    messages: Sequence[tuple[str, str, str]]
    """Run, role and content of what stands in conversations."""

    def done_by(self, run_id: str) -> tuple[object, ...]:
        """What only the holder of a run's lease may write."""
        run = self.runs.get(run_id)
        told = None if run is None else (run.output, run.error_code, run.input_tokens, run.losses)
        return (told, self.steps.get(run_id), self.events.get(run_id))


async def look(database: Database, now_us: int) -> Seen:
    """Read everything. Between two rules nobody writes."""
    queries = (
        f"SELECT {RUN} FROM run ORDER BY id",
        f"SELECT {STEP} FROM run_step ORDER BY position",
        f"SELECT {EVENT} FROM event ORDER BY cursor",
        "SELECT max(cursor) FROM event_head",
        "SELECT run_id, kind FROM run_order WHERE taken_at IS NULL",
        "SELECT run_id, position FROM run_order WHERE kind = 'steer'",
        f"SELECT {APPROVAL} FROM approval ORDER BY id",
        "SELECT run_id, role, content FROM message ORDER BY id",
    )
    found = await asyncio.gather(*(database.fetch(query) for query in queries))
    runs, steps, events, heads, orders, steers, approvals, messages = found
    told = [EventSeen(row[0], row[1], row[2], row[3], orjson.loads(row[4])) for row in events]
    return Seen(
        now_us=now_us,
        runs={row[0]: RunSeen(*row) for row in runs},
        steps=_grouped([StepSeen(*row) for row in steps]),
        events=_grouped([event for event in told if event.run_id is not None]),
        cursors=[event.cursor for event in told],
        head=heads[0][0],
        orders={run_id: [kind for of, kind in orders if of == run_id] for run_id, _ in orders},
        steered={row[0] for row in steers},
        unread={row[0] for row in steers if row[1] is None},
        approvals=[ApprovalSeen(*row) for row in approvals],
        messages=[(row[0], row[1], row[2]) for row in messages],
    )


def _grouped(rows: Sequence[Any]) -> dict[str, list[Any]]:
    grouped: dict[str, list[Any]] = {}
    for row in rows:
        grouped.setdefault(row.run_id, []).append(row)
    return grouped
