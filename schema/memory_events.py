"""Changes of memories as subscribers see them."""

from typing import Annotated, Self, TypeAlias

import strawberry
from strawberry import ID, Private, field

from domain.events.records import EventRecord
from schema.context import Info
from schema.declare import api_type
from schema.event_base import Event, base_fields
from schema.events import Heartbeat, ResyncRequired
from schema.ids import Kind, encode_id
from schema.memory import Memory, MemoryAction


@api_type
class MemoryUpdate(Event):
    """A memory changed, whoever changed it."""

    action: MemoryAction = field(description="What was done.")
    memory_id: ID = field(description="Its id, also once erased.")

    raw_memory_id: Private[str]

    @classmethod
    def of(cls, record: EventRecord) -> Self:
        """Show a record."""
        raw = record.data["memoryId"]
        return cls(
            **base_fields(record),
            action=MemoryAction[record.data["action"]],
            memory_id=encode_id(Kind.MEMORY, raw),
            raw_memory_id=raw,
        )

    @field(description="The memory as it is now; null once erased.")
    async def memory(self, info: Info) -> Memory | None:
        """Load it."""
        row = await info.context.loaders.memory(self.raw_memory_id)
        return None if row is None else Memory.of(row)


MemoryStreamItem: TypeAlias = Annotated[
    MemoryUpdate | Heartbeat | ResyncRequired,
    strawberry.union("MemoryStreamItem", description="Item of memoryUpdates."),
]
