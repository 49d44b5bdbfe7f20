"""How failures look to a GraphQL client: typed where one may act on them, masked otherwise."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

import structlog
from graphql import GraphQLError, GraphQLSyntaxError

from domain.kernel.database import is_lost_connection
from domain.kernel.errors import (
    Conflict,
    ErrorCode,
    Forbidden,
    GobError,
    QuotaExceeded,
    Unavailable,
    ValidationFailed,
)

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

ErrorBody = dict[str, Any]
"""One entry of `errors` in a response: message, locations, path, extensions."""


class EdgeCode(StrEnum):
    """Codes of failures that only a GraphQL door can have, beside those of ErrorCode."""

    PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
    VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
    LIMIT_EXCEEDED = "GRAPHQL_LIMIT_EXCEEDED"
    BAD_USER_INPUT = "BAD_USER_INPUT"
    BAD_REQUEST = "BAD_REQUEST"
    INTERNAL = "INTERNAL"


class ServerFault(Exception):
    """A value our own code returned does not fit the schema: never the caller's fault."""


class RequestRejected(Exception):
    """A document that is not executed at all; `bodies` are the errors its sender gets."""

    def __init__(self, bodies: list[ErrorBody], *, status: int = 400) -> None:
        super().__init__(bodies[0]["message"])
        self.bodies = bodies
        self.status = status

    @classmethod
    def one(
        cls, message: str, code: str, *, status: int = 400, extras: Mapping[str, Any] | None = None
    ) -> "RequestRejected":
        """Reject with a single message."""
        return cls([error_body(message, code, extras=extras)], status=status)

    @classmethod
    def of(cls, errors: Iterable[GraphQLError], code: EdgeCode) -> "RequestRejected":
        """Reject with what the GraphQL library found wrong with a document or its variables."""
        return cls([_located(error, error.message, {"code": code.value}) for error in errors])


def error_body(message: str, code: str, *, extras: Mapping[str, Any] | None = None) -> ErrorBody:
    """Build an error that has no place in a document."""
    return {"message": message, "extensions": {"code": code, **(extras or {})}}


def syntax_rejected(error: GraphQLSyntaxError) -> RequestRejected:
    """Reject a document that cannot be parsed; the message names line and column."""
    return RequestRejected.of([error], EdgeCode.PARSE_FAILED)


def gob_error_extensions(error: GobError) -> dict[str, Any]:
    """Describe an expected failure for programs: its code and what belongs to it."""
    extensions: dict[str, Any] = {"code": error.code.value}
    if error.path is not None:
        extensions["argumentPath"] = list(error.path)
    match error:
        case ValidationFailed():
            extensions["fields"] = [
                {"path": list(problem.path), "message": problem.message}
                for problem in error.problems
            ]
        case Conflict():
            extensions["code"] = error.reason.value
            if error.current_version is not None:
                extensions["currentVersion"] = error.current_version
        case Forbidden() if error.scope is not None:
            extensions["requiredScope"] = error.scope
        case QuotaExceeded():
            extensions["quota"] = error.quota
            extensions["limit"] = error.limit
            extensions["retryAfterSeconds"] = error.retry_after_s
        case _:
            pass
    return extensions


def gob_error_body(error: GobError) -> ErrorBody:
    """Build the error of an expected failure outside of any field."""
    return {"message": error.message, "extensions": gob_error_extensions(error)}


def masked_body(trace_id: str) -> ErrorBody:
    """Build the error that hides what went wrong and says how to ask about it."""
    message = f"Something went wrong on the server. Quote the trace id {trace_id}."
    return error_body(message, EdgeCode.INTERNAL, extras={"traceId": trace_id})


def execution_error_bodies(errors: Iterable[GraphQLError], trace_id: str) -> list[ErrorBody]:
    """Turn what resolvers raised into errors of a response; log the unexpected, once each."""
    return [_execution_error_body(error, trace_id) for error in errors]


def unexpected_body(error: BaseException, trace_id: str) -> ErrorBody:
    """Log a failure that happened outside of any field and return its masked error."""
    log.error("graphql.failed", trace_id=trace_id, exc_info=error)
    return masked_body(trace_id)


def source_error_body(error: Exception, trace_id: str) -> ErrorBody:
    """Turn what ended a subscription's source into an error: typed, else logged and masked."""
    cause = cause_of(error)
    if isinstance(cause, GobError):
        return gob_error_body(cause)
    if isinstance(error, GraphQLError):
        return _execution_error_body(error, trace_id)
    return unexpected_body(error, trace_id)


def _execution_error_body(error: GraphQLError, trace_id: str) -> ErrorBody:
    cause = cause_of(error)
    if isinstance(cause, GobError):
        return _located(error, cause.message, gob_error_extensions(cause))
    if cause is None:
        return _located(error, error.message, {"code": EdgeCode.BAD_USER_INPUT.value})
    log.error("graphql.field_failed", trace_id=trace_id, path=error.path, exc_info=cause)
    masked = masked_body(trace_id)
    return _located(error, masked["message"], masked["extensions"])


def cause_of(error: BaseException) -> BaseException | None:
    """What was raised first; None when the GraphQL library itself refused an argument."""
    cause: BaseException | None = error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    if cause is not None and is_lost_connection(cause):
        return Unavailable("The database cannot be reached; try again soon.")
    return cause


def _located(error: GraphQLError, message: str, extensions: Mapping[str, Any]) -> ErrorBody:
    body: ErrorBody = {"message": message}
    if error.locations:
        body["locations"] = [{"line": at.line, "column": at.column} for at in error.locations]
    if error.path is not None:
        body["path"] = list(error.path)
    body["extensions"] = dict(extensions)
    return body


def status_of(error: GobError) -> int:
    """Map an expected failure that precedes execution to an HTTP status."""
    return _STATUSES.get(error.code, 400)


_STATUSES: Mapping[ErrorCode, int] = {
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.QUOTA_EXCEEDED: 429,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.UNAVAILABLE: 503,
    ErrorCode.PROVIDER_UNAVAILABLE: 503,
}
