"""A real server on a free port, in the test's own loop."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp

from app.http_protocol import QuietWebSocketProtocol, TimedHttpProtocol


@asynccontextmanager
async def serving(app: ASGIApp, **options: object) -> AsyncIterator[str]:
    """Serve an app on loopback; gives `127.0.0.1:PORT`."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    settings: dict[str, object] = {
        "http": TimedHttpProtocol,
        "ws": QuietWebSocketProtocol,
        "ws_max_size": 1 << 20,
        "log_config": None,
        "lifespan": "off",
        "timeout_graceful_shutdown": 1,
        **options,
    }
    server = uvicorn.Server(uvicorn.Config(app, **settings))  # type: ignore[arg-type]
    started = asyncio.Event()
    startup = server.startup

    async def startup_then_tell(sockets: list[socket.socket] | None = None) -> None:
        await startup(sockets)
        started.set()

    server.startup = startup_then_tell  # type: ignore[method-assign]
    task = asyncio.create_task(server.serve(sockets=[listener]))
    await started.wait()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
