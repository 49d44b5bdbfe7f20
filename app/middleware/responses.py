"""Small answers in JSON, sent without a framework; the shape that every door's errors share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.types import Scope, Send

from app.middleware.problems import PROBLEM_MEDIA, is_rest, problem_json
from app.middleware.tracing import trace_of

HeaderList = list[tuple[bytes, bytes]]


def header(scope: Scope, name: bytes) -> str | None:
    """Return the first header of that lower-case name."""
    for key, value in scope["headers"]:
        if key == name:
            return value.decode("latin-1")
    return None


def headers(scope: Scope, name: bytes) -> list[str]:
    """Return all headers of that lower-case name."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


async def send_body(
    send: Send,
    status: int,
    body: bytes,
    *,
    media: str,
    extra: Sequence[tuple[bytes, bytes]] = (),
) -> None:
    """Send a whole response."""
    own: HeaderList = [
        (b"content-type", media.encode("latin-1")),
        (b"content-length", str(len(body)).encode()),
        *extra,
    ]
    await send({"type": "http.response.start", "status": status, "headers": own})
    await send({"type": "http.response.body", "body": body})


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a request is not served: a status, a stable code, words, and what belongs to them."""

    status: int
    code: str
    message: str
    extras: Mapping[str, Any] = field(default_factory=dict[str, Any])
    headers: Sequence[tuple[bytes, bytes]] = ()


def refusal_body(scope: Scope, refusal: Refusal) -> tuple[bytes, str]:
    """Encode a refusal, and tell its media type: a problem document where REST is served."""
    if is_rest(scope):
        body = problem_json(
            refusal.code,
            refusal.message,
            instance=scope["path"],
            trace_id=trace_of(scope).trace_id,
            extras=refusal.extras,
        )
        return body, PROBLEM_MEDIA
    error = {"code": refusal.code, "message": refusal.message, **refusal.extras}
    return orjson.dumps({"error": error}), "application/json"


async def refuse(scope: Scope, send: Send, refusal: Refusal) -> None:
    """Refuse a request, or a WebSocket before it is accepted, with an error in JSON."""
    body, media = refusal_body(scope, refusal)
    if scope["type"] == "http":
        await send_body(send, refusal.status, body, media=media, extra=refusal.headers)
        return
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008, "reason": ""})
        return
    own: HeaderList = [
        (b"content-type", media.encode()),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "websocket.http.response.start", "status": refusal.status, "headers": own})
    await send({"type": "websocket.http.response.body", "body": body})
