"""The audit log: its lines, and what a check of their chain found."""

from collections.abc import Mapping
from typing import Any, Self, cast

from strawberry import ID, UNSET, Private, field

from domain.access.audit_log import Verification
from domain.access.rows import AuditRow
from domain.kernel.paging import Page
from schema.context import Info
from schema.declare import api_input, api_type
from schema.ids import Kind, encode_id, known_kind, public_ident
from schema.inputs import refers_to_any
from schema.nodes import node_of
from schema.relay import Connection, Edge, Node, TimeRange
from schema.scalars import Json, Long, Moment


@api_type
class AuditEntry(Node):
    """One line of the audit log; lines are chained by hash and never change."""

    id: ID = field(description="Opaque global id.")
    seq: Long = field(description="Place in the chain, from 1.")
    occurred_at: Moment = field(description="When it happened.")
    actor: str = field(description="Who did it: a key's name, an agent's slug or system.")
    action: str = field(description="What was done, such as agent.updated or tool.called.")
    detail: Json = field(description="Particulars, secrets masked.")
    trace_id: str = field(description="Trace it belongs to.")
    hash: str = field(description="Hash over this line and the one before.")

    row: Private[AuditRow]

    @classmethod
    def of(cls, row: AuditRow) -> Self:
        """Show a row."""
        return cls(
            id=encode_id(Kind.AUDIT_ENTRY, row.id),
            seq=Long(row.seq),
            occurred_at=Moment(row.created_at),
            actor=row.actor,
            action=row.action,
            detail=Json(_public(row.detail)),
            trace_id=row.trace_id,
            hash=row.hash,
            row=row,
        )

    @field(description="Object concerned; null when it is gone or there was none.")
    async def target(self, info: Info) -> Node | None:
        """Load the object."""
        kind = known_kind(self.row.target_kind or "")
        if kind is None or self.row.target_id is None:
            return None
        return await node_of(info.context.loaders, kind, self.row.target_id)


@api_type
class AuditEntryEdge(Edge[AuditEntry]):
    """Place of one audit entry in a page."""


@api_type
class AuditEntryConnection(Connection[AuditEntry, AuditEntryEdge]):
    """Page of audit entries."""

    @classmethod
    def of(cls, page: Page[AuditRow]) -> Self:
        """Show a page of rows."""
        return cls.over(page, [AuditEntry.of(row) for row in page.items], AuditEntryEdge)


@api_type
class AuditVerification:
    """Outcome of checking the audit chain."""

    valid: bool = field(description="True when every hash fits.")
    checked: Long = field(description="Lines checked.")
    first_broken_seq: Long | None = field(
        description="First line that does not fit; null when all do."
    )
    head_hash: str | None = field(
        description="Hash of the last line, to keep elsewhere; null when the log is empty."
    )

    @classmethod
    def of(cls, found: Verification) -> Self:
        """Show what a check found."""
        broken = found.first_broken
        return cls(
            valid=found.is_valid,
            checked=Long(found.checked),
            first_broken_seq=None if broken is None else Long(broken),
            head_hash=found.head_hash,
        )


@api_input
class AuditFilter:
    """Narrows the audit log."""

    actor: str | None = field(description="Only what this actor did.", default=UNSET)
    action: str | None = field(
        description="Only this action; ends in .* for a group.", default=UNSET
    )
    target_id: ID | None = field(
        description="Only what concerns this object.", default=UNSET, metadata=refers_to_any()
    )
    trace_id: str | None = field(description="Only this trace.", default=UNSET)
    occurred: TimeRange | None = field(
        description="Only what happened in this span.", default=UNSET
    )


def _public(detail: Mapping[str, Any]) -> dict[str, Any]:
    """Particulars with the ids that clients know: `agentId` and `agentIds` name agents."""
    return {key: _public_value(key, value) for key, value in detail.items()}


def _public_value(key: str, value: Any) -> Any:
    if key.endswith("Id") and isinstance(value, str):
        return public_ident(key.removesuffix("Id"), value)
    if key.endswith("Ids") and isinstance(value, list):
        noun, items = key.removesuffix("Ids"), cast("list[Any]", value)
        return [public_ident(noun, item) if isinstance(item, str) else item for item in items]
    return value
