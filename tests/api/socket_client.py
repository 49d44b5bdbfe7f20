"""A client of the sample app that speaks graphql-transport-ws over a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from app.graphql.door import DoorOptions
from app.graphql.sockets import SocketLimits
from tests.api.sample_app import make_app
from tests.api.sample_schema import Seen
from tests.api.servers import serving

PROTOCOL = "graphql-transport-ws"


@asynccontextmanager
async def dialed(
    seen: Seen | None = None,
    *,
    limits: SocketLimits | None = None,
    protocols: tuple[str, ...] = (PROTOCOL,),
    headers: dict[str, str] | None = None,
) -> AsyncIterator[ClientConnection]:
    """Serve the sample app and open a socket to it."""
    options = DoorOptions(socket_limits=limits or SocketLimits())
    async with (
        serving(make_app(seen, options=options)) as address,
        connect(
            f"ws://{address}/graphql",
            subprotocols=protocols,  # type: ignore[arg-type]
            additional_headers=headers,
        ) as socket,
    ):
        yield socket


@asynccontextmanager
async def greeted(seen: Seen | None = None, **options: Any) -> AsyncIterator[ClientConnection]:
    """The same, with the greeting exchanged."""
    async with dialed(seen, **options) as socket:
        await say(socket, type="connection_init")
        assert await heard(socket) == {"type": "connection_ack"}
        yield socket


async def say(socket: ClientConnection, **message: Any) -> None:
    """Send one message."""
    await socket.send(json.dumps(message))


async def subscribe(socket: ClientConnection, ident: str, query: str, **payload: Any) -> None:
    """Ask for an operation."""
    await say(socket, id=ident, type="subscribe", payload={"query": query, **payload})


async def heard(socket: ClientConnection) -> dict[str, Any]:
    """Wait for the next message."""
    async with asyncio.timeout(5):
        frame = await socket.recv()
    assert isinstance(frame, str)
    return json.loads(frame)


async def closing(socket: ClientConnection) -> tuple[int, str]:
    """Wait until the server closes the socket; gives its code and reason."""
    async with asyncio.timeout(5):
        with pytest.raises(ConnectionClosed) as caught:
            _ = [await socket.recv() for _ in range(1000)]
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code, caught.value.rcvd.reason
