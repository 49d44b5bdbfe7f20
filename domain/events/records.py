"""An event as it is written and as it is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson


class EventDraft(NamedTuple):
    """An event about to be written; `data` is JSON text. The cursor comes with the commit."""

    type: str
    data: str
    trace_id: str
    occurred_at: int
    run_id: str | None = None
    seq: int | None = None
    root_run_id: str | None = None
    parent_run_id: str | None = None
    depth: int = 0


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event that is committed: `cursor` is its place in the workspace, `seq` in its run.

    `from_seq` differs from `seq` where text deltas were folded into one.
    """

    workspace_id: str
    cursor: int
    run_id: str | None
    seq: int | None
    root_run_id: str | None
    parent_run_id: str | None
    depth: int
    type: str
    data: Mapping[str, Any]
    trace_id: str
    occurred_at: int
    from_seq: int | None = None


COLUMNS = (
    "workspace_id, cursor, run_id, seq, root_run_id, parent_run_id, depth, type, data, trace_id,"
    " occurred_at"
)


def record_of(row: Sequence[Any]) -> EventRecord:
    """Read a row of COLUMNS."""
    return EventRecord(
        row[0],
        row[1],
        row[2],
        row[3],
        row[4],
        row[5],
        row[6],
        row[7],
        orjson.loads(row[8]),
        row[9],
        row[10],
    )


def encode_batch(workspace_id: str, head: int, drafts: Sequence[EventDraft]) -> bytes:
    """Encode committed events, the last of which has the cursor `head`, for the bus."""
    first = head - len(drafts) + 1
    rows = [
        (
            workspace_id,
            first + place,
            draft.run_id,
            draft.seq,
            draft.root_run_id,
            draft.parent_run_id,
            draft.depth,
            draft.type,
            draft.data,
            draft.trace_id,
            draft.occurred_at,
        )
        for place, draft in enumerate(drafts)
    ]
    return orjson.dumps(rows)


def decode_batch(message: bytes) -> list[EventRecord]:
    """Read what encode_batch wrote."""
    return [record_of(row) for row in orjson.loads(message)]
