"""Taking a run: one lease for who works on it, a fence on every write, an end to lost workers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import structlog

from domain.kernel.clock_watch import ClockWatch
from domain.kernel.database import Database, Statement, WriteRefusedError
from domain.kernel.ports import Clock
from domain.runs.children import Children
from domain.runs.state import StepKind
from domain.runs.steps import STEP_COLUMNS
from domain.runs.work import CLAIM_COLUMNS, Claim, Work

EARLY_US = 1_000_000
"""How far clocks of processes may differ: a hint for what is due soon is no stray one."""
SECOND = "CAST(1000000 AS BIGINT)"
"""In microseconds; PostgreSQL would count what is hours overdue in 32 bits."""
URGENT_ORDER = (
    "SELECT 1 FROM run_order WHERE run_order.run_id = run.id AND run_order.taken_at IS NULL"
    " AND run_order.kind IN ('cancel', 'pause')"
)
log = structlog.get_logger("domain.runs.lease")

MOST_LOSSES = 3
"""Workers a run may lose before it ends as FAILED with WORKER_LOST."""
LAST_TRY = MOST_LOSSES - 1
"""Losses of a run that the next one ends: who dies with it must not be taken along."""


class PastStep(NamedTuple):
    """A recorded step as a later worker reads it; STEP_COLUMNS in order."""

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
    error_message: str | None
    provider_state: str | None
    provider: str | None
    error_code: str | None
    error_retryable: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOrder:
    """What somebody asked of a run and its worker has not done yet."""

    run_id: str
    kind: str
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A run that was taken: its work so far, and orders that waited for a worker."""

    work: Work
    past: Sequence[PastStep]
    orders: Sequence[OpenOrder]


