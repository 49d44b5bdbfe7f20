"""Everything a caller may act on, drawn on one screen.

GobError
├── ValidationFailed      an input value is not acceptable; names every field
├── NotFound              no visible object has this id, slug or name
├── Conflict              the present state stands in the way (code says how)
├── Forbidden             the key lacks a scope
├── QuotaExceeded         a limit, budget or rate is reached
├── ProviderUnavailable   a model or another outside service cannot be used now
├── Unauthenticated       no usable key came with the call
├── BadCursor             a cursor that this workspace never gave out
└── Unavailable           a part of the server itself cannot be reached
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class ErrorCode(StrEnum):
    """Stable reasons of expected failures; the public enum plus those of the doors."""

    VALIDATION_FAILED = "VALIDATION_FAILED"
    NOT_FOUND = "NOT_FOUND"
    VERSION_MISMATCH = "VERSION_MISMATCH"
    NAME_TAKEN = "NAME_TAKEN"
    CONVERSATION_BUSY = "CONVERSATION_BUSY"
    INVALID_STATE = "INVALID_STATE"
    IDEMPOTENCY_MISMATCH = "IDEMPOTENCY_MISMATCH"
    FORBIDDEN = "FORBIDDEN"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    RATE_LIMITED = "RATE_LIMITED"
    PROVIDER_UNAVAILABLE = "PROVIDER_UNAVAILABLE"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    BAD_CURSOR = "BAD_CURSOR"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldProblem:
    """What is wrong with one input value; `path` runs from the input's root in client names."""

    path: tuple[str, ...]
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownField(FieldProblem):
    """A field that there is not; a door that knows more fields than the service names those."""


class GobError(Exception):
    """An expected failure: `code` is for programs, the message for people."""

    code: ClassVar[ErrorCode]

    def __init__(self, message: str, *, path: Sequence[str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.path = tuple(path) if path is not None else None


class ValidationFailed(GobError):
    """One or more input values are not acceptable; nothing was changed."""

    code = ErrorCode.VALIDATION_FAILED

    def __init__(self, problems: Sequence[FieldProblem]) -> None:
        first = problems[0]
        more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(f"{'.'.join(first.path)}: {first.message}{more}", path=first.path)
        self.problems = tuple(problems)

    @classmethod
    def of(cls, path: str, message: str) -> "ValidationFailed":
        """One problem at a dotted path such as `limits.maxSteps`."""
        return cls([FieldProblem(path=tuple(path.split(".")), message=message)])


class NotFound(GobError):
    """The object does not exist or is not visible to this key."""

    code = ErrorCode.NOT_FOUND

    def __init__(
        self, noun: str, ident: str, *, path: Sequence[str] | None = None, by: str = "id"
    ) -> None:
        super().__init__(f"No {noun} has the {by} {ident!r}.", path=path)
        self.noun = noun
        self.ident = ident


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectRef:
    """Names an object by kind and id, without loading it."""

    kind: str
    id: str


class Conflict(GobError):
    """The object's present state stands in the way."""

    code = ErrorCode.INVALID_STATE

    def __init__(
        self,
        message: str,
        *,
        code: ErrorCode = ErrorCode.INVALID_STATE,
        path: Sequence[str] | None = None,
        current_version: int | None = None,
        conflicting: ObjectRef | None = None,
    ) -> None:
        super().__init__(message, path=path)
        self.reason = code
        self.current_version = current_version
        self.conflicting = conflicting


class Forbidden(GobError):
    """The key lacks a scope; `scope` would allow the call."""

    code = ErrorCode.FORBIDDEN

    def __init__(self, message: str, *, scope: str | None) -> None:
        super().__init__(message)
        self.scope = scope


class QuotaExceeded(GobError):
    """A limit is reached; `retry_after_s` is None when waiting does not help."""

    code = ErrorCode.QUOTA_EXCEEDED

    def __init__(
        self, message: str, *, quota: str, limit: float, retry_after_s: int | None
    ) -> None:
        super().__init__(message)
        self.quota = quota
        self.limit = limit
        self.retry_after_s = retry_after_s


class ProviderUnavailable(GobError):
    """A model provider or another outside service cannot be used now."""

    code = ErrorCode.PROVIDER_UNAVAILABLE

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        path: Sequence[str] | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message, path=path)
        self.provider = provider
        self.retry_after_s = retry_after_s


class Unauthenticated(GobError):
    """No usable key came with the call; the message says where to find one."""

    code = ErrorCode.UNAUTHENTICATED


class BadCursor(GobError):
    """A cursor that this workspace never gave out."""

    code = ErrorCode.BAD_CURSOR


class Unavailable(GobError):
    """A part of the server itself, such as the database, cannot be reached."""

    code = ErrorCode.UNAVAILABLE
