"""The processes that are measured, and what the kernel says they used."""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.server_processes import Server

ROOT = Path(__file__).resolve().parents[2]
MANY_RUNS = 500
"""Runs at a time; the default would let most of the streams wait in line."""


class Measured(Server):
    """A server of ours whose processor time and memory are read from /proc."""

    key = ""

    @property
    def pid(self) -> int:
        """Of the process that answers; `env` has become it."""
        assert self._process is not None
        return self._process.pid

    @property
    def pids(self) -> Sequence[int]:
        """The process and all below it."""
        return _below(self.pid)

    @property
    def is_ready(self) -> bool:
        """True when /readyz says 200 to a request of this moment."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=20) as said:
                return said.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def cpu_s(self) -> float:
        """Processor seconds so far, to the nanosecond, children included."""
        return sum(_cpu_s(pid) for pid in self.pids)

    def memory_mb(self) -> float:
        """Resident memory now, children included."""
        return sum(_resident_bytes(pid) for pid in self.pids) / 1e6

    def program(self, values: Mapping[str, str], *arguments: str) -> Sequence[str]:
        """Run Python with these variables and no other of the caller's."""
        clean = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(ROOT), **values}
        pairs = [f"{name}={value}" for name, value in clean.items()]
        return ["/usr/bin/env", "-i", *pairs, sys.executable, *arguments]


class GobServer(Measured):
    """The product, embedded on SQLite unless the settings say otherwise."""

    ready = "GOB is ready"

    def __init__(self, **settings: str) -> None:
        super().__init__()
        (self.folder / "none.env").touch()
        self._settings = {
            "GOB_ENV_FILE": str(self.folder / "none.env"),
            "PORT": str(self.port),
            "DATA_DIR": str(self.folder / "var"),
            "DB_URL": f"sqlite:///{self.folder / 'gob.db'}",
            "MIGRATE": "auto",
            "MODEL_PROVIDER": "simulated",
            **settings,
        }

    def start(self) -> None:
        """Start, and read the key that it made for this machine."""
        super().start()
        self.key = (self.folder / "var" / "api-key").read_text().strip()

    def command(self) -> Sequence[str]:
        """As an operator starts it."""
        return self.program(self._settings, "-m", "app", "serve")


class WideServer(GobServer):
    """The product with room for many runs at once."""

    def __init__(self, **settings: str) -> None:
        super().__init__(**{"RUN_CAPACITY": str(MANY_RUNS), **settings})


class GobWorker(GobServer):
    """A process of the product that takes background runs."""

    ready = "worker.started"

    def start(self) -> None:
        """Start; a worker makes no key and answers nobody."""
        Measured.start(self)

    def command(self) -> Sequence[str]:
        """As an operator starts it."""
        return self.program(self._settings, "-m", "app", "worker")


class GobServers(GobServer):
    """The product on PostgreSQL and Redis: one process for the API, one for background runs."""

    def __init__(self, **settings: str) -> None:
        super().__init__(**settings)
        self._worker = GobWorker(**settings)

    @property
    def pids(self) -> Sequence[int]:
        """Of both."""
        return [*super().pids, *self._worker.pids]

    def start(self) -> None:
        """Start the API, which brings the database up to date, then the worker."""
        super().start()
        self._worker.start()

    def close(self) -> None:
        """End both."""
        self._worker.close()
        super().close()


class BareServer(Measured):
    """Starlette on the same uvicorn and uvloop, with endpoints of the same shape."""

    ready = "bare server is ready"

    def command(self) -> Sequence[str]:
        """The module beside this one."""
        return self.program({}, "-m", "tests.bench.bare", str(self.port))


def machine() -> str:
    """Say what the figures were measured on."""
    version = ".".join(map(str, sys.version_info[:3]))
    moment = time.strftime("%Y-%m-%d", time.gmtime())
    cores = len(os.sched_getaffinity(0))
    kernel = os.uname().release.partition("-")[0]
    return f"{cores} cores, {_processor()}, Linux {kernel}, Python {version}, {moment}"


def load() -> float:
    """Processes that wanted a core in the last minute."""
    return os.getloadavg()[0]


def instruction(tokens: int, delay_s: float) -> str:
    """What the simulated model and the bare server are told to stream."""
    return json.dumps({"tokens": tokens, "delay_s": delay_s})


def answer(tokens: int) -> str:
    """The whole text of such an answer."""
    return "".join(f"token-{number} " for number in range(1, tokens + 1))


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return os.uname().machine


def _below(pid: int) -> list[int]:
    found = [pid]
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in tasks.read_text().split():
            found += _below(int(child))
    return found


def _cpu_s(pid: int) -> float:
    """Linux: the clock of a process is the complement of its id, three bits up, of kind 2."""
    return time.clock_gettime((~pid << 3) | 2)


def _resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
