"""Streamed text on its way to the event table: gathered for 25 ms, written once for all runs.

The first text after a pause goes out at once. One statement per workspace and tick writes the
deltas of every run whose fence still holds; a run whose row was refused has lost its lease and
is stopped, the others commit (DESIGN, section 4).
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from domain.events.records import COLUMNS, EventDraft
from domain.events.store import EventStore
from domain.kernel.background import start_detached
from domain.kernel.database import Database, Statement
from domain.kernel.errors import GobError
from domain.kernel.ports import Clock
from domain.runs.outages import write_at_last
from domain.runs.state import EventType
from domain.runs.work import StreamedText, Work, dumps

TICK_S = 0.025

log = structlog.get_logger("domain.runs.tokens")

POSTGRES = f"""
WITH given AS (
    SELECT * FROM unnest($2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[],
                         $7::bigint[], $8::text[], $9::bigint[], $10::text[], $11::text[],
                         $12::int[])
    WITH ORDINALITY AS g (held_id, fence, type, data, trace_id, occurred_at, run_id, seq,
                          root_run_id, parent_run_id, depth, n)
), held AS (
    SELECT run.id FROM run JOIN (SELECT DISTINCT held_id, fence FROM given) AS g
    ON run.id = g.held_id AND run.fence = g.fence AND run.lease_owner = $1
    ORDER BY run.id FOR NO KEY UPDATE OF run
), kept AS (
    SELECT given.*, row_number() OVER (ORDER BY n) AS place FROM given
    JOIN held ON held.id = given.held_id
), head AS (
    UPDATE event_head SET cursor = cursor + (SELECT count(*) FROM kept)
    WHERE workspace_id = $13 RETURNING cursor
)
INSERT INTO event ({COLUMNS})
SELECT $13, head.cursor - (SELECT count(*) FROM kept) + place, run_id, seq, root_run_id,
       parent_run_id, depth, type, data, trace_id, occurred_at
FROM kept, head
RETURNING run_id, seq, cursor
"""

SQLITE_RAISE = """
UPDATE event_head SET cursor = cursor + (
    SELECT count(*) FROM json_each($1) AS g JOIN run
    ON run.id = g.value ->> 0 AND run.fence = g.value ->> 1 AND run.lease_owner = $2
) WHERE workspace_id = $3 RETURNING cursor
"""

SQLITE_INSERT = f"""
WITH kept AS (
    SELECT g.value AS v, row_number() OVER (ORDER BY g.key) AS place, count(*) OVER () AS total
    FROM json_each($1) AS g JOIN run
    ON run.id = g.value ->> 0 AND run.fence = g.value ->> 1 AND run.lease_owner = $2
)
INSERT INTO event ({COLUMNS})
SELECT $3, event_head.cursor - total + place, v ->> 6, v ->> 7, v ->> 8, v ->> 9, v ->> 10,
       v ->> 2, v ->> 3, v ->> 4, v ->> 5
