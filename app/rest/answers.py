"""What an endpoint answers: a document, nothing, or a stream of events."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import parse_qsl, quote, urlencode

from starlette.types import Receive, Scope, Send

from app.documents.base import Document
from app.middleware.problems import REST_ROOT
from app.middleware.responses import HeaderList, send_body
from app.sse import EVENT_STREAM, send_frames
from domain.kernel.paging import Page

JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer."""

    status: int
    body: bytes = b""
    media: str = JSON
    headers: HeaderList

    @classmethod
    def of(cls, document: Document, *, status: int = 200, location: str | None = None) -> Self:
        """Answer with a document; `location` is the path of what was made or accepted."""
        found: HeaderList = []
        if location is not None:
            found.append((b"location", location.encode()))
        return cls(status=status, body=document.json_bytes(), headers=found)

    @classmethod
    def empty(cls) -> Self:
        """Answer that there is nothing to send."""
        return cls(status=204, headers=[])

    async def send(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it; HEAD gets the same without the body."""
        if self.status == 204:
            await send({"type": "http.response.start", "status": 204, "headers": self.headers})
            await send({"type": "http.response.body", "body": b""})
            return
        if scope["method"] == "HEAD":
            await _head(send, self.status, f"{self.media}", [*self.headers, *_length(self.body)])
            return
        await send_body(send, self.status, self.body, media=self.media, extra=self.headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventStream:
    """Server-sent events, each frame a block of lines."""

    frames: AsyncGenerator[str, None]
    headers: HeaderList

    async def send(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the frames as they come, until their end or the client's."""
        if scope["method"] == "HEAD":
            await self.frames.aclose()
            await _head(send, 200, EVENT_STREAM, self.headers)
            return
        await send_frames(self.frames, receive, send, headers=self.headers)


Outcome = Answer | EventStream


def path_to(*steps: str) -> str:
    """Return the path of a resource, such as `/api/v1/runs/run_...`."""
    return "/".join([REST_ROOT, *(quote(step, safe="") for step in steps)])


def replayed_header() -> tuple[bytes, bytes]:
    """Tell that the request had been done before and nothing new was started."""
    return b"idempotent-replayed", b"true"


def next_page(scope: Scope, page: Page[Any]) -> HeaderList:
    """Lead on to the next page (RFC 8288); nothing after the last."""
    if not page.has_next:
        return []
    asked = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    kept = [(name, value) for name, value in asked if name != "after"]
    query = urlencode([*kept, ("after", page.cursors[-1])])
    return [(b"link", f'<{scope["path"]}?{query}>; rel="next"'.encode())]


def _length(body: bytes) -> HeaderList:
    return [(b"content-length", str(len(body)).encode())]


async def _head(send: Send, status: int, media: str, own: HeaderList) -> None:
    headers: HeaderList = [(b"content-type", media.encode()), *own]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
