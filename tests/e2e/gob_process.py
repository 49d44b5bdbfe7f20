"""The product as operators run it: `python -m app ...` in a process of its own.

    with GobProcess(tmp_path) as gob:          # serves on SQLite at a free port
        ...                                    # gob.address, gob.key, gob.lines
        gob.kill()                             # as a power cut would
        gob.start()                            # again: same folder, settings and port

Start and stop it on the main thread: the kernel ends a process whose starting thread ended.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self, TypeVar

import httpx

from tests.server_processes import _die_with_parent

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 60
LOOPBACK = "127.0.0.1"
READY = "GOB is ready at "
TRACEBACK = "Traceback (most recent call last)"

Line = Mapping[str, Any]
Found = TypeVar("Found")


class NotInTime(Exception):
    """What was waited for did not happen; carries what the process said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


def clean_settings(folder: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """An environment without a setting of this machine, whose files lie in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    env_file = folder / "backend.env"
    env_file.touch()
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    own = {"GOB_ENV_FILE": str(env_file), "PYTHONPATH": str(ROOT), "LOG_FORMAT": "json"}
    return {**kept, **own, "PORT": "0", **settings}


def run_gob(folder: Path, *arguments: str, settings: Mapping[str, str] | None = None) -> Ended:
    """Run a command to its end, in the folder."""
    done = subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        env=clean_settings(folder, settings or {}),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    return Ended(code=done.returncode, out=done.stdout, err=done.stderr)


class GobProcess:
    """A server or a worker: a context manager that always ends it and its children."""

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, str] | None = None,
        *,
        arguments: Sequence[str] = ("serve",),
        module: str = "app",
    ) -> None:
        self.folder = folder
        self._module = module
        self.address = ""
        self._settings = dict(settings or {})
        self._arguments = arguments
        self._process: subprocess.Popen[str] | None = None
        self._readers: list[threading.Thread] = []
        self._news = threading.Condition()
        self._out: list[str] = []
        self._err: list[str] = []
        self._born_at = 0, 0

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def data_folder(self) -> Path:
        """Where the server keeps its own files."""
        return self.folder / self._settings.get("DATA_DIR", "var")

    @property
    def key(self) -> str:
        """The API key that the server made."""
        return (self.data_folder / "api-key").read_text().strip()

    @property
    def pid(self) -> int:
        """Number of the running process."""
        assert self._process is not None
        return self._process.pid

    @property
    def out(self) -> str:
        """What it printed in all its lives."""
        return "".join(self._out)

    @property
    def err(self) -> str:
        """Its log in all its lives, as text."""
        return "".join(self._err)

    @property
    def lines(self) -> Sequence[Line]:
        """Its log lines in all its lives; fails when one is no JSON object."""
        found = [json.loads(line) for line in tuple(self._err)]
        assert all(isinstance(line, dict) for line in found)
        return found

    def named(self, event: str) -> Sequence[Line]:
        """Its log lines with this event."""
        return [line for line in self.lines if line["event"] == event]

    def start(self) -> None:
        """Start it, on the same port as before, and come back when it is ready."""
        self.spawn()
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Come back when the life that `spawn` began takes work."""
        self.wait_for(self._announced, "the process to get ready")
        if self.address:
            answer = httpx.get(f"{self.address}/readyz", timeout=DEADLINE_S)
            assert answer.status_code == 200, answer.text

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask it to end, wait until it has, and return its exit code."""
        return self._end(signal.SIGTERM)

    def wait(self) -> int:
        """Wait until it and its children have ended, and return its exit code."""
        process = self._process
        assert process is not None, "it does not run"
        process.wait(DEADLINE_S)
        for reader in self._readers:
            reader.join(DEADLINE_S)
            assert not reader.is_alive(), "a child of it is left"
        self._process = None
        return process.returncode

    def freeze(self) -> None:
        """Stop it where it is, as a machine that sleeps; what it holds stays open."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on as if no time had passed."""
        os.kill(self.pid, signal.SIGCONT)

    async def ended(self) -> None:
        """Come back when it ended, whoever ended it; a thread waits until then in any case."""
        assert self._process is not None, "it does not run"
        await asyncio.to_thread(self._process.wait)

    def close(self) -> None:
        """End it with all its children, whatever state it is in; may be called twice."""
        if self._process is not None:
            self._end(signal.SIGKILL)

    def wait_for(self, look: Callable[[], Found], what: str) -> Found:
        """Look again at each new line until the look finds something."""
        deadline = time.monotonic() + DEADLINE_S
        with self._news:
            while not (found := look()):
                rest_s = deadline - time.monotonic()
                is_over = self._process is None or self._process.poll() is not None
                if rest_s <= 0 or is_over:
                    raise NotInTime(f"Waited for {what}:\n{self.out}{self.err}")
                self._news.wait(min(rest_s, 1))
        return found

    def wait_for_lines(self, event: str, count: int = 1) -> Sequence[Line]:
        """Wait until the log has so many lines with this event."""

        def look() -> Sequence[Line]:
            found = self.named(event)
            return found if len(found) >= count else ()

        return self.wait_for(look, f"{count} log lines {event!r}")

    def _announced(self) -> bool:
        """True once the present life has said that it is ready."""
        out_from, err_from = self._born_at
        for line in self._out[out_from:]:
            if line.startswith(READY):
                host = line.removeprefix(READY).strip()
                self.address = host.replace("localhost", LOOPBACK).replace("0.0.0.0", LOOPBACK)
                self._settings["PORT"] = self.address.rpartition(":")[2]
                return True
        is_worker = self._arguments[0] == "worker"
        started = any('"event":"worker.started"' in line for line in self._err[err_from:])
        return is_worker and started

    def spawn(self) -> None:
        """Start it and do not wait."""
        assert self._process is None, "it runs already"
        self._born_at = len(self._out), len(self._err)
        self._process = subprocess.Popen(
            [sys.executable, "-m", self._module, *self._arguments],
            env=clean_settings(self.folder, self._settings),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=_die_with_parent(signal.SIGKILL),  # noqa: PLW1509 it only asks the kernel
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._readers = [
            self._reader(self._process.stdout, self._out),
            self._reader(self._process.stderr, self._err),
        ]

    def _reader(self, stream: IO[str], into: list[str]) -> threading.Thread:
        thread = threading.Thread(target=self._read, args=(stream, into), daemon=True)
        thread.start()
        return thread

    def _read(self, stream: IO[str], into: list[str]) -> None:
        with stream:
            for line in stream:
                with self._news:
                    into.append(line)
                    self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def _end(self, number: signal.Signals) -> int:
        process = self._process
        assert process is not None, "it does not run"
        try:
            if number is not signal.SIGKILL:
                process.send_signal(number)
                process.wait(DEADLINE_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(DEADLINE_S)
            self._process = None
            for reader in self._readers:
                reader.join(DEADLINE_S)
        return process.returncode
