"""Events as rows: written last in the transaction of what they tell, read in order.

The cursor of a workspace is one counter row. It is raised by n in the statement that inserts n
events, as the last thing before COMMIT: its lock makes the order of cursors the order of commits,
so nobody ever sees a cursor whose predecessors are not committed (DESIGN, I5).
"""

from collections.abc import Collection, Sequence
from functools import lru_cache

import orjson

from domain.events.records import COLUMNS, EventDraft, EventRecord, encode_batch, record_of
from domain.kernel.database import Database, Row, Statement, placeholders
from domain.kernel.ports import EventBus

PAGE = 500
WIDTH = 9

POSTGRES_APPEND = f"""
WITH head AS (
    UPDATE event_head SET cursor = cursor + $2 WHERE workspace_id = $1 RETURNING cursor
)
INSERT INTO event ({COLUMNS})
SELECT $1, head.cursor - $2 + e.n, e.run_id, e.seq, e.root_run_id, e.parent_run_id, e.depth,
       e.type, e.data, e.trace_id, e.occurred_at
FROM head, unnest($3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::bigint[],
     $9::text[], $10::text[], $11::int[])
     WITH ORDINALITY AS e (type, data, trace_id, occurred_at, run_id, seq, root_run_id,
                           parent_run_id, depth, n)
RETURNING cursor
"""

SQLITE_MANY = 16
"""Events from which on SQLite takes them as one JSON text: a long statement is slow to read."""
SQLITE_APPEND = f"""
INSERT INTO event ({COLUMNS})
SELECT $1, head.cursor - $2 + 1 + e.key, e.value ->> 4, e.value ->> 5, e.value ->> 6, e.value ->> 7,
       e.value ->> 8, e.value ->> 0, e.value ->> 1, e.value ->> 2, e.value ->> 3
FROM json_each($3) AS e, (SELECT cursor FROM event_head WHERE workspace_id = $1) AS head
RETURNING cursor
"""
SQLITE_RAISE = "UPDATE event_head SET cursor = cursor + $2 WHERE workspace_id = $1 RETURNING cursor"


@lru_cache(maxsize=64)
def _sqlite_append(count: int) -> str:
    rows = [
        f"($1, (SELECT cursor FROM event_head WHERE workspace_id = $1) - {count - 1 - place}, "
        + ", ".join(f"${2 + place * WIDTH + column}" for column in (4, 5, 6, 7, 8, 0, 1, 2, 3))
        + ")"
        for place in range(count)
    ]
    return f"INSERT INTO event ({COLUMNS}) VALUES {', '.join(rows)} RETURNING cursor"


def channel_of(workspace_id: str) -> str:
    """Name the bus channel that carries a workspace's events."""
    return f"events.{workspace_id}"


class EventStore:
    """Appends to and reads from the event table, and tells the bus what was committed."""

    def __init__(self, database: Database, bus: EventBus) -> None:
        self._database = database
        self._bus = bus

    def append(self, workspace_id: str, drafts: Sequence[EventDraft]) -> list[Statement]:
        """Statements that write the events; put them last. `head_of` reads their result."""
        if self._database.dialect == "postgres":
            columns = tuple(list(column) for column in zip(*drafts, strict=True))
            return [Statement(POSTGRES_APPEND, (workspace_id, len(drafts), *columns))]
        raising = Statement(SQLITE_RAISE, (workspace_id, len(drafts)))
        if len(drafts) >= SQLITE_MANY:
            text = orjson.dumps([list(draft) for draft in drafts]).decode()
            return [raising, Statement(SQLITE_APPEND, (workspace_id, len(drafts), text))]
        values = [value for draft in drafts for value in draft]
        return [raising, Statement(_sqlite_append(len(drafts)), (workspace_id, *values))]

    @staticmethod
    def head_of(results: Sequence[Sequence[Row]]) -> int:
        """Cursor of the last event that the last statement of a write inserted."""
        return max(row[0] for row in results[-1])

    def announce(self, workspace_id: str, head: int, drafts: Sequence[EventDraft]) -> None:
        """Tell every process of committed events. A lost message delays, it loses nothing."""
        self._bus.publish(channel_of(workspace_id), encode_batch(workspace_id, head, drafts))

    async def heads(self, workspace_ids: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Return (last cursor, last cursor no longer kept) of workspaces."""
        marks = ", ".join(f"${n}" for n in range(1, len(workspace_ids) + 1))
        sql = f"SELECT workspace_id, cursor, pruned FROM event_head WHERE workspace_id IN ({marks})"
        rows = await self._database.fetch(sql, *workspace_ids)
        return {row[0]: (row[1], row[2]) for row in rows}

    async def page(
        self, workspace_id: str, *, after: int, upto: int, types: Collection[str] | None = None
    ) -> list[EventRecord]:
        """Up to PAGE events of a workspace with after < cursor <= upto, in order."""
        narrowed = "" if types is None else f" AND type IN ({placeholders(4, len(types))})"
        sql = (
            f"SELECT {COLUMNS} FROM event WHERE workspace_id = $1 AND cursor > $2"
            f" AND cursor <= $3{narrowed} ORDER BY cursor LIMIT {PAGE}"
        )
        found = await self._database.fetch(sql, workspace_id, after, upto, *sorted(types or ()))
        return [record_of(row) for row in found]

    async def run_page(
        self, run_id: str, *, after: int, upto: int, below: bool = False, seen_seq: int = 0
    ) -> list[EventRecord]:
        """Up to PAGE events of a run, or with `below` of a root run and everything under it.

        `seen_seq` is the run's last seq of the page before: from there a page costs the same
        however long the run is.
        """
        own = (
            f"SELECT {COLUMNS} FROM event WHERE run_id = $1 AND seq > $4"
            f" AND cursor > $2 AND cursor <= $3 ORDER BY seq LIMIT {PAGE}"
        )
        under = (
            f"SELECT {COLUMNS} FROM event WHERE root_run_id = $1 AND root_run_id <> run_id"
            f" AND cursor > $2 AND cursor <= $3 ORDER BY cursor LIMIT {PAGE}"
        )
        both = (
            f"SELECT * FROM ({own}) AS own UNION ALL SELECT * FROM ({under}) AS under"
            f" ORDER BY cursor LIMIT {PAGE}"
        )
        sql = both if below else own
        rows = await self._database.fetch(sql, run_id, after, upto, seen_seq)
        return [record_of(row) for row in rows]

    async def first_of(self, run_id: str) -> tuple[int, int] | None:
        """(cursor, seq) of the first event of a run that is kept; None when there is none."""
        sql = "SELECT cursor, seq FROM event WHERE run_id = $1 ORDER BY seq LIMIT 1"
        rows = await self._database.fetch(sql, run_id)
        return (rows[0][0], rows[0][1]) if rows else None

    async def cursor_of(self, run_id: str, *, seq: int) -> int | None:
        """Cursor of the last event of a run whose seq is at most `seq`."""
        sql = "SELECT max(cursor) FROM event WHERE run_id = $1 AND seq <= $2"
        rows = await self._database.fetch(sql, run_id, seq)
        return rows[0][0]
