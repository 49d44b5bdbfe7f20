"""Work that was handed to another agent, as subscribers see it go and come back."""

from collections.abc import Mapping
from typing import Any, Self

from strawberry import ID, Private, field

from domain.events.records import EventRecord
from schema.context import Info
from schema.declare import api_type
from schema.event_base import Common, RunEvent, run_of
from schema.ids import Kind, encode_id
from schema.runs import Run


@api_type
class DelegationStarted(RunEvent):
    """Work was handed to another agent."""

    step_id: ID = field(description="Step that delegates.")

    raw_child_id: Private[str]

    @classmethod
    def of(cls, _: EventRecord, common: Common, data: Mapping[str, Any]) -> Self:
        """Show a record."""
        return cls(**common, **_shown(data))

    @field(description="Run that does the work.")
    async def child(self, info: Info) -> Run:
        """Load it as it is now."""
        return await run_of(info, self.raw_child_id)


@api_type
class DelegationFinished(RunEvent):
    """Work handed to another agent came back."""

    step_id: ID = field(description="Step that delegates.")

    raw_child_id: Private[str]

    @classmethod
    def of(cls, _: EventRecord, common: Common, data: Mapping[str, Any]) -> Self:
        """Show a record."""
        return cls(**common, **_shown(data))

    @field(description="Run that did the work.")
    async def child(self, info: Info) -> Run:
        """Load it as it is now."""
        return await run_of(info, self.raw_child_id)


def _shown(data: Mapping[str, Any]) -> Common:
    return {"step_id": encode_id(Kind.STEP, data["stepId"]), "raw_child_id": data["childId"]}
