"""The states of an approval, and how a person answers it."""

from enum import StrEnum


class ApprovalStatus(StrEnum):
    """State of an approval."""

    PENDING = "PENDING"
    APPROVED = "APPROVED"
    DENIED = "DENIED"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"


class ApprovalDecision(StrEnum):
    """What a person decides."""

    APPROVE = "APPROVE"
    DENY = "DENY"

    @property
    def status(self) -> ApprovalStatus:
        """State of an approval that was decided so."""
        return ApprovalStatus.APPROVED if self is self.APPROVE else ApprovalStatus.DENIED


class ApprovalScope(StrEnum):
    """How far a decision reaches."""

    ONCE = "ONCE"
    RUN = "RUN"
    ALWAYS = "ALWAYS"