FROM kept JOIN event_head ON event_head.workspace_id = $3
RETURNING run_id, seq, cursor
"""


@dataclass(slots=True)
class _Pending:
    """Text of one run that is not written yet."""

    work: Work
    pieces: list[StreamedText] = field(default_factory=list[StreamedText])

    def add(self, kind: EventType, step_id: str, text: str) -> None:
        """Gather text, joined to what came before it of the same kind and step."""
        if self.pieces and self.pieces[-1][:2] == (kind, step_id):
            text = self.pieces[-1][2] + text
            self.pieces[-1] = (kind, step_id, text)
        else:
            self.pieces.append((kind, step_id, text))

    def drafts(self, now_us: int) -> list[EventDraft]:
        """Number what was gathered."""
        pieces, self.pieces = self.pieces, []
        return [
            self.work.draft(kind, {"stepId": step_id, "text": text}, now_us)
            for kind, step_id, text in pieces
        ]


class TokenWriter:
    """One per process; `lost` is told of runs whose rows were refused."""

    def __init__(
        self,
        database: Database,
        store: EventStore,
        clock: Clock,
        *,
        lost: Callable[[Work], None],
    ) -> None:
        self._database = database
        self._store = store
        self._clock = clock
        self._lost = lost
        self._dirty: dict[str, _Pending] = {}
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None
        self._flushing: asyncio.Task[None] | None = None
        self._last = 0.0

    def add(self, work: Work, kind: EventType, step_id: str, text: str) -> None:
        """Take text of a run; it is durable about 25 ms later."""
        pending = self._dirty.get(work.run_id)
        if pending is None:
            pending = self._dirty[work.run_id] = _Pending(work)
        pending.add(kind, step_id, text)
        if self._timer is None and self._flushing is None:
            self._schedule()

    def _schedule(self) -> None:
        loop = asyncio.get_running_loop()
        rest = self._last + TICK_S - loop.time()
        if rest > 0:
            self._timer = loop.call_later(rest, self._start)
        else:
            self._timer = loop.call_soon(self._start)

    def _start(self) -> None:
        self._timer = None
        if self._dirty:
            self._flushing = start_detached(self._flush(), name="token-writer")

    async def settle(self, work: Work) -> list[EventDraft]:
        """Wait until nothing of the run is being written, and hand over what is not."""
        while self._flushing is not None:
            await asyncio.shield(self._flushing)
        pending = self._dirty.pop(work.run_id, None)
        pieces = () if pending is None else pending.pieces
        return work.number_text(pieces, self._clock.now_us())

    def forget(self, work: Work) -> None:
        """Drop text of a run that is no longer held here."""
        self._dirty.pop(work.run_id, None)

    async def _flush(self) -> None:
        dirty, self._dirty = self._dirty, {}
        by_workspace: dict[str, list[tuple[Work, EventDraft]]] = {}
        now_us = self._clock.now_us()
        for pending in dirty.values():
            rows = by_workspace.setdefault(pending.work.workspace_id, [])
            rows += [(pending.work, draft) for draft in pending.drafts(now_us)]
        try:
            for workspace_id, rows in by_workspace.items():
                await self._write(workspace_id, rows)
        finally:
            self._last = asyncio.get_running_loop().time()
            self._flushing = None
            if self._dirty:
                self._schedule()

    async def _write(self, workspace_id: str, rows: Sequence[tuple[Work, EventDraft]]) -> None:
        owner = rows[0][0].claim.lease_owner
        table = [(work.run_id, work.claim.fence, *draft) for work, draft in rows]
        try:
            statements = self._statements(workspace_id, owner, table)
            results = await write_at_last(self._database, statements, self._clock)
        except Exception as error:  # the edge of a background task: it must go on
            # Whoever takes the runs over numbers their events anew.
            expected = isinstance(error, GobError) or self._database.is_duplicate(error)
            log.warning("runs.tokens_not_written", runs=len(rows), exc_info=not expected)
            for work in {work.run_id: work for work, _ in rows}.values():
                self._lost(work)
            return
        kept = {(run_id, seq) for run_id, seq, _ in results[-1]}
        drafts = [draft for _, draft in rows if (draft.run_id, draft.seq) in kept]
        for work, draft in rows:
            work.kept_seq = max(work.kept_seq, draft.seq or 0)
        refused = [work for work, draft in rows if (draft.run_id, draft.seq) not in kept]
        for work in {work.run_id: work for work in refused}.values():
            self._lost(work)
        if drafts:
            self._store.announce(workspace_id, max(row[2] for row in results[-1]), drafts)

    def _statements(
        self, workspace_id: str, owner: str, table: Sequence[tuple[object, ...]]
    ) -> list[Statement]:
        if self._database.dialect == "postgres":
            columns = [list(column) for column in zip(*table, strict=True)]
            return [Statement(POSTGRES, (owner, *columns, workspace_id))]
        given = dumps(table)
        return [
            Statement(SQLITE_RAISE, (given, owner, workspace_id)),
            Statement(SQLITE_INSERT, (given, owner, workspace_id)),
        ]
