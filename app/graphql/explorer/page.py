"""The page a browser gets at `/graphql`, and the files it loads."""

import asyncio
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

from starlette.types import Receive, Scope, Send

from app.graphql.tokens import COOKIE
from app.middleware.origins import is_loopback_name
from app.middleware.responses import HeaderList, Refusal, header, refuse, send_body

ExplorerCookie = Callable[[Scope], str | None]
"""Gives the value with which the explorer opens on this machine, None where it must not."""

STATIC = Path(__file__).parent / "static"
_MEDIA = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
}
_IMMUTABLE = b"public, max-age=31536000, immutable"
_PROXIED = (b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"via")


class ExplorerPage:
    """Answers a browser with GraphiQL; on loopback it opens without a key being pasted."""

    def __init__(self, cookie: ExplorerCookie | None = None, *, folder: Path = STATIC) -> None:
        self._cookie = cookie
        self._file = folder / "index.html"

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Send the page."""
        body = await asyncio.to_thread(self._file.read_bytes)
        extra: HeaderList = [(b"content-security-policy", _policy(scope)), (b"vary", b"Accept")]
        value = self._cookie(scope) if self._cookie is not None and _is_loopback(scope) else None
        if value is not None:
            cookie = f"{COOKIE}={value}; Path=/graphql; HttpOnly; SameSite=Strict"
            extra.append((b"set-cookie", cookie.encode("latin-1")))
        await send_body(send, 200, body, media="text/html; charset=utf-8", extra=extra)


class ExplorerAssets:
    """Serves the bundle; its file names change with their content, so caches keep them."""

    def __init__(self, *, folder: Path = STATIC) -> None:
        self._folder = folder

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Send one file, or 304 where the client has it."""
        name = scope["path_params"]["name"]
        file = self._folder / Path(name).name
        media = _MEDIA.get(file.suffix)
        if media is None or not await asyncio.to_thread(file.is_file):
            message = f"The explorer has no file {name[:100]!r}."
            await refuse(scope, send, Refusal(status=404, code="NOT_FOUND", message=message))
            return
        tag = f'"{file.name}"'
        extra: HeaderList = [(b"cache-control", _IMMUTABLE), (b"etag", tag.encode())]
        if header(scope, b"if-none-match") == tag:
            await send({"type": "http.response.start", "status": 304, "headers": extra})
            await send({"type": "http.response.body", "body": b""})
            return
        body = await asyncio.to_thread(file.read_bytes)
        await send_body(send, 200, body, media=media, extra=extra)


def _policy(scope: Scope) -> bytes:
    """Allow this page its own script, styles and socket, and nothing else."""
    host = header(scope, b"host") or ""
    sockets = f" ws://{host} wss://{host}" if host else ""
    return (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
        f"img-src 'self' data:; font-src 'self'; connect-src 'self'{sockets}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ).encode("latin-1")


def _is_loopback(scope: Scope) -> bool:
    """Tell whether browser and server are one machine with no proxy between them."""
    client = scope.get("client")
    if client is None or any(header(scope, name) is not None for name in _PROXIED):
        return False
    try:
        address = ip_address(client[0])
    except ValueError:
        return False
    return address.is_loopback and is_loopback_name(header(scope, b"host") or "")
