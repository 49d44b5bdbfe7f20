"""Starts the processes: the API, the API that starts again on each change, the worker."""

import asyncio
import errno
import multiprocessing
import signal
import socket
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from functools import partial
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import structlog
import uvicorn
import uvloop
from uvicorn.supervisors import ChangeReload

from app.cli.box import print_box
from app.container import Role, open_container
from app.failures import StartRefused, explain
from app.http_protocol import QuietWebSocketProtocol, TimedHttpProtocol
from app.logging import configure_logging
from app.settings import Settings, load_settings
from domain.kernel.redaction import Redactor

BACKLOG = 2048
DRAIN_S = 5
"""Longest wait for open requests once the server is told to stop."""
WATCHED = ("app", "schema", "resolvers", "domain", "workers")
LARGEST_FRAME_BYTES = 1 << 20

log = structlog.get_logger("app.server")


def serve(settings: Settings, *, reload: bool) -> None:
    """Serve until told to stop. Raises OSError when the address cannot be taken."""
    listening = _bind(settings)
    if not reload:
        _logging(settings)
        return _run(lambda: _serve(settings, listening))
    root = Path(__file__).resolve().parent.parent
    config = uvicorn.Config(
        "app.main:create_app",
        log_config=None,
        reload=True,
        reload_dirs=[str(root / name) for name in WATCHED],
    )
    _logging(settings)
    announced = multiprocessing.get_context("spawn").Event()
    target = partial(_serve_again, announced)
    return ChangeReload(config, target=target, sockets=[listening]).run()


def work(settings: Settings) -> None:
    """Work on runs and jobs until told to stop."""
    _logging(settings)
    _run(lambda: _work(settings))


def _run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    uvloop.run(main())


def _logging(settings: Settings) -> None:
    redactor = Redactor()
    for secret in settings.secret_values():
        redactor.register(secret)
    configure_logging(settings.log_level, settings.log_format, redactor=redactor)


def _serve_again(announced: Event, sockets: list[socket.socket] | None) -> None:
    """One life between two changes; a mistake in the code is said, and the next change tries.

    The box is printed by the first life only.
    """
    try:
        settings = load_settings()
        _logging(settings)
        _run(lambda: _serve(settings, (sockets or [])[0], announced))
    except Exception as error:  # the edge of a reloaded life; unforeseen ones go on
        sentence = explain(error)
        if sentence is None:
            raise
        log.error("server.not_started", reason=sentence)  # noqa: TRY400 - a sentence, no traceback


def _bind(settings: Settings) -> socket.socket:
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


async def _serve(
    settings: Settings, listening: socket.socket, announced: Event | None = None
) -> None:
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
            timeout_graceful_shutdown=DRAIN_S,
            access_log=False,
        )
        port = listening.getsockname()[1]
        host = "localhost" if not settings.is_public_bind else settings.host
        address = f"http://{host}:{port}"
        log.info("server.started", address=address, role=role)
        key_path = None if settings.is_public_bind else settings.api_key_file

        def announce() -> None:
            if announced is None or not announced.is_set():
                print_box(address, key_path=key_path)
            if announced is not None:
                announced.set()

        server = _Server(config, announce)
        await server.serve(sockets=[listening])
        log.info("server.stopping")


async def _work(settings: Settings) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    async with open_container(settings, Role.WORKER):
        log.info("worker.started", capacity=settings.run_capacity)
        await stopping.wait()
        log.info("worker.stopping")
