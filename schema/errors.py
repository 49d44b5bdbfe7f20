"""Expected failures of mutations, returned as data."""

from enum import Enum
from typing import Self

from strawberry import Private, field

from domain.kernel import errors
from schema.access import Scope
from schema.context import Info
from schema.declare import api_enum, api_interface, api_type
from schema.ids import kind_named
from schema.nodes import node_of
from schema.relay import Node


@api_enum
class ErrorCode(Enum):
    """Machine-readable reason of an expected failure."""

    VALIDATION_FAILED = "An input value is not acceptable."
    NOT_FOUND = "No visible object has this id, slug or name."
    VERSION_MISMATCH = "The object changed since the expectedVersion was read."
    NAME_TAKEN = "Another object already has this name or slug."
    CONVERSATION_BUSY = "The conversation already has an active run."
    INVALID_STATE = "The object's state does not allow this."
    IDEMPOTENCY_MISMATCH = "The idempotency key was used before with a different input."
    FORBIDDEN = "The API key lacks a scope."
    QUOTA_EXCEEDED = "A limit, budget or stored-object cap is reached."
    RATE_LIMITED = "Too many requests; wait and try again."
    PROVIDER_UNAVAILABLE = "A model, embedding or outside service cannot be used now."
    SANDBOX_UNAVAILABLE = "The sandbox required to run code is missing."
    CHECKS_FAILED = "At least one check failed."


@api_interface
class Error:
    """Expected failure of a mutation, returned as data."""

    message: str = field(description="What went wrong and what to do, for a human.")
    code: ErrorCode = field(description="What went wrong, for a program.")
    path: list[str] | None = field(
        description="Input field at fault, from the input's root; null when none is."
    )


@api_type
class FieldError:
    """Problem with one input value."""

    path: list[str] = field(description="Where the value sits, from the input's root.")
    message: str = field(description="What is wrong and what would be right.")


@api_type
class ValidationFailed(Error):
    """One or more input values are not acceptable; nothing was changed."""

    fields: list[FieldError] = field(description="Every problem found.")

    @classmethod
    def of(cls, error: errors.ValidationFailed) -> Self:
        """Show what was raised."""
        return cls(
            message=error.message,
            code=ErrorCode[error.code],
            path=path_of(error),
            fields=[
                FieldError(path=list(problem.path), message=problem.message)
                for problem in error.problems
            ],
        )


@api_type
class NotFound(Error):
    """The object does not exist or is not visible to this API key."""

    id: str = field(description="Id, slug or name that was not found.")

    @classmethod
    def of(cls, error: errors.NotFound) -> Self:
        """Show what was raised."""
        return cls(
            message=error.message,
            code=ErrorCode[error.code],
            path=path_of(error),
            id=error.ident,
        )


@api_type
class Conflict(Error):
    """The object's present state stands in the way."""

    current_version: int | None = field(
        description=(
            "Version to read again before retrying; null when versions are not the matter."
        )
    )

    reference: Private[errors.ObjectRef | None]

    @classmethod
    def of(cls, error: errors.Conflict) -> Self:
        """Show what was raised."""
        return cls(
            message=error.message,
            code=ErrorCode[error.reason],
            path=path_of(error),
            current_version=error.current_version,
            reference=error.conflicting,
        )

    @field(description="Object in the way, such as the active run; null when there is none.")
    async def conflicting(self, info: Info) -> Node | None:
        """Load the object."""
        if self.reference is None:
            return None
        return await node_of(
            info.context.loaders, kind_named(self.reference.kind), self.reference.id
        )


@api_type
class Forbidden(Error):
    """The API key lacks a scope, or a rule forbids this."""

    required_scope: Scope | None = field(
        description="Scope that would allow it; null when no scope would."
    )

    @classmethod
    def of(cls, error: errors.Forbidden) -> Self:
        """Show what was raised."""
        return cls(
            message=error.message,
            code=ErrorCode[error.code],
            path=path_of(error),
            required_scope=None if error.scope is None else Scope.of(error.scope),
        )


@api_type
class QuotaExceeded(Error):
    """A quota, budget or rate limit is reached."""

    quota: str = field(description="What is limited, such as runs.active or requests.minute.")
    limit: float = field(description="The limit.")
    retry_after_seconds: int | None = field(
        description="Seconds until a retry can succeed; null when waiting does not help."
    )

    @classmethod
    def of(cls, error: errors.QuotaExceeded) -> Self:
        """Show what was raised."""
        return cls(
            message=error.message,
            code=ErrorCode[error.code],
            path=path_of(error),
            quota=error.quota,
            limit=error.limit,
            retry_after_seconds=error.retry_after_s,
        )


@api_type
class ProviderUnavailable(Error):
    """A model provider, the sandbox or another outside service cannot be used now."""

    provider: str = field(description="Name of the service.")
    retry_after_seconds: int | None = field(
        description="Seconds until a retry makes sense; null when unknown."
    )

    @classmethod
    def of(cls, error: errors.ProviderUnavailable) -> Self:
        """Show what was raised."""
        return cls(
            message=error.message,
            code=ErrorCode[error.code],
            path=path_of(error),
            provider=error.provider,
            retry_after_seconds=error.retry_after_s,
        )


def path_of(error: errors.GobError) -> list[str] | None:
    """Return where in the input the fault sits."""
    return None if error.path is None else list(error.path)
