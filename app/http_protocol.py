"""Uvicorn's protocols with what they lack against half-sent and malformed input.

Pass them to uvicorn: `Config(app, http=TimedHttpProtocol, ws=QuietWebSocketProtocol,
ws_max_size=1 << 20)`.
"""

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

HEADER_TIMEOUT_S = 10.0


class TimedHttpProtocol(HttpToolsProtocol):
    """Closes a connection whose request headers are not complete within the timeout.

    The time runs from the connection for its first request, and from the first byte for later
    ones; in between uvicorn's keep-alive timeout holds.
    """

    header_timeout_s = HEADER_TIMEOUT_S

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._overdue: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Start the clock of the first request."""
        super().connection_made(transport)
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop_clock()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Start the clock of a request."""
        super().on_message_begin()
        self._start_clock()

    def on_headers_complete(self) -> None:
        """Stop the clock: bodies have a timeout of their own."""
        self._stop_clock()
        super().on_headers_complete()

    def _start_clock(self) -> None:
        self._stop_clock()
        self._overdue = self.loop.call_later(self.header_timeout_s, self._close_overdue)

    def _stop_clock(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

    def _close_overdue(self) -> None:
        self._overdue = None
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\r\n")
            self.transport.close()


class QuietWebSocketProtocol(WebSocketsSansIOProtocol):
    """Refuses text that is no UTF-8 without a traceback; drops a client that reads nothing."""

    def send_receive_event_to_app(self) -> None:
        """Refuse a text message that is no UTF-8 (RFC 6455, section 8.1)."""
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.send_close(1007, "invalid UTF-8")
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    async def send(self, message: Any) -> None:
        """Send; a refusal over HTTP ends the handshake too, which uvicorn logs as an error."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            self.handshake_complete = True

    async def run_asgi(self) -> None:
        """Serve the socket; what a client did not read by then is thrown away with it."""
        await super().run_asgi()
        if not self.writable.is_set():
            self.transport.abort()
