"""What the world is told of a change of memory: one audit line, and an event for each memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from domain.access.audit import AuditTrail
from domain.access.scopes import Principal
from domain.events.records import EventDraft
from domain.events.store import EventStore
from domain.kernel.database import Row, Statement
from domain.kernel.errors import ObjectRef
from domain.kernel.ports import Clock
from domain.memory.writes import MemoryAction

MEMORY_UPDATE = "MemoryUpdate"
"""Type of the events; their data are `action` and `memoryId`."""


class Done(NamedTuple):
    """What was done to a memory."""

    action: MemoryAction
    memory_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """What a write adds last, and tells once it is committed."""

    workspace_id: str
    drafts: Sequence[EventDraft]
    statements: Sequence[Statement]


class MemoryTeller:
    """Makes the last statements of a write to memory."""

    def __init__(self, store: EventStore, audit: AuditTrail, clock: Clock) -> None:
        self._store = store
        self._audit = audit
        self._clock = clock

    def telling(
        self,
        principal: Principal,
        action: str,
        done: Sequence[Done],
        *,
        detail: Mapping[str, Any],
        target: str | None = None,
    ) -> Telling:
        """One audit line, about the memory `target` where it is about one, and the events."""
        now = self._clock.now_us()
        trace_id = principal.trace.trace_id
        drafts = [EventDraft(MEMORY_UPDATE, _data(one), trace_id, now) for one in done]
        about = None if target is None else ObjectRef(kind="Memory", id=target)
        line = self._audit.record(principal, action, target=about, detail=detail)
        return Telling(
            workspace_id=principal.workspace_id,
            drafts=drafts,
            statements=[*line, *self._store.append(principal.workspace_id, drafts)],
        )

    def announce(self, telling: Telling, results: Sequence[Sequence[Row]]) -> None:
        """Tell subscribers of what was committed; `results` end with those of the statements."""
        head = self._store.head_of(results)
        self._store.announce(telling.workspace_id, head, telling.drafts)


def _data(done: Done) -> str:
    return orjson.dumps({"action": done.action, "memoryId": done.memory_id}).decode()
