"""What the file tools need of the outside: a tree of files, and nothing above it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from domain.tools.calls import ToolError, ToolFailureCode


class FileMissing(ToolError):
    """Nothing is at this path."""

    code = ToolFailureCode.NOT_FOUND


class FileRefused(ToolError):
    """The path leads out of the tree, or to what is no plain file or folder."""

    code = ToolFailureCode.REFUSED


class FileKind(StrEnum):
    """What an entry of a folder is; links and all else cannot be opened."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """One entry of a folder; the size is 0 where it is no file."""

    name: str
    kind: FileKind
    size_bytes: int
    modified_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FileListing:
    """Entries of a folder by name; `truncated` says that there are more."""

    entries: list[FileEntry]
    truncated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FileText:
    """A part of a file as text."""

    text: str
    size_bytes: int
    """Size of the whole file."""
    truncated: bool
    """True when the file goes on after this part."""
    next_offset: int | None
    """Offset of the next part; null at the end."""
    lossy: bool
    """True when bytes that are no UTF-8 were replaced."""


class FileTree(Protocol):
    """Files and folders beneath one root; paths are relative, with `/` between names."""

    async def list(self, path: str, *, limit: int) -> FileListing:
        """List a folder, the root by an empty path; raises FileMissing or FileRefused."""
        ...

    async def read_text(self, path: str, *, offset: int, limit_bytes: int) -> FileText:
        """Read text from a byte offset on, whole characters only.

        `limit_bytes` is at least 4, the longest character. Raises FileMissing or FileRefused.
        """
        ...


TreeOf = Callable[[str], FileTree]
"""Gives the tree of a workspace by its id: no workspace sees another's files."""
