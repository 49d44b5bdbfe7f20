"""Disks that run full and get room again: a small file system, or a limit on the size of files.

Only root may mount; without it, the limit of the kernel stands in for the disk, and SQLite is
told by another error that nothing more can be written.
"""

import resource
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

SIZE = "8m"
TIMEOUT_S = 20
BLOCK = b"x" * 65_536


class Disk(ABC):
    """A folder whose disk a test can fill and clear."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def fill(self, pid: int) -> None:
        """Leave no room for what the process writes from now on."""

    @abstractmethod
    def clear(self, pid: int) -> None:
        """Give the room back."""


class SmallDisk(Disk):
    """A file system of its own."""

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"

    def fill(self, pid: int) -> None:
        """Take what is left, to the last byte."""
        with suppress(OSError), self._ballast.open("ab", buffering=0) as ballast:
            for size in (len(BLOCK), 4096, 1):
                with suppress(OSError):
                    while ballast.write(BLOCK[:size]):
                        pass

    def clear(self, pid: int) -> None:
        """Remove what took the room."""
        self._ballast.unlink()


class LimitedFiles(Disk):
    """A process whose files may grow no more."""

    def fill(self, pid: int) -> None:
        """Let no file grow beyond the smallest that is at work."""
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))

    def clear(self, pid: int) -> None:
        """Lift the limit."""
        unlimited = resource.RLIM_INFINITY
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))


@contextmanager
def small_disk(folder: Path) -> Generator[Disk]:
    """A disk of a few megabytes at the folder, or what comes closest without being root."""
    folder.mkdir(parents=True, exist_ok=True)
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    mounted = _runs(mounting)
    try:
        yield SmallDisk(folder) if mounted else LimitedFiles(folder)
    finally:
        if mounted:
            assert _runs(["umount", "--lazy", str(folder)])


def _runs(command: list[str]) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=False)
    except FileNotFoundError:
        return False
    return done.returncode == 0
