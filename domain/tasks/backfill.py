"""Backfill: a task runs for due times that lie behind it and that nobody has run.

The times are those of its schedule as it is now. What the schedule has yet to deal with itself is
left to it, so that neither takes a time from the other.
"""

from asyncio import sleep
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, takewhile
from typing import Annotated, Any, Self, cast

from pydantic import Field

from domain.access.scopes import Principal
from domain.agents.changes import merged
from domain.kernel.database import (
    Database,
    Statement,
    Transaction,
    WriteRefusedError,
    placeholders,
)
from domain.kernel.errors import Conflict, NotFound, ObjectRef, QuotaExceeded, ValidationFailed
from domain.kernel.idempotency import IdempotencyKey, IdempotencyKeys, digest_of
from domain.kernel.moments import Instant, format_moment
from domain.kernel.rows import fetch_rows
from domain.kernel.validation import ClientModel, Flag, Text, validated
from domain.tasks import schedule
from domain.tasks.commits import Batch, TaskCommits
from domain.tasks.rows import OccurrenceRow, TaskRow
from domain.tasks.saving import TaskSaving
from domain.tasks.schedule import Adhoc, Schedule, ScheduleError
from domain.tasks.settling import AT_ONCE
from domain.tasks.state import OccurrenceStatus, OccurrenceTrigger, TaskChange, TaskStatus
from domain.tasks.writes import insert_occurrences, update_task

BACKFILL = "backfillTask"
MOST_TIMES = 500
"""Due times of one span."""
MOST_WAITING = 500
"""Backfilled due times of one task that wait for their turn."""
AGAIN_S = 60
AT_A_STRETCH = 50
"""Due times found without letting others have their turn: some milliseconds."""
NEVER_RAN = (OccurrenceStatus.MISSED, OccurrenceStatus.SKIPPED)

_WAITING = """
SELECT count(*) FROM occurrence
WHERE task_id = $1 AND status = 'QUEUED' AND trigger = 'BACKFILL' AND run_id IS NULL
"""


class BackfillSpan(ClientModel):
    """Half-open span of past time."""

    since: Annotated[Instant, Field(description="Earliest moment, included.")]
    until: Annotated[
        Instant | None, Field(description="Latest moment, excluded; absent for now.")
    ] = None


class BackfillWish(ClientModel):
    """Which past due times are to run, and whether they are only listed."""

    span: BackfillSpan
    dry_run: Flag = True
    idempotency_key: IdempotencyKey | None = None


