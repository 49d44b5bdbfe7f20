"""The two kinds of process: the server, and the worker beside it."""

import asyncio
import errno
import signal
import socket
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any

import structlog
import uvicorn
import uvloop

from app.cli.box import print_box
from app.container import Role, open_container
from app.failures import StartRefused
from app.garbage import settle
from app.http_protocol import QuietWebSocketProtocol, TimedHttpProtocol
from app.logging import configure_logging
from app.settings import Settings
from domain.kernel.redaction import Redactor

BACKLOG = 2048
DRAIN_S = 5
"""Longest wait for open requests once the server is told to stop."""
LARGEST_FRAME_BYTES = 1 << 20

Ready = Callable[[], None]
"""Called once the process takes work."""

log = structlog.get_logger("app.server")


def _nobody_waits() -> None:
    """Nothing watches this process."""


def serve(settings: Settings) -> None:
    """Serve until told to stop. Raises OSError when the address cannot be taken."""
    listening = bind(settings)
    send_logs(settings)
    _run(lambda: serve_until_told(settings, listening))


def work(settings: Settings) -> None:
    """Work on runs and jobs until told to stop."""
    send_logs(settings)
    _run(lambda: work_until_told(settings))


def _run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    uvloop.run(main())


def send_logs(settings: Settings, *, process: str | None = None) -> None:
    """Send log lines where the settings say; `process` names it where several share a terminal."""
    redactor = Redactor()
    for secret in settings.secret_values():
        redactor.register(secret)
    configure_logging(settings.log_level, settings.log_format, redactor=redactor, process=process)


def bind(settings: Settings) -> socket.socket:
    """Take the address before anything else, so that a taken port is said at once."""
    found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
    family, kind, protocol, _, address = found[0]
    listening = socket.socket(family, kind, protocol)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
    except OSError as error:
        listening.close()
        if error.errno != errno.EADDRINUSE:
            raise
        raise StartRefused(
            f"Port {settings.port} is taken by another program; stop it, or set PORT to another"
            " one (0 takes any that is free)."
        ) from error
    listening.listen(BACKLOG)
    listening.set_inheritable(True)
    return listening


class _Server(uvicorn.Server):
    """Says how to reach it once it is up."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Stop at a signal, then go on: what the container holds is handed back afterwards."""
        with super().capture_signals():
            yield
            # Uvicorn would raise the signal again, which ends the process on the spot.
            self._captured_signals.clear()


async def serve_until_told(
    settings: Settings,
    listening: socket.socket,
    *,
    ready: Ready = _nobody_waits,
    shows_box: bool = True,
    drain_s: int = DRAIN_S,
) -> None:
    """Serve on the socket until a signal; open requests get `drain_s` to end."""
    from app.main import create_app

    role = Role.EMBEDDED if settings.is_embedded else Role.API
    async with open_container(settings, role) as container:
        app = await create_app(container)
        config = uvicorn.Config(
            app,
            http=TimedHttpProtocol,
            ws=QuietWebSocketProtocol,
            ws_max_size=LARGEST_FRAME_BYTES,
            ws_per_message_deflate=False,
            ws_ping_interval=30,
            log_config=None,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=drain_s,
            access_log=False,
        )
        port = listening.getsockname()[1]
        host = "localhost" if not settings.is_public_bind else settings.host
        address = f"http://{host}:{port}"
        log.info("server.started", address=address, role=role)
        settle()
        key_path = None if settings.is_public_bind else settings.api_key_file

        def announce() -> None:
            if shows_box:
                print_box(address, key_path=key_path)
            ready()

        server = _Server(config, announce)
        await server.serve(sockets=[listening])
        log.info("server.stopping")


async def work_until_told(settings: Settings, *, ready: Ready = _nobody_waits) -> None:
    """Work until a signal; runs under way are handed back, due at once for another process."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    async with open_container(settings, Role.WORKER):
        log.info("worker.started", capacity=settings.run_capacity)
        settle()
        ready()
        await stopping.wait()
        log.info("worker.stopping")
    log.info("worker.stopped")
