"""A place of its own for each process of a group on one machine."""

import fcntl
import os
import secrets
from itertools import count
from pathlib import Path
from typing import Final

from gateway.config import ConfigError

_TOKEN: Final = 12


class Place:
    """The first place that no living process holds, until this one ends, however that comes about.

    A process that is killed and started again finds its place free and takes it again.

    Attributes:
        name: differs from that of every other place, on other machines too.
    """

    def __init__(self, folder: Path, group: str) -> None:
        """Take it.

        Raises:
            ConfigError: nothing can be kept in the folder.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for number in count():
                # Kept open: the kernel lets go of the lock when the process is gone.
                self._file = os.open(
                    folder / f"{group}.{number}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
                )
                try:
                    fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(self._file)
                    continue
                break
            self.name = f"{group}-{self._token()}"
        except OSError as error:
            raise ConfigError(
                f"state_dir: {folder} cannot be written: {error.strerror}; make it writable, or set state_dir"
            ) from None

    def leave(self) -> None:
        """Let another process have it."""
        os.close(self._file)

    def _token(self) -> str:
        token = os.pread(self._file, _TOKEN, 0)
        if len(token) < _TOKEN:  # new, or cut off by a crash
            token = secrets.token_hex(_TOKEN // 2).encode()
            os.pwrite(self._file, token, 0)
            os.fsync(self._file)
        return token.decode("ascii", "replace")
