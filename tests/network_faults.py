"""A wire to a server that a test can cut, or stop without a word."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class Wire:
    """Forwards connections of loopback to a server of loopback."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._silent = False
        self._ends: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()

    def fall_silent(self) -> None:
        """Forward nothing more and close nothing, as a network that swallows packets."""
        self._silent = True

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Join a caller with the server."""
        self._ends.add(writer)
        if self._silent:
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._to)
        self._ends.add(back)
        for source, sink in ((reader, back), (there, writer)):
            pump = asyncio.create_task(self._pump(source, sink))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while part := await source.read(65536):
                if self._silent:
                    return
                sink.write(part)
                await sink.drain()
            if not self._silent:
                sink.close()

    async def close(self) -> None:
        """Cut every connection."""
        for pump in tuple(self._pumps):
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        for end in self._ends:
            end.transport.abort()


@asynccontextmanager
async def wire_to(url: str) -> AsyncGenerator[tuple[Wire, str], None]:
    """Yield a wire to the server of an address, and the address of its near end."""
    place = urlsplit(url)
    assert place.port is not None
    wire = Wire(place.port)
    server = await asyncio.start_server(wire.take, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield wire, url.replace(f":{place.port}/", f":{port}/")
    finally:
        server.close()
        await wire.close()
