"""The seam between the spool and the operating system: everything the spool asks of a disk, and nothing more."""

import fcntl
import os
from pathlib import Path
from typing import Final, Protocol

QUARANTINE: Final = "quarantine/"
"""Prefix of names that live in the one subfolder."""


class File(Protocol):
    """A file open for writing. Every call may raise OSError; after a failed datasync() only close() makes sense."""

    def write(self, data: bytes, offset: int) -> None:
        """Put all of `data` at `offset`. If it raises, any part of it may be there. Durable only after datasync()."""

    def datasync(self) -> None:
        """What was written is durable on return, but not the file's name: see Files.sync_dir."""

    def close(self) -> None:
        """Give the descriptor back. Promises nothing about what was written."""


class Files(Protocol):
    """One folder. Names are plain, or QUARANTINE and a plain name. Every call may raise OSError.

    Used from one thread at a time.
    """

    def open(self, name: str) -> File:
        """Open for writing; made empty if it is not there. A new name is durable after sync_dir()."""

    def names(self) -> list[str]:
        """Every file, in no order."""

    def size(self, name: str) -> int:
        """Its length in bytes."""

    def read(self, name: str, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; fewer only at the end of the file."""

    def truncate(self, name: str, size: int) -> None:
        """Cut off what is beyond `size`. Durable on return."""

    def unlink(self, name: str) -> None:
        """Remove it. Durable after sync_dir()."""

    def sync_dir(self) -> None:
        """Names made and removed before are durable on return."""

    def close(self) -> None:
        """Let others use the folder."""


class LocalFile:
    """A File on a local file system."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def write(self, data: bytes, offset: int) -> None:
        """See File."""
        view = memoryview(data)
        while view:
            written = os.pwrite(self._descriptor, view, offset)
            view, offset = view[written:], offset + written

    def datasync(self) -> None:
        """See File."""
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """See File."""
        os.close(self._descriptor)


class LocalFiles:
    """Files in a folder that only one process uses: it stays locked until close(), or the end of the process."""

    def __init__(self, folder: Path) -> None:
        """Make the folder if need be, and lock it.

        Raises:
            BlockingIOError: another process has it.
            OSError: it cannot be made or opened.
        """
        self._folder = folder
        (folder / QUARANTINE).mkdir(mode=0o750, parents=True, exist_ok=True)
        lock = folder / "lock"
        # An existing lock is opened for reading, so that a read-only disk can still be delivered from.
        self._lock = os.open(lock, os.O_RDONLY | os.O_CLOEXEC | (0 if lock.exists() else os.O_CREAT), 0o640)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise

    def open(self, name: str) -> File:
        """See Files."""
        return LocalFile(self._folder / name)

    def names(self) -> list[str]:
        """See Files."""
        return [
            prefix + entry.name
            for prefix in ("", QUARANTINE)
            for entry in os.scandir(self._folder / prefix)
            if entry.is_file(follow_symlinks=False) and entry.name != "lock"
        ]

    def size(self, name: str) -> int:
        """See Files."""
        return (self._folder / name).stat().st_size

    def read(self, name: str, offset: int, length: int) -> bytes:
        """See Files."""
        with (self._folder / name).open("rb", buffering=0) as file:
            file.seek(offset)
            parts = []
            while length and (part := file.read(length)):
                parts.append(part)
                length -= len(part)
            return b"".join(parts)

    def truncate(self, name: str, size: int) -> None:
        """See Files."""
        with (self._folder / name).open("r+b", buffering=0) as file:
            file.truncate(size)
            os.fsync(file.fileno())

    def unlink(self, name: str) -> None:
        """See Files."""
        (self._folder / name).unlink()

    def sync_dir(self) -> None:
        """See Files."""
        for folder in (self._folder, self._folder / QUARANTINE):
            try:
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except FileNotFoundError:
                if folder == self._folder:
                    raise
                continue  # somebody tidied the quarantine away, which harms nothing
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def close(self) -> None:
        """See Files."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
