"""Files beneath a folder and nowhere else, whatever path a model sends.

On Linux the kernel refuses every way out (openat2(2) with RESOLVE_BENEATH). Elsewhere each
name of the path is opened by itself, relative to the folder before it, without following links.
"""

import asyncio
import codecs
import ctypes
import errno
import os
import re
import stat
import struct
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from domain.tools.ports import (
    FileEntry,
    FileKind,
    FileListing,
    FileMissing,
    FileRefused,
    FileText,
)

Opener = Callable[[int, tuple[str, ...], int], int]
"""Opens names beneath an open folder, with flags of open(2); gives a file descriptor."""

MAX_PATH_BYTES = 1_024
MAX_NAME_BYTES = 255
MAX_DEPTH = 32
MAX_SCANNED_ENTRIES = 20_000
MAX_READ_BYTES = 1_048_576
_CALL_TIMEOUT_S = 30.0
_WORKSPACE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")

# From linux/openat2.h and the system call table; the number is the same on all architectures
# that Python runs on.
_SYS_OPENAT2 = 437
_RESOLVE_NO_XDEV, _RESOLVE_NO_MAGICLINKS, _RESOLVE_NO_SYMLINKS, _RESOLVE_BENEATH = 1, 2, 4, 8
_RESOLVE = _RESOLVE_NO_XDEV | _RESOLVE_NO_MAGICLINKS | _RESOLVE_NO_SYMLINKS | _RESOLVE_BENEATH
_OPENAT2_TRIES = 16

# Never wait for the other end of a FIFO, never become a terminal's process.
_READ_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW
_FOLDER_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY | os.O_NOFOLLOW
_LEADS_OUT = frozenset({errno.ELOOP, errno.EXDEV, errno.EMLINK})


class BeneathFileTree:
    """The files beneath one folder, which is made when it is first used."""

    def __init__(self, root: Path, *, opener: Opener | None = None) -> None:
        self._root = root
        self._open = opener or best_opener()

    async def list(self, path: str, *, limit: int) -> FileListing:
        """List a folder by name, links and devices by kind only."""
        parts = _parts(path)
        async with asyncio.timeout(_CALL_TIMEOUT_S):
            return await asyncio.to_thread(self._list, path, parts, limit)

    async def read_text(self, path: str, *, offset: int, limit_bytes: int) -> FileText:
        """Read a part of a plain file as UTF-8."""
        parts = _parts(path)
        if not parts:
            raise FileRefused("The path is empty; name a file.")
        if offset < 0 or not 4 <= limit_bytes <= MAX_READ_BYTES:
            raise FileRefused(f"Read from 0 on, 4 to {MAX_READ_BYTES} bytes at a time.")
        async with asyncio.timeout(_CALL_TIMEOUT_S):
            return await asyncio.to_thread(self._read_text, path, parts, offset, limit_bytes)

    def _list(self, path: str, parts: tuple[str, ...], limit: int) -> FileListing:
        with self._opened(path, parts, _FOLDER_FLAGS) as folder, os.scandir(folder) as scan:
            scanned = list(islice(scan, MAX_SCANNED_ENTRIES + 1))
            scanned.sort(key=lambda entry: entry.name)
            entries = list(islice(_entries(scanned), limit + 1))
        is_truncated = len(entries) > limit or len(scanned) > MAX_SCANNED_ENTRIES
        return FileListing(entries=entries[:limit], truncated=is_truncated)

    def _read_text(
        self, path: str, parts: tuple[str, ...], offset: int, limit_bytes: int
    ) -> FileText:
        with self._opened(path, parts, _READ_FLAGS) as file:
            status = os.fstat(file)
            _refuse_unless_plain(path, status)
            raw = _pread(file, limit_bytes, offset) if offset < status.st_size else b""
        if b"\0" in raw:
            raise FileRefused(f"{path!r} is no text: it holds zero bytes.")
        text, used, is_lossy = _decoded(raw, is_end=offset + len(raw) >= status.st_size)
        next_offset = offset + used if offset + used < status.st_size else None
        return FileText(
            text=text,
            size_bytes=status.st_size,
            truncated=next_offset is not None,
            next_offset=next_offset,
            lossy=is_lossy,
        )

    @contextmanager
    def _opened(self, path: str, parts: tuple[str, ...], flags: int) -> Generator[int]:
        """Open beneath the root, and close; errors name the path as it was asked for."""
        root = _open_root(self._root)
        try:
            try:
                opened = self._open(root, parts, flags) if parts else os.dup(root)
            except OSError as error:
                raise _refusal(path, error, is_folder=flags == _FOLDER_FLAGS) from None
            try:
                yield opened
            finally:
                os.close(opened)
        finally:
            os.close(root)


class WorkspaceFolders:
    """One folder for each workspace, all in one place, none visible from another."""

    def __init__(self, root: Path, *, opener: Opener | None = None) -> None:
        self._root = root
        self._opener = opener or best_opener()

    def tree_of(self, workspace_id: str) -> BeneathFileTree:
        """Give the tree of a workspace; the id becomes the folder's name."""
        if _WORKSPACE_ID.match(workspace_id) is None:
            raise FileRefused(f"{workspace_id!r} is no id of a workspace.")
        return BeneathFileTree(self._root / workspace_id, opener=self._opener)


