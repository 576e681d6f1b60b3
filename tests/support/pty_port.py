"""A serial line for tests: a pseudo-terminal behind a stable name, as a USB adapter is behind /dev/serial/by-id."""

import os
import select
import threading
import tty
from pathlib import Path
from types import TracebackType
from typing import Self


class SerialLine:
    """One end in the test, the other one at `name`, which stays while devices come and go behind it.

    plug_in() without hang_up() leaves the old device half alive with nobody at its name, as kernels sometimes do.
    """

    def __init__(self, folder: Path, name: str = "usb-line") -> None:
        self.name = folder / name
        self._ends: list[tuple[int, int]] = []
        self._changing = threading.Lock()
        self.plug_in()

    @property
    def device(self) -> str:
        """The device behind the name now: /dev/pts/N."""
        return os.ttyname(self._ends[-1][1])

    @property
    def terminal(self) -> int:
        """A descriptor of the gateway's end, to look at its settings."""
        return self._ends[-1][1]

    def plug_in(self) -> None:
        """A new device appears and takes the name, in one step."""
        # The test holds the gateway's end open as well: so the kernel keeps what is written while nobody reads.
        here, there = os.openpty()
        tty.setraw(there)
        with self._changing:
            self._ends.append((here, there))
        link = self.name.with_suffix(".new")
        link.symlink_to(os.ttyname(there))
        link.replace(self.name)

    def write(self, data: bytes) -> None:
        """Send all of it. Blocks while the line is full, so that more than a few short writes go from a thread."""
        here = self._ends[-1][0]
        while data:
            data = data[os.write(here, data) :]

    def offer(self, data: bytes) -> int:
        """Send what there is room for now, and say how much: 0 while the line is full or unplugged. From any thread."""
        with self._changing:
            if not self._ends:
                return 0
            here = self._ends[-1][0]
            if not select.select([], [here], [], 0)[1]:
                return 0
            os.set_blocking(here, False)
            try:
                return os.write(here, data)
            except BlockingIOError:
                return 0
            finally:
                os.set_blocking(here, True)

    def read_line(self) -> bytes:
        """What a program at `name` has sent, up to the end of the line. Blocks until then."""
        line = b""
        while not line.endswith(b"\n"):
            line += os.read(self._ends[-1][0], 1)
        return line

    def hang_up(self) -> None:
        """Pull the plug: the device and its name are gone."""
        self.name.unlink()
        with self._changing:
            for end in self._ends.pop():
                os.close(end)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for here, there in self._ends:
            os.close(here)
            os.close(there)
