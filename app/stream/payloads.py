"""What an event looks like in a frame, made once for all who are told of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from app.documents.run_events import run_event
from app.stream.frames import AgentToken, EventName
from domain.access.scopes import Scope
from domain.events.cursors import encode_cursor
from domain.events.records import EventRecord
from domain.events.shared import Shared
from domain.runs.state import EventType
from schema.ids import Kind, encode_id
from schema.scalars import format_moment

RUN_TYPES = frozenset(EventType) - {EventType.TOKEN_DELTA, EventType.REASONING_DELTA}


@dataclass(frozen=True, slots=True, kw_only=True)
class EventKind:
    """Which scope sees a kind of event, and which stored types it is made of."""

    scope: Scope
    types: frozenset[str]


KINDS: Mapping[EventName, EventKind] = {
    EventName.AGENT_TOKEN: EventKind(
        scope=Scope.RUNS_READ,
        types=frozenset({EventType.TOKEN_DELTA, EventType.RETRYING}),
    ),
    EventName.RUN_UPDATE: EventKind(scope=Scope.RUNS_READ, types=frozenset(RUN_TYPES)),
}

Part = tuple[EventName, str]
"""The name of an event, and its frame from the name on, without the closing brace."""


class Payloads:
    """Turns records into frames; belongs to a process, so that all sockets share the work."""

    def __init__(self) -> None:
        self._parts = Shared(_parts)

    async def of(self, record: EventRecord, names: frozenset[EventName]) -> list[str]:
        """Frames of a record for a subscription to `names`, each without its head."""
        return [text for name, text in self._parts.of(record) if name in names]


def _parts(record: EventRecord) -> Sequence[Part]:
    found: list[Part] = []
    token = _token(record)
    if token is not None:
        found.append(_part(EventName.AGENT_TOKEN, record, token.json_bytes()))
    if record.type in RUN_TYPES:
        shown = run_event(record)
        if shown is not None:
            found.append(_part(EventName.RUN_UPDATE, record, shown.json_bytes()))
    return found


def _part(name: EventName, record: EventRecord, data: bytes) -> Part:
    head = {
        "event": name,
        "cursor": encode_cursor(record.workspace_id, record.cursor),
        "traceId": record.trace_id,
        "occurredAt": format_moment(record.occurred_at),
    }
    return name, f'{orjson.dumps(head).decode()[1:-1]},"data":{data.decode()}}}'


def _token(record: EventRecord) -> AgentToken | None:
    if record.type == EventType.TOKEN_DELTA:
        step_id, text, reset = record.data["stepId"], record.data["text"], False
    elif record.type == EventType.RETRYING and record.data.get("voidedStepId"):
        step_id, text, reset = record.data["voidedStepId"], "", True
    else:
        return None
    seq = record.seq or 0
    return AgentToken(
        run_id=encode_id(Kind.RUN, record.run_id or ""),
        step_id=encode_id(Kind.STEP, step_id),
        seq=seq,
        from_seq=seq if record.from_seq is None else record.from_seq,
        reset=reset,
        text=text,
    )
