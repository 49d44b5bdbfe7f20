"""Development: the server, and with Redis a worker beside it, started again on each change.

A life that does not get up after a change waits for the next one: a mistake in the code is mended
there. A process that ends by itself in any other way ends all, with its name and its exit code:
half a system that looks well costs more than a start.
"""

import asyncio
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event
from pathlib import Path

import structlog
import uvicorn
import uvloop
from uvicorn.supervisors.statreload import StatReload

from app.failures import ProcessDied, explain
from app.server import bind, send_logs, serve_until_told, work_until_told
from app.settings import Settings, load_settings

WATCHED = ("app", "schema", "resolvers", "domain", "workers")
STOP_S = 2.5
"""Longest wait for all processes once told to stop; what is left then is killed, and said."""
DRAIN_S = 1
"""Longest wait of the server for open requests: who sits in front of it does not wait for them."""
EXIT_NOT_STARTED = 2

log = structlog.get_logger("app.supervisor")


@dataclass(frozen=True, slots=True)
class Life:
    """What a process is told at its start; sets `ready` once it takes work."""

    name: str
    sockets: Sequence[socket.socket]
    is_first: bool
    ready: Event


@dataclass(slots=True)
class Member:
    """One of the processes, through all its lives."""

    name: str
    sockets: Sequence[socket.socket] = ()
    lives: int = 0
    life: Life | None = None
    process: SpawnProcess | None = None
    is_missed: bool = False
    """True while its last life did not get up and a change is waited for."""

    def start(self) -> None:
        """Begin the next life."""
        spawn = multiprocessing.get_context("spawn")
        self.life = Life(self.name, self.sockets, self.lives == 0, spawn.Event())
        self.process = spawn.Process(target=live, args=(self.life,), name=self.name)
        # A process that loads would answer Ctrl-C with a traceback: it hears of it by SIGTERM.
        kept = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, kept)
        self.lives, self.is_missed = self.lives + 1, False

    @property
    def pid(self) -> int | None:
        """Its number."""
        return self.process.pid if self.process is not None else None

    @property
    def exit_code(self) -> int | None:
        """Its exit code, negative for a signal; None while it lives."""
        return self.process.exitcode if self.process is not None else None

    @property
    def got_up(self) -> bool:
        """True when its last life got ready."""
        return self.life is not None and self.life.ready.is_set()


def serve_again(settings: Settings) -> None:
    """Serve, with REDIS_URL work too, until told to stop; start again on each change.

    Raises OSError when the address cannot be taken, and ProcessDied.
    """
    listening = bind(settings)
    send_logs(settings, process=None if settings.is_embedded else "watch")
    members = [Member("server", [listening])]
    if not settings.is_embedded:
        members.append(Member("worker"))
    root = Path(__file__).resolve().parent.parent
    config = uvicorn.Config(
        "app.main:create_app",
        log_config=None,
        reload=True,
        reload_dirs=[str(root / name) for name in WATCHED],
    )
    Supervisor(config, members, listening).run()


class Supervisor(StatReload):
    """Watches the code and the processes."""

    def __init__(
        self, config: uvicorn.Config, members: Sequence[Member], listening: socket.socket
    ) -> None:
        super().__init__(config, target=lambda _: None, sockets=[listening])
        self._members = members

    def run(self) -> None:
        """Keep the processes until told to stop. Raises ProcessDied."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.signal_handler)
        try:
            self._start_all()
            for changes in self:
                if changes:
                    log.warning("code.changed", files=[str(path) for path in changes])
                    self._end_all()
                    self._start_all()
                self._look()
        finally:
            self._end_all()
            for listening in self.sockets:
                listening.close()

    def _start_all(self) -> None:
        self.mtimes = {}
        for member in self._members:
            member.start()
            log.info("process.started", name=member.name, pid=member.pid)

    def _end_all(self) -> None:
        """End every process in order, and those that take too long at once."""
        for member in self._members:
            if member.process is not None:
                member.process.terminate()
        deadline = time.monotonic() + STOP_S
        for member in self._members:
            if member.process is None:
                continue
            member.process.join(max(deadline - time.monotonic(), 0.01))
            if member.exit_code is None:
                log.error("process.killed", name=member.name, after_s=STOP_S)
                member.process.kill()
                member.process.join()
            member.process = None

    def _look(self) -> None:
        """Say which process is gone. Raises ProcessDied unless a change of the code may mend it."""
        for member in self._members:
            code = member.exit_code
            if code is None or member.is_missed:
                continue
            log.error("process.died", name=member.name, exit_code=code)
            if member.got_up or member.lives == 1:
                raise ProcessDied(member.name, code, got_up=member.got_up)
            member.is_missed = True
            log.error("process.not_started", name=member.name, cure="mend the code and save it")


def live(life: Life) -> None:
    """One life of a process between two changes; a mistake is said, and the next change tries."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    try:
        settings = load_settings()
        send_logs(settings, process=None if settings.is_embedded else life.name)
        uvloop.run(_live(settings, life))
    except Exception as error:  # the edge of a process; what nobody foresaw goes on
        sentence = explain(error)
        if sentence is None:
            raise
        log.error("start.refused", reason=sentence)  # noqa: TRY400 - a sentence, no traceback
        sys.exit(EXIT_NOT_STARTED)


async def _live(settings: Settings, life: Life) -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        # Without its parent nobody would start it again, nor end it.
        _when_readable(parent.sentinel, lambda: os.kill(os.getpid(), signal.SIGTERM))
    if life.sockets:
        await serve_until_told(
            settings,
            life.sockets[0],
            ready=life.ready.set,
            shows_box=life.is_first,
            drain_s=DRAIN_S,
        )
    else:
        await work_until_told(settings, ready=life.ready.set)


def _when_readable(descriptor: int, act: Callable[[], object]) -> None:
    loop = asyncio.get_running_loop()

    def once() -> None:
        loop.remove_reader(descriptor)
        act()

    loop.add_reader(descriptor, once)
