"""Sees what a spool writes to its disk, though it deletes what is delivered."""

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

from gateway.spool.disk import EPOCH_BITS
from gateway.spool.format import HEADER_SIZE, Frame, scan


class Witness:
    """Keeps what a spool writes by a second name, as it deletes what is delivered. Use as a context manager."""

    def __init__(self, spool: Path, aside: Path) -> None:
        self._spool = spool
        self._aside = aside
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._aside.mkdir()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def spilled(self) -> list[tuple[int, int]]:
        """From where to where, of each frame that was ever written; the first reading is number 1."""
        frames = []
        for path in self._aside.iterdir():
            for found in scan(path.read_bytes(), HEADER_SIZE, 0):
                if isinstance(found, Frame):
                    summary, mask = found.summary, (1 << EPOCH_BITS) - 1
                    frames.append((summary.first & mask, summary.last & mask))
        return frames

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            for path in self._spool.glob("*.seg"):
                with suppress(FileNotFoundError, FileExistsError):
                    os.link(path, self._aside / path.name)
