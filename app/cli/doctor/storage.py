"""The folders of the server: can they be written, and is there room left."""

import asyncio
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.cli.doctor.checks import Check, failed, fine, warning
from app.settings import Settings

DATA_FOLDER, DISK = "data folder", "disk"
LITTLE_BYTES, TOO_LITTLE_BYTES = 1 << 30, 100 << 20
FEW_FILES, TOO_FEW_FILES = 10_000, 1_000
DISK_CURE = (
    "Free some space, lower EVENT_RETENTION_DAYS, or move the data with DATA_DIR and DB_URL."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What is left on the disk of a folder; `files` is None where any number fits."""

    folder: Path
    free_bytes: int
    total_bytes: int
    files: int | None = None


async def look_at_data_folder(settings: Settings) -> Check:
    """Can the server write its own files."""
    return await asyncio.to_thread(_written, settings.data_dir)


async def look_at_disk(settings: Settings) -> Check:
    """Is there room for data and database."""
    database = settings.sqlite_path
    folders = [settings.data_dir, *([] if database is None else [database.parent])]
    return await asyncio.to_thread(_measured, folders)


def judged(rooms: Sequence[Room]) -> Check:
    """Say how much room is left on each disk; the tightest decides."""
    found = "; ".join(map(_words, rooms))
    if any(_is_below(room, TOO_LITTLE_BYTES, TOO_FEW_FILES) for room in rooms):
        return failed(DISK, found, DISK_CURE)
    if any(_is_below(room, LITTLE_BYTES, FEW_FILES) for room in rooms):
        return warning(DISK, found, DISK_CURE)
    return fine(DISK, found)


def _written(folder: Path) -> Check:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"x")
    except OSError as error:
        found = f"{folder} cannot be written: {error.strerror}"
        cure = "Give this user the folder, or set DATA_DIR to another one."
        return failed(DATA_FOLDER, found, cure)
    return fine(DATA_FOLDER, f"{folder} can be written")


def _measured(folders: Sequence[Path]) -> Check:
    rooms: dict[int, Room] = {}
    try:
        for folder in folders:
            there = _nearest(folder)
            rooms.setdefault(there.stat().st_dev, _room(folder, there))
    except OSError as error:
        return warning(DISK, f"cannot be measured: {error.strerror}", "Check the folders' owner.")
    return judged(list(rooms.values()))


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    whole = folder.absolute()
    return next(path for path in (whole, *whole.parents) if path.is_dir())


def _room(folder: Path, there: Path) -> Room:
    facts = os.statvfs(there)
    return Room(
        folder=folder,
        free_bytes=facts.f_bavail * facts.f_frsize,
        total_bytes=facts.f_blocks * facts.f_frsize,
        # Some file systems make room for files as they come, and count none.
        files=facts.f_favail if facts.f_files else None,
    )


def _is_below(room: Room, least_bytes: int, least_files: int) -> bool:
    few = room.files is not None and room.files < least_files
    return few or room.free_bytes < least_bytes


def _words(room: Room) -> str:
    of = f"{_size(room.free_bytes)} of {_size(room.total_bytes)} free"
    few = room.files is not None and room.files < FEW_FILES
    return f"{room.folder}: {of}" + (f", room for {room.files:,} more files" if few else "")


def _size(count: int) -> str:
    gigabytes = count / (1 << 30)
    return f"{gigabytes:,.1f} GiB" if gigabytes >= 1 else f"{count / (1 << 20):,.0f} MiB"
