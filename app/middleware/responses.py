"""Small answers in JSON, sent without a framework; the shape that every door's errors share."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from starlette.types import Scope, Send

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


def error_json(code: str, message: str, extras: Mapping[str, Any] | None = None) -> bytes:
    """Encode an error of the edge: `{"error": {"code", "message", ...}}`."""
    return orjson.dumps({"error": {"code": code, "message": message, **(extras or {})}})


async def refuse(scope: Scope, send: Send, status: int, body: bytes) -> None:
    """Refuse a request, or a WebSocket before it is accepted, with an error in JSON."""
    if scope["type"] == "http":
        await send_body(send, status, body, media="application/json")
        return
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008, "reason": ""})
        return
    own = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "websocket.http.response.start", "status": status, "headers": own})
    await send({"type": "websocket.http.response.body", "body": body})
