"""Questions to people and their answers, as streams carry them."""

from collections.abc import Mapping
from typing import Any, Self

from strawberry import Private, field

from domain.events.records import EventRecord
from domain.kernel.errors import NotFound
from schema.approvals import Approval
from schema.context import Info
from schema.declare import api_type
from schema.event_base import Common, RunEvent
from schema.ids import Kind, encode_id


@api_type
class ApprovalRequested(RunEvent):
    """The run waits for a person."""

    raw_approval_id: Private[str]

    @classmethod
    def of(cls, _: EventRecord, common: Common, data: Mapping[str, Any]) -> Self:
        """Show a record."""
        return cls(**common, raw_approval_id=data["approval"]["id"])

    @field(description="The question.")
    async def approval(self, info: Info) -> Approval:
        """Load it as it is now."""
        return await _approval(info, self.raw_approval_id)


@api_type
class ApprovalResolved(RunEvent):
    """An approval was decided or expired."""

    raw_approval_id: Private[str]

    @classmethod
    def of(cls, _: EventRecord, common: Common, data: Mapping[str, Any]) -> Self:
        """Show a record."""
        return cls(**common, raw_approval_id=data["approval"]["id"])

    @field(description="The decided question.")
    async def approval(self, info: Info) -> Approval:
        """Load it as it is now."""
        return await _approval(info, self.raw_approval_id)


async def _approval(info: Info, raw_id: str) -> Approval:
    row = await info.context.loaders.approval(raw_id)
    if row is None:
        raise NotFound(Kind.APPROVAL.noun, encode_id(Kind.APPROVAL, raw_id))
    return Approval.of(row)
