"""The audit log: read by admins, and checked."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry
from strawberry import UNSET, field

from domain.access.audit_log import AuditFilter as DomainFilter
from domain.kernel.paging import PageRequest
from resolvers.fields import needs
from resolvers.services import Info
from schema.access import Scope
from schema.audit import AuditEntryConnection, AuditFilter, AuditVerification
from schema.declare import api_type
from schema.inputs import values_of
from schema.relay import Paged, TimeOrder
from schema.scalars import Long

FIRST_SEQ = Long(1)


@api_type
class AuditQuery:
    """Reads of the audit log."""

    @field(
        description="Audit log of the workspace.",
        directives=needs(Scope.ADMIN),
        extensions=[Paged()],
    )
    async def audit_log(
        self,
        info: Info,
        page: PageRequest,
        narrow: Annotated[
            AuditFilter | None, strawberry.argument(name="filter", description="Narrows the log.")
        ] = UNSET,
        order_by: Annotated[
            TimeOrder, strawberry.argument(description="Sort order.")
        ] = TimeOrder.NEWEST_FIRST,
    ) -> AuditEntryConnection:
        """List lines."""
        wanted = values_of(narrow, above="filter") if narrow else {}
        span: Mapping[str, Any] = wanted.get("occurred") or {}
        narrowing = DomainFilter(
            actor=wanted.get("actor"),
            action=wanted.get("action"),
            target_id=wanted.get("targetId"),
            trace_id=wanted.get("traceId"),
            since_us=span.get("since"),
            until_us=span.get("until"),
        )
        found = await info.context.services.audit_log.page(
            info.context.principal,
            narrowing,
            page,
            newest_first=order_by is TimeOrder.NEWEST_FIRST,
        )
        return AuditEntryConnection.of(found)

    @field(description="Checks the audit chain now.", directives=needs(Scope.ADMIN))
    async def verify_audit_log(
        self,
        info: Info,
        from_seq: Annotated[
            Long, strawberry.argument(description="First line to check.")
        ] = FIRST_SEQ,
    ) -> AuditVerification:
        """Check it."""
        found = await info.context.services.audit_log.verify(
            info.context.principal, from_seq=from_seq
        )
        return AuditVerification.of(found)
