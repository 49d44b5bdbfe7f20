"""What the errors of pydantic-ai and of the packages beneath it mean to us."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import orjson
from pydantic_ai.exceptions import (
    ContentFilterError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelContextWindowExceededError,
    ModelHTTPError,
    ModelQuotaExceededError,
    ModelRateLimitError,
    ModelRequestRejectedError,
    ModelServerError,
    ModelTimeoutError,
    ModelUnavailableError,
    UserError,
)

from app.adapters.model_http import ErrorWords
from domain.models.ports import ModelError, ModelErrorKind

UNFINISHED = "ended its answer without a finish reason."
_KINDS: Sequence[tuple[type[Exception], ModelErrorKind]] = (
    (ModelRateLimitError, ModelErrorKind.RATE_LIMITED),
    (ModelQuotaExceededError, ModelErrorKind.REJECTED),
    (ModelUnavailableError, ModelErrorKind.UNAVAILABLE),
    (ModelServerError, ModelErrorKind.UNAVAILABLE),
    (ModelAuthenticationError, ModelErrorKind.UNAUTHORIZED),
    (ModelContextWindowExceededError, ModelErrorKind.CONTEXT_TOO_LONG),
    (ModelRequestRejectedError, ModelErrorKind.REJECTED),
    (ContentFilterError, ModelErrorKind.REFUSED),
    (UserError, ModelErrorKind.REJECTED),
)
"""The first that fits counts: some classes are kinds of others."""


def error_of(error: Exception, words: ErrorWords, *, address: str, has_yielded: bool) -> ModelError:
    """The error in our terms; `has_yielded` tells whether a part of the answer was passed on."""
    if isinstance(error, ModelConnectionError):
        return _of_connection(error, words, address=address, has_yielded=has_yielded)
    if isinstance(error, ModelHTTPError) or (isinstance(error, ModelAPIError) and error.in_stream):
        return _of_provider(error, words)
    status = getattr(error.__cause__, "status_code", None)
    if isinstance(status, int) and 300 <= status < 400:
        message = f"answered with a redirect (HTTP {status}), which is not followed."
        return words.error(ModelErrorKind.REJECTED, message, status=status)
    kind = _kind_of(error)
    if kind is not None:
        return words.error(kind, f"cannot be asked: {error}")
    why = str(error) or type(error).__name__
    if "without a `finish_reason`" in why:
        return words.error(ModelErrorKind.BAD_RESPONSE, UNFINISHED)
    message = f"sent an answer that makes no sense: {why}"
    return words.error(ModelErrorKind.BAD_RESPONSE, message)


def _kind_of(error: Exception) -> ModelErrorKind | None:
    return next((ours for theirs, ours in _KINDS if isinstance(error, theirs)), None)


def _of_provider(error: ModelAPIError, words: ErrorWords) -> ModelError:
    """An error that the provider itself reported, by a status or inside its stream."""
    status = error.status_code if isinstance(error, ModelHTTPError) else None
    kind = _kind_of(error) or _kind_of_status(status, error.provider_error_type)
    began = "broke off with an error" if error.in_stream else f"answered HTTP {status}"
    message = f"{began}: {_said(error.body) or error.message}"
    return words.error(kind, message, status=status, wait_s=error.retry_after)


def _kind_of_status(status: int | None, named: str | None) -> ModelErrorKind:
    if named == "invalid_request_error":
        return ModelErrorKind.REJECTED
    if status is None or status == 408 or status >= 500:
        return ModelErrorKind.UNAVAILABLE
    return ModelErrorKind.REJECTED


def _of_connection(
    error: ModelConnectionError, words: ErrorWords, *, address: str, has_yielded: bool
) -> ModelError:
    why = _root(error)
    if error.phase in ("connect", "pool"):
        return words.error(ModelErrorKind.UNAVAILABLE, f"cannot be reached at {address}: {why}")
    if isinstance(error, ModelTimeoutError):
        return words.error(ModelErrorKind.TIMEOUT, f"took too long: {why}")
    kind = ModelErrorKind.BAD_RESPONSE if has_yielded else ModelErrorKind.UNAVAILABLE
    return words.error(kind, f"cut the connection before its answer was whole: {why}")


def _root(error: BaseException) -> str:
    """What the deepest error says; those above it only say that something failed."""
    said = str(error)
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
        said = str(error) or said
    return said


def _said(body: object) -> str:
    """The provider's message in an error's body, wherever its wire puts it."""
    if isinstance(body, str):
        try:
            body = orjson.loads(body)
        except orjson.JSONDecodeError:
            return str(body)
    if isinstance(body, list) and body:
        body = cast("list[object]", body)[0]
    if not isinstance(body, Mapping):
        return ""
    fields = cast("Mapping[str, Any]", body)
    inner: object = fields.get("error")
    if isinstance(inner, Mapping):
        fields = cast("Mapping[str, Any]", inner)
    elif isinstance(inner, str):
        return inner
    return str(fields.get("message") or fields.get("detail") or fields)
