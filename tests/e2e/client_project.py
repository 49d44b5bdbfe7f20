"""The example client in a copy of its own: installed, typed, checked and built by `make client`."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.gob_process import ROOT
from tests.server_processes import ServerMissing

PROJECT = Path("docs/clients/typescript")
CONTRACT = Path("tests/api/contract/operations.graphql")
SCHEMA = Path("docs/api/schema.graphql")
SCRIPTS = (Path("ops/client.sh"), Path("ops/node.sh"))
BESIDE = (Path("Makefile"), *SCRIPTS, SCHEMA, CONTRACT)
MADE_THERE = ("node_modules", "dist", "generated", "install.log")
OLDEST_NODE = (20, 19)
DEADLINE_S = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeClient:
    """The copy, and what `make client` said about it."""

    root: Path
    said: str

    @property
    def project(self) -> Path:
        """The folder of its package.json."""
        return self.root / PROJECT

    @property
    def page(self) -> Path:
        """The folder of the page as a web server would serve it."""
        return self.project / "dist"

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in its folder, with its tools on the path."""
        tools = self.project / "node_modules" / ".bin"
        path = f"{tools}{os.pathsep}{os.environ['PATH']}"
        return _run(command, self.project, {**os.environ, "PATH": path})


def find_node() -> Path:
    """The program. Raises ServerMissing where there is none that is new enough."""
    wanted = ".".join(map(str, OLDEST_NODE))
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        raise ServerMissing(f"No Node with npm found; install Node {wanted} or newer.")
    said = _run([node, "--version"], ROOT, dict(os.environ)).stdout
    if tuple(map(int, re.findall(r"\d+", said)))[:2] < OLDEST_NODE:
        raise ServerMissing(f"Node {said.strip()} is too old; install {wanted} or newer.")
    return Path(node)


def find_packages() -> Path:
    """The packages that `make client` installed here. Raises ServerMissing."""
    packages = ROOT / PROJECT / "node_modules"
    stamp = packages / ".installed-lock"
    lock = ROOT / PROJECT / "package-lock.json"
    if not stamp.is_file() or stamp.read_bytes() != lock.read_bytes():
        raise ServerMissing("The example client is not installed; `make client` does it, once.")
    return packages


def make_client(root: Path, packages: Path | None) -> MadeClient:
    """Make it in that folder, with these packages or, without any, from the registry."""
    for path in BESIDE:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, root / path)
    shutil.copytree(ROOT / PROJECT, root / PROJECT, ignore=shutil.ignore_patterns(*MADE_THERE))
    if packages is not None:
        (root / PROJECT / "node_modules").symlink_to(packages)
    environment = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
    made = _run(["make", "--no-print-directory", "client"], root, environment)
    assert made.returncode == 0, made.stdout + made.stderr + _log(root)
    client = MadeClient(root=root, said=made.stdout)
    built = client.run("vite", "build", "--logLevel", "warn")
    assert built.returncode == 0, built.stdout + built.stderr
    return client


def _log(root: Path) -> str:
    log = root / PROJECT / "install.log"
    return log.read_text() if log.is_file() else ""


def _run(
    command: Sequence[str], folder: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(command),
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
