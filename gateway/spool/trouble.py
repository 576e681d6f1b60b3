"""Remembers that the disk refuses to be written, says so once, and when to try again."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from gateway.spool.disk import DiskFullError

_log = structlog.get_logger()

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0
"""Seconds between two tries of a disk in trouble, doubled each time."""

FULL_PAUSE: Final = 1.0
"""Seconds until a spool that is full as configured is tried again: the forwarder may have made room."""


class Trouble:
    """Used from one thread.

    Attributes:
        text: what the disk does not do; empty if all is well.
    """

    def __init__(self, text: str) -> None:
        self.text = ""
        self._retry_at = 0.0
        self._pause = FIRST_PAUSE
        if text:
            self._found(text)

    @property
    def pausing(self) -> bool:
        """Whether it is too early to try again."""
        return time.monotonic() < self._retry_at

    @contextmanager
    def watched(self) -> Iterator[None]:
        """An attempt to write: an OSError ends it and is remembered, success ends the trouble."""
        try:
            yield
        except DiskFullError:
            self._retry_at = time.monotonic() + FULL_PAUSE
        except OSError as error:
            self._found(error.strerror or str(error))
        else:
            if self.text:
                _log.info("spool disk works again", was=self.text)
            self.text, self._pause, self._retry_at = "", FIRST_PAUSE, 0.0

    def _found(self, text: str) -> None:
        if text != self.text:
            _log.error(
                "spool disk in trouble",
                problem=text,
                remedy="readings wait in memory only; make room or replace the disk, the gateway goes on by itself",
            )
        self.text = text
        self._retry_at = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
