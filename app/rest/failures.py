"""Every failure as a problem document: one table for all endpoints."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import structlog
from starlette.types import Scope

from app.middleware.problems import PROBLEM_KINDS
from app.middleware.responses import HeaderList, Refusal, header
from app.middleware.tracing import trace_of
from app.rest.endpoints import Endpoint
from app.rest.queries import QueryRefused, parameters
from domain.kernel.database import is_lost_connection
from domain.kernel.errors import (
    Conflict,
    FieldProblem,
    Forbidden,
    GobError,
    NotFound,
    ProviderUnavailable,
    QuotaExceeded,
    Unauthenticated,
    Unavailable,
    UnknownField,
    ValidationFailed,
)
from domain.kernel.validation import client_fields, no_such_field
from resolvers.outcomes import in_public
from schema.access import Scope as PublicScope
from schema.ids import encode_id, kind_named

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

AGAIN_S = 1
"""When to try again while a part of the server cannot be reached."""


class Refused(Exception):
    """A request that HTTP itself does not allow; carries the answer."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def refused(code: str, message: str, *, headers: HeaderList | None = None) -> Refused:
    """Build the refusal of a request that is none."""
    status = PROBLEM_KINDS[code].status
    return Refused(Refusal(status=status, code=code, message=message, headers=headers or []))


def body_refused(message: str, *, path: Sequence[str] = ()) -> Refused:
    """Build the refusal of a body: of its shape as a whole, or of what a header stands for too."""
    fault: dict[str, Any] = {"path": list(path), "in": "body", "message": message}
    extras = {"fields": [fault]}
    status = PROBLEM_KINDS["VALIDATION_FAILED"].status
    told = f"{'.'.join(path) or 'The body'}: {message}"
    return Refused(Refusal(status=status, code="VALIDATION_FAILED", message=told, extras=extras))


def refusal_of(error: GobError, endpoint: Endpoint, scope: Scope) -> Refusal:
    """Show an expected failure."""
    public = _of_body(in_public(error), endpoint)
    code = public.reason if isinstance(public, Conflict) else public.code
    fields = [_field(problem, endpoint, scope) for problem in _at_fault(public)]
    if isinstance(public, QueryRefused):
        fields = [{**one, "in": "query"} for one in fields]
    extras = {**({"fields": fields} if fields else {}), **_members(public)}
    return Refusal(
        status=PROBLEM_KINDS[code].status,
        code=code.value,
        message=public.message,
        extras=extras,
        headers=_headers(public),
    )


def crash_of(error: Exception, scope: Scope) -> Refusal:
    """Log what nobody expected and hide it; an outage of the database is told as one."""
    if is_lost_connection(error):
        unavailable = Unavailable("The database cannot be reached; try again soon.")
        return Refusal(
            status=503,
            code=unavailable.code.value,
            message=unavailable.message,
            extras=_members(unavailable),
            headers=_headers(unavailable),
        )
    trace_id = trace_of(scope).trace_id
    log.error("request.crashed", path=scope["path"], exc_info=error)
    message = f"Something went wrong on the server. Quote the trace id {trace_id}."
    return Refusal(status=500, code="INTERNAL", message=message)


def _of_body(error: GobError, endpoint: Endpoint) -> GobError:
    """Name the fields that a body may have, where one is unknown: services know others."""
    if not isinstance(error, ValidationFailed) or endpoint.body is None:
        return error
    if not any(isinstance(problem, UnknownField) for problem in error.problems):
        return error
    by_path = endpoint.renames
    known = [name for name in client_fields(endpoint.body.model) if name not in by_path]
    return ValidationFailed(
        [
            replace(problem, message=no_such_field(problem.path[0], known))
            if isinstance(problem, UnknownField) and len(problem.path) == 1
            else problem
            for problem in error.problems
        ]
    )


def _at_fault(error: GobError) -> Sequence[FieldProblem]:
    if isinstance(error, ValidationFailed):
        return error.problems
    return [] if error.path is None else [FieldProblem(path=error.path, message=error.message)]


def _field(problem: FieldProblem, endpoint: Endpoint, scope: Scope) -> dict[str, Any]:
    """Name a value at fault as this door knows it, and the part of the request that holds it."""
    first, *rest = problem.path or ("",)
    first = endpoint.renames.get(first, first)
    by_header = endpoint.headers.get(first)
    if by_header is not None and header(scope, by_header.lower().encode()) is not None:
        first, place = by_header, "header"
    elif f"{{{first}}}" in endpoint.path:
        place = "path"
    elif endpoint.body is None or first in parameters(endpoint.query):
        place = "query"
    else:
        place = "body"
    path = [first, *rest] if first else []
    return {"path": path, "in": place, "message": problem.message}


def _members(error: GobError) -> dict[str, Any]:
    match error:
        case NotFound():
            return {"id": error.ident}
        case Conflict():
            return _of_conflict(error)
        case Forbidden() if error.scope is not None:
            return {"requiredScope": PublicScope.of(error.scope).name}
        case QuotaExceeded():
            limits = {"quota": error.quota, "limit": error.limit}
            return {**limits, **_again(error.retry_after_s)}
        case ProviderUnavailable():
            return {"provider": error.provider, **_again(error.retry_after_s)}
        case Unavailable():
            return _again(AGAIN_S)
        case _:
            return {}


def _of_conflict(error: Conflict) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if error.current_version is not None:
        found["currentVersion"] = error.current_version
    if error.conflicting is not None:
        there = error.conflicting
        ident = encode_id(kind_named(there.kind), there.id)
        found["conflicting"] = {"type": there.kind, "id": ident}
    return found


def _again(seconds: int | None) -> dict[str, Any]:
    return {} if seconds is None else {"retryAfterSeconds": seconds}


def _headers(error: GobError) -> HeaderList:
    match error:
        case Unauthenticated():
            return [(b"www-authenticate", b"Bearer")]
        case QuotaExceeded() | ProviderUnavailable() if error.retry_after_s is not None:
            return [(b"retry-after", str(error.retry_after_s).encode())]
        case Unavailable():
            return [(b"retry-after", str(AGAIN_S).encode())]
        case _:
            return []
