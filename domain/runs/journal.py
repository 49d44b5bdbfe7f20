"""What a run's worker writes: each write names its fence, tells its events and is one commit."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from domain.events.records import EventDraft
from domain.events.store import EventStore
from domain.kernel.database import Database, Row, Statement, WriteRefusedError
from domain.kernel.errors import Unavailable
from domain.kernel.ports import Clock
from domain.runs.endings import Ending, RunEnd
from domain.runs.outages import write_at_last
from domain.runs.parking import ALREADY_OVER, PARK, Parking
from domain.runs.state import EventType, RunStatus
from domain.runs.steering import NONE_OPEN
from domain.runs.tokens import TokenWriter
from domain.runs.work import Work

PROGRESS = """
UPDATE run SET input_tokens = $4, output_tokens = $5, cached_tokens = $6, reasoning_tokens = $7,
    model_calls = $8, tool_calls = $9, cost_pico_usd = $10, cost_known = $11, offline = $12
WHERE id = $1 AND fence = $2 AND lease_owner = $3 RETURNING id
"""

END = """
UPDATE run SET input_tokens = $4, output_tokens = $5, cached_tokens = $6, reasoning_tokens = $7,
    model_calls = $8, tool_calls = $9, cost_pico_usd = $10, cost_known = $11, offline = $12,
    status = $13, status_reason = $14, output = $15, error_code = $16, error_message = $17,
    error_retryable = $18, output_data = $19, finished_at = $20,
    lease_owner = NULL, lease_until = NULL, due_at = NULL, holds_conversation = FALSE,
    waits_for = NULL, parked_at = NULL, line_at = NULL