class LeaseOffice:
    """Claims, renews and watches the leases of one process, named `owner`."""

    def __init__(self, database: Database, clock: Clock, *, owner: str, lease_s: float) -> None:
        self._database = database
        self._children = Children(database)
        self._clock = clock
        self._watch = ClockWatch(clock)
        self.owner = owner
        self.lease_us = int(lease_s * 1_000_000)
        now = database.now_sql(4)
        lost = "CASE WHEN lease_owner IS NULL THEN 0 ELSE 1 END"
        self._claim = f"""
            UPDATE run SET lease_owner = $2, lease_until = {now} + $3, fence = fence + 1,
                losses = losses + {lost}, attempt = attempt + {lost},
                status = CASE WHEN status = 'QUEUED' THEN 'RUNNING' ELSE status END,
                started_at = CASE WHEN line_at IS NULL THEN COALESCE(started_at, {now})
                    ELSE started_at END, due_at = NULL, hints = 0
            WHERE id = $1 AND finished_at IS NULL AND (
                lease_until < {now} OR (lease_owner IS NULL AND (
                    due_at <= {now} + {EARLY_US} OR EXISTS ({URGENT_ORDER})
                ))
            )
        """
        self._claim_beside = f"""{self._claim}
            AND (losses + {lost} <> {LAST_TRY} OR EXISTS ({URGENT_ORDER}))
        """
        held = database.now_sql(3)
        self._renew = f"UPDATE run SET lease_until = {held} + $2 WHERE id IN "
        # In the order in which others lock runs, or PostgreSQL finds deadlocks.
        self._in_order = "FOR NO KEY UPDATE" if database.dialect == "postgres" else ""
        # What somebody has his hands on needs no hint, and no sweeper waits for another.
        self._untouched = f"{self._in_order} SKIP LOCKED" if self._in_order else ""
        self._expired = database.now_sql(1)

    async def claim(self, run_id: str, *, beside_last_try: bool = False) -> Claimed | None:
        """Take the lease of a run that is due, None when somebody holds it or it has ended.

        Beside a run on its last try no other such run is taken, unless it is only to be stopped.
        """
        claim = self._claim_beside if beside_last_try else self._claim
        statements = [
            Statement(
                f"{claim} RETURNING {CLAIM_COLUMNS}",
                (run_id, self.owner, self.lease_us, self._clock.now_us()),
                must_match=True,
            ),
            Statement("SELECT COALESCE(max(seq), 0) FROM event WHERE run_id = $1", (run_id,)),
            Statement(
                f"SELECT {STEP_COLUMNS} FROM run_step WHERE run_id = $1 ORDER BY position",
                (run_id,),
            ),
            Statement(
                "SELECT run_id, kind, reason FROM run_order"
                " WHERE run_id = $1 AND taken_at IS NULL ORDER BY id",
                (run_id,),
            ),
        ]
        try:
            claims, seqs, steps, orders = await self._database.write(statements)
        except WriteRefusedError:
            return None
        past = [PastStep(*row) for row in steps]
        work = Work(Claim(*claims[0]), seq=seqs[0][0], position=past[-1].position if past else 0)
        if any(step.kind == StepKind.DELEGATION for step in past):
            below = await self._children.family(run_id, self._clock.now_us())
            work.below, work.waited_below_us = below.used, below.waited_us
        return Claimed(work=work, past=past, orders=[_order(row) for row in orders])

    async def renew(self, run_ids: Sequence[str]) -> dict[str, int]:
        """Prolong the leases of this process in one statement; return fence by run still held."""
        marks = ", ".join(f"${n}" for n in range(4, 4 + len(run_ids)))
        rows = await self._database.write(
            [
                Statement(
                    f"{self._renew} (SELECT id FROM run WHERE lease_owner = $1"
                    f" AND id IN ({marks}) ORDER BY id {self._in_order}) RETURNING id, fence",
                    (self.owner, self.lease_us, self._clock.now_us(), *run_ids),
                )
            ]
        )
        return {row[0]: row[1] for row in rows[0]}

    async def orders(self, run_ids: Sequence[str]) -> list[OpenOrder]:
        """What other processes ask of runs held here."""
        marks = ", ".join(f"${n}" for n in range(1, 1 + len(run_ids)))
        rows = await self._database.fetch(
            "SELECT run_id, kind, reason FROM run_order"
            f" WHERE taken_at IS NULL AND run_id IN ({marks}) ORDER BY id",
            *run_ids,
        )
        return [_order(row) for row in rows]

    async def asked(self, limit: int) -> list[str]:
        """Runs in nobody's hands that are to be stopped or held, however full the processes are.

        An order that met a run on its way into a wait made nobody due.
        """
        rows = await self._database.fetch(
            "SELECT id FROM run WHERE lease_owner IS NULL AND finished_at IS NULL"
            " AND id IN (SELECT run_id FROM run_order WHERE taken_at IS NULL"
            f" AND kind IN ('cancel', 'pause')) ORDER BY id LIMIT {limit}"
        )
        return [row[0] for row in rows]

    async def due(self, limit: int) -> list[str]:
        """Runs that wait for a worker now, the most urgent first."""
        # The sum keeps planners from reading the index for its moments: it has this very order.
        rows = await self._database.fetch(
            "SELECT id FROM run WHERE due_at IS NOT NULL AND lease_owner IS NULL"
            f" AND due_at + 0 <= {self._expired} ORDER BY priority DESC, due_at, id LIMIT {limit}",
            self._clock.now_us(),
        )
        return [row[0] for row in rows]

    async def forgotten(self, limit: int) -> list[str]:
        """Due runs whose hint may be lost, and runs whose worker is, so many of each.

        Those that are due come first, in the order in which a worker takes them.
        The wait before the next hint doubles from one second to about a minute. What has been
        due for long, since all were down, waits a minute too, so that the next get their turn.
        """
        now = self._database.now_sql(1)
        # As a subquery PostgreSQL may run it again and again, and take more than the limit.
        waiting = f"""
            WITH picked AS MATERIALIZED (
                SELECT id FROM run WHERE due_at IS NOT NULL AND lease_owner IS NULL
                    AND due_at + {SECOND} * CASE WHEN hints < 6 THEN (1 << hints)
                        ELSE 64 * (hints - 5) END <= {now}
                ORDER BY priority DESC, due_at, id LIMIT {limit} {self._untouched}
            )
            UPDATE run SET hints = CASE WHEN hints < 6 AND {now} - due_at < 32000000
                THEN hints + 1 ELSE 6 + ({now} - due_at) / 64000000 END
            WHERE id IN (SELECT id FROM picked) RETURNING id, priority, due_at
        """
        lost = f"SELECT id FROM run WHERE lease_until < {now} ORDER BY lease_until LIMIT {limit}"
        moment = (self._clock.now_us(),)
        await self._keep_due((await self._database.fetch(f"SELECT {now}", *moment))[0][0])
        results = await self._database.write([Statement(waiting, moment), Statement(lost, moment)])
        due = sorted(results[0], key=lambda row: (-row[1], row[2], row[0]))
        return [row[0] for rows in (due, results[1]) for row in rows]

    async def _keep_due(self, now_us: int) -> None:
        """After the clock was set back, what was due is due still and no lease lasts longer."""
        before_us = self._watch.set_back_from(now_us)
        if before_us is None:
            return
        log.warning("runs.clock_set_back", seconds=(before_us - now_us) // 1_000_000)
        due = "SELECT id FROM run WHERE lease_owner IS NULL AND due_at > $1 AND due_at <= $2"
        held = "SELECT id FROM run WHERE lease_until > $1"
        lock = f"ORDER BY id {self._untouched}"
        upto_us = now_us + self.lease_us
        await self._database.write(
            [
                Statement(
                    f"UPDATE run SET due_at = $1, hints = 0 WHERE id IN ({due} {lock})",
                    (now_us, before_us),
                ),
                Statement(
                    f"UPDATE run SET lease_until = $1 WHERE id IN ({held} {lock})", (upto_us,)
                ),
            ]
        )
        self._watch.accept(now_us)


def _order(row: Sequence[str]) -> OpenOrder:
    return OpenOrder(run_id=row[0], kind=row[1], reason=row[2])
