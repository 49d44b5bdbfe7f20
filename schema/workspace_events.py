"""Events that belong to a workspace and to no run, shown by their type: one line for each noun."""

from collections.abc import Callable, Mapping

from domain.events.records import EventRecord
from schema.behavior_events import BehaviorUpdate
from schema.events import Event
from schema.memory_events import MemoryUpdate
from schema.task_events import TaskUpdate

_SHOW: Mapping[str, Callable[[EventRecord], Event]] = {
    "BehaviorUpdate": BehaviorUpdate.of,
    "MemoryUpdate": MemoryUpdate.of,
    "TaskUpdate": TaskUpdate.of,
}
"""Makes the public object of a record. The classes, `of(record)`, live with their nouns."""


def workspace_event_of(record: EventRecord) -> Event | None:
    """Show a record that belongs to no run; None for types that are not public."""
    show = _SHOW.get(record.type)
    return None if show is None or record.run_id is not None else show(record)


def workspace_event_types() -> frozenset[str]:
    """Names of all that can be shown."""
    return frozenset(_SHOW)