class BackfillSpec(BackfillWish):
    """A request to run a task for past due times."""

    task_id: Text

    @classmethod
    def of(cls, values: Mapping[str, Any], *, now_us: int) -> Self:
        """Check a client's values; a null asks for the default. Raises ValidationFailed."""
        given = merged({}, values)
        span: object = given.get("span")
        if isinstance(span, Mapping):
            given["span"] = merged({}, cast("Mapping[str, Any]", span))
        spec = validated(cls, given)
        since, until = spec.span.since, spec.span.until
        if until is not None and until <= since:
            raise ValidationFailed.of("span.until", "Give a moment after since.")
        if since > now_us:
            message = "Give a moment that lies behind; the task runs by itself at times ahead."
            raise ValidationFailed.of("span.since", message)
        return spec

    def asked(self) -> dict[str, Any]:
        """Return what has to be the same in a repeat of the idempotency key."""
        return self.model_dump(mode="json", by_alias=True, exclude={"idempotency_key"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfilled:
    """The due times that run, or would; their rows once they do."""

    times: Sequence[int]
    rows: Sequence[OccurrenceRow] = ()
    dry_run: bool = False
    replayed: bool = False
    """True when the idempotency key was used before and nothing new was started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Left:
    """Due times that nobody has run, oldest first, with the rows of those that have one."""

    times: Sequence[int]
    kept: Mapping[int, str]


class TaskBackfill:
    """Puts past due times of tasks in a line of their own, where the scheduler finds them."""

    def __init__(
        self, commits: TaskCommits, saving: TaskSaving, idempotency: IdempotencyKeys
    ) -> None:
        self._commits = commits
        self._saving = saving
        self._idempotency = idempotency
        self._database = commits.database

    async def look(self, principal: Principal, spec: BackfillSpec) -> Backfilled:
        """Find the times and change nothing. Raises what `start` raises."""
        task = await self._task(principal, spec.task_id)
        due = await due_within(task, spec.span, now_us=self._commits.clock.now_us())
        left = await _left(self._database, task, due)
        return Backfilled(times=left.times, dry_run=True)

    async def start(self, principal: Principal, spec: BackfillSpec) -> Backfilled:
        """Put the times in line, once for an idempotency key.

        Raises ValidationFailed, NotFound, Conflict and QuotaExceeded.
        """
        while True:
            known = await self._known(principal, spec)
            if known is not None:
                return replace(await self._outcome(principal, known), replayed=True)
            # Found before the commit: a few hundred due times take longer than it may.
            task = await self._task(principal, spec.task_id)
            due = await due_within(task, spec.span, now_us=self._commits.clock.now_us())
            keeping: list[Statement] = []
            try:
                made = await self._commit(principal, spec, task=task, due=due, keeping=keeping)
            except WriteRefusedError as error:
                if error.statement not in keeping:
                    raise
                continue  # a twin was faster: look for its outcome
            if made is not None:
                return await self._outcome(principal, made)

    async def _known(self, principal: Principal, spec: BackfillSpec) -> list[str] | None:
        """Return the occurrences that the first call with this key has started."""
        if spec.idempotency_key is None:
            return None
        found = await self._idempotency.recall(
            principal.workspace_id,
            BACKFILL,
            key=spec.idempotency_key,
            digest=digest_of(spec.asked()),
        )
        return None if found is None else found.split()

    async def _task(self, principal: Principal, task_id: str) -> TaskRow:
        condition = "id = $1 AND workspace_id = $2 AND deleted_at IS NULL"
        rows = await fetch_rows(self._database, TaskRow, condition, task_id, principal.workspace_id)
        if not rows:
            raise NotFound("task", task_id, path=["taskId"])
        return rows[0]

    async def _commit(
        self,
        principal: Principal,
        spec: BackfillSpec,
        *,
        task: TaskRow,
        due: Sequence[int],
        keeping: list[Statement],
    ) -> list[str] | None:
        """Write the times of a task as it was read; None when it has changed since then."""
        async with self._commits.batch(principal.workspace_id) as batch:
            locked = await self._saving.locked(batch, task.id)
            if _times_of(locked) != _times_of(task):
                return None
            left = await _left(batch.tx, locked, due)
            made = await self._write(batch, locked, left)
            if spec.idempotency_key is not None:
                kept = self._idempotency.remember(
                    principal.workspace_id,
                    BACKFILL,
                    key=spec.idempotency_key,
                    digest=digest_of(spec.asked()),
                    result_id=" ".join(made),
                )
                keeping.append(kept)
                batch.statements.append(kept)
            if made:
                self._tell(principal, batch, spec, made)
        if made:
            self._commits.wake()
        return made

    async def _write(self, batch: Batch, task: TaskRow, left: _Left) -> list[str]:
        """Take up the rows that were left behind, insert the others; return their ids by time."""
        idents = {time: left.kept.get(time) or self._saving.ids() for time in left.times}
        fresh = [
            OccurrenceRow(
                id=idents[time],
                workspace_id=task.workspace_id,
                task_id=task.id,
                trigger=OccurrenceTrigger.BACKFILL.value,
                scheduled_for=time,
                status=OccurrenceStatus.QUEUED.value,
                attempts=0,
                created_at=batch.now_us,
            )
            for time in left.times
            if time not in left.kept
        ]
        writes = [_take_up(list(left.kept.values()))] if left.kept else []
        writes += [insert_occurrences(fresh)] if fresh else []
        written = {row[0] for rows in await batch.tx.run(writes) for row in rows}
        return [ident for ident in idents.values() if ident in written]

    def _tell(
        self, principal: Principal, batch: Batch, spec: BackfillSpec, made: Sequence[str]
    ) -> None:
        batch.statements.append(update_task(spec.task_id, {"wake_at": AT_ONCE}))
        span = {name: format_moment(at) for name, at in spec.span.model_dump().items() if at}
        batch.lines += self._saving.audit.record(
            principal,
            "task.backfilled",
            target=ObjectRef(kind="Task", id=spec.task_id),
            detail={**span, "occurrences": len(made)},
        )
        for ident in made:
            batch.tell(
                TaskChange.OCCURRENCE,
                spec.task_id,
                occurrence_id=ident,
                trace_id=principal.trace.trace_id,
            )

    async def _outcome(self, principal: Principal, made: Sequence[str]) -> Backfilled:
        """Return what was started as it is now."""
        if not made:
            return Backfilled(times=())
        condition = (
            f"workspace_id = $1 AND id IN ({placeholders(2, len(made))}) ORDER BY scheduled_for"
        )
        rows = await fetch_rows(
            self._database, OccurrenceRow, condition, principal.workspace_id, *made
        )
        return Backfilled(times=[row.scheduled_for for row in rows], rows=rows)


async def due_within(task: TaskRow, span: BackfillSpan, *, now_us: int) -> list[int]:
    """Return the due times of a task in a span, within its bounds and not ahead; oldest first.

    Raises Conflict for a task that cannot be read, ValidationFailed for one that has no due times
    and for a span that holds too many.
    """
    due = _schedule_of(task)
    since = span.since if task.starts_at is None else max(span.since, task.starts_at)
    ends = [end - 1 for end in (span.until, task.ends_at) if end is not None]
    upto = min([now_us, *ends])
    ahead = takewhile(lambda time: time <= upto, schedule.times_after(due, since - 1))
    found: list[int] = []
    while part := list(islice(ahead, AT_A_STRETCH)):
        found += part
        if len(found) > MOST_TIMES:
            message = (
                f"More than {MOST_TIMES} due times lie in this span; let it end at"
                f" {format_moment(found[MOST_TIMES])}, and begin the next call there."
            )
            raise ValidationFailed.of("span.until", message)
        await sleep(0)
    return found


def _schedule_of(task: TaskRow) -> Schedule:
    try:
        due = schedule.read(task.schedule)
    except ScheduleError as error:
        message = f"The task cannot be read: {error} Send a new schedule with updateTask."
        raise Conflict(message, path=["taskId"]) from error
    if isinstance(due, Adhoc):
        message = "The task has no schedule, so it has no due times; start it with runTaskNow."
        raise ValidationFailed.of("taskId", message)
    return due


def _times_of(task: TaskRow) -> tuple[object, ...]:
    """What the due times of a task depend on."""
    return task.schedule, task.starts_at, task.ends_at


async def _left(source: Database | Transaction, task: TaskRow, due: Sequence[int]) -> _Left:
    """Leave out what ran, or will by the schedule.

    Raises Conflict for an archived agent, and QuotaExceeded.
    """
    agents = await source.fetch("SELECT slug, archived_at FROM agent WHERE id = $1", task.agent_id)
    for slug, archived_at in agents:
        if archived_at is not None:
            raise Conflict(
                f"The agent {slug!r} is archived; bring it back with archiveAgent.",
                path=["taskId"],
                conflicting=ObjectRef(kind="Agent", id=task.agent_id),
            )
    wanted = [time for time in due if not _is_ahead(task, time)]
    if not wanted:
        return _Left(times=(), kept={})
    sql = (
        "SELECT scheduled_for, id, status FROM occurrence WHERE task_id = $1"
        f" AND trigger <> 'MANUAL' AND scheduled_for IN ({placeholders(2, len(wanted))})"
    )
    rows = {row[0]: row for row in await source.fetch(sql, task.id, *wanted)}
    left = [time for time in wanted if time not in rows or rows[time][2] in NEVER_RAN]
    if left:
        _refuse_too_many((await source.fetch(_WAITING, task.id))[0][0], len(left))
    return _Left(times=left, kept={time: rows[time][1] for time in left if time in rows})


def _is_ahead(task: TaskRow, time: int) -> bool:
    """True for what the schedule has yet to deal with, a moment after it was due."""
    due_at = task.next_run_at
    return task.status == TaskStatus.ACTIVE and due_at is not None and time >= due_at


def _refuse_too_many(waiting: int, more: int) -> None:
    if waiting + more > MOST_WAITING:
        raise QuotaExceeded(
            f"{waiting} backfilled due times of this task wait for their turn, and this span has"
            f" {more} more; at most {MOST_WAITING} may wait. Try again when some of them have run,"
            " or take a shorter span.",
            quota="tasks.backfill",
            limit=MOST_WAITING,
            retry_after_s=AGAIN_S,
        )


def _take_up(ids: Sequence[str]) -> Statement:
    """Put rows of times that never ran in line."""
    sql = (
        "UPDATE occurrence SET trigger = 'BACKFILL', status = 'QUEUED', reason = NULL,"
        f" due_at = NULL, finished_at = NULL WHERE id IN ({placeholders(1, len(ids))})"
        " AND status IN ('MISSED', 'SKIPPED') RETURNING id"
    )
    return Statement(sql, list(ids))