WHERE id = $1 AND fence = $2 AND lease_owner = $3 RETURNING id
"""

TAINT = "UPDATE run SET tainted = TRUE WHERE id = $1"

CLOSE_STEPS = """
UPDATE run_step SET status = $2, finished_at = $3
WHERE run_id = $1 AND status IN ('RUNNING', 'WAITING_APPROVAL')
"""

TAKE_ORDERS = "UPDATE run_order SET taken_at = $2 WHERE run_id = $1 AND taken_at IS NULL"

# On PostgreSQL each statement is a round trip.
POSTGRES_CLOSE = f"""
WITH closed AS ({CLOSE_STEPS}) UPDATE run_order SET taken_at = $3
WHERE run_id = $1 AND taken_at IS NULL
"""

RELEASE = """
UPDATE run SET lease_owner = NULL, lease_until = NULL, due_at = $4, hints = 0
WHERE id = $1 AND fence = $2 AND lease_owner = $3 RETURNING id
"""


class LeaseLostError(Exception):
    """Somebody else holds the run now; what its old worker says no longer counts."""


class OvertakenError(Exception):
    """What an end or a wait relied on has changed; nothing of it was written."""


class Journal:
    """Writes of the runs of this process."""

    def __init__(
        self,
        database: Database,
        store: EventStore,
        tokens: TokenWriter,
        clock: Clock,
        *,
        endings: Sequence[Ending] = (),
    ) -> None:
        self._endings = endings
        self._database = database
        self._store = store
        self._tokens = tokens
        self._clock = clock

    async def progress(
        self, work: Work, statements: Sequence[Statement], drafts: Sequence[EventDraft]
    ) -> list[list[Row]]:
        """Write steps and events of a run that goes on; return the rows of each statement.

        Raises LeaseLostError.
        """
        fenced = self._fenced(work)
        results = await self._write(work, [*fenced, *statements], drafts)
        return results[len(fenced) : len(fenced) + len(statements)]

    async def once(self, work: Work, mark: Statement, drafts: Sequence[EventDraft]) -> bool:
        """Tell something unless its mark is set already; False when it was.

        Raises LeaseLostError.
        """
        statement = replace(mark, must_match=True)
        try:
            await self.progress(work, [statement], drafts)
        except LeaseLostError as error:
            cause = error.__cause__
            if not isinstance(cause, WriteRefusedError) or cause.statement is not statement:
                raise
            work.seq -= len(drafts)
            return False
        return True

    async def park(
        self,
        work: Work,
        parking: Parking,
        statements: Sequence[Statement],
        drafts: Sequence[EventDraft],
        *,
        only_if: Statement | None = None,
        then: Sequence[Statement] = (),
    ) -> list[Row]:
        """Write what led to a wait and give the lease back; `work.is_due` when it is over already.

        Returns the rows of the last statement of `then`, which follow the wait. Raises
        LeaseLostError, and OvertakenError when `only_if` matches nothing.
        """
        before, work.ending = work.seq, True
        now_us = self._clock.now_us()
        told = list(drafts)
        if parking.status is not work.status:
            data = {
                "previousStatus": work.status,
                "status": parking.status,
                "reason": parking.reason,
            }
            told.append(work.draft(EventType.RUN_STATE_CHANGED, data, now_us))
        values = (
            work.run_id,
            parking.status,
            parking.waits_for,
            parking.reason,
            parking.due_us,
            now_us,
            work.end_wait(now_us),
        )
        batch = [
            *self._fenced(work),
            *statements,
            *([] if only_if is None else [only_if]),
            Statement(PARK, values),
            Statement(ALREADY_OVER, (work.run_id, now_us)),
        ]
        place = len(batch) - 1
        try:
            results = await self._write(work, [*batch, *then], told, only_if)
        except OvertakenError:
            work.seq, work.ending = before, False
            raise
        work.is_due = bool(results[place])
        return results[place + len(then)] if then else []

    async def end(
        self,
        work: Work,
        end: RunEnd,
        statements: Sequence[Statement],
        drafts: Sequence[EventDraft],
    ) -> None:
        """Write the last step, the last events and the end as one commit.

        Raises LeaseLostError, and OvertakenError where a run that was done is told more.
        """
        before, work.ending = work.seq, True
        now_us = self._clock.now_us()
        fenced = Statement(
            END,
            (*self._fence(work), *self._usage(work), *end.columns(), now_us),
            must_match=True,
        )
        endings = [ending.at_end(work, end, now_us) for ending in self._endings]
        told = [ending for ending in endings if ending is not None]
        more = [statement for ending in told for statement in ending.statements]
        later = [draft for ending in told for draft in ending.drafts]
        only_if: Statement | None = None
        if end.status is RunStatus.SUCCEEDED:
            only_if = Statement(NONE_OPEN, (work.run_id,), must_match=True)
        first = [fenced, *([] if only_if is None else [only_if]), *self._taint(work), *statements]
        first += self._closing(work, now_us)
        try:
            results = await self._write(work, [*first, *more], [*drafts, *later], only_if)
        except OvertakenError:
            work.seq, work.ending = before, False
            raise
        work.has_ended = True
        place = len(first)
        for ending in told:
            ending.committed()
            upto = place + len(ending.statements)
            if ending.answered is not None:
                ending.answered(results[place:upto])
            place = upto

    def _closing(self, work: Work, now_us: int) -> list[Statement]:
        """End what a run leaves open: steps that still run, and orders that come too late."""
        if self._database.dialect == "postgres":
            return [Statement(POSTGRES_CLOSE, (work.run_id, "CANCELLED", now_us))]
        return [
            Statement(CLOSE_STEPS, (work.run_id, "CANCELLED", now_us)),
            Statement(TAKE_ORDERS, (work.run_id, now_us)),
        ]

    async def release(self, work: Work) -> None:
        """Hand the run back, due at once; not counted as a lost lease."""
        self._tokens.forget(work)
        try:
            await self._database.write(
                [Statement(RELEASE, (*self._fence(work), self._clock.now_us()), must_match=True)]
            )
        except WriteRefusedError as error:
            raise LeaseLostError(work.run_id) from error

    async def settled(self, work: Work) -> list[EventDraft]:
        """Number the text that streamed so far, so that later events come after it."""
        return await self._tokens.settle(work)

    async def _write(
        self,
        work: Work,
        statements: Sequence[Statement],
        drafts: Sequence[EventDraft],
        only_if: Statement | None = None,
    ) -> list[list[Row]]:
        """Write to the end even when cancelled: numbers that were given out leave no gap."""
        writing = asyncio.create_task(self._commit(work, statements, drafts, only_if))
        try:
            return await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait([writing])
            failed = writing.exception()
            if isinstance(failed, LeaseLostError):
                raise LeaseLostError(work.run_id) from None
            if isinstance(failed, OvertakenError):
                _free(work, drafts)
            raise

    async def _commit(
        self,
        work: Work,
        statements: Sequence[Statement],
        drafts: Sequence[EventDraft],
        only_if: Statement | None,
    ) -> list[list[Row]]:
        batch = list(statements)
        if drafts:
            batch += self._store.append(work.workspace_id, drafts)
        try:
            results = await write_at_last(self._database, batch, self._clock)
        except WriteRefusedError as error:
            lost = only_if is None or error.statement is not only_if
            raise (LeaseLostError if lost else OvertakenError)(work.run_id) from error
        except Unavailable as error:
            raise LeaseLostError(work.run_id) from error
        except Exception as error:
            if self._database.is_duplicate(error):
                # A commit whose answer was lost: who takes over reads what was kept.
                raise LeaseLostError(work.run_id) from error
            _free(work, drafts)
            raise
        if not work.is_taint_kept:
            work.is_taint_kept = any(statement.sql == TAINT for statement in statements)
        if drafts:
            work.told()
            self._store.announce(work.workspace_id, self._store.head_of(results), drafts)
        return results

    def _fenced(self, work: Work) -> list[Statement]:
        """What every write of a run that goes on begins with; children inherit the taint."""
        values = (*self._fence(work), *self._usage(work))
        fence = Statement(PROGRESS, values, must_match=True)
        return [fence, *self._taint(work)]

    @staticmethod
    def _taint(work: Work) -> list[Statement]:
        """What keeps that untrusted text was read, until a commit has it."""
        if work.is_taint_kept == work.is_tainted:
            return []
        return [Statement(TAINT, (work.run_id,))]

    @staticmethod
    def _fence(work: Work) -> tuple[str, int, str]:
        return (work.run_id, work.claim.fence, work.claim.lease_owner)

    @staticmethod
    def _usage(work: Work) -> tuple[int | bool, ...]:
        return (*work.usage.columns(), work.offline and work.usage.model_calls > 0)


def _free(work: Work, drafts: Sequence[EventDraft]) -> None:
    """Nothing was kept, whatever it is: the numbers of events are free again."""
    if drafts:
        work.seq = (drafts[0].seq or 1) - 1
