"""The folder of the server's own files: who uses it, and how it is emptied."""

import fcntl
import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from app.failures import StartRefused

LOCK_NAME = "in-use.lock"
OWN_NAMES = ("api-key", "artifacts")
"""What the server makes there beside its SQLite files."""
SQLITE_ENDINGS = ("", "-wal", "-shm", "-journal", ".migrate.lock", ".lock")


@contextmanager
def in_use(folder: Path) -> Generator[None]:
    """Say that a server works with this folder; several may at once."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_NAME).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StartRefused(
                f"{folder} is being emptied; start again when it is done."
            ) from error
        yield


def empty(folder: Path, *, sqlite: Path | None) -> Sequence[Path]:
    """Delete what the server made: its own files, and its SQLite when that lies in the folder.

    Files of the workspace and anything unknown stay. Raises StartRefused while a server runs.
    """
    if not folder.is_dir():
        return ()
    with (folder / LOCK_NAME).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StartRefused(f"A server is running on {folder}; stop it first.") from error
        return [path for path in _made_by_us(folder, sqlite) if _removed(path)]


def _made_by_us(folder: Path, sqlite: Path | None) -> Sequence[Path]:
    own = [folder / name for name in OWN_NAMES]
    if sqlite is None or folder.resolve() not in sqlite.resolve().parents:
        return own
    return own + [sqlite.with_name(f"{sqlite.name}{ending}") for ending in SQLITE_ENDINGS]


def _removed(path: Path) -> bool:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
        return True
    existed = path.is_symlink() or path.exists()
    path.unlink(missing_ok=True)
    return existed
