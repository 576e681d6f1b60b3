"""What is in the folder of a spool that nobody runs, without changing anything there."""

import errno
import os
import time
from pathlib import Path
from typing import Any, NoReturn

from gateway.config import Spool as SpoolSettings
from gateway.spool.cursor import Cursor
from gateway.spool.fs import File, LocalFiles
from gateway.spool.quarantine import Quarantine
from gateway.spool.recovery import recover


class ReadOnlyFiles(LocalFiles):
    """A folder as on a read-only disk, and without its lock: a look must not keep a daemon from starting."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = -1

    def open(self, name: str) -> File:
        """Refused."""
        _refuse(name)

    def truncate(self, name: str, size: int) -> None:
        """Refused."""
        del size
        _refuse(name)

    def unlink(self, name: str) -> None:
        """Refused."""
        _refuse(name)

    def sync_dir(self) -> None:
        """Refused."""
        _refuse("")


def look(folder: Path, settings: SpoolSettings) -> dict[str, Any]:
    """What a start would find in `folder`, with the keys of `spool` in the status; `running` is False.

    It is the recovery, on what it takes for a read-only disk. A daemon that is at work there meanwhile is not disturbed,
    but what is then found may be half written.

    Raises:
        OSError: the folder cannot be read.
    """
    files = ReadOnlyFiles(folder)
    quarantine = Quarantine(files, settings.disk_bytes // 16)
    copies, copied = quarantine.copies, quarantine.size
    cursor = Cursor(files)
    found = recover(files, cursor.state, quarantine)
    segments = found.segments
    readings = sum(segment.unread.readings.total() for segment in segments)
    letters = sum(segment.unread.letters.total() for segment in segments)
    oldest = next((s.oldest for s in segments if not s.exhausted and s.oldest), 0)
    return {
        "running": False,
        "id": found.state.spool if cursor.state else "",
        "epoch": found.state.epoch,
        "folder": str(folder.absolute()),
        "readings": readings,
        "on_disk": readings,
        "dead_letters": letters,
        "dead_letters_on_disk": letters,
        "bytes": sum(segment.size for segment in segments) + copied,
        "capacity_bytes": settings.disk_bytes,
        "memory_bytes": 0,
        "memory_capacity_bytes": settings.memory_bytes,
        "segments": len(segments),
        "quarantined": quarantine.frames,
        "quarantine_copies": copies,
        "trouble": "",
        "oldest_age_s": round((time.time_ns() - oldest) / 1e9, 1) if oldest else None,
        "lasts_s": None,
        "when_full": settings.when_full,
    }


def _refuse(name: str) -> NoReturn:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS), name)
