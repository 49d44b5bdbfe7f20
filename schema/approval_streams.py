"""The stream of questions to people."""

from typing import Annotated, TypeAlias

import strawberry

from schema.approval_events import ApprovalRequested, ApprovalResolved
from schema.events import Heartbeat, ResyncRequired

ApprovalStreamItem: TypeAlias = Annotated[
    ApprovalRequested | ApprovalResolved | Heartbeat | ResyncRequired,
    strawberry.union("ApprovalStreamItem", description="Item of approvalRequests."),
]
