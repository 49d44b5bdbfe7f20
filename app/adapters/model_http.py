"""What all model wires over HTTP share: time limits, retries, event lines, errors."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from random import random as random_fraction
from typing import Any, cast

import httpx
import orjson

from domain.kernel.redaction import MIN_SECRET_LENGTH
from domain.models.ports import ModelError, ModelErrorKind, RetryScheduled

MESSAGE_LIMIT = 300
LINE_LIMIT_BYTES = 8 * 1024 * 1024
ERROR_BODY_LIMIT_BYTES = 64 * 1024
ANSWER_LIMIT_BYTES = 256 * 1024 * 1024
"""Most bytes of a stream; no model writes as much, and each of its tokens takes hundreds."""

_TOO_LONG_WORDS = re.compile(
    r"context[_ ](length|window|size)|maximum context|prompt is too long|too many (input )?tokens"
    r"|exceeds? (the )?context limit|input token count|maximum prompt length|input is too long",
    re.IGNORECASE,
)
_STATUS = re.compile(r"[1-5]\d\d", re.ASCII)
_ERROR_KINDS = {
    "context_length_exceeded": ModelErrorKind.CONTEXT_TOO_LONG,
    "rate_limit_exceeded": ModelErrorKind.RATE_LIMITED,
    "rate_limit_error": ModelErrorKind.RATE_LIMITED,
    "invalid_api_key": ModelErrorKind.UNAUTHORIZED,
    "authentication_error": ModelErrorKind.UNAUTHORIZED,
    "insufficient_quota": ModelErrorKind.REJECTED,
    "content_filter": ModelErrorKind.REFUSED,
    "content_policy_violation": ModelErrorKind.REFUSED,
    "invalid_request_error": ModelErrorKind.REJECTED,
    "permission_error": ModelErrorKind.UNAUTHORIZED,
    "billing_error": ModelErrorKind.REJECTED,
    "not_found_error": ModelErrorKind.REJECTED,
    "request_too_large": ModelErrorKind.CONTEXT_TOO_LONG,
    "server_error": ModelErrorKind.UNAVAILABLE,
    "api_error": ModelErrorKind.UNAVAILABLE,
    "timeout_error": ModelErrorKind.TIMEOUT,
    "overloaded_error": ModelErrorKind.UNAVAILABLE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTimeouts:
    """How long a model may take; `total_s` bounds all attempts and the waits between them."""

    connect_s: float = 10.0
    first_token_s: float = 120.0
    idle_s: float = 60.0
    total_s: float = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often a request goes out, and how long to wait in between.

    The wait doubles from `base_s` up to `cap_s` and loses up to half of itself by chance. A
    provider's own wish (Retry-After) goes before it, up to `retry_after_cap_s`.
    """

    max_attempts: int = 3
    base_s: float = 0.5
    cap_s: float = 8.0
    retry_after_cap_s: float = 60.0
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Callable[[], float] = random_fraction

    def delay_s(self, *, failures: int, retry_after_s: float | None) -> float:
        """Seconds to wait after the given number of failures."""
        if retry_after_s is not None:
            return min(retry_after_s, self.retry_after_cap_s)
        whole = min(self.cap_s, self.base_s * 2.0 ** (failures - 1))
        return whole * (1.0 - self.random() / 2.0)

    def next_try(self, error: ModelError, *, failures: int, total_by: float) -> RetryScheduled:
        """When the next attempt is due; raises the error itself if there is no room for one.

        `total_by` is a time of the running loop.
        """
        delay_s = self.delay_s(failures=failures, retry_after_s=error.retry_after_s)
        is_too_late = asyncio.get_running_loop().time() + delay_s >= total_by
        if failures >= self.max_attempts or is_too_late:
            raise error
        return RetryScheduled(attempt=failures + 1, delay_s=delay_s, error=error)


class JsonLines:
    """Cuts a stream of bytes into its lines, each of which is a payload."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Payloads that are whole now, in order."""
        lines = (self._rest + chunk if self._rest else chunk).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > LINE_LIMIT_BYTES:
            message = f"A line of the stream is longer than {LINE_LIMIT_BYTES:,} bytes."
            raise ModelError(ModelErrorKind.BAD_RESPONSE, message)
        return self._payloads(lines)

    def _payloads(self, lines: list[bytes]) -> list[bytes]:
        return [payload for line in lines if (payload := line.strip())]

    def flush(self) -> list[bytes]:
        """The last payload of a stream that ended without a line break."""
        return self.feed(b"\n")


