"""The seam between the spool and the operating system: everything the spool asks of a disk, and nothing more."""

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

QUARANTINE: Final = "quarantine/"
"""Prefix of names that live in the one subfolder."""


LOCK: Final = "lock"


class File(Protocol):
    """A file open for writing. Every call may raise OSError; after a failed datasync() only close() makes sense."""

    def write(self, data: bytes, offset: int) -> None:
        """Put all of `data` at `offset`. If it raises, any part of it may be there. Durable only after datasync()."""

    def datasync(self) -> None:
        """What was written is durable on return, but not the file's name: see Files.sync_dir.

        Raises FileNotFoundError if nobody would find it again, as the file or its folder was deleted or moved away.
        """

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

    def restore(self) -> bool:
        """Make the folder again if it was deleted or moved away. Returns whether it was; then it is empty."""

    def close(self) -> None:
        """Let others use the folder."""


class LocalFile:
    """A File on a local file system."""

    def __init__(self, path: Path, is_gone: Callable[[], bool]) -> None:
        """`is_gone()` says whether the folder is no longer where it was."""
        self._is_gone = is_gone
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
        if not os.fstat(self._descriptor).st_nlink or self._is_gone():
            raise FileNotFoundError(errno.ENOENT, "its folder or file was deleted or moved away")

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
        self._lock = self._take()

    def open(self, name: str) -> File:
        """See Files."""
        return LocalFile(self._folder / name, self._is_gone)

    def names(self) -> list[str]:
        """See Files."""
        return [
            prefix + entry.name
            for prefix in ("", QUARANTINE)
            for entry in os.scandir(self._folder / prefix)
            if entry.is_file(follow_symlinks=False) and entry.name != LOCK
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

    def restore(self) -> bool:
        """See Files."""
        if not self._is_gone():
            return False
        taken = self._take()
        self.close()
        self._lock = taken
        return True

    def close(self) -> None:
        """See Files."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _take(self) -> int:
        """Make the folder if need be, and lock it; the descriptor of the lock."""
        (self._folder / QUARANTINE).mkdir(mode=0o750, parents=True, exist_ok=True)
        path = self._folder / LOCK
        # An existing lock is opened for reading, so that a read-only disk can still be delivered from.
        lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC | (0 if path.exists() else os.O_CREAT), 0o640)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise
        return lock

    def _is_gone(self) -> bool:
        """Whether another folder, or none, is where ours was: the lock is in the folder that we locked."""
        ours = os.fstat(self._lock)
        try:
            found = (self._folder / LOCK).stat()
        except FileNotFoundError:
            return True
        return (found.st_dev, found.st_ino) != (ours.st_dev, ours.st_ino)
