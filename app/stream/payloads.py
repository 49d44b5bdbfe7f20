"""What an event looks like in a frame, made once for all who are told of it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from app.documents.behavior import BehaviorVersion
from app.documents.memory import Memory
from app.documents.run_events import run_event
from app.documents.tasks import Occurrence, Task
from app.stream.frames import AgentToken, BehaviorUpdate, EventName, MemoryUpdate, TaskUpdate
from domain.access.scopes import Principal, Scope
from domain.events.cursors import encode_cursor
from domain.events.records import EventRecord
from domain.events.shared import Shared
from domain.kernel.background import start_detached
from domain.memory.writes import MemoryAction
from domain.runs.state import EventType
from domain.tasks.state import TaskChange
from resolvers.services import Services
from schema.ids import Kind, encode_id
from schema.scalars import format_moment

APPROVAL_TYPES = frozenset({EventType.APPROVAL_REQUESTED, EventType.APPROVAL_RESOLVED})
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
    EventName.TASK_UPDATE: EventKind(scope=Scope.TASKS_READ, types=frozenset({"TaskUpdate"})),
    EventName.MEMORY_UPDATE: EventKind(scope=Scope.MEMORY_READ, types=frozenset({"MemoryUpdate"})),
    EventName.BEHAVIOR_UPDATE: EventKind(
        scope=Scope.BEHAVIOR_READ, types=frozenset({"BehaviorUpdate"})
    ),
    EventName.APPROVAL_UPDATE: EventKind(scope=Scope.RUNS_READ, types=APPROVAL_TYPES),
}
RUN_EVENTS = frozenset({EventName.AGENT_TOKEN, EventName.RUN_UPDATE, EventName.APPROVAL_UPDATE})
"""What a run's id narrows."""

Part = tuple[EventName, str]
"""The name of an event, and its frame from the name on, without the closing brace."""


class Payloads:
    """Turns records into frames; belongs to a process, so that all sockets share the work."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._parts = Shared(_parts)
        self._loading = Shared(self._begin)

    async def of(self, record: EventRecord, names: frozenset[EventName]) -> list[str]:
        """Frames of a record for a subscription to `names`, each without its head.

        What a frame shows as it is now is read once, for all who are told of it.
        """
        if record.run_id is not None:
            parts = self._parts.of(record)
        else:
            parts = await asyncio.shield(self._loading.of(record))
        return [text for name, text in parts if name in names]

    def _begin(self, record: EventRecord) -> asyncio.Task[Sequence[Part]]:
        return start_detached(self._load(record), name="stream-frame")

    async def _load(self, record: EventRecord) -> Sequence[Part]:
        reader = Principal(
            workspace_id=record.workspace_id, key_id=None, name="stream", scopes=_READS
        )
        match record.type:
            case "TaskUpdate":
                name, shown = EventName.TASK_UPDATE, await self._task(reader, record)
            case "MemoryUpdate":
                name, shown = EventName.MEMORY_UPDATE, await self._memory(reader, record)
            case "BehaviorUpdate":
                name, shown = EventName.BEHAVIOR_UPDATE, await self._behavior(reader, record)
            case _:
                return ()
        return () if shown is None else (_part(name, record, shown.json_bytes()),)

    async def _task(self, reader: Principal, record: EventRecord) -> TaskUpdate:
        data, tasks = record.data, self._services.tasks
        task_id = data["taskId"]
        row = await tasks.task(reader, task_id)
        last = await tasks.last_occurrences(reader, [] if row is None else [task_id])
        occurrence_id = data.get("occurrenceId")
        found = (
            {} if occurrence_id is None else await tasks.occurrences_by_ids(reader, [occurrence_id])
        )
        occurrence = found.get(occurrence_id or "")
        return TaskUpdate(
            change=TaskChange(data["change"]),
            task_id=encode_id(Kind.TASK, task_id),
            task=None if row is None else Task.of(row, last.get(task_id)),
            occurrence=None if occurrence is None else Occurrence.of(occurrence),
        )

    async def _memory(self, reader: Principal, record: EventRecord) -> MemoryUpdate:
        row = await self._services.memory.memory(reader, record.data["memoryId"])
        return MemoryUpdate(
            action=MemoryAction(record.data["action"]),
            memory_id=encode_id(Kind.MEMORY, record.data["memoryId"]),
            memory=None if row is None else Memory.of(row),
        )

    async def _behavior(self, reader: Principal, record: EventRecord) -> BehaviorUpdate | None:
        row = await self._services.behavior.version(reader, record.data["versionId"])
        if row is None:
            return None
        return BehaviorUpdate(
            profile_id=encode_id(Kind.BEHAVIOR_PROFILE, row.profile_id),
            version=BehaviorVersion.of(row),
        )


_READS = frozenset({Scope.TASKS_READ, Scope.MEMORY_READ, Scope.BEHAVIOR_READ})


def _parts(record: EventRecord) -> Sequence[Part]:
    found: list[Part] = []
    token = _token(record)
    if token is not None:
        found.append(_part(EventName.AGENT_TOKEN, record, token.json_bytes()))
    if record.type in RUN_TYPES:
        shown = run_event(record)
        if shown is not None:
            data = shown.json_bytes()
            found.append(_part(EventName.RUN_UPDATE, record, data))
            if record.type in APPROVAL_TYPES:
                found.append(_part(EventName.APPROVAL_UPDATE, record, data))
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