def openat2_opener(root: int, parts: tuple[str, ...], flags: int) -> int:
    """Let the kernel resolve the path beneath the root (Linux 5.6 and later)."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    how = struct.pack("=QQQ", flags, 0, _RESOLVE)
    path = "/".join(parts).encode()
    for _ in range(_OPENAT2_TRIES):
        opened = int(
            libc.syscall(
                ctypes.c_long(_SYS_OPENAT2),
                ctypes.c_int(root),
                ctypes.c_char_p(path),
                ctypes.c_char_p(how),
                ctypes.c_size_t(len(how)),
            )
        )
        if opened >= 0:
            return opened
        # EAGAIN: something was renamed meanwhile, and the kernel could not rule out an escape.
        if ctypes.get_errno() not in (errno.EAGAIN, errno.EINTR):
            break
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number))


def walk_opener(root: int, parts: tuple[str, ...], flags: int) -> int:
    """Open name by name, each relative to the folder before it and never through a link."""
    device = os.fstat(root).st_dev
    folder = os.dup(root)
    try:
        for part in parts[:-1]:
            below = os.open(part, _FOLDER_FLAGS, dir_fd=folder)
            os.close(folder)
            folder = below
        opened = os.open(parts[-1], flags, dir_fd=folder)
    finally:
        os.close(folder)
    if os.fstat(opened).st_dev != device:
        os.close(opened)
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    return opened


def best_opener() -> Opener:
    """Choose openat2 where kernel and sandbox allow it, else the walk."""
    try:
        here = os.open(".", _FOLDER_FLAGS)
    except OSError:
        return walk_opener
    try:
        os.close(openat2_opener(here, (".",), _FOLDER_FLAGS))
    except (OSError, AttributeError):
        return walk_opener
    finally:
        os.close(here)
    return openat2_opener


def _parts(path: str) -> tuple[str, ...]:
    """Split a relative path into names; what could lead upwards is refused, not resolved."""
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        raise FileRefused("The path is no valid text.") from None
    if "\0" in path:
        raise FileRefused("The path holds a zero byte.")
    if path.startswith("/"):
        raise FileRefused(f"{path[:80]!r} is absolute; paths start in the workspace folder.")
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    if ".." in parts:
        raise FileRefused(f"{path[:80]!r} holds `..`; name the way down only.")
    if size > MAX_PATH_BYTES or any(len(part.encode()) > MAX_NAME_BYTES for part in parts):
        raise FileRefused(
            f"The path is too long: {MAX_PATH_BYTES} bytes, {MAX_NAME_BYTES} for each name."
        )
    if len(parts) > MAX_DEPTH:
        raise FileRefused(f"The path is too deep: {MAX_DEPTH} folders at most.")
    return parts


def _open_root(root: Path) -> int:
    try:
        return os.open(root, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    except FileNotFoundError:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(root, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)


def _refusal(path: str, error: OSError, *, is_folder: bool) -> FileRefused | FileMissing:
    """Say in the caller's words why the system did not open a path."""
    if error.errno == errno.ENOENT:
        return FileMissing(f"There is no {'folder' if is_folder else 'file'} {path!r}.")
    if error.errno in _LEADS_OUT:
        return FileRefused(f"{path!r} is or goes through a link; links are not followed.")
    if error.errno == errno.ENOTDIR:
        return FileRefused(f"{path!r} is or goes through something that is no folder.")
    if error.errno == errno.ENXIO:
        return FileRefused(f"{path!r} is no plain file.")
    return FileRefused(f"{path!r} cannot be opened: {os.strerror(error.errno or 0)}.")


def _refuse_unless_plain(path: str, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise FileRefused(f"{path!r} is a folder; list it instead.")
    if not stat.S_ISREG(status.st_mode):
        raise FileRefused(f"{path!r} is no plain file.")
    if status.st_nlink > 1:
        raise FileRefused(f"{path!r} has another name elsewhere (a hard link).")
    if status.st_mode & (stat.S_ISUID | stat.S_ISGID):
        raise FileRefused(f"{path!r} is a program that runs as somebody else.")


def _pread(file: int, size: int, offset: int) -> bytes:
    parts: list[bytes] = []
    while size > 0 and (part := os.pread(file, size, offset)):
        parts.append(part)
        size -= len(part)
        offset += len(part)
    return b"".join(parts)


def _decoded(raw: bytes, *, is_end: bool) -> tuple[str, int, bool]:
    """Decode whole characters; gives text, bytes used, and whether any were replaced."""
    for errors in ("strict", "replace"):
        decoder = codecs.getincrementaldecoder("utf-8")(errors)
        try:
            text = decoder.decode(raw, final=is_end)
        except UnicodeDecodeError:
            continue
        return text, len(raw) - len(decoder.getstate()[0]), errors == "replace"
    raise AssertionError  # replacing never fails


def _entries(scanned: list[os.DirEntry[str]]) -> Iterator[FileEntry]:
    for entry in scanned:
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        kind = _kind(status.st_mode)
        yield FileEntry(
            name=os.fsencode(entry.name).decode(errors="replace"),
            kind=kind,
            size_bytes=status.st_size if kind is FileKind.FILE else 0,
            modified_at=datetime.fromtimestamp(int(status.st_mtime), UTC),
        )


def _kind(mode: int) -> FileKind:
    if stat.S_ISREG(mode):
        return FileKind.FILE
    if stat.S_ISDIR(mode):
        return FileKind.FOLDER
    return FileKind.LINK if stat.S_ISLNK(mode) else FileKind.OTHER
