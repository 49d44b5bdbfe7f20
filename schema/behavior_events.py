"""What the stream of a workspace tells of behavior."""

from typing import Self

from strawberry import Private, field

from domain.events.records import EventRecord
from domain.kernel.errors import NotFound
from schema.behavior import BehaviorVersion, behavior_version
from schema.context import Info
from schema.declare import api_type
from schema.event_base import Event, base_fields
from schema.ids import Kind, encode_id


@api_type
class BehaviorUpdate(Event):
    """A behavior profile has a new version in force."""

    raw_version_id: Private[str]

    @classmethod
    def of(cls, record: EventRecord) -> Self:
        """Show a record."""
        return cls(**base_fields(record), raw_version_id=record.data["versionId"])

    @field(description="The new version.")
    async def version(self, info: Info) -> BehaviorVersion:
        """Load it."""
        version = await behavior_version(info, self.raw_version_id)
        if version is None:
            kind = Kind.BEHAVIOR_VERSION
            raise NotFound(kind.noun, encode_id(kind, self.raw_version_id))
        return version
