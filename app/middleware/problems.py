"""Problem documents (RFC 9457): what REST clients hear when something is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson
from starlette.types import Scope

REST_ROOT = "/api/v1"
PROBLEM_PAGE = f"{REST_ROOT}/problems"
PROBLEM_MEDIA = "application/problem+json"
_PATH_LETTERS = "/:@!$&'()*+,;=-._~"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemKind:
    """One kind of problem: its status, its name for people, and what to do about it."""

    status: int
    title: str
    meaning: str
    cure: str


PROBLEM_KINDS: Mapping[str, ProblemKind] = {
    "BAD_REQUEST": ProblemKind(
        status=400,
        title="Bad request",
        meaning="The body is not JSON in UTF-8, or there is none where one is needed.",
        cure="Send one JSON object; `detail` says at which line and column reading stopped.",
    ),
    "HOST_NOT_ALLOWED": ProblemKind(
        status=400,
        title="Host not allowed",
        meaning="The `Host` header names a host that this server does not answer to.",
        cure="Add the name to `ALLOWED_HOSTS` where the server is set up.",
    ),
    "UNAUTHENTICATED": ProblemKind(
        status=401,
        title="No usable key",
        meaning="No API key came with the request, or it is unknown, expired or revoked.",
        cure="Send `Authorization: Bearer KEY`; `detail` says where to find a key.",
    ),
    "FORBIDDEN": ProblemKind(
        status=403,
        title="Not allowed",
        meaning="The API key lacks a scope, or a rule forbids this.",
        cure="Use a key with the scope in `requiredScope`.",
    ),
    "ORIGIN_NOT_ALLOWED": ProblemKind(
        status=403,
        title="Origin not allowed",
        meaning="A page of an origin that is not listed sent the request.",
        cure="Add the origin to `ALLOW_ORIGINS` where the server is set up.",
    ),
    "NOT_FOUND": ProblemKind(
        status=404,
        title="Not found",
        meaning="There is nothing at this path, or no visible object has this id or slug.",
        cure="Look at `fields` for the value that names nothing.",
    ),
    "METHOD_NOT_ALLOWED": ProblemKind(
        status=405,
        title="Method not allowed",
        meaning="The path exists and does not take this method.",
        cure="Use one of the methods in the `Allow` header.",
    ),
    "NOT_ACCEPTABLE": ProblemKind(
        status=406,
        title="Not acceptable",
        meaning="The `Accept` header rules out everything that this path answers with.",
        cure="Accept one of the media types in `detail`.",
    ),
    "BODY_TIMEOUT": ProblemKind(
        status=408,
        title="Body too slow",
        meaning="The body stopped coming before it was complete.",
        cure="Send the request again.",
    ),
    "INVALID_STATE": ProblemKind(
        status=409,
        title="Conflict with the present state",
        meaning="The object's state does not allow this, such as cancelling a run that ended.",
        cure="Read the object again and decide anew.",
    ),
    "VERSION_MISMATCH": ProblemKind(
        status=409,
        title="Changed in between",
        meaning="The object changed since the `expectedVersion` was read.",
        cure="Read it again; `currentVersion` is its version now.",
    ),
    "NAME_TAKEN": ProblemKind(
        status=409,
        title="Name taken",
        meaning="Another object already has this name or slug.",
        cure="Choose another one.",
    ),
    "CONVERSATION_BUSY": ProblemKind(
        status=409,
        title="Conversation busy",
        meaning="The conversation already has an active run.",
        cure="Wait for the end of the run in `conflicting`, or cancel it.",
    ),
    "IDEMPOTENCY_MISMATCH": ProblemKind(
        status=409,
        title="Idempotency key used before",
        meaning="The key came with a different input in the last 24 hours.",
        cure="Use a new key for a new request.",
    ),
    "BODY_TOO_LARGE": ProblemKind(
        status=413,
        title="Body too large",
        meaning="A body may have 1 MiB at most.",
        cure="Send less; large contents belong in files of the workspace.",
    ),
    "UNSUPPORTED_MEDIA_TYPE": ProblemKind(
        status=415,
        title="Unsupported media type",
        meaning="The body is declared as something other than JSON in UTF-8.",
        cure="Send `Content-Type: application/json`.",
    ),
    "VALIDATION_FAILED": ProblemKind(
        status=422,
        title="Invalid values",
        meaning="One or more values are not acceptable. Nothing was changed.",
        cure="`fields` names each value and says what would be right.",
    ),
    "BAD_CURSOR": ProblemKind(
        status=422,
        title="Unknown cursor",
        meaning="The cursor was never given out by this list or workspace.",
        cure="Send a cursor as it came, or none to begin at the start.",
    ),
    "QUOTA_EXCEEDED": ProblemKind(
        status=429,
        title="Limit reached",
        meaning="A limit, budget or stored-object cap is reached.",
        cure="`quota` and `limit` name it; `retryAfterSeconds` says when a retry can succeed.",
    ),
    "RATE_LIMITED": ProblemKind(
        status=429,
        title="Too many requests",
        meaning="Requests came faster than allowed.",
        cure="Wait as long as the `Retry-After` header says.",
    ),
    "INTERNAL": ProblemKind(
        status=500,
        title="Server fault",
        meaning="Something went wrong on the server; the details are in its log.",
        cure="Quote the `traceId` when asking about it.",
    ),
    "PROVIDER_UNAVAILABLE": ProblemKind(
        status=503,
        title="Outside service unavailable",
        meaning="A model or another outside service cannot be used now.",
        cure="`provider` names it; look at its settings, or try again later.",
    ),
    "UNAVAILABLE": ProblemKind(
        status=503,
        title="Server part unavailable",
        meaning="A part of the server itself, such as its database, cannot be reached.",
        cure="Try again as the `Retry-After` header says.",
    ),
}
"""Every kind of problem by its `code`."""


def type_of(code: str) -> str:
    """Return the reference that names a kind: a section of the page about problems."""
    return f"{PROBLEM_PAGE}#{code.lower().replace('_', '-')}"


def is_rest(scope: Scope) -> bool:
    """Tell whether a request goes to the REST door."""
    path: str = scope["path"]
    return path == REST_ROOT or path.startswith(f"{REST_ROOT}/")


def problem_json(
    code: str,
    detail: str,
    *,
    instance: str,
    trace_id: str,
    extras: Mapping[str, Any] | None = None,
) -> bytes:
    """Encode a problem document; `instance` is the path of the request, decoded."""
    kind = PROBLEM_KINDS[code]
    document = {
        "type": type_of(code),
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "instance": quote(instance, safe=_PATH_LETTERS),
        "code": code,
        "traceId": trace_id,
        **(extras or {}),
    }
    return orjson.dumps(document)
