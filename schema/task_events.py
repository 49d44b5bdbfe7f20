"""Changes of tasks, as streams carry them."""

from enum import Enum
from typing import Annotated, Self, TypeAlias

import strawberry
from strawberry import ID, Private, field

from domain.events.records import EventRecord
from schema.context import Info
from schema.declare import api_enum, api_type
from schema.event_base import Event, base_fields
from schema.events import Heartbeat, ResyncRequired
from schema.ids import Kind, encode_id
from schema.occurrences import Occurrence
from schema.tasks import Task


@api_enum
class TaskChange(Enum):
    """What changed about a task."""

    CREATED = "The task was created."
    UPDATED = "Its settings or state changed."
    DELETED = "The task was deleted."
    OCCURRENCE = "One of its occurrences changed state."


@api_type
class TaskUpdate(Event):
    """A task or one of its occurrences changed."""

    change: TaskChange = field(description="What changed.")
    task_id: ID = field(description="Its id, also once deleted.")

    raw_task_id: Private[str]
    raw_occurrence_id: Private[str | None]

    @classmethod
    def of(cls, record: EventRecord) -> Self:
        """Show a record."""
        data = record.data
        return cls(
            **base_fields(record),
            change=TaskChange[data["change"]],
            task_id=encode_id(Kind.TASK, data["taskId"]),
            raw_task_id=data["taskId"],
            raw_occurrence_id=data.get("occurrenceId"),
        )

    @field(description="The task as it is now; null once deleted.")
    async def task(self, info: Info) -> Task | None:
        """Load it."""
        row = await info.context.loaders.task(self.raw_task_id)
        return None if row is None else Task.of(row)

    @field(description="The occurrence; null when only the task changed.")
    async def occurrence(self, info: Info) -> Occurrence | None:
        """Load it."""
        if self.raw_occurrence_id is None:
            return None
        row = await info.context.loaders.occurrence(self.raw_occurrence_id)
        return None if row is None else Occurrence.of(row)


TaskStreamItem: TypeAlias = Annotated[
    TaskUpdate | Heartbeat | ResyncRequired,
    strawberry.union("TaskStreamItem", description="Item of taskUpdates."),
]
