"""How late this machine serves whoever wants to run and to sync: what any bound in seconds must allow for."""

import os
import threading
import time
from pathlib import Path
from typing import Final, Self

EVERY: Final = 0.1


class Lateness:
    """Measures it all the time, in the file given. Use as a context manager.

    Attributes:
        worst: seconds that a timer and an fdatasync together took too long at most, since begin_round().
    """

    def __init__(self, probe: Path) -> None:
        self._probe = probe
        self.worst = 0.0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lateness")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def begin_round(self) -> None:
        """Forget the past."""
        self.worst = 0.0

    def _run(self) -> None:
        with self._probe.open("wb", buffering=0) as probe:
            began = time.monotonic()
            while not self._ending.wait(EVERY):
                os.pwrite(probe.fileno(), b"x", 0)
                os.fdatasync(probe.fileno())
                now = time.monotonic()
                self.worst = max(self.worst, now - began - EVERY)
                began = now