class EventLines(JsonLines):
    """Cuts a stream of bytes into the payloads of its `data:` lines.

    Server-sent events may spread a payload over several lines; no model provider does, and many
    leave out the blank line between events, so each line is a payload of its own.
    """

    def _payloads(self, lines: list[bytes]) -> list[bytes]:
        # Some servers write an error into their stream as it is.
        return [
            payload
            for line in lines
            if (line.startswith(b"data:") and (payload := line[5:].strip()))
            or (line.startswith(b'{"error"') and (payload := line.strip()))
        ]


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that the provider asks to wait (RFC 9110, section 10.2.3).

    A date is measured against the response's own Date, so that our clock plays no part.
    """
    if re.fullmatch(r"\d{1,12}", millis := headers.get("retry-after-ms", "")):
        return int(millis) / 1000
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", value):
        return float(value)
    try:
        wanted = parsedate_to_datetime(value)
        return max(0.0, (wanted - parsedate_to_datetime(headers.get("date", ""))).total_seconds())
    except (ValueError, TypeError):
        return None


class ErrorWords:
    """Turns what a provider says about a failure into a ModelError, never with the key in it."""

    def __init__(self, provider: str, *, api_key: str | None) -> None:
        self.provider = provider
        self._api_key = api_key

    def error(
        self,
        kind: ModelErrorKind,
        message: str,
        *,
        status: int | None = None,
        wait_s: float | None = None,
    ) -> ModelError:
        """An error in our words, with the provider's name in front."""
        text = self.clean(f"{self.provider} {message}")
        return ModelError(kind, text, status=status, retry_after_s=wait_s)

    def of_response(self, response: httpx.Response, body: bytes) -> ModelError:
        """The error that an HTTP status other than success stands for."""
        status = response.status_code
        if 300 <= status < 400:
            message = f"answered with a redirect (HTTP {status}), which is not followed."
            return self.error(ModelErrorKind.REJECTED, message, status=status)
        said, codes = _said(body)
        kind = _kind_of(status, codes=codes, said=said)
        message = f"answered HTTP {status}: {said or response.reason_phrase}"
        return self.error(kind, message, status=status, wait_s=retry_after_s(response.headers))

    def of_object(self, error: object, *, told: str = "broke off with an error") -> ModelError:
        """The error that came as an object inside a stream."""
        said, codes = _said(orjson.dumps({"error": error}))
        status = next((int(code) for code in codes if _STATUS.fullmatch(code)), None)
        kind = _kind_of(status, codes=codes, said=said)
        return self.error(kind, f"{told}: {said}", status=status)

    def of_success(self, kind: str, body: bytes) -> ModelError:
        """What it means that something of this kind came instead of a stream."""
        try:
            answer = _first_object(orjson.loads(body)) or {}
        except orjson.JSONDecodeError:
            answer = {}
        if error := answer.get("error"):
            return self.of_object(error, told="answered with an error")
        message = f"answered {kind} instead of an event stream; is the base URL right?"
        return self.error(ModelErrorKind.BAD_RESPONSE, message)

    @staticmethod
    def with_cure(error: ModelError, cure: str) -> ModelError:
        """The error, and what a person can do about it."""
        return ModelError(
            error.kind,
            f"{error.message.rstrip('.')}. {cure}",
            status=error.status,
            retry_after_s=error.retry_after_s,
        )

    def clean(self, text: str) -> str:
        """One line without the key, at most 300 characters; a key as short as `x` is no secret."""
        if self._api_key and len(self._api_key) >= MIN_SECRET_LENGTH:
            text = text.replace(self._api_key, "[key]")
        text = " ".join(text.split())
        return text if len(text) <= MESSAGE_LIMIT else f"{text[: MESSAGE_LIMIT - 3]}..."


def _said(body: bytes) -> tuple[str, list[str]]:
    """The provider's message, and the codes and types it gave."""
    try:
        answer: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode("utf-8", "replace"), []
    error = _first_object(answer)
    if error is None:
        return str(answer), []
    error = _first_object(error.get("error")) or error
    said = error.get("message") or error.get("error") or error.get("detail") or error
    return str(said), [str(error[key]) for key in ("code", "type") if error.get(key)]


def _first_object(value: object) -> dict[str, Any] | None:
    if isinstance(value, list) and value:
        value = cast("list[object]", value)[0]
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _kind_of(status: int | None, *, codes: list[str], said: str) -> ModelErrorKind:
    """Codes say more than the status, and both more than the words."""
    for code in codes:
        if code in _ERROR_KINDS and code != "invalid_request_error":
            return _ERROR_KINDS[code]
    if status in (None, 400, 413, 422) and _TOO_LONG_WORDS.search(f"{said} {codes}"):
        return ModelErrorKind.CONTEXT_TOO_LONG
    if status is None:
        rejected = "invalid_request_error" in codes
        return ModelErrorKind.REJECTED if rejected else ModelErrorKind.UNAVAILABLE
    if status == 429:
        return ModelErrorKind.RATE_LIMITED
    if status in (401, 403):
        return ModelErrorKind.UNAUTHORIZED
    if status == 408 or status >= 500:
        return ModelErrorKind.UNAVAILABLE
    return ModelErrorKind.REJECTED
