"""What every event of a stream has in common."""

from typing import Any

from strawberry import ID, field

from domain.events.cursors import encode_cursor
from domain.events.records import EventRecord
from domain.kernel.errors import NotFound
from schema.context import Info
from schema.declare import api_interface
from schema.ids import Kind, encode_id, optional_id
from schema.runs import Run
from schema.scalars import Moment

Common = dict[str, Any]


@api_interface
class Event:
    """Something that happened; clients ignore types they do not know."""

    cursor: str = field(description="Place in the stream; send the last one seen as after.")
    trace_id: str = field(description="Trace of the work behind it.")
    occurred_at: Moment = field(description="When it happened.")


@api_interface
class RunEvent(Event):
    """Something that happened in a run."""

    seq: int = field(description="Number within the run, from 1, without gaps.")
    run_id: ID = field(description="Run it happened in.")
    parent_run_id: ID | None = field(description="Run that delegated to it; null at the top.")
    depth: int = field(description="Delegations above the run; 0 at the top.")


def run_event_fields(record: EventRecord, run_id: str) -> Common:
    """What every event of a run has, as arguments of its class."""
    return {
        **base_fields(record),
        "seq": record.seq,
        "run_id": encode_id(Kind.RUN, run_id),
        "parent_run_id": optional_id(Kind.RUN, record.parent_run_id),
        "depth": record.depth,
    }


def base_fields(record: EventRecord) -> Common:
    """What every event has, as arguments of its class."""
    return {
        "cursor": encode_cursor(record.workspace_id, record.cursor),
        "trace_id": record.trace_id,
        "occurred_at": Moment(record.occurred_at),
    }


async def run_of(info: Info, raw_run_id: str) -> Run:
    """Load a run as it is now. Raises NotFound."""
    row = await info.context.loaders.run(raw_run_id)
    if row is None:
        raise NotFound(Kind.RUN.noun, encode_id(Kind.RUN, raw_run_id))
    return Run.of(row)
