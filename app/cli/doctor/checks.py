"""What a look at one thing found, and what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How a thing stands; only what failed keeps the server from its work."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing looked at; `cure` is None when all is well."""

    name: str
    status: Status = Status.OK
    found: str
    cure: str | None = None


def fine(name: str, found: str) -> Check:
    """All is well."""
    return Check(name=name, found=found)


def warning(name: str, found: str, cure: str) -> Check:
    """It works, and something about it should be known."""
    return Check(name=name, status=Status.WARNING, found=found, cure=cure)


def failed(name: str, found: str, cure: str) -> Check:
    """It does not work."""
    return Check(name=name, status=Status.FAILED, found=found, cure=cure)


def is_well(checks: Sequence[Check]) -> bool:
    """True when nothing failed; warnings do not count."""
    return all(check.status is not Status.FAILED for check in checks)
