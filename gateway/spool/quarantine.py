"""Copies of what could not be read, for a person who wants to know: bounded, and never in the way."""

import re
from contextlib import suppress

import structlog

from gateway.spool.format import Damage
from gateway.spool.fs import QUARANTINE, Files

_log = structlog.get_logger()


class Quarantine:
    """The side files. Used from one thread at a time; no call raises.

    Attributes:
        frames: how many stretches were found damaged since the start.
        size: bytes of all side files.
        limit: what that may be at most.
    """

    def __init__(self, files: Files, limit: int) -> None:
        self._files = files
        self.limit = limit
        self._sizes: dict[str, int] = {}
        self._known: set[tuple[str, int]] = set()
        self.frames = self.size = 0
        for name in sorted(files.names()):
            if name.startswith(QUARANTINE):
                with suppress(OSError):
                    self._note(name, files.size(name))

    @property
    def copies(self) -> int:
        """How many side files there are, those of earlier starts included."""
        return len(self._sizes)

    def keep(self, segment: str, damage: Damage) -> None:
        """Count it, say it, and copy its bytes, as far as the disk allows; only once."""
        if (segment, damage.start) in self._known:
            return
        self._known.add((segment, damage.start))
        self.frames += 1
        length = min(damage.end - damage.start, self.limit)
        name = f"{QUARANTINE}{segment}-{damage.start}-{re.sub('[^a-z]+', '-', damage.reason)}"
        _log.error(
            "spool frame damaged",
            segment=segment,
            offset=damage.start,
            size=damage.end - damage.start,
            reason=damage.reason,
            remedy="the rest is kept; if it comes again, replace the card or disk",
        )
        try:
            self._make_room(length)
            file = self._files.open(name)
            try:
                file.write(self._files.read(segment, damage.start, length), 0)
                file.datasync()
            finally:
                file.close()
            self._files.sync_dir()
            self._note(name, length)
        except OSError as error:
            _log.warning("spool quarantine failed", problem=error.strerror or str(error))
            with suppress(OSError):
                self._files.unlink(name)

    def _make_room(self, length: int) -> None:
        while self._sizes and self.size + length > self.limit:
            oldest = next(iter(self._sizes))
            self._files.unlink(oldest)
            self.size -= self._sizes.pop(oldest)

    def _note(self, name: str, length: int) -> None:
        self.size += length - self._sizes.get(name, 0)
        self._sizes[name] = length
